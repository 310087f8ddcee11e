"""Masks of the objects of ``folder:`` data, which are no part of the pack: found when asked for."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepsight.config import DataConfig, UserError
from deepsight.data.datasets import Dataset, Split
from deepsight.data.folder.image_folder import PREFIX, list_folder
from deepsight.data.folder.masks import load_masks
from deepsight.data.packing import image_names

NO_MASKS = (
    "there are no masks of the objects (toy_objects brings them; folder: takes the alpha channel "
    "of PNG and WEBP files, or data.masks=PATH)"
)
"""Why what needs masks is not there."""


def join_masks(images: Split, dataset: Dataset, split: str, config: DataConfig) -> Split:
    """The split with the masks of its images, where there are any.

    Args:
        images: The split; masks of its own are kept.
        dataset: What it belongs to.
        split: "test" or "val".
        config: Where the data are; `masks` is the parallel folder, without one the images' own
            alpha channels are taken.

    Raises:
        UserError: If the folder of masks is missing, holds no mask of these images, or one that
            cannot be read or has another shape than its image.
    """
    if images.masks is not None or not len(images.labels):
        return images
    if not config.name.startswith(PREFIX):
        return images
    folder = Path(config.masks).expanduser().absolute() if config.masks else None
    names = image_names(dataset.path, split)
    masks = load_masks(names, list_folder(config).root, dataset.image_size, folder)
    if masks.any():
        return dataclasses.replace(images, masks=masks)
    if folder is not None:
        raise UserError(
            f"{folder} holds no mask of any of {len(names)} {split} images.",
            f"The mask of {names[0]} is {Path(names[0]).with_suffix('.png')} there.",
        )
    return images


def masks_digest(masks: NDArray[np.uint8] | None) -> str | None:
    """SHA-256 of masks, by which results that depend on them are told apart."""
    return None if masks is None else hashlib.sha256(masks.tobytes()).hexdigest()
