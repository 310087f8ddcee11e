"""Masks of objects for photographs: the alpha channel of a file, or a file of its own.

A mask is brought to its place by the steps of `deepsight.data.folder.decode.decode`: upright,
central square, resized.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from deepsight.config import UserError
from deepsight.data.folder.decode import open_image

ALPHA_SUFFIXES = frozenset({".png", ".webp"})
"""Files whose transparency is taken for a mask."""

MASK_SUFFIXES = (".png", ".webp", ".bmp", ".gif", ".jpg", ".jpeg")
"""Of a parallel folder, in the order of preference."""

MASKS_LAYOUT = "Give a folder laid out as the images are: the mask of cat/1.jpg is cat/1.png there."

_SAME_SHAPE = 0.02  # how far two aspect ratios may be apart, from rounding


def load_masks(
    ids: Sequence[str], root: Path, size: int, masks_root: Path | None = None
) -> NDArray[np.uint8]:
    """The masks of images by their ids.

    Args:
        ids: Paths of the image files relative to `root`.
        root: The folder of the images.
        size: Side of the result in pixels.
        masks_root: A parallel folder (``data.masks``): the mask of ``cat/1.jpg`` is ``cat/1.png``
            there, or another of `MASK_SUFFIXES`. None: the images' own alpha channels.

    Returns:
        (N, size, size) uint8, 1 on the object, 0 elsewhere: 0 throughout for an image without.

    Raises:
        UserError: If the folder is missing, or a mask cannot be read or has another shape than
            its image.
    """
    if masks_root is not None and not masks_root.is_dir():
        raise UserError(f"data.masks: {masks_root} is not a folder.", MASKS_LAYOUT)
    masks = np.zeros((len(ids), size, size), np.uint8)
    for position, image_id in enumerate(ids):
        mask = find_mask(image_id, root, masks_root)
        if mask is not None:
            masks[position] = read_mask(mask, size, like=root / image_id)
    return masks


def find_mask(image_id: str, root: Path, masks_root: Path | None = None) -> Path | None:
    """The file that holds the mask of an image; None if there is none. See `load_masks`."""
    if masks_root is None:
        path = root / image_id
        return path if path.suffix.lower() in ALPHA_SUFFIXES and _has_alpha(path) else None
    stem = (masks_root / image_id).with_suffix("")
    for suffix in MASK_SUFFIXES:
        for path in (stem.with_name(stem.name + s) for s in (suffix, suffix.upper())):
            if path.is_file():
                return path
    return None


def read_mask(path: Path, size: int, like: Path | None = None) -> NDArray[np.uint8]:
    """Read one mask.

    The object is: where a file with transparency is more than half opaque; in a palette, every
    colour but the first (as segmentation data sets have it); else what is brighter than half of
    the brightest pixel, so that masks of 0 and 1 and of 0 and 255 both do.

    Args:
        path: The mask.
        size: Side of the result in pixels.
        like: The image, whose shape it must have and whose EXIF orientation decides; None: `path`.

    Returns:
        (size, size) uint8 of 0 and 1.

    Raises:
        UserError: If it cannot be read or has another shape.
    """
    try:
        with open_image(path) as image:
            levels = ImageOps.exif_transpose(_object(image))
            if like is not None and like != path:
                _check_shape(path, levels, like)
            side = min(levels.size)
            left, top = (levels.width - side) / 2, (levels.height - side) / 2
            box = (left, top, left + side, top + side)
            small = levels.resize((size, size), Image.Resampling.BOX, box=box)
    except UserError:
        raise
    except Exception as error:  # decoders raise anything on bad bytes; the reason is told
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"the mask {path} cannot be read: {reason}.", "Repair it or remove it."
        ) from error
    return (np.asarray(small) > 127).astype(np.uint8)


def _object(image: Image.Image) -> Image.Image:
    """255 on the object, 0 elsewhere, with the EXIF data of the file."""
    if image.has_transparency_data:
        inside = np.asarray(image.convert("RGBA").getchannel("A")) > 127
    elif image.mode == "P":
        inside = np.asarray(image) > 0
    else:
        levels = np.asarray(
            image.convert("I") if image.mode.startswith("I") else image.convert("L")
        )
        inside = 2 * levels.astype(np.int64) > levels.max()
    mask = Image.fromarray(np.where(inside, 255, 0).astype(np.uint8))
    mask.info["exif"] = image.getexif().tobytes()
    return mask


def _has_alpha(path: Path) -> bool:
    """Whether some of the file is transparent and some is not: a photograph has no shape."""
    try:
        with open_image(path) as image:
            if not image.has_transparency_data:
                return False
            low, high = image.convert("RGBA").getchannel("A").getextrema()
            return bool(low <= 127 < high)  # type: ignore[operator]
    except Exception:  # decoders raise anything on bad bytes
        return False  # broken files are named where images are decoded


def _check_shape(path: Path, mask: Image.Image, like: Path) -> None:
    with open_image(like) as image:
        width, height = ImageOps.exif_transpose(image).size
    if abs(np.log(mask.width / mask.height * height / width)) > _SAME_SHAPE:
        raise UserError(
            f"the mask {path} has {mask.width}x{mask.height} pixels, its image {width}x{height}.",
            "A mask covers the whole image: make it again at the same shape.",
        )
