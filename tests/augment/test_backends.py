"""What both backends owe to their callers, and that both mean the same by it."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from deepsight.augment.build import BACKENDS, build_augment, normalise
from deepsight.config import AugmentConfig

MEAN, STD = (0.5, 0.4, 0.45), (0.2, 0.25, 0.22)
LEVELS, ONES = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)  # "normalises" to levels 0..255
SIDE = 32
NUM = 1500
P_VALUE = 1e-4  # below it two samples count as different; about 30 comparisons are made
OFF = AugmentConfig(flip=False, crop=0.0, cutout=0.0, colour=0.0, rotate=0.0, scale=0.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(count, side=SIDE, seed=0):
    return torch.randint(0, 256, (count, side, side, 3), generator=generator(seed)).byte()


def smooth_images(count):
    """Blobs of colour that reach black and white: with what real photographs clip at."""
    coarse = torch.rand(count, 3, 6, 6, generator=generator(1)) * 340 - 40
    fine = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")
    return fine.clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()


def augmented(backend, images, seed=0, mean=LEVELS, std=ONES, **changes):
    config = dataclasses.replace(OFF, backend=backend, strength=1.0, **changes)
    return build_augment(config, mean, std)(images, generator(seed)).numpy()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("count", "side"), [(1, 32), (5, 16), (4, 7), (130, 8)])
def test_output_is_normalised_channels_last_and_finite(backend, count, side):
    images = random_images(count, side)
    before = images.clone()
    varied = build_augment(AugmentConfig(backend=backend), MEAN, STD)(images, generator())
    assert varied.shape == (count, 3, side, side)
    assert varied.dtype == torch.float32
    assert varied.is_contiguous(memory_format=torch.channels_last)
    low, high = ((torch.tensor([v, v, v]) - torch.tensor(MEAN)) / torch.tensor(STD) for v in (0, 1))
    assert (varied >= low[:, None, None] - 1e-4).all()
    assert (varied <= high[:, None, None] + 1e-4).all()
    assert torch.equal(images, before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_same_generator_state_gives_same_images_and_moves_on(backend):
    images = random_images(8)
    augment = build_augment(AugmentConfig(backend=backend), MEAN, STD)
    one, two = generator(), generator()
    first = augment(images, one)
    assert torch.equal(first, augment(images, two))
    assert not torch.equal(first, augment(images, one))


@pytest.mark.parametrize("backend", BACKENDS)
def test_global_generators_are_left_alone(backend):
    augment = build_augment(AugmentConfig(backend=backend), MEAN, STD)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    augment(random_images(4), generator())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "change", [{"crop": 0.25}, {"cutout": 0.5}, {"colour": 0.4}, {"rotate": 20.0}, {"scale": 0.2}]
)
def test_each_image_has_its_own_parameters(backend, change):
    images = random_images(1).expand(12, -1, -1, -1)
    varied = augmented(backend, images, **change)
    assert len(np.unique(varied.reshape(12, -1), axis=0)) >= 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_strength_zero_only_normalises_and_flips(backend):
    images = random_images(64)
    plain = normalise(images, MEAN, STD)
    config = AugmentConfig(backend=backend, strength=0.0)
    unflipped = dataclasses.replace(config, flip=False)
    still = build_augment(unflipped, MEAN, STD)(images, generator())
    torch.testing.assert_close(still, plain, rtol=0, atol=1e-5)
    varied = build_augment(config, MEAN, STD)(images, generator())
    flipped = (varied - plain).abs().amax((1, 2, 3)) > 1e-5
    assert 0 < flipped.sum() < 64
    expected = torch.where(flipped[:, None, None, None], plain.flip(3), plain)
    torch.testing.assert_close(varied, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_changes_under_autocast(backend):
    augment = build_augment(AugmentConfig(backend=backend), MEAN, STD)
    plain = augment(random_images(8), generator())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(random_images(8), generator()), plain)


def test_auto_is_batched():
    images = random_images(4)
    auto, batched = (
        build_augment(AugmentConfig(backend=backend), MEAN, STD)(images, generator())
        for backend in ("auto", "batched")
    )
    assert torch.equal(auto, batched)


# ---- each operation, measured from the outside ----------------------------------------------
# Every function below augments images whose content tells the parameters, and reads them back.


def measure_crop(backend):
    """Top and left of the crops, 0..16: a pixel's red is its column, its green its row."""
    line = torch.arange(SIDE).byte()
    image = torch.stack([line.expand(SIDE, SIDE), line.expand(SIDE, SIDE).T, line.expand(32, 32)])
    varied = augmented(backend, image.permute(1, 2, 0).expand(NUM, -1, -1, -1), crop=0.25)
    centre = varied[:, :2, 16, 16].round()
    assert ((varied[:, :, 16, 16] - varied[:, :, 16, 15])[:, 0].round() == 1).all()
    return {"left": centre[:, 0] - 8, "top": centre[:, 1] - 8}


