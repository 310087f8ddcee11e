"""`toy_objects`: small pictures drawn by code from a seed, each with the mask of its object.

Ten classes, half rigid, half organic; `draw_source_objects` draws twenty other classes in the same
scenes, for embedded weights to be learnt from. Image k depends on the seed and k alone, so that a
larger data set begins with the smaller one. docs/toy_objects.md shows and measures them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepsight.config import DataConfig
from deepsight.data.raw import RawData
from deepsight.data.toy_objects import classes
from deepsight.data.toy_objects.scenes import Model, take_picture
from deepsight.data.toy_objects.source_classes import SOURCE

RIGID = tuple(classes.RIGID)
"""Classes with straight edges."""

ORGANIC = tuple(classes.ORGANIC)
"""Classes with soft outlines and fur."""

CLASSES = RIGID + ORGANIC
SOURCE_CLASSES = tuple(SOURCE)

Drawn = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]
"""Images (N, size, size, 3), labels (N,), masks (N, size, size) of 0 and 1."""


def draw_toy_objects(num_images: int, seed: int, size: int = 32) -> Drawn:
    """Draw images of the ten classes, equally many of each (to within one)."""
    return _draw(classes.RIGID | classes.ORGANIC, num_images, (seed, 0), size)


def draw_source_objects(num_images: int, seed: int, size: int = 32) -> Drawn:
    """Draw images of the twenty source classes, equally many of each (to within one)."""
    return _draw(SOURCE, num_images, (seed, 1), size)


def build_toy_objects(config: DataConfig) -> RawData:
    """The data set ``toy_objects``: `config.size` images drawn from `config.split_seed`."""
    images, labels, masks = draw_toy_objects(config.size, config.split_seed)
    source = f"drawn by deepsight.data.toy_objects from seed {config.split_seed}"
    return RawData(images, labels, CLASSES, masks, source=source)


def build_source_objects(config: DataConfig) -> RawData:
    """The data set that embedded weights are learnt from."""
    images, labels, masks = draw_source_objects(config.size, config.split_seed)
    source = f"drawn by deepsight.data.toy_objects (source classes) from seed {config.split_seed}"
    return RawData(images, labels, SOURCE_CLASSES, masks, source=source)


def _draw(models: Mapping[str, Model], num_images: int, seed: tuple[int, int], size: int) -> Drawn:
    """Draw `num_images` with a generator for each, `seed` being the seed and the series."""
    builders = list(models.values())
    images = np.empty((num_images, size, size, 3), np.uint8)
    labels = np.empty(num_images, np.int64)
    masks = np.empty((num_images, size, size), np.uint8)
    for k in range(num_images):
        block, place = divmod(k, len(builders))
        if place == 0:  # each block of images shows every class once, in an order of its own
            order = np.random.default_rng([*seed, 0, block]).permutation(len(builders))
        labels[k] = order[place]
        picture = take_picture(builders[labels[k]], size, np.random.default_rng([*seed, 1, k]))
        images[k] = np.rint(picture.image * 255)
        masks[k] = picture.mask > 0.5
    return images, labels, masks
