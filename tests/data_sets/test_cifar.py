"""CIFAR in its real file format, with a few images; the checksums of these stand in for the real.

Nothing is downloaded.
"""

import hashlib
import pickle
import shutil
import socket
import tarfile
import time
from dataclasses import replace

import numpy as np
import pytest

from deepsight.config import DataConfig, UserError
from deepsight.data import cifar
from deepsight.data.datasets import check_source, load_dataset, open_test
from deepsight.data.download import sha256_of

CASES = {
    "cifar10": {
        "spec": "CIFAR10",
        "labels": "labels",
        "names": {"label_names": [f"class_{i}" for i in range(10)]},
        "batches": {**{f"data_batch_{i}": 20 for i in range(1, 6)}, "test_batch": 20},
    },
    "cifar100": {
        "spec": "CIFAR100",
        "labels": "fine_labels",
        "names": {"fine_label_names": [f"class_{i}" for i in range(20)]},
        "batches": {"train": 120, "test": 20},
    },
}


@pytest.fixture(params=CASES)
def name(request):
    return request.param


@pytest.fixture
def written(name, fresh_cache, monkeypatch):
    """The folder of a tiny CIFAR at its place; returns it and all pixels in order."""
    from torchvision import datasets

    case = CASES[name]
    spec = getattr(cifar, case["spec"])
    folder = cifar.cifar_root() / spec.folder
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    (names,) = case["names"].values()
    md5, pixels = {}, []

    def write(file, content):
        data = pickle.dumps(content, protocol=2)
        (folder / file).write_bytes(data)
        md5[file] = hashlib.md5(data).hexdigest()

    for file, num in case["batches"].items():
        data = generator.integers(0, 256, (num, 3072), dtype=np.uint8)
        pixels.append(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        write(file, {"data": data, case["labels"]: [i % len(names) for i in range(num)]})
    meta_file = spec.members[0]
    write(meta_file, case["names"])
    loader = getattr(datasets, spec.loader)
    monkeypatch.setattr(loader, "train_list", [[f, md5[f]] for f in list(case["batches"])[:-1]])
    monkeypatch.setattr(loader, "test_list", [[f, md5[f]] for f in list(case["batches"])[-1:]])
    monkeypatch.setattr(loader, "meta", {**loader.meta, "md5": md5[meta_file]})
    monkeypatch.setattr(cifar, case["spec"], replace(spec, url=closed_url()))
    return folder, np.concatenate(pixels)


def closed_url():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/archive"


def test_unpacked_files_are_read_and_the_test_set_kept(name, written):
    _, pixels = written
    check_source(DataConfig(name=name))
    dataset = load_dataset(DataConfig(name=name))
    assert dataset.image_size == 32
    assert len(dataset.train.labels) + len(dataset.val.labels) == len(pixels) - 20
    test = open_test(dataset)
    np.testing.assert_array_equal(test.images, pixels[-20:])
    assert test.labels.tolist() == [i % len(dataset.classes) for i in range(20)]
    assert dataset.classes[:2] == ("class_0", "class_1")
    kept = {image.tobytes() for split in (dataset.train, dataset.val) for image in split.images}
    assert kept == {image.tobytes() for image in pixels[:-20]}


def test_an_archive_at_its_place_is_unpacked(name, written, monkeypatch):
    from torchvision import datasets

    folder, _ = written
    spec = getattr(cifar, CASES[name]["spec"])
    archive = cifar.cifar_root() / spec.archive
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, arcname=spec.folder)
    shutil.rmtree(folder)
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(getattr(datasets, spec.loader), "tgz_md5", md5)
    monkeypatch.setattr(cifar, CASES[name]["spec"], replace(spec, sha256=sha256_of(archive)))
    check_source(DataConfig(name=name))
    assert load_dataset(DataConfig(name=name)).image_size == 32


def test_a_changed_file_is_refused_before_it_is_unpickled(name, written):
    folder, _ = written
    victim = folder / list(CASES[name]["batches"])[-1]
    victim.write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    with pytest.raises(UserError, match="damaged") as caught:
        load_dataset(DataConfig(name=name))
    assert "Remove that folder" in caught.value.remedy


def test_a_damaged_archive_is_not_unpacked(name, written):
    folder, _ = written
    shutil.rmtree(folder)
    spec = getattr(cifar, CASES[name]["spec"])
    (cifar.cifar_root() / spec.archive).write_bytes(b"half of it")
    with pytest.raises(UserError, match="SHA-256") as caught:
        load_dataset(DataConfig(name=name))
    assert spec.archive in caught.value.remedy
    assert not folder.exists()


def test_absent_and_offline_says_what_to_put_where(name, written):
    folder, _ = written
    shutil.rmtree(folder)
    spec = getattr(cifar, CASES[name]["spec"])
    for step in (check_source, load_dataset):
        start = time.perf_counter()
        with pytest.raises(UserError) as caught:
            step(DataConfig(name=name))
        assert time.perf_counter() - start < 3
        assert spec.archive in caught.value.remedy
        assert str(cifar.cifar_root()) in caught.value.remedy
        assert "\n" not in caught.value.cause + caught.value.remedy


def test_a_packed_data_set_needs_its_files_no_more(name, written):
    dataset = load_dataset(DataConfig(name=name))
    shutil.rmtree(written[0])
    check_source(DataConfig(name=name))
    assert load_dataset(DataConfig(name=name)).path == dataset.path


def test_the_file_lists_are_torchvisions(name):
    from torchvision import datasets

    spec = getattr(cifar, CASES[name]["spec"])
    loader = getattr(datasets, spec.loader)
    files = [f for f, _ in loader.train_list + loader.test_list] + [loader.meta["filename"]]
    assert sorted(files) == sorted(spec.members)
    assert (spec.archive, spec.folder, spec.url) == (
        loader.filename,
        loader.base_folder,
        loader.url,
    )
