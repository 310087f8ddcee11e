"""Images of more than 8 bits a channel: 16-bit PNG and TIFF, depth maps, microscopes, floats.

Cameras and programs use any part of the range of such files: 0 to 255, 0 to 4095, all of it.
Whoever divides by 256 leaves 16 grey levels of 12 bits. So the range of all wide images of a folder
is measured once, and becomes 0 to 255.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

_COLOURS = ("RGB", "RGBA", "LA")
_PNG = b"\x89PNG\r\n\x1a\n"
_MAYBE_WIDE = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"P5", b"P2")  # TIFF, BigTIFF, PGM
_HEAD = 25  # bytes of a file up to the bit depth of a PNG


@dataclass(frozen=True)
class ValueRange:
    """The values that become 0 and 255.

    Attributes:
        low: The smallest value; transparent pixels do not count.
        high: The largest.
        num_files: How many files it was measured on; 0 if it was not.
    """

    low: float
    high: float
    num_files: int = 0

    def levels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Map `low`..`high` evenly to 0..255, rounded; values beyond are clipped, NaN is 0.

        Values of which there are at most 256, evenly spaced, all stay different.
        """
        span = (self.high - self.low) or 1.0
        scaled = (values.astype(np.float64) - self.low) * (255 / span)
        return np.nan_to_num(scaled, nan=0.0).round().clip(0, 255).astype(np.uint8)


FULL = ValueRange(0, 65535)
"""All 16 bits."""


@dataclass(frozen=True)
class WidePixels:
    """One wide image.

    Attributes:
        values: (H, W) grey or (H, W, 3) RGB, as stored.
        alpha: (H, W) opacity in 0..1; None if all is opaque.
    """

    values: NDArray[Any]
    alpha: NDArray[np.float64] | None

    def to_rgb(self, value_range: ValueRange, background: int = 255) -> Image.Image:
        """The image in 8 bits, transparency drawn on `background`."""
        levels = value_range.levels(self.values)
        if levels.ndim == 2:
            levels = np.repeat(levels[..., None], 3, axis=2)
        if self.alpha is not None:
            alpha = self.alpha[..., None]
            levels = (levels * alpha + background * (1 - alpha)).round().astype(np.uint8)
        return Image.fromarray(levels)

    def range(self) -> tuple[float, float]:
        """Lowest and highest finite value of what can be seen; (inf, -inf) if there is none."""
        seen = self.values if self.alpha is None else self.values[self.alpha > 0]
        if not np.issubdtype(seen.dtype, np.integer):
            seen = seen[np.isfinite(seen)]
        return (float(seen.min()), float(seen.max())) if seen.size else (math.inf, -math.inf)


def wide_pixels(image: Image.Image) -> WidePixels | None:
    """The pixels of an open file with all its bits; None if it has 8 a channel or fewer.

    Pillow keeps the bits of grey images; of colours it keeps 8, so OpenCV reads these.

    Raises:
        ValueError: If OpenCV cannot decode what Pillow could open.
    """
    transparent = image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        return WidePixels(values, _unlike(values, transparent))
    if image.mode not in _COLOURS or _bits(image) <= 8:
        return None
    values = _decode_colours(Path(os.fsdecode(image.filename)))  # type: ignore[attr-defined]
    if values.shape[:2] != image.size[::-1] or values.dtype != np.uint16:
        raise ValueError(f"decoded to {values.dtype} {values.shape}, not 16 bits of {image.size}")
    if values.ndim == 3 and values.shape[2] == 4 and image.mode != "RGB":
        return WidePixels(values[..., 2::-1], values[..., 3] / 65535)
    values = values if values.ndim == 2 else values[..., 2::-1]
    return WidePixels(values, _unlike(values, transparent))


def may_be_wide(path: Path) -> bool:
    """Whether the first bytes of a file allow that it is wide; most files are told by them."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return (head.startswith(_PNG) and head[-1] == 16) or head.startswith(_MAYBE_WIDE)


def _bits(image: Image.Image) -> int:
    """Bits of a channel in the file, of which Pillow may hand over fewer."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))))
    if isinstance(image, PngImagePlugin.PngImageFile):
        return 16 if any(";16" in str(tile.args) for tile in image.tile) else 8
    return 8


def _decode_colours(path: Path) -> NDArray[Any]:
    import cv2  # only where such an image is found

    values = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError("cannot be decoded with its 16 bits")
    return np.asarray(values)


def _unlike(values: NDArray[Any], transparent: Any) -> NDArray[np.float64] | None:
    """Opacity where one colour is the transparent one."""
    if transparent is None:
        return None
    differs = values != np.asarray(transparent)
    opaque: NDArray[np.bool_] = differs.any(axis=2) if differs.ndim == 3 else differs
    return opaque.astype(np.float64)