def measure_flip(backend):
    """Whether each image is mirrored: the left half is dark."""
    image = torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8)
    image[:, 16:] = 200
    varied = augmented(backend, image.expand(NUM, -1, -1, -1), flip=True)
    return {"flipped": (varied[:, 0, 0, 0] > 100).astype(float)}


def measure_cutout(backend):
    """Top, left and area of the hole in white images; the mean is black."""
    white = torch.full((NUM, SIDE, SIDE, 3), 255, dtype=torch.uint8)
    erased = augmented(backend, white, cutout=0.375) == 0
    assert (erased.all(1) == erased.any(1)).all()
    erased = erased.all(1)
    assert (erased.sum((1, 2)) == 12 * 12).all()
    return {"top": erased.any(2).argmax(1), "left": erased.any(1).argmax(1)}


def measure_affine(backend):
    """Angle in degrees and zoom, from the gradients of two ramps around the centre."""
    line = 128 + 3.0 * (torch.arange(SIDE) - 15.5)
    image = torch.stack([line.expand(32, 32), line.expand(32, 32).T, line.expand(32, 32)])
    images = image.round().byte().permute(1, 2, 0).expand(NUM, -1, -1, -1)
    varied = augmented(backend, images, rotate=20.0, scale=0.2)[:, :, 10:22, 10:22]
    place = np.arange(12) - 5.5
    slope_x, slope_y = (
        (varied[:, 0] * axis).sum((1, 2)) / (12 * (place**2).sum())
        for axis in (place[None, :], place[:, None])
    )
    return {
        "angle": np.degrees(np.arctan2(-slope_y, slope_x)),
        "zoom": 3 / np.hypot(slope_x, slope_y),
    }


def measure_colour(backend):
    """The three factors, from two greys and a colour of known brightness."""
    image = torch.empty(SIDE, SIDE, 3, dtype=torch.uint8)
    image[:, :16] = 60
    image[:, 16:] = 180
    image[:8] = torch.tensor([150, 90, 120], dtype=torch.uint8)
    grey = image.float() @ torch.tensor([0.299, 0.587, 0.114])
    varied = augmented(backend, image.expand(NUM, -1, -1, -1), colour=0.2)
    dark, light = varied[:, 0, 20, 0], varied[:, 0, 20, 31]
    brightness_contrast = (light - dark) / 120
    brightness = (dark - 60 * brightness_contrast) / float(grey.mean()) + brightness_contrast
    coloured = varied[:, 0, 0, 0] - varied[:, 1, 0, 0]
    return {
        "brightness": brightness,
        "contrast": brightness_contrast / brightness,
        "saturation": coloured / 60 / brightness_contrast,
    }


