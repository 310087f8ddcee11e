"""Projects that Keras Tuner wrote (tests/data/adopted/keras_tuner), against what it said of them.

Keras takes half a minute to import, so the projects were made once, by the script beside them.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from analysis.adopt.found import Wanted
from analysis.adopt.sources.keras_tuner import read, recognises
from deepsight.config import UserError
from deepsight.space import Choice, Condition, Float, Int
from tests.analysis.adopt.source_folders import unchanged

DATA = Path(__file__).parents[2] / "data" / "adopted" / "keras_tuner"
TOLD = json.loads((DATA / "told.json").read_text())
SPACE = {
    "units": Int(2, 8),
    "optimizer": Choice(("sgd", "adam")),
    "lr": Float(1e-4, 0.1, log=True),
    "momentum": Float(0.0, 0.9, condition=Condition("optimizer", ("sgd",))),
    "bn": Choice((False, True)),
}


def own(values):
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def test_every_value_of_a_random_search_comes_over():
    with unchanged(DATA):
        assert recognises(str(DATA / "random"))
        found = read(str(DATA / "random"), Wanted(max_epochs=3))
    told = TOLD["random"]
    assert (found.tool, found.name, found.max_epochs) == ("keras_tuner", "random", 3)
    assert (found.metric, found.mode) == ("val_loss", "min")
    assert found.space == SPACE
    assert {t.key for t in found.trials} == told["trials"].keys()
    for trial in found.trials:
        theirs = told["trials"][trial.key]
        assert (trial.config, trial.state) == (own(theirs["values"]), "completed")
        assert [(r.epoch, dict(r.metrics)) for r in trial.rows] == [(3, theirs["metrics"])]
    best = min(found.trials, key=lambda trial: trial.rows[-1].metrics["val_loss"])
    assert (best.key, best.rows[-1].metrics["val_loss"]) == (told["best"], told["score"])
    assert any("no curves" in note for note in found.notes)
    unknown = read(str(DATA / "random"), Wanted())
    assert any("--max-epochs says it" in note for note in unknown.notes)


def test_trials_that_hyperband_promoted_are_one_trial_each():
    found = read(str(DATA / "hyperband"), Wanted())
    told = TOLD["hyperband"]["trials"]
    parents = {v["values"].get("tuner/trial_id") for v in told.values()} - {None}
    assert parents
    assert {t.key for t in found.trials} == told.keys() - parents
    assert (found.metric, found.mode, found.max_epochs) == ("val_accuracy", "max", 4)
    seen = {}
    for trial in found.trials:
        key, rows = trial.key, []
        while key is not None:
            values = told[key]["values"]
            rows.insert(0, (values["tuner/epochs"], told[key]["metrics"]))
            seen[key] = 1
            assert trial.config == own(values)
            key = values.get("tuner/trial_id")
        assert [(r.epoch, dict(r.metrics)) for r in trial.rows] == rows
        full = told[trial.key]["values"]["tuner/epochs"] == 4
        assert trial.state == ("completed" if full else "stopped")
    assert seen.keys() == told.keys()
    scores = {r.metrics["val_accuracy"] for t in found.trials for r in t.rows}
    assert max(scores) == TOLD["hyperband"]["score"]
    assert any("were trained on by another one" in note for note in found.notes)


def test_one_of_several_projects_must_be_named():
    assert recognises(str(DATA))
    with pytest.raises(UserError, match="2 projects: hyperband, random"):
        read(str(DATA), Wanted())
    with pytest.raises(UserError, match="no project 'x': hyperband, random"):
        read(str(DATA), Wanted(study="x"))
    assert read(str(DATA), Wanted(study="random")).name == "random"


@pytest.fixture
def copied(tmp_path):
    return Path(shutil.copytree(DATA / "random", tmp_path / "project"))


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_odd_trials(copied):
    first, second, third = sorted(copied.glob("trial_*/trial.json"))
    change(
        first, status="FAILED", message="Traceback: it broke", metrics={"metrics": {}}, score=None
    )
    shown = {"val_loss": {"direction": "min", "observations": [
        {"value": [0.5, 0.7], "step": 0}, {"value": [float("nan")], "step": 1}]}}  # fmt: skip
    change(second, metrics={"metrics": shown}, score=0.6, status="RUNNING")
    found = read(str(copied), Wanted())
    states = [(t.state, len(t.rows), t.error) for t in found.trials]
    assert states == [
        ("failed", 0, "Traceback: it broke"),
        ("running", 2, None),
        ("completed", 1, None),
    ]
    assert [r.metrics["val_loss"] for r in found.trials[1].rows] == [0.6, None]
    third.unlink()
    assert len(read(str(copied), Wanted()).trials) == 2


@pytest.mark.parametrize("content", ["", '{"trial_id": ', "[1]", "{}", "[" * 99_999])
def test_a_damaged_trial_is_one_line_of_cause_and_remedy(copied, content):
    (copied / "trial_1" / "trial.json").write_text(content)
    with pytest.raises(UserError) as error:
        read(str(copied), Wanted())
    assert "trial_1/trial.json" in error.value.cause
    assert "\n" not in error.value.cause


def test_links_are_not_followed(copied, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "oracle.json").symlink_to(copied / "oracle.json")
    assert not recognises(str(tmp_path / "linked"))
    (copied / "trial_9").symlink_to(copied / "trial_0")
    assert len(read(str(copied), Wanted()).trials) == 3


@pytest.mark.slow
def test_ten_thousand_trials_take_seconds(copied):
    stated = (copied / "trial_0" / "trial.json").read_text()
    for number in range(3, 10_000):
        (copied / f"trial_{number}").mkdir()
        text = stated.replace('"trial_id": "0"', f'"trial_id": "{number}"')
        (copied / f"trial_{number}" / "trial.json").write_text(text)
    start = time.process_time()
    assert len(read(str(copied), Wanted()).trials) == 10_000
    assert time.process_time() - start < 20
