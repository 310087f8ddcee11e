import dataclasses
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deepsight.config import DataConfig, UserError
from deepsight.data import datasets
from deepsight.data.datasets import (
    DATASETS,
    check_source,
    load_dataset,
    open_named,
    open_test,
    pack_dataset,
)

MINE = """
import numpy as np
import pathlib
import time
from deepsight.data.raw import RawData

def build(config):
    labels = np.arange(60) % 3
    images = np.random.default_rng(config.split_seed).integers(0, 256, (60, 10, 10, 3), np.uint8)
    return RawData(images, labels, ["x", "y", "z"], masks=np.ones((60, 10, 10), np.uint8))

def slow(config):
    pathlib.Path(__file__).with_name("started").touch()
    time.sleep(60)

def wrong(config):
    return np.zeros((60, 10, 10, 3)), np.zeros(60)

def fails(config):
    raise RuntimeError("no data today")

number = 3
"""
LOAD = """
import sys
from deepsight.config import DataConfig
from deepsight.data.datasets import load_dataset
print(load_dataset(DataConfig(name=sys.argv[1])).fingerprint)
"""


@pytest.fixture(scope="session")
def mine(tmp_path_factory):
    """A folder with a module `mine` that builds data sets."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "my_data.py").write_text(MINE)
    return folder


@pytest.fixture(params=["toy_objects", "digits", "folder", "imported"])
def config(request, tmp_path_factory, write_images, mine, monkeypatch):
    """A config for each kind of data set that needs no download (CIFAR: test_data_cifar.py)."""
    monkeypatch.syspath_prepend(mine)
    if request.param == "folder":
        root = tmp_path_factory.mktemp("folder")
        for name in ("a", "b"):
            write_images(root / name, 12)
        return DataConfig(name=f"folder:{root}", image_size=16)
    if request.param == "imported":
        return DataConfig(name="my_data:build")
    return DataConfig(name=request.param, size=200)


def run(code, *args, **more):
    return subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE, text=True, **more
    )


def test_contract(config, caplog):
    check_source(config)
    dataset = load_dataset(config)
    assert dataset.name == config.name
    assert len(dataset.classes) == len(set(dataset.classes)) >= 2
    assert dataset.embedded == (config.name in ("toy_objects", "digits"))
    assert len(dataset.fingerprint) == 64
    assert dataset.source
    caplog.set_level(logging.INFO)
    splits = {"train": dataset.train, "val": dataset.val, "test": open_test(dataset)}
    assert "opening the test split" in caplog.text
    seen = set()
    for name, split in splits.items():
        num = len(split.images)
        assert split.images.shape == (num, dataset.image_size, dataset.image_size, 3)
        assert split.images.dtype == np.uint8
        assert split.labels.shape == (num,)
        assert split.labels.dtype == np.int64
        if split.masks is not None:
            assert split.masks.shape == split.images.shape[:3]
            assert split.masks.dtype == np.uint8
        counts = np.bincount(split.labels, minlength=len(dataset.classes))
        assert dict(zip(dataset.classes, counts, strict=True)) == dataset.counts[name]
        assert (counts > 0).all()
        pixels = {image.tobytes() for image in split.images}
        assert len(pixels) == num
        assert not pixels & seen
        seen |= pixels
        for array in (split.images, split.labels):
            assert isinstance(array, np.memmap)
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
    assert all(0 < mean < 1 for mean in dataset.mean)
    assert all(0 < std < 1 for std in dataset.std)
    json.dumps([dataset.counts, dataset.dropped, dataset.fingerprint])


def test_the_fingerprint_is_stable_and_follows_the_split_seed(config, fresh_cache):
    first = load_dataset(config)
    path = first.path
    assert path.parent == fresh_cache / "data"
    datasets._load.cache_clear()
    before = path.stat().st_mtime_ns
    assert load_dataset(config).path.stat().st_mtime_ns == before  # opened, not packed
    datasets._load.cache_clear()
    datasets._remove(path)
    assert load_dataset(config).fingerprint == first.fingerprint
    other = DataConfig(**{**vars(config), "split_seed": 1})
    assert load_dataset(other).fingerprint != first.fingerprint


def test_one_object_a_process():
    assert load_dataset(DataConfig(name="digits")) is load_dataset(DataConfig(name="digits"))


def test_the_test_split_is_not_on_the_data_set():
    dataset = load_dataset(DataConfig(name="digits"))
    assert not [name for name in vars(dataset) if "test" in name]


@pytest.fixture
def photos(tmp_path, write_images, fresh_cache):
    """A folder that is packed and then gains files; its config, and what a study names."""
    for name in ("a", "b"):
        write_images(tmp_path / name, 12)
    config = DataConfig(name=f"folder:{tmp_path}", image_size=16)
    dataset = pack_dataset(config)
    return config, (dataset.path.name, dataset.fingerprint)


def test_a_named_pack_is_what_it_was_whatever_the_folder_has_become(photos, tmp_path, write_images):
    config, named = photos
    before = open_named(config, *named)
    write_images(tmp_path / "a", 40, seed=1)
    assert open_named(config, *named).path == before.path
    assert load_dataset(config).path != before.path
    shutil.rmtree(tmp_path)
    assert open_named(config, *named).fingerprint == named[1]


def test_another_size_of_named_data_is_packed_from_the_same_files_only(
    photos, tmp_path, write_images
):
    config, named = photos
    small = dataclasses.replace(config, image_size=8)
    dataset = open_named(small, *named)
    assert (dataset.image_size, len(dataset.train.images)) == (8, 16)
    write_images(tmp_path / "a", 40, seed=1)
    with pytest.raises(UserError, match=r"has changed since the study began.*data.image_size=24"):
        open_named(dataclasses.replace(config, image_size=24), *named)
    with pytest.raises(UserError, match=r"has changed since the study began.*data.split_seed=3"):
        open_named(dataclasses.replace(config, split_seed=3), *named)


def test_a_named_pack_that_is_gone_or_another_is_not_replaced(photos):
    config, (pack, fingerprint) = photos
    with pytest.raises(UserError, match="has the fingerprint .*, the study's data have 0123") as e:
        open_named(config, pack, "0123")
    assert "--resume" in e.value.remedy
    datasets._remove(open_named(config, pack, fingerprint).path)
    with pytest.raises(UserError, match="the study's data cannot be opened"):
        open_named(config, pack, fingerprint)


@pytest.mark.parametrize("name", ["toy_objects", "digits"])
def test_a_named_pack_of_every_embedded_source(name):
    config = DataConfig(name=name, size=200)
    dataset = load_dataset(config)
    assert open_named(config, dataset.path.name, dataset.fingerprint).path == dataset.path


def test_racing_processes_make_one_pack(fresh_cache):
    processes = [run(LOAD, "digits") for _ in range(3)]
    fingerprints = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(fingerprints) == 1
    assert len([p for p in (fresh_cache / "data").iterdir() if p.is_dir()]) == 1


def test_a_killed_packing_leaves_no_pack_and_no_lock(mine, fresh_cache, monkeypatch):
    monkeypatch.syspath_prepend(mine)
    process = run(
        LOAD,
        "my_data:slow",
        cwd=mine,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(mine), str(Path.cwd())])},
    )
    deadline = time.monotonic() + 30
    while not (mine / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    config = DataConfig(name="my_data:slow")
    assert not datasets._pack_path(config, fresh_cache).exists()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert not datasets._pack_path(config, fresh_cache).exists()
    import my_data

    monkeypatch.setattr(my_data, "slow", my_data.build)
    assert len(load_dataset(config).train.images) == 36


@pytest.mark.parametrize("file", ["meta.json", "train_images.npy", "test_labels.npy"])
def test_a_damaged_pack_is_made_again_with_a_warning(fresh_cache, caplog, file):
    config = DataConfig(name="digits")
    first = load_dataset(config)
    datasets._load.cache_clear()
    os.truncate(first.path / file, 20)
    assert load_dataset(config).fingerprint == first.fingerprint
    assert "damaged pack" in caplog.text
    assert "_images" in str(list(first.path.iterdir()))
    assert len([p for p in (fresh_cache / "data").iterdir() if p.is_dir()]) == 1


def test_an_edited_function_is_called_again(tmp_path, monkeypatch, fresh_cache):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "edited_data.py").write_text(MINE)
    config = DataConfig(name="edited_data:build")
    before = datasets._pack_path(config, fresh_cache)
    (tmp_path / "edited_data.py").write_text(MINE.replace("np.ones", "np.zeros"))
    assert datasets._pack_path(config, fresh_cache) != before


@pytest.mark.parametrize(
    ("name", "cause", "remedy"),
    [
        ("my_data:biuld", "unknown name in module my_data", "build"),
        ("my_data:number", "my_data:number is not a function", "DataConfig"),
        ("no_such_module:build", "no module 'no_such_module'", "install"),
        ("digit", "unknown data set 'digit'", "digits"),
        ("folder", "unknown data set 'folder'", "folder:PATH"),
    ],
)
def test_wrong_names_are_found_by_the_quick_check(mine, monkeypatch, name, cause, remedy):
    monkeypatch.syspath_prepend(mine)
    with pytest.raises(UserError) as caught:
        check_source(DataConfig(name=name))
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("my_data:wrong", "my_data:wrong: returned tuple"),
        ("my_data:fails", "my_data:fails raised RuntimeError: no data today"),
    ],
)
def test_a_function_that_returns_something_else(mine, monkeypatch, fresh_cache, name, cause):
    monkeypatch.syspath_prepend(mine)
    with pytest.raises(UserError) as caught:
        load_dataset(DataConfig(name=name))
    assert cause in caught.value.cause
    assert not [p for p in (fresh_cache / "data").iterdir() if p.is_dir()]


def test_every_module_that_draws_lies_where_the_key_of_the_drawings_looks():
    code = """
