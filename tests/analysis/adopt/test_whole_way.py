"""From what a tool wrote to a study of run format 1, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from analysis.adopt.command import main
from deepsight.run_store import HEADER_FILE, load_study
from deepsight.space import Choice, Condition, Float
from tests.analysis.adopt.test_hparams import with_torch
from tests.analysis.adopt.test_keras_tuner import DATA, TOLD
from tests.analysis.adopt.test_mlflow import folder_store
from tests.analysis.adopt.test_optuna import objective, storage_at
from tests.analysis.adopt.test_wandb import RUNS


def adopt(tmp_path, source, *options):
    out = tmp_path / "adopted"
    assert main([str(source), "--out", str(out), *options]) == 0
    study = load_study(out)
    return study, json.loads((out / HEADER_FILE).read_text())["origin"]


@pytest.mark.parametrize("kind", ["journal", "database"])
def test_a_pruned_study_of_optuna(tmp_path, kind):
    path = tmp_path / "made"
    pruner = optuna.pruners.SuccessiveHalvingPruner()
    sampler = optuna.samplers.RandomSampler(seed=1)
    made = optuna.create_study(storage=storage_at(kind, path), direction="maximize",
                               pruner=pruner, sampler=sampler)  # fmt: skip
    made.optimize(objective, n_trials=25, catch=(ValueError,))
    study, origin = adopt(tmp_path, path)
    states = [t.state.name for t in made.trials]
    assert study.trials["state"].tolist() == [
        {"COMPLETE": "completed", "PRUNED": "stopped", "FAIL": "failed"}[state] for state in states
    ]
    complete = study.trials[study.trials["state"] == "completed"]
    assert complete["last"].max() == made.best_value
    best = list(study.trials.index).index(complete["last"].idxmax())
    assert best == made.best_trial.number
    assert len(study.epochs) == sum(len(t.intermediate_values) for t in made.trials)
    assert (study.metric, study.mode, study.max_epochs) == ("value", "max", 9)
    assert study.space["optim.lr"] == Float(1e-4, 1.0, log=True)
    assert study.space["optim.name"] == Choice(("sgd", "adam", None))
    assert study.space["momentum"] == Float(0, 0.9, condition=Condition("optim.name", ("sgd",)))
    assert origin["tool"] == "optuna"
    failed = study.trials[study.trials["state"] == "failed"]
    assert failed["error"].tolist() == ["Optuna says FAIL, and not why"]
    assert not any(name.startswith("space.") for name in origin["inferred"])
    assert any("momentum depends on optim.name" in note for note in origin["notes"])


def test_an_objective_by_its_number_and_a_hidden_password(tmp_path, monkeypatch):
    import sqlalchemy

    storage = f"sqlite:///{tmp_path}/a.db"
    made = optuna.create_study(storage=storage, directions=["minimize", "maximize"])
    made.optimize(lambda t: (t.suggest_float("x", 0, 1), -t.params["x"]), n_trials=4)
    real = sqlalchemy.create_engine
    monkeypatch.setattr(sqlalchemy, "create_engine", lambda _, **given: real(storage, **given))
    address = "postgresql://me:secret@127.0.0.1/db"
    study, origin = adopt(tmp_path, address, "--metric", "1")
    assert (study.metric, study.mode) == ("values_1", "max")
    assert study.trials["last"].tolist() == [-t.params["x"] for t in made.trials]
    assert origin["source"] == "postgresql://me:***@127.0.0.1/db"


def test_a_folder_of_mlflow(tmp_path):
    study, origin = adopt(tmp_path, folder_store(tmp_path, 3), "--metric", "acc")
    assert study.trials["last"].tolist() == [0.3, 0.3, 0.3]
    assert study.trials["state"].tolist() == ["completed"] * 3
    assert (origin["tool"], origin["study"]) == ("mlflow", "mine")


def test_runs_of_wandb(tmp_path):
    (tmp_path / "runs.json").write_text(json.dumps(RUNS))
    study, origin = adopt(tmp_path, tmp_path / "runs.json", "--metric", "acc")
    assert study.trials["last"].tolist() == [0.5, 0.25]
    assert study.trials["state"].tolist() == ["completed", "stopped"]
    assert origin["tool"] == "wandb"


def test_a_project_of_keras_tuner(tmp_path):
    study, origin = adopt(tmp_path, DATA / "hyperband")
    assert study.trials["last"].max() == TOLD["hyperband"]["score"]
    assert (study.metric, study.mode, study.max_epochs) == ("val_accuracy", "max", 4)
    assert study.space["momentum"].condition == Condition("optimizer", ("sgd",))
    assert "fixed" not in study.space
    assert origin["tool"] == "keras_tuner"


def test_a_folder_of_hparams(tmp_path):
    study, origin = adopt(tmp_path, with_torch(tmp_path / "runs"), "--metric", "val/accuracy")
    assert study.trials["last"].tolist() == [0.375, 1.25, 2.375]
    assert study.trials["state"].tolist() == ["completed", "stopped", "completed"]
    assert origin["tool"] == "hparams"


@pytest.mark.parametrize(
    ("source", "options", "cause"),
    [
        (DATA, [], "2 projects: hyperband, random"),
        ("sqlite:////nowhere/a.db", [], "nothing that can be adopted"),
        ("https://wandb.ai/me/project", [], "on W&B's servers"),
        ("http://127.0.0.1:1", [], "cannot be reached"),
        (DATA / "random", ["--metric", "f1"], "unknown metric 'f1'"),
    ],
)
def test_what_cannot_be_adopted_is_two_lines(tmp_path, capsys, source, options, cause):
    assert main([str(source), "--out", str(tmp_path / "x"), *options]) == 2
    shown = capsys.readouterr().err.splitlines()
    assert cause in shown[0]
    assert len(shown) == 2
    assert not Path(tmp_path / "x").exists()
