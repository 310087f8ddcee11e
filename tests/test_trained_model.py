"""A checkpoint becomes the model that was validated, or a reason why not."""

import json
import shutil

import numpy as np
import pytest
import torch

from deepsight.config import UserError
from deepsight.data.datasets import load_dataset
from deepsight.models import weights
from deepsight.run_store import load_study
from deepsight.trained_model import load_trained_model, trials_with_checkpoint
from tests.trained import train_study
from tests.training.tiny import SMALL


@pytest.fixture
def study(trained_study, tmp_path):
    """A copy to damage."""
    return shutil.copytree(trained_study, tmp_path / "study")


@pytest.mark.parametrize("trial", ["t0000", "t0001"])
@pytest.mark.parametrize("plain", [False, True])
def test_a_loaded_model_predicts_what_was_validated(trained_study, trial, plain):
    model = load_trained_model(trained_study, trial, plain=plain)
    val = load_dataset(model.config.data).val
    probabilities = model.probabilities(val.images)
    hits = probabilities.argmax(axis=1) == val.labels
    assert hits.mean() == load_study(trained_study).record(trial).rows[-1]["val_accuracy"]
    recorded = np.load(trained_study / "trials" / trial / "predictions.npz", allow_pickle=False)
    assert np.array_equal(recorded["labels"], val.labels)
    if not plain:
        assert np.array_equal(recorded["probabilities"], probabilities.astype(np.float16))
    assert np.allclose(recorded["probabilities"], probabilities, atol=2e-3)
    assert model.averaged == (trial == "t0001")
    assert model.input_size == (12 if trial == "t0001" else 16)
    assert model.stored_size == 16


def test_a_loaded_model_says_what_it_is(trained_study):
    model = load_trained_model(trained_study)
    study = load_study(trained_study)
    assert model.trial_id == study.incumbent().trial_id
    assert model.class_names == ("flat", "rising", "upright", "falling")
    assert model.epoch == 3
    assert model.row["val_accuracy"] == study.score(study.incumbent())
    assert model.fingerprint == study.header.fingerprint
    assert len(model.sha256) == 64
    assert not model.module.training
    assert not any(p.requires_grad for p in model.module.parameters())
    assert model.probabilities(np.zeros((0, 16, 16, 3), np.uint8)).shape == (0, 4)


def test_preprocessing_takes_arrays_and_tensors_of_any_size(trained_study):
    model = load_trained_model(trained_study, "t0001")
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), np.uint8)
    inputs = model.preprocess(images)
    assert inputs.shape == (3, 3, 12, 12)
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, model.preprocess(torch.from_numpy(images)))


def test_no_weights_are_fetched_and_no_random_number_is_drawn(trained_study, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("weights were asked for")

    monkeypatch.setattr(weights, "download", refuse)
    monkeypatch.setattr("deepsight.models.build.require_weights", refuse)
    before = torch.random.get_rng_state()
    load_trained_model(trained_study)
    assert torch.equal(before, torch.random.get_rng_state())


def test_pretrained_networks_load_without_their_weights(tmp_path, monkeypatch):
    fixed = SMALL | {"model.name": "resnet20_cifar"}
    directory = train_study(tmp_path / "resnet", [{}], fixed, epochs=1)
    file = directory / "trials" / "t0000" / "checkpoint.pt"
    content = torch.load(file, weights_only=True)
    content["state"]["config"]["model.weights"] = "embedded"
    from deepsight import checkpoint

    checkpoint.save(file, content["state"], content["row"], wait=True)
    monkeypatch.setattr("deepsight.models.build.require_weights", None)
    model = load_trained_model(directory)
    val = load_dataset(model.config.data).val
    hits = model.probabilities(val.images).argmax(axis=1) == val.labels
    assert hits.mean() == content["row"]["val_accuracy"]


def refused(*arguments):
    with pytest.raises(UserError) as caught:
        load_trained_model(*arguments)
    assert caught.value.exit_code == 2
    return caught.value.cause, caught.value.remedy


def test_a_stopped_trial_has_no_model(study):
    cause, remedy = refused(study, "t0002")
    assert cause == "t0002 (stopped after 1 of 3 epochs) has no checkpoint."
    assert remedy.startswith("Choose one that has: --trial t000")


def test_an_unknown_trial_is_named(study):
    cause, remedy = refused(study, "t0009")
    assert cause == "unknown trial 't0009'."
    assert "t0000" in remedy


def test_a_study_without_checkpoints_is_refused(study):
    for path in study.glob("trials/*/checkpoint.pt"):
        path.unlink()
    cause, remedy = refused(study)
    assert cause == f"no trial of {study} has a checkpoint."
    assert f"--resume {study}" in remedy
    assert trials_with_checkpoint(load_study(study)) == []


def test_a_damaged_checkpoint_is_refused_by_its_hash(study):
    file = study / "trials" / "t0000" / "checkpoint.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    cause, remedy = refused(study, "t0000")
    assert cause == f"{file}: is torn or altered (its SHA-256 does not fit)."
    assert remedy == "Restore it from a copy, or choose another trial: --trial t0001."


def test_a_trainable_of_the_users_own_is_refused(study):
    header = json.loads((study / "study.json").read_text())
    header["settings"]["study.trainable"] = "mine:train"
    (study / "study.json").write_text(json.dumps(header))
    cause, _ = refused(study)
    assert "mine:train" in cause


def test_a_network_that_has_changed_is_refused(study):
    from deepsight import checkpoint

    file = study / "trials" / "t0000" / "checkpoint.pt"
    state, row = checkpoint.load(file)
    state["config"]["model.width"] = 16
    checkpoint.save(file, state, row, wait=True)
    cause, remedy = refused(study, "t0000")
    assert "does not fit scratch_cnn" in cause
    assert "\n" not in cause + remedy


def test_no_gpu_no_model_on_it(study):
    if not torch.cuda.is_available():
        assert "GPU" in refused(study, None, "cuda")[0]
