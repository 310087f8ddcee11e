"""What reads studies works on an adopted one: no defaults, no explorers, no data, no times."""

import json
import random

import pytest

import deepsight
from analysis.adopt.command import adopt_found, write_adopted
from analysis.adopt.found import FoundRow, FoundStudy, FoundTrial, Wanted
from analysis.claims.cli import main as claims
from analysis.importance.importance import compute_importance
from analysis.importance.indices import RANKED, TOO_FEW, Obstacle
from analysis.report.build import make_comparison
from analysis.report.cli import main as report
from analysis.statistics.comparison import obstacles_between
from analysis.summary import compute_summary, summary_lines
from analysis.summary import main as summary
from deepsight.config import UserError
from deepsight.run_store import load_study
from tests.analysis.adopt.folders import write_plain
from tests.analysis.studies import hand_study, trial


def found(num, full, seed=0):
    """`num` trials whose learning rate decides the score; every `full`-th reaches epoch 4."""
    rng, trials = random.Random(seed), []
    for number in range(num):
        config = {"lr": 10 ** rng.uniform(-3, 0), "kind": rng.choice("ab"), "x": rng.random()}
        last = 4 if number % full == 0 else 1
        score = config["lr"] ** 0.5
        rows = tuple(FoundRow(e, {"acc": score - 0.3 / e}) for e in range(1, last + 1))
        trials.append(FoundTrial(f"run/{number}", config, rows))
    return FoundStudy("table", "theirs", tuple(trials), "acc", "max")


@pytest.fixture(scope="module")
def adopted(tmp_path_factory):
    """Of twelve trials, four of full budget."""
    directory = tmp_path_factory.mktemp("runs") / "mine"
    return write_adopted(adopt_found(found(12, 3), Wanted()), "nowhere", directory)


def test_the_summary_speaks_of_no_defaults_and_no_time(adopted, capsys):
    told = compute_summary(adopted)
    assert (told.baseline, told.elapsed_s, told.changed) == (None, None, [])
    lines = summary_lines(told)
    assert lines[0] == "mine: 12 of 12 trials, 24 epochs"
    assert any(line.startswith("adopted    theirs, made by table; inferred: ") for line in lines)
    assert not any(line.startswith("defaults") for line in lines)
    assert summary([str(adopted.directory)]) == 0
    assert "defaults" not in capsys.readouterr().out
    assert summary([str(adopted.directory), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["baseline"] is None


def test_the_report_says_what_was_adopted_and_inferred(adopted, capsys):
    assert report([str(adopted.directory)]) == 0
    text = (adopted.directory / "report" / "report.md").read_text()
    head = text.partition("\n## ")[0]
    assert "This study was adopted (theirs, made by table; inferred: max epochs, states" in head
    assert "No trial is of defaults" in text
    assert "## Where this study comes from" in text
    assert "The source states no times" in text
    assert "seconds elapsed" not in text
    for absent in ("- explorers:", "## Confirmation", "## Classes", "defaults reach", "1970"):
        assert absent not in text
    table = (adopted.directory / "report" / "data" / "trials.csv").read_text()
    assert "run/3" in table
    assert "drawn by" not in table


def test_importance_of_few_survivors_is_not_ranked(adopted, tmp_path):
    few = compute_importance(adopted)
    assert few.verdict == TOO_FEW
    study = write_adopted(adopt_found(found(36, 2), Wanted()), "nowhere", tmp_path / "many")
    many = compute_importance(study)
    assert (many.verdict, many.shares[0].name) == (RANKED, "lr")
    scarce = write_adopted(adopt_found(found(36, 6), Wanted()), "nowhere", tmp_path / "scarce")
    told = compute_importance(scarce)
    assert (told.verdict, told.obstacle) == (TOO_FEW, Obstacle.SURVIVORS)
    assert "all of them chosen by their scores" in told.reason


def test_adopted_studies_are_compared_with_each_other_and_with_ours(adopted, tmp_path):
    theirs = write_adopted(adopt_found(found(12, 2, 1), Wanted()), "nowhere", tmp_path / "b")
    assert obstacles_between(adopted, theirs) == ()
    assert make_comparison([theirs.directory, adopted.directory]).is_file()
    ours = hand_study(
        tmp_path / "ours",
        [trial([0.5] * 4, budget=4)],
        reported="acc",
        metric="acc",
        max_epochs=4,
        rungs=[1, 4],
        data={"fingerprint": "x"},
    )
    assert obstacles_between(ours, adopted) == ("the data of one are not stated",)


def test_claims_are_asked_of_an_adopted_study(adopted, tmp_path, capsys):
    file = tmp_path / "claims.yaml"
    file.write_text(
        "claims:\n"
        "  - {name: a-is-best, claim: Kind a., kind: best, value: {kind: a}}\n"
        "  - {name: lr-first, claim: lr over x., kind: matters_more, first: lr, second: x}\n"
    )
    assert claims([str(adopted.directory), str(file)]) == 0
    assert "a-is-best" in capsys.readouterr().out


def test_an_adopted_study_is_not_continued_or_confirmed(adopted, tmp_path):
    with pytest.raises(UserError, match="mine was adopted from table"):
        deepsight.resume(adopted, trials=20)
    from deepsight.confirm.cli import main as confirm

    assert confirm([str(adopted.directory)]) == 2


def test_a_source_is_reported_without_keeping_the_study(tmp_path, monkeypatch, capsys):
    source = write_plain(tmp_path / "exp", num=6)
    monkeypatch.chdir(tmp_path)
    assert report(["exp", "--mode", "max"]) == 0
    assert capsys.readouterr().out == "exp-report/index.html\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exp", "exp-report"]
    assert all(path.is_dir() for path in source.iterdir())
    text = (tmp_path / "exp-report" / "report.md").read_text()
    assert text.startswith("# Study exp\n")
    assert "The study itself was not kept." in text
    assert report(["exp", "--metric", "loss"]) == 2
    assert "unknown metric 'loss'" in capsys.readouterr().err


def test_options_of_a_source_are_refused_for_a_study(adopted, capsys):
    assert report([str(adopted.directory), "--metric", "acc"]) == 2
    assert "of no use here" in capsys.readouterr().err
    assert load_study(adopted.directory).metric == "acc"
