"""What an `AugmentConfig` comes to in pixels, degrees and factors: the same for both backends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator, Tensor

from deepsight.config import AugmentConfig

Triple = tuple[float, float, float]
"""One number for each of red, green, blue."""

Augment = Callable[[Tensor, Generator], Tensor]
"""Varies a batch: ``(N, H, W, 3)`` uint8 on any device, and a generator on the CPU, to
``(N, 3, H, W)`` float32, normalised, channels_last, on the images' device."""


@dataclass(frozen=True)
class Amounts:
    """Ranges of all operations for square images of one side; 0 means off.

    Attributes:
        side: Height and width of the images in pixels.
        pad: Pixels mirrored onto each edge before a crop back to `side`.
        flip: Whether half of the images are mirrored left to right.
        rotate: Largest angle in degrees, either way.
        zoom: Zoom factors lie in 1 +- this.
        colour: Brightness, contrast and saturation factors lie in 1 +- this.
        hole: Side of the erased square in pixels.
    """

    side: int
    pad: int
    flip: bool
    rotate: float
    zoom: float
    colour: float
    hole: int


def amounts(config: AugmentConfig, side: int) -> Amounts:
    """Every magnitude of `config` times its strength, for images of `side` pixels."""
    strength = config.strength
    return Amounts(
        side=side,
        # a mirror image reaches no further than the image itself
        pad=min(round(config.crop * strength * side), side - 1),
        flip=config.flip,
        rotate=config.rotate * strength,
        zoom=config.scale * strength,
        colour=config.colour * strength,
        hole=round(config.cutout * strength * side),
    )
