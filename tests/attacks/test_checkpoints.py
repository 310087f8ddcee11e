"""Checkpoints that are another trial's, damaged, or larger than they look are not taken."""

import json
import logging
import random
import shutil
import zipfile

import pytest
import torch

from deepsight import checkpoint
from deepsight.checkpoint import CheckpointError, identify
from deepsight.config import UserError
from deepsight.run_store import CHECKPOINT_FILE, load_study
from deepsight.trained_model import load_trained_model
from deepsight.tune.ray_backend.trial_spec import TrialSpec
from deepsight.tune.ray_backend.worker import run_trial
from tests.attacks.studies import copied

CONFIG = {"optim.lr": 0.1, "hardware.threads": 1, "data.name": "folder:a", "train.seed": 3}
OURS = identify("study", "t0000", CONFIG)
ROW = {"epoch": 2}
FLIPS = 200


def saved(path, identity=OURS):
    path.parent.mkdir(exist_ok=True)
    checkpoint.save(path, {"model": {"w": torch.ones(64)}}, ROW, identity, wait=True)
    return path


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (identify("another", "t0000", CONFIG), "study"),
        (identify("study", "t0001", CONFIG), "trial"),
        (identify("study", "t0000", CONFIG | {"optim.lr": 0.2}), "config"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(other, named, tmp_path, caplog):
    path = saved(tmp_path / "t0000" / CHECKPOINT_FILE, other)
    with pytest.raises(CheckpointError, match=f"is of another {named}"):
        checkpoint.load(path, OURS)
    assert checkpoint.load_newest(path.parent, OURS) is None
    assert f"is of another {named}" in caplog.text


def test_what_may_change_when_a_study_goes_on_changes_no_identity():
    moved = {"data.name": "folder:b", "hardware.threads": 8, "train.seed": 4}
    assert identify("study", "t0000", CONFIG | moved) == OURS
    assert identify("study", "t0000", {"a": 1}) == identify("study", "t0000", {"a": 1.0})


def test_one_of_an_older_version_is_taken_with_a_warning(tmp_path, caplog):
    path = saved(tmp_path / CHECKPOINT_FILE, None)
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load(path, OURS)[1] == ROW
    assert "an older version wrote it" in caplog.text


def curve(config, state):
    """A trainable: its score is its epoch."""
    for epoch in range(1 + (state or {"epoch": 0})["epoch"], 4):
        yield {"score": epoch * config["x"]}, {"epoch": epoch}


def rows_of(folder, trial, x, epochs=3):
    folder.mkdir(exist_ok=True)
    spec = TrialSpec(trial, str(folder), {"x": x}, f"{__name__}:curve", 0, 3, study="study")
    steps = run_trial(spec)
    return [json.loads(next(steps)["row"])["score"] for _ in range(epochs)]


def test_a_checkpoint_laid_into_another_trial_gives_it_no_score(tmp_path):
    assert rows_of(tmp_path / "a", "t0000", 1.0, epochs=2) == [1, 2]
    assert rows_of(tmp_path / "a", "t0000", 1.0, epochs=2) == [2, 3]  # it goes on with its own
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / CHECKPOINT_FILE, tmp_path / "b" / CHECKPOINT_FILE)
    assert rows_of(tmp_path / "b", "t0001", 0.1) == pytest.approx([0.1, 0.2, 0.3])


def test_a_model_is_not_loaded_from_a_checkpoint_of_another_trial(trained_study, tmp_path):
    study = copied(trained_study, tmp_path / "s")
    header = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps(header | {"id": "an id"}))
    file = study / "trials" / "t0000" / CHECKPOINT_FILE
    record = load_study(study).record("t0000")
    config = {**header["fixed"], **record.config}
    content = checkpoint.load(file)
    checkpoint.save(file, *content, identify("an id", "t0000", config), wait=True)
    assert load_trained_model(study, "t0000").trial_id == "t0000"
    checkpoint.save(file, *content, identify("an id", "t0001", config), wait=True)
    with pytest.raises(UserError, match="is of another trial"):
        load_trained_model(study, "t0000")


def test_a_checkpoint_that_unpacks_to_more_than_it_takes_is_refused_before_it_is_read(tmp_path):
    plain = tmp_path / "plain.pt"
    torch.save({"state": {"w": torch.zeros(1_000_000)}, "row": ROW}, plain)
    packed = tmp_path / CHECKPOINT_FILE
    with zipfile.ZipFile(plain) as read, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for name in read.namelist():
            made.writestr(name, read.read(name))
    assert packed.stat().st_size < plain.stat().st_size / 100
    with packed.open("ab") as file:
        file.write(checkpoint.MARK + checkpoint.hashlib.sha256(packed.read_bytes()).digest())
    assert checkpoint.verify(packed)
    with pytest.raises(CheckpointError, match="unpacks to more"):
        checkpoint.load(packed)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"PK", b"\x80\x02." * 9, b"PK\x05\x06" + b"\xff" * 18]
)
def test_what_is_no_archive_is_refused_though_its_hash_fits(content, tmp_path):
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(content + checkpoint.MARK + checkpoint.hashlib.sha256(content).digest())
    with pytest.raises(CheckpointError):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [{}, {"state": {}, "row": 1}, {"state": [], "row": {}}, [1]])
def test_what_holds_something_else_is_refused(content, tmp_path):
    path = tmp_path / CHECKPOINT_FILE
    torch.save(content, path)
    with path.open("ab") as file:
        file.write(checkpoint.MARK + checkpoint.hashlib.sha256(path.read_bytes()).digest())
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        checkpoint.load(path)


def test_every_flipped_byte_is_found(tmp_path):
    path = saved(tmp_path / CHECKPOINT_FILE)
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(FLIPS):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError):
            checkpoint.load(path, OURS)