EXPECTED = {
    measure_crop: {"left": stats.randint(0, 17), "top": stats.randint(0, 17)},
    measure_flip: {"flipped": stats.bernoulli(0.5)},
    measure_cutout: {"left": stats.randint(0, 21), "top": stats.randint(0, 21)},
    measure_affine: {"angle": stats.uniform(-20, 40), "zoom": stats.uniform(0.8, 0.4)},
    measure_colour: dict.fromkeys(
        ("brightness", "contrast", "saturation"), stats.uniform(0.8, 0.4)
    ),
}
"""The distribution that each operation's parameters must have, in both backends."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("measure", EXPECTED)
def test_parameters_have_their_distribution(measure, backend):
    measured = measure(backend)
    for name, law in EXPECTED[measure].items():
        values = np.asarray(measured[name])
        if isinstance(law.dist, stats.rv_discrete):
            levels = np.arange(law.support()[0], law.support()[1] + 1)
            counts = [(values == level).sum() for level in levels]
            assert sum(counts) == NUM, f"{name}: values outside of {levels}"
            p_value = stats.chisquare(counts, NUM * law.pmf(levels)).pvalue
        else:
            p_value = stats.kstest(values, law.cdf).pvalue
        assert p_value > P_VALUE, f"{name}: p = {p_value:.1e}, mean {values.mean():.3f}"
    # an image's parameters are independent of each other
    table = np.corrcoef([np.asarray(values, float) for values in measured.values()])
    off_diagonal = np.atleast_2d(table)[~np.eye(len(measured), dtype=bool)]
    assert (np.abs(off_diagonal) < 4 / np.sqrt(NUM)).all()


@pytest.mark.parametrize("measure", EXPECTED)
def test_backends_agree_on_each_operation(measure):
    one, two = (measure(backend) for backend in BACKENDS)
    for name in one:
        assert stats.ks_2samp(one[name], two[name]).pvalue > P_VALUE, name


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_backends_agree_on_the_whole(strength):
    images = smooth_images(1000)
    plain = normalise(images, MEAN, STD)
    measured = []
    for seed, backend in enumerate(BACKENDS):
        config = AugmentConfig(backend=backend, strength=strength)
        varied = build_augment(config, MEAN, STD)(images, generator(seed))
        change = varied - plain
        measured.append(
            {
                "mean": varied.mean((1, 2, 3)),
                "spread": varied.std((1, 2, 3)),
                "channel contrast": (varied[:, 0] - varied[:, 1]).std((1, 2)),
                "mean change": change.mean((1, 2, 3)),
                "size of change": change.abs().mean((1, 2, 3)),
                "corner": varied[:, 0, 0, 0],
                "centre": varied[:, 1, 16, 16],
                "roughness": varied.diff(dim=3).abs().mean((1, 2, 3)),
            }
        )
    for name in measured[0]:
        one, two = (values[name].numpy() for values in measured)
        assert stats.ks_2samp(one, two).pvalue > P_VALUE, name
        error = np.sqrt((one.var() + two.var()) / len(images))
        assert abs(one.mean() - two.mean()) < 4 * error, name


@pytest.mark.parametrize("backend", BACKENDS)
def test_operations_are_drawn_independently(backend):
    """Batches of one image: there, equal seeds for all operations would tie them together."""
    count = 600
    line = 60 + 2 * torch.arange(SIDE)
    image = torch.stack([line.expand(32, 32), line.expand(32, 32).T, torch.full((32, 32), 91)])
    image = image.byte().permute(1, 2, 0)[None]
    config = AugmentConfig(backend=backend, rotate=0.0, scale=0.0)
    augment, stream = build_augment(config, LEVELS, ONES), generator()
    varied = np.concatenate([augment(image, stream).numpy() for _ in range(count)])
    hole = (varied == 0).all(1)
    brightness = varied[:, 2].max((1, 2))
    measured = {
        "crop top": np.median(varied[:, 1], axis=1).max(1) / brightness,
        "flip": np.median(varied[:, 0, :, 2:] - varied[:, 0, :, :-2], axis=(1, 2)) > 0,
        "brightness": brightness,
        "hole top": hole.any(2).argmax(1),
        "hole left": hole.any(1).argmax(1),
    }
    table = np.corrcoef([values.astype(float) for values in measured.values()])
    assert (np.abs(table - np.eye(len(table))) < 4 / np.sqrt(count)).all(), table.round(3)
