"""One image file to a square uint8 array."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from deepsight.data.folder.cost import refuse_costly, refuse_large
from deepsight.data.folder.wide import FULL, ValueRange, wide_pixels

_FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
}
_NEVER = (".jp2", ".jxl", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf")
"""Images of formats that are not read; they are counted by name."""

SUFFIXES = frozenset(_NEVER).union(*_FORMATS.values())
"""Names of images end like this, readable or not."""

_RESAMPLE = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_BACKGROUND = (255, 255, 255)  # transparent images are drawn on white, as most viewers do
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


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats that can be read here: HEIF needs pillow-heif, AVIF a Pillow that has it."""
    missing = set() if features.check("avif") else {"AVIF"}
    if importlib.util.find_spec("pillow_heif") is None:
        missing.add("HEIF")
    else:
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(name for name in _FORMATS if name not in missing)


def readable(path: Path) -> bool:
    """Whether an image's name ends like one of a format that can be read here."""
    return any(path.suffix.lower() in _FORMATS[name] for name in formats())


def open_image(path: Path) -> Image.Image:
    """Open a file by its content and read its header; of several frames it is the first.

    Raises:
        Exception: Whatever the decoder raises for a broken file; ValueError for one that would cost
            too much (`deepsight.data.folder.cost`).
    """
    refuse_costly(path)
    image = Image.open(path, formats=formats())
    try:
        refuse_large(*image.size)
    except ValueError:
        image.close()
        raise
    return image


def decode(
    path: Path, size: int, interpolation: str, value_range: ValueRange = FULL
) -> NDArray[np.uint8]:
    """Decode the first frame of a file: RGB, upright, its central square resized.

    Reducing is antialiased; a JPEG far larger than needed is decoded at a half, a quarter or an
    eighth of its size. EXIF orientation is applied, transparency is drawn on white.

    Args:
        path: An image of one of `formats` by its content, whatever its name.
        size: Side of the result in pixels.
        interpolation: "bilinear" or "bicubic".
        value_range: Of images with more than 8 bits a channel, what becomes 0 to 255.

    Returns:
        (size, size, 3) uint8.

    Raises:
        Exception: Whatever the decoder raises for a broken file; ValueError as `open_image`.
    """
    with open_image(path) as image:
        width, height = image.size
        wide = wide_pixels(image)  # first: metadata of a PNG are read with its pixels
        turn = _TURNS.get(_orientation(image))
        shorter = min(width, height)
        if shorter > 2 * size:
            image.draft(None, (2 * size * width // shorter, 2 * size * height // shorter))
        rgb = _to_rgb(image) if wide is None else wide.to_rgb(value_range)
    width, height = rgb.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    square = rgb.resize((size, size), _RESAMPLE[interpolation], box=box)
    # turning the central square is the same as cutting it out of the turned image, and cheaper
    return np.asarray(square if turn is None else square.transpose(turn))


def wide_range(path: Path) -> tuple[float, float] | None:
    """Lowest and highest value of a file with more than 8 bits a channel; None of another one.

    Raises:
        Exception: As `decode`.
    """
    with open_image(path) as image:
        pixels = wide_pixels(image)
    return None if pixels is None else pixels.range()


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":  # turned by who decodes it
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata raises anything; the pixels may still be whole
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(canvas, rgba).convert("RGB")
    return image.convert("RGB")
