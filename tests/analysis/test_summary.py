"""The summary of a study: known numbers, honest words, no heavy imports."""

import io
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from analysis.summary import compute_summary, main, render, summary_lines, to_json
from deepsight.run_store import create_study, load_study
from deepsight.space import INACTIVE, choice, uniform, when
from deepsight.space import to_json as space_to_json
from tests.analysis.studies import hand_study, trial

V1 = Path(__file__).parents[1] / "data/studies/v1/smoke"


@pytest.fixture
def own(tmp_path):
    """A study of a trainable of one's own: no ``wall_s``, no target, less is better."""
    header = {
        "name": "own",
        "metric": "cost",
        "mode": "min",
        "max_epochs": 2,
        "rungs": [1, 2],
        "fixed": {},
        "space": space_to_json({"x": uniform(0, 1), "y": uniform(0, 1)}),
    }
    with create_study(tmp_path / "own", header) as writer:
        writer.started("t0000", {"x": 0.5, "y": 0.5}, False, 2, time=100.0)
        writer.result("t0000", {"epoch": 1, "cost": 9.0, "time": 110.0})
        writer.result("t0000", {"epoch": 2, "cost": 3.0, "time": 120.0})
        writer.ended("t0000", "completed", time=120.0)
        writer.started("t0001", {"x": 0.5, "y": 0.1}, True, 2, time=120.0)
        writer.result("t0001", {"epoch": 1, "cost": 1.0, "time": 130.0})
        yield writer


def test_a_best_none_is_none_and_not_inactive(tmp_path, capsys):
    space = {
        "limit": choice(None, 4.0),
        "of": when("limit", 4, uniform(0, 1)),
        "same": choice(1, 2),
    }
    header = {
        "name": "none",
        "metric": "score",
        "mode": "max",
        "max_epochs": 1,
        "rungs": [1],
        "fixed": {},
        "space": space_to_json(space),
    }
    configs = [{"limit": 4, "of": 0.5, "same": 1}, {"limit": None, "of": INACTIVE, "same": 1.0}]
    with create_study(tmp_path / "none", header) as writer:
        for number, config in enumerate(configs):
            writer.started(f"t000{number}", config, False, 1)
            writer.result(f"t000{number}", {"epoch": 1, "score": float(number)})
            writer.ended(f"t000{number}", "completed")
    stored = [json.loads(line) for line in (tmp_path / "none/trials.jsonl").open()]
    assert stored[2]["config"] == {"limit": None, "of": None, "same": 1.0}
    study = load_study(tmp_path / "none")
    assert [r.config for r in study.records] == configs
    summary = compute_summary(study)
    assert summary.changed == ["limit", "of"]  # 1 and 1.0 are the same
    assert main([str(tmp_path / "none")]) == 0
    lines = {line.split()[-3]: line.split()[-2:] for line in capsys.readouterr().out.splitlines()}
    assert lines["limit"] == ["none", "4"]
    assert lines["of"] == ["inactive", "0.5"]
    assert "none" in study._repr_html_()
    assert "inactive" in study._repr_html_()


def test_the_numbers_of_a_finished_study():
    summary = compute_summary(load_study(V1))
    assert summary.states == {
        "running": 0,
        "completed": 6,
        "stopped": 4,
        "diverged": 1,
        "failed": 1,
    }
    assert (summary.num_explorers, summary.num_epochs, summary.trials_asked) == (2, 60, 12)
    assert summary.training_s == pytest.approx(90.0)
    assert summary.elapsed_s == pytest.approx(90.0)
    assert (summary.incumbent.trial_id, summary.incumbent.score) == ("t0005", 0.9206)
    assert (summary.baseline.trial_id, summary.baseline.score) == ("t0000", 0.8216)
    assert summary.changed == ["optim.name", "optim.lr", "optim.momentum"]
    assert summary.target_met is True
    assert summary.target_gap == pytest.approx(0.2706)
    assert summary.first_error == "t0008: RuntimeError: out of memory"


def test_the_words_say_how_the_incumbent_was_chosen():
    text = "\n".join(summary_lines(compute_summary(load_study(V1))))
    assert "selected on val_accuracy of one seed" in text
    assert "met, 0.2706 beyond it" in text
    assert "the incumbent is better by 0.099" in text
    assert "data       digits: 10 classes; 1080 train, 360 val, 360 test; largest class" in text


def test_a_running_study_of_ones_own_trainable(own):
    summary = compute_summary(load_study(own.directory))
    assert summary.incumbent.trial_id == "t0000"
    assert summary.training_s is None
    assert summary.target_met is None
    assert summary.elapsed_s == 30.0
    assert "they are the incumbent" in "\n".join(summary_lines(summary))
    own.result("t0001", {"epoch": 2, "cost": 0.5, "time": 140.0})
    own.ended("t0001", "completed", time=140.0)
    summary = compute_summary(load_study(own.directory))
    assert summary.changed == ["y"]
    assert "better by 2.5" in "\n".join(summary_lines(summary))


def test_a_missed_target_is_said_with_its_gap(own):
    own.write_header(load_study(own.directory).header.stored | {"target": 1.0})
    summary = compute_summary(load_study(own.directory))
    assert summary.target_met is False
    assert "maximum viable cost 1: missed by 2" in "\n".join(summary_lines(summary))


