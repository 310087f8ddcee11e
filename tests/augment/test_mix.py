"""MixUp and CutMix: what is blended is what the targets say."""

import numpy as np
import pytest
import torch
from scipy import stats

from deepsight.augment.mix import BLENDS, blend_boxes, mix
from deepsight.config import AugmentConfig

NUM_CLASSES = 6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def coded(count, side=16):
    """Labels, and images of the constant value of their label, in channels_last."""
    labels = torch.randint(0, NUM_CLASSES, (count,), generator=generator(9))
    images = labels[:, None, None, None].float().expand(-1, 3, side, side)
    return images.contiguous(memory_format=torch.channels_last), labels


@pytest.mark.parametrize("name", BLENDS)
@pytest.mark.parametrize("alpha", [0.01, 0.4, 4.0])
@pytest.mark.parametrize(("count", "side"), [(1, 8), (300, 16), (64, 7)])
def test_targets_say_what_is_in_the_images(name, alpha, count, side):
    images, labels = coded(count, side)
    before = images.clone(), labels.clone()
    config = AugmentConfig(mix=name, mix_alpha=alpha)
    blended, targets = mix(images, labels, NUM_CLASSES, config, generator())
    assert blended.shape == images.shape
    assert blended.is_contiguous(memory_format=torch.channels_last)
    assert targets.shape == (count, NUM_CLASSES)
    assert targets.dtype == blended.dtype == torch.float32
    assert (targets >= 0).all()
    torch.testing.assert_close(targets.sum(1), torch.ones(count))
    told = targets @ torch.arange(NUM_CLASSES).float()
    torch.testing.assert_close(blended.mean((1, 2, 3)), told, rtol=0, atol=1e-4)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


@pytest.mark.parametrize("name", BLENDS)
def test_deterministic_and_moves_on(name):
    images, labels = coded(32)
    config = AugmentConfig(mix=name)
    one, two = generator(), generator()
    first = mix(images, labels, NUM_CLASSES, config, one)
    same = mix(images, labels, NUM_CLASSES, config, two)
    later = mix(images, labels, NUM_CLASSES, config, one)
    assert torch.equal(first[0], same[0])
    assert torch.equal(first[1], same[1])
    assert not torch.equal(first[0], later[0])


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_shares_follow_the_beta_distribution(alpha):
    count = 4000
    images = torch.arange(count).double()[:, None, None, None].expand(-1, 3, 1, 1)
    labels = torch.arange(count)
    _, targets = mix(
        images.float(), labels, count, AugmentConfig(mix="mixup", mix_alpha=alpha), generator()
    )
    shares = targets.diagonal().numpy()
    shares = shares[targets.count_nonzero(1) == 2]  # nobody is his own partner; not all the other's
    inside = (shares > 1e-6) & (shares < 1 - 1e-6)
    law = stats.beta(alpha, alpha)
    low, high = law.cdf([1e-6, 1 - 1e-6])
    p_value = stats.kstest(shares[inside], lambda x: (law.cdf(x) - low) / (high - low)).pvalue
    assert p_value > 1e-3


def test_cutmix_is_one_box_of_the_partner():
    images, partners = torch.zeros(500, 3, 32, 32), torch.ones(500, 3, 32, 32)
    shares = torch.linspace(0, 1, 500)
    blended, kept = blend_boxes(images, partners, shares, generator())
    box = blended[:, 0].bool()
    assert (blended == blended[:, :1]).all()
    rows, columns = box.any(2), box.any(1)
    assert torch.equal(box, rows[:, :, None] & columns[:, None, :])
    assert (rows.int().diff(dim=1).abs().sum(1) <= 2).all()
    torch.testing.assert_close(kept, 1 - box.float().mean((1, 2)))
    # clipping at the edges only ever takes from the box; a pixel's width is the rounding
    side = (1 - shares).sqrt()
    assert (rows.sum(1) / 32 <= side + 1 / 32).all()
    uncut = rows[:, 0] | rows[:, -1] | columns[:, 0] | columns[:, -1]
    assert ((rows.sum(1) / 32 - side).abs()[~uncut] <= 1 / 32).all()
    assert np.isclose(float(kept[0]), 1 - float(box[0].float().mean()))
