"""The whole-batch operations against known answers, with given parameters."""

import dataclasses

import albumentations as A  # noqa: N812
import cv2
import numpy as np
import pytest
import torch

from deepsight.augment import batched
from deepsight.augment.amounts import amounts
from deepsight.augment.batched import Draws, draw, draw_uniform, normalise, resize, vary
from deepsight.config import AugmentConfig

MEAN, STD = (0.5, 0.4, 0.45), (0.2, 0.25, 0.22)
LEVELS, ONES = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)  # "normalises" to levels 0..255
NONE = Draws(None, None, None, None, None)
SIDE = 32
FULL = amounts(AugmentConfig(strength=1.0), SIDE)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.randint(0, 256, (200, SIDE, SIDE, 3), generator=generator()).byte()


def apply(images, draws):
    """`vary` in levels 0..255, back in (N, S, S, 3)."""
    return vary(images, draws, FULL, LEVELS, ONES).permute(0, 2, 3, 1).numpy()


def test_amounts_are_magnitudes_times_strength():
    half = amounts(AugmentConfig(strength=0.5), SIDE)
    assert (half.pad, half.hole, half.flip) == (4, 8, True)
    assert (half.rotate, half.zoom, half.colour) == (10.0, 0.1, 0.2)
    off = amounts(AugmentConfig(strength=0.0, flip=False), SIDE)
    assert dataclasses.astuple(off)[1:] == (0, False, 0, 0, 0, 0)


def test_draws_stay_in_range_and_off_means_none():
    draws = draw(FULL, draw_uniform(20_000, generator()))
    assert draws.crop.unique().tolist() == list(range(2 * FULL.pad + 1))
    assert draws.hole.unique().tolist() == list(range(SIDE - FULL.hole + 1))
    off = amounts(AugmentConfig(strength=0.0, flip=False), SIDE)
    assert draw(off, draw_uniform(5, generator())) == NONE


def test_switching_one_operation_off_leaves_the_others_draws():
    some = dataclasses.replace(FULL, pad=0, colour=0.0)
    one, two = (draw(a, draw_uniform(9, generator())) for a in (FULL, some))
    assert torch.equal(one.flip, two.flip)
    assert torch.equal(one.affine, two.affine)
    assert torch.equal(one.hole, two.hole)


