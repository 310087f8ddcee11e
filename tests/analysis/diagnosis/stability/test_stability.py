"""Findings by seeds: the same ones are counted, the seeds are those of the config."""

import csv
import dataclasses
import json
import shutil
from types import SimpleNamespace

import pytest

from analysis import diagnose
from analysis.diagnosis.findings import Finding, Findings
from analysis.diagnosis.page.findings_section import findings_section
from analysis.diagnosis.stability.agreement import compute_agreement, mark_unstable
from analysis.diagnosis.stability.seed_findings import SeedFinding, SeedFindings
from analysis.diagnosis.stability.seeds import confirmation_of, runs_of_config
from analysis.statistics.intervals import Interval
from deepsight.config import trial_config
from deepsight.imports import Permission
from deepsight.run_store import load_openings
from deepsight.trained_model import load_trained_model
from tests.trained import train_study
from tests.training.tiny import SMALL

TRUST = Permission(trust=True)  # the data are made by code of tests/
NUMBER = Interval(0.3, 0.2, 0.4, 50)
RARE = SMALL | {"data.name": "tests.trained:rare_stripes"}


def finding(kind, *labels, note=""):
    return Finding(kind, labels, "share of {}", NUMBER, 0.001, note=note)


def seed(number, *items):
    found = tuple(SeedFinding(kind, tuple(labels), NUMBER, 0.01) for kind, *labels in items)
    return SeedFindings(f"t{number:04d}", number, found)


def test_the_same_defect_of_the_same_classes_counts():
    own = Findings((finding("rare", 2), finding("confused_pair", 3, 1)), 9, ())
    seeds = [
        seed(0, ("rare", 2), ("confused_pair", 1, 3)),
        seed(1, ("rare", 2), ("confused_pair", 1, 2)),
        seed(2, ("rare", 2), ("weak_class", 0)),
        seed(3, ("rare", 2), ("weak_class", 0)),
        seed(
            4,
            ("rare", 1),
        ),
    ]
    rare, pair, *alone = compute_agreement(own, seeds)
    assert (rare.seeds, rare.is_stable, rare.of_trial) == ((0, 1, 2, 3), True, True)
    assert (pair.seeds, pair.is_stable) == ((0,), False)  # the order of a pair does not matter
    assert (rare.share.value, rare.share.n) == (0.8, 5)
    assert rare.share.low == pytest.approx(0.2836, abs=1e-4)  # Clopper and Pearson, 4 of 5
    found = [(a.finding.key, a.seeds) for a in alone]
    assert found == [
        (("weak_class", (0,)), (2, 3)),
        (("confused_pair", (1, 2)), (1,)),
        (("rare", (1,)), (4,)),
    ]
    assert not any(a.of_trial for a in alone)


@pytest.mark.parametrize(("agree", "of", "stable"), [(4, 5, True), (3, 5, False), (2, 3, False)])
def test_fewer_than_four_of_five_are_marked(agree, of, stable):
    own = Findings((finding("weak_class", 1, note="Known."),), 4, ())
    seeds = [seed(k, *([("weak_class", 1)] if k < agree else [])) for k in range(of)]
    marked = mark_unstable(own, compute_agreement(own, seeds)).items[0]
    text = f"Known. Not stable: {agree} of {of} fresh seeds find the same."
    assert marked.note == ("Known." if stable else text)
    assert dataclasses.replace(marked, note="Known.") == own.items[0]


def test_the_mark_stands_in_the_table_of_findings_and_beneath_it():
    own = Findings((finding("rare", 1), finding("weak_class", 0)), 4, ())
    marked = mark_unstable(own, compute_agreement(own, [seed(0), seed(1)]))
    model = SimpleNamespace(config=trial_config({}), stored_size=32)
    results = SimpleNamespace(model=model, evaluation=SimpleNamespace(classes=("cat", "dog")))
    note, table = findings_section(marked, results).blocks
    said = "Not stable: 0 of 2 fresh seeds find the same."
    assert table.columns[-1] == "note"
    assert [row[-1] for row in table.rows] == [said, said]
    assert note.text.endswith(said)  # of the defect; a hint stands in the table only


@pytest.fixture(scope="module")
def confirmed(cache, tmp_path_factory):
    """A search of two trials, and runs of both configs below it, one of them stopped."""
    study = tmp_path_factory.mktemp("seeds") / "study"
    train_study(study, [{}, {"optim.lr": 0.003}], RARE)
    runs = [{"train.seed": 1000 + k} for k in range(2)]
    runs += [{"train.seed": 1002, "epochs": 1}, {"train.seed": 1000, "optim.lr": 0.003}]
    train_study(study / "confirm", runs, RARE)
    return study


def test_seeds_are_those_of_the_config_with_the_full_budget(confirmed):
    for trial, runs in (("t0000", ["t0000", "t0001"]), ("t0001", ["t0003"])):
        model = load_trained_model(confirmed, trial, permission=TRUST)
        study = confirmation_of(model.study)
        assert [r.trial_id for r in runs_of_config(model, study)] == runs
        assert confirmation_of(study) is None  # nobody confirms a confirmation


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_page_counts_the_seeds_that_agree(confirmed, tmp_path):
    study = shutil.copytree(confirmed, tmp_path / "study")
    asked = [str(study), "--trial", "t0000", "--split", "val", "--trust"]
    assert diagnose.main(asked) == 0
    folder = study / "diagnosis" / "t0000-val"
    found = {(r["finding"], r["classes"]): r for r in rows(folder / "stability.csv")}
    rare = found["rare", "falling"]
    assert rare["in this trial"] == "yes"
    assert (rare["seeds that agree"], rare["verdict"]) == ("2 of 2", "stable")
    assert rare["seeds"] == "1000 1001"
    page = (folder / "index.html").read_text()
    assert page.index("What is wrong") < page.index("Do the findings hold for other seeds?")
    assert "rare falling: 2 of 2" in (folder / "summary.txt").read_text()
    kept = sorted((study / "confirm" / "diagnosis").glob("*/findings.npz"))
    assert [p.parent.name for p in kept] == ["t0000-val", "t0001-val"]
    assert load_openings(study / "confirm") == []
    before = kept[0].stat().st_mtime_ns
    weights = study / "confirm" / "trials" / "t0001" / "checkpoint.pt"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert diagnose.main(asked) == 0
    assert kept[0].stat().st_mtime_ns == before
    assert "t0001: " in (folder / "index.html").read_text()
    assert rows(folder / "stability.csv")[0]["seeds that agree"] == "1 of 1"
    assert json.loads((folder / "made_from.json").read_text())["split"] == "val"
