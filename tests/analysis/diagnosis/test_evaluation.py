"""Answers of a model: kept, reused, made again when they no longer fit."""

import dataclasses
import shutil

import numpy as np
import pytest

from analysis.diagnosis import evaluation as module
from analysis.diagnosis.evaluation import data_config, evaluate, load_evaluation, open_data
from deepsight import checkpoint
from deepsight.config import UserError
from deepsight.imports import Permission
from deepsight.run_store import load_openings, load_study
from deepsight.trained_model import load_trained_model

TRUST = Permission(trust=True)  # the data are made by code of tests/


@pytest.fixture
def study(trained_study, tmp_path):
    return shutil.copytree(trained_study, tmp_path / "study")


def run(study, trial="t0000", split="test", **arguments):
    model = load_trained_model(study, trial)
    made, images = evaluate(
        model, open_data(model, permission=TRUST), split, study / "d", **arguments
    )
    return model, made, images


def test_the_evaluation_of_val_is_what_training_recorded(study):
    _, made, images = run(study, split="val")
    recorded = load_study(study).record("t0000").rows[-1]["val_accuracy"]
    assert made.hits.mean() == recorded
    assert np.array_equal(made.labels, images.labels)
    assert load_openings(study) == []


def test_what_is_stored_comes_back_without_pickling(study):
    model, made, images = run(study)
    kept = load_evaluation(study / "d" / "evaluation.npz")
    for name in ("probabilities", "labels", "features", "ids"):
        assert np.array_equal(getattr(kept, name), getattr(made, name)), name
    assert kept.classes == model.class_names
    assert (kept.split, kept.trial_id, kept.sha256) == ("test", "t0000", model.sha256)
    assert len(kept) == len(images.labels) == len(set(kept.ids.tolist()))
    assert kept.ids[0].startswith("image ")
    with np.load(study / "d" / "evaluation.npz", allow_pickle=False) as stored:
        assert np.array_equal(stored["predictions"], made.predicted)


def test_features_are_what_the_last_layer_sees(study):
    model, made, _ = run(study)
    weight = [m for m in model.module.modules() if hasattr(m, "in_features")][-1]
    logits = made.features @ weight.weight.numpy().T + weight.bias.numpy()
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert np.allclose(odds / odds.sum(axis=1, keepdims=True), made.probabilities, atol=1e-5)
    assert not any(m._forward_pre_hooks for m in model.module.modules())


def test_nothing_is_computed_twice(study, monkeypatch):
    _, made, _ = run(study)
    monkeypatch.setattr(module, "_run", None)
    _, again, _ = run(study)
    assert np.array_equal(made.probabilities, again.probabilities)


def test_another_checkpoint_is_evaluated_again(study):
    model, made, _ = run(study)
    state, row = checkpoint.load(model.checkpoint_path)
    for tensor in state["model"].values():
        tensor.zero_()
    checkpoint.save(model.checkpoint_path, state, row, wait=True)
    other, again, _ = run(study)
    assert other.sha256 != model.sha256
    assert again.sha256 == other.sha256
    assert np.allclose(again.probabilities, 0.25)


def test_a_torn_evaluation_is_made_again(study, caplog):
    _, made, _ = run(study)
    path = study / "d" / "evaluation.npz"
    path.write_bytes(path.read_bytes()[:500])
    _, again, _ = run(study)
    assert np.array_equal(made.probabilities, again.probabilities)
    assert "damaged" in caplog.text


def test_an_interrupted_evaluation_leaves_nothing(study):
    def interrupt(items, title):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(study, progress=interrupt)
    assert not list((study).glob("d/*"))


def test_opening_the_test_split_is_recorded(study):
    model, *_ = run(study)
    run(study)
    first, second = load_openings(study)
    assert (first.command, first.trial_id, first.sha256) == ("diagnose", "t0000", model.sha256)
    assert first.time <= second.time


def refused(call):
    with pytest.raises(UserError) as caught:
        call()
    assert caught.value.exit_code == 2
    return caught.value


def test_changed_data_are_refused_with_both_fingerprints(study):
    model = load_trained_model(study, "t0000")
    now = model.fingerprint
    error = refused(
        lambda: open_data(dataclasses.replace(model, fingerprint="of-before"), permission=TRUST)
    )
    assert now in error.cause
    assert "of-before" in error.cause
    assert "--data" in error.remedy


def test_data_that_are_gone_are_named(study):
    model = load_trained_model(study, "t0000")
    error = refused(lambda: open_data(model, data_config(model, "folder:/nowhere/at/all")))
    assert "/nowhere/at/all does not exist" in error.cause
    assert model.fingerprint in error.cause