@pytest.mark.parametrize("pad", [1, 4, 15, 31])
def test_crop_and_flip_equal_padding_and_slicing(images, pad):
    amount = dataclasses.replace(FULL, pad=pad)
    draws = draw(amount, draw_uniform(len(images), generator()))
    padded = np.pad(images.numpy(), ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    expected = [
        padded[i, top : top + SIDE, left : left + SIDE][:, :: -1 if flip else 1]
        for i, ((top, left), flip) in enumerate(zip(draws.crop, draws.flip, strict=True))
    ]
    for shift in (batched._shift_by_window, batched._shift_by_index):
        assert (shift(images, draws.crop, draws.flip, pad).numpy() == np.stack(expected)).all()


@pytest.mark.parametrize("draws", [{"crop": False}, {"flip": False}])
def test_crop_or_flip_alone_agree_between_devices_code(images, draws):
    amount = dataclasses.replace(FULL, pad=0 if "crop" in draws else 4, flip="flip" not in draws)
    drawn = draw(amount, draw_uniform(len(images), generator()))
    windows, indices = (
        shift(images, drawn.crop, drawn.flip, amount.pad)
        for shift in (batched._shift_by_window, batched._shift_by_index)
    )
    assert torch.equal(windows, indices)


@pytest.mark.parametrize("hole", [1, 7, 32])
def test_cutout_equals_a_loop(images, hole):
    amount = dataclasses.replace(FULL, hole=hole)
    corners = draw(amount, draw_uniform(len(images), generator())).hole
    plain = normalise(images, MEAN, STD)
    expected = plain.clone()
    for image, (top, left) in zip(expected, corners, strict=True):
        image[:, top : top + hole, left : left + hole] = 0
    for erase in (batched._erase_by_window, batched._erase_by_mask):
        erased = plain.clone()
        erase(erased, corners, hole)
        assert torch.equal(erased, expected)


@pytest.mark.parametrize(("angle", "zoom"), [(15, 1.1), (-20, 0.8), (90, 1.0), (180, 0.5)])
def test_rotation_and_zoom_equal_the_reference_pixel_by_pixel(images, angle, zoom):
    affine = torch.tensor([[np.deg2rad(angle), zoom]], dtype=torch.float32).expand(20, 2)
    varied = apply(images[:20], dataclasses.replace(NONE, affine=affine))
    reference = A.Affine(
        scale=(zoom, zoom),
        rotate=(angle, angle),
        keep_ratio=True,
        border_mode=cv2.BORDER_REFLECT_101,
        p=1.0,
    )
    for image, ours in zip(images.numpy(), varied, strict=False):
        assert np.abs(reference(image=image)["image"] - ours).max() < 0.51  # it rounds to levels


def test_a_flip_comes_before_the_rotation(images):
    affine = torch.tensor([[0.3, 1.1]]).expand(20, 2)
    flip = torch.arange(20) % 2 == 0
    varied = apply(images[:20], dataclasses.replace(NONE, affine=affine, flip=flip))
    mirrored = torch.where(flip[:, None, None, None], images[:20].flip(2), images[:20])
    expected = apply(mirrored, dataclasses.replace(NONE, affine=affine))
    np.testing.assert_allclose(varied, expected, atol=0.01)


@pytest.mark.parametrize(
    "factors", [(1.2, 1.0, 1.0), (1.0, 0.7, 1.0), (1.0, 1.0, 1.3), (0.8, 1.2, 0.7), (1.2, 1.2, 1.2)]
)
def test_colours_equal_the_reference_where_nothing_clips(images, factors):
    tame = images[:20] // 4 + 90
    colour = torch.tensor([factors]).expand(20, 3)
    varied = apply(tame, dataclasses.replace(NONE, colour=colour))
    ranges = [(factor, factor) for factor in factors]
    reference = A.ColorJitter(*ranges, hue=(0.0, 0.0), p=1.0)
    for image, ours in zip(tame.numpy(), varied, strict=False):
        # it cuts to whole levels after each factor
        difference = ours - reference(image=image)["image"]
        assert np.abs(difference).max() < 3
        assert -0.1 < difference.mean() < 1.5


def test_colours_clip_at_black_and_white(images):
    colour = torch.tensor([[1.9, 1.9, 1.9]]).expand(20, 3)
    varied = apply(images[:20], dataclasses.replace(NONE, colour=colour))
    assert varied.min() == pytest.approx(0, abs=1e-3)
    assert varied.max() == pytest.approx(255, abs=1e-3)


def test_blocks_make_no_difference(images):
    draws = draw(FULL, draw_uniform(len(images), generator()))
    whole = vary(images, draws, FULL, MEAN, STD)
    parts = [slice(0, 3), slice(3, 200)]
    split = torch.cat([vary(images[s], draws.part(s), FULL, MEAN, STD) for s in parts])
    assert torch.equal(whole, split)


def test_normalise_is_exact(images):
    expected = (images.double() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    normalised = normalise(images, MEAN, STD)
    assert normalised.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        normalised.permute(0, 2, 3, 1).double(), expected.double(), rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [16, 32, 48])
def test_resize_keeps_constants_and_layout(images, interpolation, size):
    normalised = normalise(images[:4], MEAN, STD)
    resized = resize(normalised, size, interpolation)
    assert resized.shape == (4, 3, size, size)
    assert resized.is_contiguous(memory_format=torch.channels_last)
    constant = torch.full((1, 3, SIDE, SIDE), 1.5)
    torch.testing.assert_close(
        resize(constant, size, interpolation), torch.full((1, 3, size, size), 1.5)
    )


def test_shrinking_is_antialiased():
    checkers = (torch.arange(SIDE)[:, None] + torch.arange(SIDE)) % 2
    lines = checkers.float().expand(1, 3, SIDE, SIDE)
    assert (resize(lines, 8, "bilinear") - 0.5).abs().max() < 0.02