def test_a_study_without_any_trial(tmp_path, own):
    header = load_study(own.directory).header.stored | {"target": 0.5}
    create_study(tmp_path / "empty", header).close()
    summary = compute_summary(load_study(tmp_path / "empty"))
    text = "\n".join(summary_lines(summary))
    assert "no trial has a cost yet" in text
    assert "unknown" in text
    render([summary], Console(file=io.StringIO()))


def test_an_unfinished_incumbent_is_flagged(tmp_path, own):
    header = load_study(own.directory).header.stored
    with create_study(tmp_path / "young", header) as writer:
        writer.started("t0000", {"x": 0.5, "y": 0.5}, False, 2)
        writer.result("t0000", {"epoch": 1, "cost": 9.0})
        writer.started("t0001", {"x": 0.1, "y": 0.5}, False, 2)
    text = "\n".join(summary_lines(compute_summary(load_study(tmp_path / "young"))))
    assert "no trial completed 2 epochs yet" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_the_table_marks_what_differs_from_the_defaults(terminal):
    out = io.StringIO()
    render([compute_summary(load_study(V1))] * 2, Console(file=out, force_terminal=terminal))
    assert ("\x1b[" in out.getvalue()) == terminal
    lines = out.getvalue().splitlines()
    marked = [line for line in lines if "optim.lr" in line]
    assert len(marked) == 2
    assert "*" in marked[0]
    assert any("inactive" in line for line in lines)


def test_the_command_is_light_and_quick():
    """Neither Ray nor torch nor pandas, and at most 1.5 seconds of the CPU (0.17, n = 3)."""
    code = (
        "import sys; from analysis.summary import main; code = main(sys.argv[1:]); "
        "assert not {'ray', 'torch', 'optuna', 'pandas'} & set(sys.modules); sys.exit(code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, str(V1)], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 1.5
    assert "t0005" in done.stdout
    assert done.stderr == ""


def test_several_studies_as_json(own, capsys):
    assert main([str(V1), str(own.directory), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["incumbent"]["score"] == 0.9206
    assert first["target_met"] is True
    assert second["training_s"] is None


@pytest.mark.parametrize("name", ["absent", "."])
def test_no_study_there(tmp_path, capsys, name):
    assert main([str(V1), str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    cause, remedy = captured.err.splitlines()
    assert cause.startswith("error: ")
    assert remedy


def test_a_torn_line_is_one_line_of_warning(own, capsys):
    with (own.directory / "results.jsonl").open("a") as file:
        file.write('{"torn')
    assert main([str(own.directory)]) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: ")
    assert "torn" in warning


UNEVEN = {
    "classes": ["common", "rare"],
    "counts": {"val": {"common": 40, "rare": 1}, "train": {"common": 120, "rare": 3}},
}


def uneven(directory, score, macro_f1=40 / 81, recall=(1.0, 0.0), **header):
    """A study of one trial on classes of 40 and 1 validation images."""
    row = {"val_macro_f1": macro_f1, "val_recall": list(recall)}
    trials = [trial([score] * 9, row=row)]
    return hand_study(directory, trials, data=UNEVEN, **{"target": 0.65} | header)


def test_the_majority_s_share_is_no_success(tmp_path):
    """200 against 5 images: 0.976 as accuracy, with a recall of 0 for the rare class."""
    summary = compute_summary(uneven(tmp_path / "s", 40 / 41))
    assert (summary.majority_baseline, summary.balance.uneven) == (40 / 41, True)
    assert (summary.target_met, summary.target_too_low) == (None, True)
    assert summary.beats_majority is False
    assert (summary.incumbent.macro_f1, summary.incumbent.recall["rare"]) == (40 / 81, 0.0)
    text = "\n".join(summary_lines(summary))
    assert "val_macro_f1 0.4938; recall 'rare' 0.000, 'common' 1.000" in text
    assert "40 of 41 validation images, has val_accuracy 0.9756; the incumbent is no better" in text
    assert "--set study.metric=val_macro_f1" in text
    assert "'rare' (1)" in text
    assert "too low to tell, the majority baseline alone reaches it" in text
    assert "met" not in text.partition("target ")[2].split()
    json.dumps(to_json(summary), allow_nan=False)


def test_a_target_too_low_is_still_missed_below_it(tmp_path):
    summary = compute_summary(uneven(tmp_path / "s", 0.5))
    assert summary.target_met is False
    assert "missed by 0.15" in "\n".join(summary_lines(summary))


def test_a_target_beyond_the_majority_can_be_met(tmp_path):
    summary = compute_summary(uneven(tmp_path / "s", 1.0, 1.0, (1.0, 1.0), target=0.98))
    assert summary.target_met is True
    assert summary.beats_majority is True
    assert "no better" not in "\n".join(summary_lines(summary))


def test_even_classes_have_the_baseline_and_no_warning():
    summary = compute_summary(load_study(V1))
    assert summary.majority_baseline == pytest.approx(0.1)
    text = "\n".join(summary_lines(summary))
    assert "always answering '0', 36 of 360 validation images, has val_accuracy 0.1000" in text
    assert "note " not in text


@pytest.mark.parametrize("recall", [None, [0.5], [None, None], "none"])
def test_recalls_that_are_not_there_are_left_out(tmp_path, recall):
    row = {"val_recall": recall}
    study = hand_study(tmp_path / "s", [trial([0.9] * 9, row=row)], data=UNEVEN)
    assert compute_summary(study).incumbent.recall == {}
    summary_lines(compute_summary(study))
