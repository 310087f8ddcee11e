"""Scores on the test split are kept, and count for the checkpoint that they were measured on."""

import json
import logging
import shutil

import pytest
import torch

from deepsight import checkpoint
from deepsight.config import UserError
from deepsight.confirm.opened_test import FILE, scores_on_test
from deepsight.imports import Permission
from deepsight.run_store import CHECKPOINT_FILE, load_openings, load_study

TRUST = Permission(trust=True)


@pytest.fixture
def measured(trained_study, tmp_path):
    """A study, its scores on the test split, and the folder of the trial that has them."""
    study = load_study(shutil.copytree(trained_study, tmp_path / "s"))
    return study, scores_on_test(study, "t0000", TRUST), study.directory / "trials" / "t0000"


def test_a_second_command_opens_nothing(measured):
    study, scores, _ = measured
    assert scores_on_test(study, "t0000", TRUST) == scores
    assert len(load_openings(study.directory)) == 1


def test_every_model_is_recorded_and_the_split_is_opened_once(measured, caplog):
    study, scores, folder = measured
    (folder / FILE).unlink()
    with caplog.at_level(logging.INFO):
        assert scores_on_test(study, "t0000", TRUST) == scores
    assert "opening the test split" not in caplog.text
    assert len(load_openings(study.directory)) == 2


def test_an_exchanged_checkpoint_does_not_get_the_old_score(measured):
    study, scores, folder = measured
    state, row = checkpoint.load(folder / CHECKPOINT_FILE)
    state["model"] = {k: torch.zeros_like(v) for k, v in state["model"].items()}
    checkpoint.save(folder / CHECKPOINT_FILE, state, row, wait=True)
    with pytest.raises(UserError, match="is of another checkpoint") as refused:
        scores_on_test(study, "t0000", TRUST)
    assert "delete the scores" in refused.value.remedy
    (folder / FILE).unlink()
    assert scores_on_test(study, "t0000", TRUST)["accuracy"] < scores["accuracy"]
    assert len(load_openings(study.directory)) == 2


@pytest.mark.parametrize("key", ["sha256", "fingerprint"])
def test_scores_that_name_another_checkpoint_or_other_data_are_refused(measured, key):
    study, _, folder = measured
    kept = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(kept | {key: "0" * 64}))
    with pytest.raises(UserError, match="is of another checkpoint"):
        scores_on_test(study, "t0000", TRUST)


def test_a_checkpoint_that_is_damaged_is_named_and_scores_without_one_stand(measured):
    study, scores, folder = measured
    content = (folder / CHECKPOINT_FILE).read_bytes()
    (folder / CHECKPOINT_FILE).write_bytes(content[:-9])
    with pytest.raises(UserError, match="torn or altered"):
        scores_on_test(study, "t0000", TRUST)
    (folder / CHECKPOINT_FILE).unlink()
    assert scores_on_test(study, "t0000", TRUST) == scores
