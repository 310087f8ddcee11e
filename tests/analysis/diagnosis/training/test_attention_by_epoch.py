"""Attention through training: the weights of the trial itself, kept, resumed and looked at."""

import csv
import dataclasses
import logging
import shutil

import numpy as np
import pytest
import torch

from analysis import diagnose
from analysis.diagnosis.evaluation import open_data
from analysis.diagnosis.progress import silent
from analysis.diagnosis.training.attention_by_epoch import with_weights
from analysis.diagnosis.training.epoch_attention import shown_epochs
from analysis.diagnosis.training.retraining import chosen_epochs, train_again
from deepsight import checkpoint
from deepsight.config import UserError
from deepsight.imports import Permission
from deepsight.run_store import load_openings
from deepsight.trained_model import load_trained_model

TRUST = Permission(trust=True)  # the data are made by code of tests/


@pytest.fixture
def study(trained_study, tmp_path):
    return shutil.copytree(trained_study, tmp_path / "study")


def opened(study, trial):
    model = load_trained_model(study, trial, permission=TRUST)
    return model, open_data(model, permission=TRUST)


@pytest.mark.parametrize("trial", ["t0000", "t0001"])  # plain, and with averaged weights
def test_the_retraining_repeats_the_trial(study, trial):
    model, dataset = opened(study, trial)
    before = {k: v.clone() for k, v in model.module.state_dict().items()}
    first, last = train_again(model, dataset, (1, 3), study, silent)
    for name, tensor in with_weights(model, last).module.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert any((t != before[k]).any() for k, t in first.weights.items())
    recorded = {row["epoch"]: row for row in model.study.record(trial).rows}
    for snapshot in (first, last):
        assert snapshot.row["val_accuracy"] == recorded[snapshot.epoch]["val_accuracy"]
        assert with_weights(model, snapshot).epoch == snapshot.epoch
    assert all(torch.equal(t, before[k]) for k, t in model.module.state_dict().items())
    assert sorted(p.name for p in (study / "snapshots").iterdir()) == [
        "epoch_0001.pt",
        "epoch_0003.pt",
    ]


def test_what_is_there_is_not_trained_and_a_damaged_one_is(study):
    model, dataset = opened(study, "t0000")
    trained = []

    def note(items, title):
        trained.append((title, list(items)))
        return items

    train_again(model, dataset, (1, 2), study, note)
    train_again(model, dataset, (1, 2), study, note)
    assert trained == [("training t0000 again", [1, 2])]
    path = study / "snapshots" / "epoch_0002.pt"
    path.write_bytes(path.read_bytes()[:-3])
    assert [s.epoch for s in train_again(model, dataset, (1, 2), study, note)] == [1, 2]
    assert trained[1:] == [("training t0000 again", [1, 2])]


def test_an_interrupted_retraining_goes_on(study):
    model, dataset = opened(study, "t0000")

    def interrupt(items, title):
        yield from items[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_again(model, dataset, (3,), study, interrupt)
    trained = []

    def note(items, title):
        trained.extend(items)
        return items

    (snapshot,) = train_again(model, dataset, (3,), study, note)
    assert trained == [3]
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(snapshot.weights[name].reshape(tensor.shape), tensor)
    assert not (study / "snapshots" / "latest.pt").exists()


def test_epochs_are_named(study):
    model, _ = opened(study, "t0000")
    assert chosen_epochs("3, 1,3", model) == (1, 3)
    assert chosen_epochs("auto", model) == (1, 2, 3)
    frozen = dataclasses.replace(
        model.config.model, freeze_fraction=1.0, unfreeze="at_once", unfreeze_epoch=4
    )
    config = dataclasses.replace(model.config, model=frozen)
    longer = dataclasses.replace(model, epoch=9, config=config)
    assert chosen_epochs("auto", longer) == (1, 2, 3, 4, 8, 9)
    for wrong in ("0", "4", "", "1;2", "x"):
        with pytest.raises(UserError, match=r"from 1 to 3, those of t0000"):
            chosen_epochs(wrong, model)


def test_many_epochs_show_some():
    assert shown_epochs(list(range(40))) == [0, 8, 16, 23, 31, 39]
    assert shown_epochs([1, 2]) == [1, 2]


def test_the_command_says_the_cost_trains_and_shows(frozen_study, tmp_path, caplog):
    study = shutil.copytree(frozen_study, tmp_path / "study")
    with caplog.at_level(logging.INFO):
        asked = [str(study), "--trial", "t0000", "--epochs-of-attention", "auto", "--trust"]
        assert diagnose.main(asked) == 0
    assert "training t0000 again for its weights at epoch 1, 2, 3: 3 epochs, " in caplog.text
    folder = study / "diagnosis" / "t0000"
    for name in ("attention_by_epoch", "maps_by_epoch", "training_curves"):
        assert (folder / f"{name}.png").stat().st_size > 10_000
    page = (folder / "index.html").read_text()
    assert "How it was trained" in page
    assert "The retraining repeats the trial" in page
    measured = rows(folder / "attention_by_epoch.csv")
    assert {r["measure"] for r in measured} == {"accuracy", "entropy", "border_mass"}  # no masks
    accuracy = {r["epoch"]: float(r["mean"]) for r in measured if r["measure"] == "accuracy"}
    with np.load(folder / "evaluation.npz", allow_pickle=False) as stored:
        final = (stored["predictions"] == stored["labels"]).mean()
    assert accuracy["3"] == pytest.approx(final)
    frozen, tuned = rows(folder / "phases.csv")  # now both phases are tested
    assert (frozen["phase"], tuned["phase"]) == ("frozen", "fine-tuned")
    assert float(frozen["test_accuracy"]) == accuracy["1"]
    assert float(tuned["test_accuracy"]) == pytest.approx(final)
    seen = [o.sha256 for o in load_openings(study)]
    for epoch in (1, 2, 3):
        sha256 = checkpoint.sha256_of(folder / "snapshots" / f"epoch_{epoch:04d}.pt")
        assert seen.count(sha256) == 1


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_wrong_epochs_are_said_before_anything_is_computed(study, capsys):
    before = sorted(study.rglob("*"))
    asked = [str(study), "--trial", "t0000", "--epochs-of-attention", "7", "--trust"]
    assert diagnose.main(asked) == 2
    assert "from 1 to 3, those of t0000, got '7'." in capsys.readouterr().err
    assert sorted(study.rglob("*")) == before
