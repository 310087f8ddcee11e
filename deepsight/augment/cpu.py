"""The reference: an albumentations pipeline, image by image, on the CPU.

It says what the operations mean; `deepsight.augment.batched` does the same to whole batches.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

# albumentations asks the network for a newer release when it is imported
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import albumentations as A  # noqa: E402, N812
import cv2  # noqa: E402

from deepsight.augment.amounts import Amounts, Augment, Triple, amounts  # noqa: E402
from deepsight.config import AugmentConfig  # noqa: E402


def build_albumentations(config: AugmentConfig, mean: Triple, std: Triple) -> Augment:
    """Build the reference `Augment`. Sets OpenCV to one thread in this process."""
    cv2.setNumThreads(1)
    pipeline = functools.cache(lambda side: compose(amounts(config, side), mean, std))

    def augment(images: Tensor, generator: Generator) -> Tensor:
        transform = pipeline(images.shape[1])
        _seed(transform, generator)
        varied = np.empty(images.shape, np.float32)
        for target, image in zip(varied, images.cpu().numpy(), strict=True):
            target[:] = transform(image=image)["image"]
        return torch.from_numpy(varied).permute(0, 3, 1, 2).to(images.device)

    return augment


def compose(amount: Amounts, mean: Triple, std: Triple) -> Any:
    """The operations that `amount` leaves on, in their order, as an ``albumentations.Compose``."""
    side, mirror = amount.side, cv2.BORDER_REFLECT_101
    steps = []
    if amount.pad:
        steps += [A.Pad(amount.pad, border_mode=mirror), A.RandomCrop(side, side)]
    if amount.flip:
        steps += [A.HorizontalFlip(p=0.5)]
    if amount.rotate or amount.zoom:
        steps += [
            A.Affine(
                scale=(1 - amount.zoom, 1 + amount.zoom),
                rotate=(-amount.rotate, amount.rotate),
                keep_ratio=True,
                border_mode=mirror,
                p=1.0,
            )
        ]
    if amount.colour:
        factors = (1 - amount.colour, 1 + amount.colour)
        steps += [A.ColorJitter(factors, factors, factors, hue=(0.0, 0.0), p=1.0)]
    steps += [A.Normalize(mean, std)]
    if amount.hole:
        hole = (amount.hole, amount.hole)
        # after normalising, the mean colour is 0
        steps += [A.CoarseDropout((1, 1), hole, hole, fill=0, p=1.0)]
    return A.Compose(steps)


def _seed(transform: Any, generator: Generator) -> None:
    # Compose.set_random_seed gives all steps the same seed: an image's crop and its colours
    # would then come from the same numbers.
    seeds = torch.randint(2**31, (len(transform.transforms),), generator=generator).tolist()
    for step, seed in zip(transform.transforms, seeds, strict=True):
        step.set_random_seed(seed)
