"""Blends of image pairs and of their labels: MixUp and CutMix.

Both draw one permutation a batch, as the papers do, and one share an image, which the papers draw
once a batch: the blend of a single image has the same distribution, and a batch varies less.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from deepsight.config import AugmentConfig

Blend = Callable[[Tensor, Tensor, Tensor, Generator], tuple[Tensor, Tensor]]
"""(images, partners, shares, generator) to the blended images and the shares they ended up with."""


def mix(
    images: Tensor, labels: Tensor, num_classes: int, config: AugmentConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Blend every image of a batch with another one of it, by ``config.mix``.

    Args:
        images: (N, 3, H, W), float32, normalised; left as they are.
        labels: (N,), int64, on the device of the images.
        num_classes: Classes in all, C.
        config: ``mix`` ("mixup" or "cutmix") and ``mix_alpha``.
        generator: On the CPU.

    Returns:
        The blended images, and (N, C) float32 targets whose rows sum to one.
    """
    permutation = torch.randperm(len(images), generator=generator)
    permutation = permutation.to(images.device, non_blocking=True)
    shares = _beta(config.mix_alpha, len(images), generator)
    shares = shares.to(images.device, non_blocking=True)
    blended, shares = BLENDS[config.mix](images, images[permutation], shares, generator)
    own = F.one_hot(labels, num_classes).float()
    return blended, torch.lerp(own[permutation], own, shares[:, None])


def blend_whole(
    images: Tensor, partners: Tensor, shares: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """MixUp (Zhang et al. 2018): share * image + (1 - share) * partner."""
    return torch.lerp(partners, images, shares[:, None, None, None]), shares


def blend_boxes(
    images: Tensor, partners: Tensor, shares: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019): a box of the partner covers 1 - share of the image.

    The box is centred uniformly over the image and clipped by its edges; the returned share is
    that of the pixels the image really kept.
    """
    count, channels, height, width = images.shape
    centre = torch.rand(2, count, generator=generator).to(images.device, non_blocking=True)
    half = (1 - shares).sqrt() / 2
    rows = _between(centre[0], half, height)
    columns = _between(centre[1], half, width)
    covered = rows.sum(1) * columns.sum(1) / (height * width)
    # a product and a lerp of 0 and 1, on rows of width * channels as channels_last has them: both
    # are exact, and take half the time of a mask and a choice on a CPU
    box = rows[:, :, None] * columns.repeat_interleave(channels, 1)[:, None, :]
    ours, theirs = (batch.permute(0, 2, 3, 1).flatten(2) for batch in (images, partners))
    blended = torch.lerp(ours, theirs, box).view(count, height, width, channels)
    return blended.permute(0, 3, 1, 2), 1 - covered


BLENDS: dict[str, Blend] = {"mixup": blend_whole, "cutmix": blend_boxes}


def _between(centre: Tensor, half: Tensor, size: int) -> Tensor:
    """(N, size), 1 for the pixels within `half` of `centre`, both as shares of `size`; else 0."""
    pixel = (torch.arange(size, device=centre.device) + 0.5) / size
    return ((pixel - centre[:, None]).abs() < half[:, None]).float()


def _beta(alpha: float, count: int, generator: Generator) -> Tensor:
    # torch.distributions draws from the global generator only
    seed = int(torch.randint(2**63 - 1, (1,), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count)).float()