import sys
import deepsight.data.toy_objects.dataset
print(*(m.__file__ for n, m in sys.modules.items() if n.startswith("deepsight.data")))
"""
    files = {Path(file) for file in run(code).communicate(timeout=60)[0].split()}
    folder = Path(datasets.__file__).with_name("toy_objects")
    not_drawing = {"__init__", "cores", "raw", "wide"}
    assert {f.stem for f in files if f.parent != folder} == not_drawing
    assert {f.name for f in files if f.parent == folder} == {f.name for f in folder.glob("*.py")}


def test_opening_imports_neither_torch_nor_scikit_learn(fresh_cache):
    load_dataset(DataConfig(name="digits"))
    code = LOAD + "assert not {'torch', 'torchvision', 'sklearn'} & set(sys.modules)\n"
    process = run(code, "digits")
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_every_declared_name_has_a_source():
    from deepsight.config import PARAMS

    rule = PARAMS["data.name"].metadata
    assert {*rule["choices"], *(p.rstrip(":") for p in rule["prefixes"])} == set(DATASETS)


def test_the_examples_in_the_docs_run(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    function, opening = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_project").mkdir()
    (tmp_path / "my_project" / "data.py").write_text(function)
    monkeypatch.syspath_prepend(tmp_path)
    dataset = load_dataset(DataConfig(name="my_project.data:stripes"))
    assert dataset.classes == ("plain", "striped")
    names: dict[str, object] = {}
    exec(opening, names)
    assert names["dataset"].train.images.shape == (1079, 16, 16, 3)
