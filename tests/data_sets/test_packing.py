import dataclasses
import json
import os
import pickle
import time

import numpy as np
import pytest

from deepsight.config import DataConfig, UserError
from deepsight.data import cache
from deepsight.data.packing import PackError, image_names, open_pack, open_split, write_pack
from deepsight.data.raw import SPLITS, RawData
from deepsight.data.split import plan_split

HEADER = {"name": "mine", "embedded": False, "source": "noise", "made_from": {}}


@pytest.fixture
def raw():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 200, (60, 8, 8, 3), dtype=np.uint8)
    masks = generator.integers(0, 2, (60, 8, 8), dtype=np.uint8)
    return RawData(images, np.arange(60) % 3, ("a", "b", "c"), masks=masks)


def pack(directory, raw, **config):
    directory.mkdir()
    plan = plan_split(raw, DataConfig(**config), "mine")
    write_pack(directory, raw, plan, HEADER)
    return open_pack(directory), plan


def test_every_array_comes_back_exactly(tmp_path, raw):
    dataset, plan = pack(tmp_path / "p", raw)
    for name in SPLITS:
        split, rows = open_split(dataset.path, name), plan.rows[name]
        np.testing.assert_array_equal(split.images, raw.images[rows])
        np.testing.assert_array_equal(split.labels, raw.labels[rows])
        np.testing.assert_array_equal(split.masks, raw.masks[rows])
        assert sum(dataset.counts[name].values()) == len(rows)
    assert (dataset.classes, dataset.image_size, dataset.source) == (("a", "b", "c"), 8, "noise")


def test_mean_and_std_are_those_of_the_train_split(tmp_path, raw):
    dataset, plan = pack(tmp_path / "p", raw)
    train = raw.images[plan.rows["train"]] / 255
    np.testing.assert_allclose(dataset.mean, train.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, train.std(axis=(0, 1, 2)), rtol=1e-12)


def test_std_of_a_constant_channel_can_be_divided_by(tmp_path, raw):
    raw.images[..., 1] = 7
    dataset, _ = pack(tmp_path / "p", raw)
    assert dataset.std[1] == 1 / 255


def test_pieces_do_not_matter(tmp_path, raw, monkeypatch):
    whole, _ = pack(tmp_path / "p", raw)
    monkeypatch.setattr("deepsight.data.packing._CHUNK_BYTES", 500)
    pieces, _ = pack(tmp_path / "q", raw)
    assert whole.fingerprint == pieces.fingerprint
    assert whole.mean == pieces.mean


def test_the_fingerprint_follows_pixels_labels_classes_and_split(tmp_path, raw):
    def fingerprint(name, raw, **config):
        return pack(tmp_path / name, raw, **config)[0].fingerprint

    found = [fingerprint("a", raw), fingerprint("b", raw, split_seed=1)]
    raw.images[0, 0, 0, 0] ^= 1
    found.append(fingerprint("c", raw))
    raw.labels[[0, 1]] = raw.labels[[1, 0]]
    found.append(fingerprint("d", raw))
    found.append(fingerprint("e", RawData(raw.images, raw.labels, ("a", "b", "d"))))
    assert len(set(found)) == 5
    raw.labels[[0, 1]] = raw.labels[[1, 0]]
    raw.images[0, 0, 0, 0] ^= 1
    assert fingerprint("f", raw) == found[0]


def test_arrays_cannot_be_written_to(tmp_path, raw):
    dataset, _ = pack(tmp_path / "p", raw)
    for array in (dataset.train.images, dataset.train.labels, dataset.val.masks):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_pickling_carries_the_path_only(tmp_path, raw):
    dataset, _ = pack(tmp_path / "p", raw)
    data = pickle.dumps(dataset)
    assert len(data) < 1000
    copy = pickle.loads(data)
    assert copy.fingerprint == dataset.fingerprint
    assert isinstance(copy.train.images, np.memmap)


@pytest.mark.parametrize("damage", ["shorter", "longer", "missing", "meta", "no_meta", "header"])
def test_damage_is_noticed(tmp_path, raw, damage):
    path = pack(tmp_path / "p", raw)[0].path
    file, meta = path / "val_images.npy", path / "meta.json"
    if damage == "shorter":
        os.truncate(file, 100)
    elif damage == "longer":
        file.write_bytes(file.read_bytes() + b"x")
    elif damage == "missing":
        file.unlink()
    elif damage == "meta":
        meta.write_text(meta.read_text()[:50])
    elif damage == "no_meta":
        meta.unlink()
    else:
        file.write_bytes(b"garbage!" + file.read_bytes()[8:])
    with pytest.raises(PackError):
        open_pack(path)


def test_meta_is_plain_json_for_people(tmp_path, raw):
    path = pack(tmp_path / "p", raw)[0].path
    meta = json.loads((path / "meta.json").read_text())
    assert meta["dropped"] == {"duplicates": 0, "conflicting_labels": 0}
    assert set(meta["files"]) == {f.name for f in path.glob("*")} - {"meta.json"}


def test_images_keep_their_names(tmp_path, raw):
    names = [f"ä/\udcff {row}.png" for row in range(60)]  # a byte that is no text
    dataset, plan = pack(tmp_path / "p", dataclasses.replace(raw, names=names))
    for split in SPLITS:
        assert image_names(dataset.path, split) == [names[row] for row in plan.rows[split]]
    nameless, plan = pack(tmp_path / "q", raw)
    assert image_names(nameless.path, "test")[0] == f"image {plan.rows['test'][0]}"
    (nameless.path / "test_names.json").unlink()
    with pytest.raises(PackError):
        image_names(nameless.path, "test")


def test_a_replaced_directory_is_whole_or_absent(tmp_path):
    target = tmp_path / "c" / "pack"
    with pytest.raises(ZeroDivisionError), cache.replace_directory(target) as directory:
        (directory / "half").write_text(str(1 / 0))
    assert not list((tmp_path / "c").iterdir())
    with cache.replace_directory(target) as directory:
        (directory / "file").write_text("x")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["file"]


def test_the_faster_of_two_wins(tmp_path):
    target = tmp_path / "pack"
    with cache.replace_directory(target) as slow:
        (slow / "file").write_text("slow")
        with cache.replace_directory(target) as fast:
            (fast / "file").write_text("fast")
    assert (target / "file").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_said(tmp_path):
    with pytest.raises(UserError, match="no space") as caught:  # noqa: SIM117
        with cache.replace_directory(tmp_path / "pack"):
            raise OSError(28, "No space left on device")
    assert "DEEPSIGHT_CACHE" in caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_abandoned_directories_are_removed_and_busy_ones_are_not(tmp_path):
    old, busy = tmp_path / "pack.partial-old", tmp_path / "pack.partial-busy"
    old.mkdir()
    busy.mkdir()
    os.utime(old, (0, time.time() - 2 * cache._STALE_S))
    with cache.replace_directory(tmp_path / "pack"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pack", "pack.partial-busy"]


def test_a_cache_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made") as caught:
        cache.make_directory(tmp_path / "file" / "cache")
    assert "DEEPSIGHT_CACHE" in caught.value.remedy


def test_cache_dir_follows_the_environment(monkeypatch):
    monkeypatch.setenv("DEEPSIGHT_CACHE", "~/here")
    assert cache.cache_dir() == cache.Path.home() / "here"
    monkeypatch.delenv("DEEPSIGHT_CACHE")
    assert cache.cache_dir() == cache.Path.home() / ".cache" / "deepsight"
