"""The contract of every data set: what is told before it is read, and what is read."""

import json

import numpy as np
import pytest

from deepsight.config import DataConfig
from deepsight.data.datasets import DATASETS, load_dataset
from deepsight.data.folder.image_folder import PREFIX


@pytest.fixture
def config_of(tmp_path, write_images):
    """A small data set of a kind; images of its own where it reads the user's."""

    def make(name):
        if f"{name}:" != PREFIX:
            return DataConfig(name=name, size=200)
        for label in ("a", "b"):
            write_images(tmp_path / "photos" / label, 20)
        return DataConfig(name=f"{PREFIX}{tmp_path / 'photos'}")

    return make


@pytest.mark.parametrize("name", DATASETS)
def test_what_its_pack_depends_on_is_told_without_reading_it(name, config_of):
    config = config_of(name)
    first, second = (json.dumps(DATASETS[name].identity(config)) for _ in range(2))
    assert first == second != "{}"


@pytest.mark.parametrize("name", [n for n in DATASETS if DATASETS[n].embedded or n == "folder"])
def test_it_is_read_as_images_with_labels(name, config_of, fresh_cache):
    dataset = load_dataset(config_of(name))
    assert len(set(dataset.classes)) == len(dataset.classes) >= 2
    for split in (dataset.train, dataset.val):
        assert split.images.dtype == np.uint8
        assert split.images.shape[0] == len(split.labels) > 0
        assert split.images.shape[3] == 3
        assert set(np.unique(split.labels)) <= set(range(len(dataset.classes)))
