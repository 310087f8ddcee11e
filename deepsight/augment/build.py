"""The augmentation backends by name, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable

from deepsight.augment.amounts import Augment, Triple
from deepsight.augment.batched import build_batched, normalise, resize
from deepsight.config import AugmentConfig

__all__ = ["BACKENDS", "Augment", "build_augment", "normalise", "resize"]

Builder = Callable[[AugmentConfig, Triple, Triple], Augment]


def _build_albumentations(config: AugmentConfig, mean: Triple, std: Triple) -> Augment:
    # albumentations takes seconds to import, and most studies never use it
    from deepsight.augment.cpu import build_albumentations

    return build_albumentations(config, mean, std)


BACKENDS: dict[str, Builder] = {
    "batched": build_batched,
    "albumentations": _build_albumentations,
}
"""Both do the same operations with the same distributions; `batched` is the faster one."""


def build_augment(config: AugmentConfig, mean: Triple, std: Triple) -> Augment:
    """Build what varies training images, by ``config.backend`` ("auto" is "batched").

    Args:
        config: Which operations, and how far each goes.
        mean: Mean of the training images, in 0..1.
        std: Standard deviation of the training images, in 0..1.
    """
    name = "batched" if config.backend == "auto" else config.backend
    return BACKENDS[name](config, mean, std)
