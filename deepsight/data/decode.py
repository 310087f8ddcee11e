"""Image files to square uint8 arrays: each file decoded once, by all cores, broken ones named."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF")
MAX_PIXELS = 50_000_000
"""Larger images count as broken: read from the header, before any memory is taken for them."""

_RESAMPLE = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_BACKGROUND = (255, 255, 255)  # transparent images are drawn on white, as most viewers do
_BLOCK = 256  # files whose decoded images wait in memory at a time
_REPORT_S = 5.0  # between two lines of progress
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(path: Path, size: int, interpolation: str) -> NDArray[np.uint8]:
    """Decode the first frame of a file: RGB, upright, its central square resized.

    Reducing is antialiased; a JPEG far larger than needed is decoded at a half, a quarter or an
    eighth of its size. EXIF orientation is applied, transparency is drawn on white.

    Args:
        path: JPEG, PNG, BMP, WEBP or GIF by its content, whatever its name.
        size: Side of the result in pixels.
        interpolation: "bilinear" or "bicubic".

    Returns:
        (size, size, 3) uint8.

    Raises:
        Exception: Whatever the decoder raises for a broken file; ValueError above `MAX_PIXELS`.
    """
    with Image.open(path, formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width}x{height} pixels, more than {MAX_PIXELS // 10**6} million")
        turn = _TURNS.get(_orientation(image))
        shorter = min(width, height)
        if shorter > 2 * size:
            image.draft(None, (2 * size * width // shorter, 2 * size * height // shorter))
        rgb = _to_rgb(image)
    width, height = rgb.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    square = rgb.resize((size, size), _RESAMPLE[interpolation], box=box)
    # turning the central square is the same as cutting it out of the turned image, and cheaper
    return np.asarray(square if turn is None else square.transpose(turn))


def scan(paths: Sequence[Path], size: int, interpolation: str, out: BinaryIO) -> dict[int, str]:
    """Decode all files and append their pixels to `out` in order; say which are broken.

    Threads, not processes: Pillow decodes and resizes without holding the interpreter's lock.

    Returns:
        By position in `paths`, why a file is broken; nothing was written for it.
    """
    broken: dict[int, str] = {}
    reported = time.monotonic()

    def one(path: Path) -> NDArray[np.uint8] | str:
        try:
            return decode(path, size, interpolation)
        except Exception as error:  # decoders raise anything on bad bytes; the reason is kept
            return " ".join(str(error).split()) or type(error).__name__

    with warnings.catch_warnings(), ThreadPoolExecutor(_num_cores()) as pool:
        warnings.filterwarnings("ignore", module="PIL")  # odd metadata; our own cap is lower
        for start in range(0, len(paths), _BLOCK):
            results = pool.map(one, paths[start : start + _BLOCK])
            for position, result in enumerate(results, start):
                if isinstance(result, str):
                    broken[position] = result
                else:
                    out.write(np.ascontiguousarray(result).data)
            if time.monotonic() - reported > _REPORT_S:
                reported = time.monotonic()
                logger.info("decoded %d of %d files", start + _BLOCK, len(paths))
    return broken


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata raises anything; the pixels may still be whole
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(canvas, rgba).convert("RGB")
    if image.mode.startswith("I"):  # 16-bit grey; convert() would clip instead of scaling
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
