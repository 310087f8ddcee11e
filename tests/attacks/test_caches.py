"""What lies in the cache is what was put there, and nobody else could have put it."""

import json
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from deepsight import checkpoint
from deepsight.config import DataConfig, UserError, trial_config
from deepsight.data.cache import VERIFIED, cache_dir, make_directory
from deepsight.data.datasets import open_named, pack_dataset
from deepsight.data.packing import PackError, open_pack
from deepsight.models import weights

CONFIG = DataConfig(name="tests.training.tiny:stripes")
FLIPS = 200


@pytest.fixture(scope="module")
def pack(cache, tmp_path_factory):
    """A pack of this module's own."""
    path = pack_dataset(CONFIG).path
    return shutil.copytree(path, tmp_path_factory.mktemp("pack") / path.name)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setenv(VERIFIED, "")


def flip(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def test_every_flipped_byte_of_a_pack_is_found(pack):
    rng = random.Random(0)
    open_pack(pack)
    files = sorted(pack.glob("*.*"))
    for number in range(FLIPS):
        file = files[number % len(files)]
        before = file.read_bytes()
        flip(file, rng)
        with pytest.raises(PackError):
            open_pack(pack)
        file.write_bytes(before)
    open_pack(pack)


def test_labels_that_are_all_0_are_found_and_packed_again(cache, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("DEEPSIGHT_CACHE", str(tmp_path))
    dataset = pack_dataset(CONFIG)
    file = dataset.path / "val_labels.npy"
    np.save(file, np.zeros_like(np.load(file)))
    with pytest.raises(UserError, match="cannot be opened"):
        open_named(CONFIG, dataset.path.name, dataset.fingerprint)
    assert pack_dataset(CONFIG).val.labels.max() > 0
    assert "packing again" in caplog.text


def test_a_pack_whose_header_says_something_else_is_refused(pack, tmp_path):
    for change in ({"fingerprint": "0" * 64}, {"mean": [0.0, 0.0, 0.0]}, {"classes": ["a"] * 4}):
        copy = shutil.copytree(pack, tmp_path / str(len(list(tmp_path.iterdir()))))
        meta = json.loads((copy / "meta.json").read_text())
        (copy / "meta.json").write_text(json.dumps(meta | change))
        with pytest.raises(PackError, match="as it was written"):
            open_pack(copy)


def test_descendants_verify_only_what_has_changed_since(pack, monkeypatch):
    read = []
    monkeypatch.setattr("deepsight.data.packing._verify", lambda *a: read.append(a))
    open_pack(pack)
    open_pack(pack)
    assert len(read) == 1
    code = (
        "import sys, pathlib; from deepsight.data import packing;"
        "packing._verify = lambda *a: print('verified');"
        "packing.open_pack(pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(pack)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    os.utime(pack / "val_labels.npy")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout != ""
    open_pack(pack)
    assert len(read) == 2


def test_every_flipped_byte_of_embedded_weights_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPSIGHT_CACHE", str(tmp_path))
    config = trial_config({"model.name": "resnet20_cifar", "data.name": "digits"})
    path = weights.weights_file(config)
    path.parent.mkdir()

    def made(name, path):
        checkpoint.save(path, {"model": {"w": torch.ones(64)}}, {"epoch": 1}, wait=True)
        calls.append(name)

    calls = []
    monkeypatch.setattr(weights, "_pretrain", made)
    weights.require_weights(config)
    weights.require_weights(config)
    assert calls == ["resnet20_cifar"]
    rng = random.Random(0)
    for number in range(FLIPS):
        flip(path, rng)
        weights.require_weights(config)
        assert len(calls) == number + 2


def test_a_cache_is_made_for_its_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPSIGHT_CACHE", str(tmp_path / "a" / "b"))
    before = os.umask(0)
    try:
        path = pack_dataset(CONFIG).path
    finally:
        os.umask(before)
    for folder in (tmp_path / "a", tmp_path / "a" / "b", path.parent, path):
        assert folder.stat().st_mode & 0o777 == 0o700, folder


def test_a_cache_that_others_may_fill_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPSIGHT_CACHE", str(tmp_path))
    tmp_path.chmod(0o777)
    for call in (cache_dir, lambda: make_directory(tmp_path), lambda: pack_dataset(CONFIG)):
        with pytest.raises(UserError, match="every user of this machine"):
            call()
    tmp_path.chmod(0o700)
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    if own == 0:  # what root owns is trusted
        os.chown(tmp_path, 12345, -1)
    with pytest.raises(UserError, match="belongs to another user"):
        cache_dir()
