"""The drawn data set: what a seed promises, what a mask means, what a class may not give away."""

import os
import subprocess
import sys

import numpy as np
import pytest

from deepsight.config import DataConfig
from deepsight.data.raw import check_raw
from deepsight.data.toy_objects import classes, dataset
from deepsight.data.toy_objects.dataset import (
    CLASSES,
    ORGANIC,
    RIGID,
    SOURCE_CLASSES,
    build_source_objects,
    build_toy_objects,
    draw_source_objects,
    draw_toy_objects,
)
from deepsight.data.toy_objects.scenes import take_picture
from deepsight.data.toy_objects.solids import Paint
from deepsight.data.toy_objects.source_classes import GROWN, MADE, SOURCE

SERIES = {"toy": (draw_toy_objects, CLASSES), "source": (draw_source_objects, SOURCE_CLASSES)}


@pytest.fixture(params=SERIES)
def series(request):
    return SERIES[request.param]


@pytest.fixture(scope="module")
def drawn():
    return draw_toy_objects(200, seed=3)


def test_shapes_types_and_ranges(series):
    draw, classes = series
    images, labels, masks = draw(55, seed=0)
    assert images.shape == (55, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert masks.shape == (55, 32, 32)
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 1}
    assert set(labels) == set(range(len(classes)))
    assert np.ptp(images.reshape(55, -1), axis=1).min() > 40  # no blank image


def test_same_seed_same_images_other_seed_other_images(series):
    draw, _ = series
    first, again, other = draw(12, seed=5), draw(12, seed=5), draw(12, seed=6)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert (first[0] != other[0]).any(axis=(1, 2, 3)).all()


def test_more_images_begin_with_the_fewer(series):
    draw, _ = series
    fewer, more = draw(13, seed=1), draw(34, seed=1)
    for few, many in zip(fewer, more, strict=True):
        np.testing.assert_array_equal(few, many[:13])


@pytest.mark.parametrize("num_images", [0, 7, 20, 101])
def test_classes_are_balanced_to_within_one(num_images):
    counts = np.bincount(draw_toy_objects(num_images, seed=0)[1], minlength=10)
    assert counts.sum() == num_images
    assert counts.max() - counts.min() <= 1


def test_drawing_leaves_the_global_generator_alone():
    state = np.random.get_state()[1].tolist()  # noqa: NPY002 (it is what must not be used)
    draw_toy_objects(3, seed=0)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_another_process_draws_the_same():
    code = (
        "from deepsight.data.toy_objects.dataset import draw_toy_objects as d; "
        "import hashlib; print(hashlib.sha256(d(10, 2)[0].tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_several_processes_draw_the_same(series, monkeypatch):
    """Also where a part begins within a block of one image of each class."""
    draw, _ = series
    alone = draw(47, seed=4)
    monkeypatch.setattr(dataset, "LEAST_IMAGES", 15)
    monkeypatch.setattr(dataset, "num_cores", lambda: 3)
    monkeypatch.setattr(dataset, "_draw_part", None)  # not in this process
    for one, two in zip(alone, draw(47, seed=4), strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


def test_a_process_that_dies_while_drawing_is_an_error(monkeypatch):
    monkeypatch.setattr(dataset, "LEAST_IMAGES", 2)
    monkeypatch.setattr(dataset, "num_cores", lambda: 2)
    with pytest.raises(subprocess.CalledProcessError):
        draw_toy_objects(4, seed=-1)  # no generator has a negative seed


def test_source_classes_are_other_classes():
    assert not set(CLASSES) & set(SOURCE_CLASSES)
    assert not set((classes.RIGID | classes.ORGANIC).values()) & set(SOURCE.values())
    assert len(SOURCE_CLASSES) == len(MADE) + len(GROWN) == 50
    assert len(set(CLASSES)) == 10


def test_half_rigid_half_organic():
    assert CLASSES == RIGID + ORGANIC
    assert len(RIGID) == len(ORGANIC) == 5


@pytest.mark.parametrize("draw", [draw_toy_objects, draw_source_objects])
def test_masks_are_sizeable_and_inside(draw):
    _, _, masks = draw(100, seed=4)
    share = masks.mean(axis=(1, 2))
    assert share.min() > 0.02
    assert share.max() < 0.8
    rim = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], axis=1)
    assert rim.mean() < 0.05  # objects are placed inside the image


@pytest.mark.parametrize("name", CLASSES)
def test_a_mask_covers_what_was_drawn_of_the_object(name):
    """Objects painted green are green within their masks and nowhere else."""
    model = (classes.RIGID | classes.ORGANIC)[name]
    green = Paint((0.05, 0.95, 0.05))

    def painted(rng):
        return [solid._replace(paint=green) for solid in model(rng)]

    overlaps = []
    for seed in range(9):
        picture = take_picture(painted, 32, np.random.default_rng(seed))
        red, leaf, blue = np.moveaxis(picture.image, -1, 0)
        greenness, mask = leaf - (red + blue) / 2, picture.mask > 0.5
        assert greenness[mask].mean() > greenness[~mask].mean() + 0.1
        found = greenness > (greenness[mask].mean() + greenness[~mask].mean()) / 2
        overlaps.append((found & mask).sum() / (found | mask).sum())
    assert np.median(overlaps) > 0.7


def test_objects_can_be_told_from_their_scene(drawn):
    images, _, masks = drawn
    gaps = [
        np.abs(image[mask > 0].mean(axis=0) - image[mask == 0].mean(axis=0)).max()
        for image, mask in zip(images.astype(float), masks, strict=True)
    ]
    assert np.quantile(gaps, 0.05) > 15


def test_neither_colour_nor_place_gives_the_class_away(drawn):
    """The nearest class mean of colour, or of the blurred image, is hardly better than chance."""
    images, labels, masks = drawn
    colour = [(i * m[:, :, None]).sum(axis=(0, 1)) / m.sum() for i, m in zip(images, masks)]  # noqa: B905
    blurred = images.reshape(200, 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(200, -1)
    for features in (np.array(colour), blurred):
        train, held_out = np.arange(200) < 120, np.arange(200) >= 120
        means = np.stack([features[train & (labels == k)].mean(axis=0) for k in range(10)])
        distance = ((features[held_out, None] - means) ** 2).sum(axis=2)
        assert (distance.argmin(axis=1) == labels[held_out]).mean() < 0.4


def test_builders_hand_over_valid_data_sets():
    config = DataConfig(size=200, split_seed=7)
    toy = check_raw(build_toy_objects(config), "toy_objects")
    source = check_raw(build_source_objects(config), "source")
    np.testing.assert_array_equal(toy.images[:5], draw_toy_objects(5, seed=7)[0])
    assert (len(toy.images), len(toy.classes)) == (200, 10)
    assert (len(source.images), len(source.classes)) == (200, len(SOURCE_CLASSES))
    assert "seed 7" in toy.source


def test_other_sizes():
    images, _, masks = draw_toy_objects(3, seed=0, size=64)
    assert images.shape == (3, 64, 64, 3)
    assert 0.02 < masks.mean() < 0.8
    with pytest.raises(ValueError, match="85 pixels"):
        draw_toy_objects(1, seed=0, size=128)
