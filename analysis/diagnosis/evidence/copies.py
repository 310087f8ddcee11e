"""Images held out that are copies of images trained on, with other light, noise or compression.

Exact copies never reach two splits (`deepsight.data.split`); these do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 16
"""Images are compared as grey pictures of this side, mean and contrast taken out."""
ALIKE = 0.9
"""Least correlation of a copy with its original."""
QUANTILE = 0.25
"""By which the dimension is estimated: copies, which lie above it, do not change it much."""
CHUNK = 512

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Copies:
    """How much closer each held-out image is to one train image than to all others.

    Attributes:
        nearest: (N,) position of the nearest train image.
        correlation: (N,) with it.
        p_values: (N,) the chance of such a nearest neighbour without copies.
    """

    nearest: NDArray[np.int64] = field(repr=False)
    correlation: Floats = field(repr=False)
    p_values: NDArray[np.float64] = field(repr=False)


def compute_copies(train: NDArray[np.uint8], held_out: NDArray[np.uint8]) -> Copies | None:
    """Compare held-out images with train images.

    Where images lie locally even in d dimensions, the ratio r of an image's second smallest to its
    smallest distance exceeds t with the chance t^-d (Facco et al. 2017, Scientific Reports 7). d
    is estimated from the ratios themselves. An image that is nearer than that allows, and
    correlates by `ALIKE`, has a copy. A train set with several copies of it hides it.

    Args:
        train: (M, H, W, 3).
        held_out: (N, H, W, 3).

    Returns:
        None with fewer than three train images or without a held-out one.
    """
    if len(train) < 3 or not len(held_out):
        return None
    known, asked = _pictures(train), _pictures(held_out)
    nearest, first, second = [], [], []
    for start in range(0, len(asked), CHUNK):
        likeness = asked[start : start + CHUNK] @ known.T
        two = np.argpartition(-likeness, 1, axis=1)[:, :2]
        values = np.take_along_axis(likeness, two, axis=1)
        order = np.argsort(-values, axis=1)
        nearest.append(np.take_along_axis(two, order, axis=1)[:, 0])
        first.append(values.max(axis=1))
        second.append(values.min(axis=1))
    best, next_best = np.concatenate(first), np.concatenate(second)
    near, far = (np.sqrt(np.clip(2 - 2 * v, 1e-9, None)) for v in (best, next_best))
    ratios = np.maximum(far / near, 1.0).astype(np.float64)
    dimension = -np.log(1 - QUANTILE) / np.log(max(float(np.quantile(ratios, QUANTILE)), 1 + 1e-9))
    p_values = np.where(best >= ALIKE, ratios ** -min(dimension, 1e3), 1.0)
    return Copies(np.concatenate(nearest).astype(np.int64), best.astype(np.float32), p_values)


def _pictures(images: NDArray[np.uint8]) -> Floats:
    """(N, SIDE * SIDE) of mean 0 and length 1; a picture of one grey is 0."""
    small = np.empty((len(images), SIDE, SIDE), np.float32)
    for row, image in enumerate(images):
        grey = np.asarray(image).mean(axis=2, dtype=np.float32)
        small[row] = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    flat = small.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-6), np.float32)
