"""Whether test images differ from validation images, which a fair split makes alike."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.intervals import Interval, superiority_interval

COMPONENTS = 16
"""Principal components of the features that are compared."""
FEATURES = "features"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shift:
    """The measure in which the splits differ most surely.

    Attributes:
        measure: Its name.
        superiority: How often a test image exceeds a validation image in it; one half is alike.
        p_value: Of no difference in any measure, times their number (Bonferroni).
    """

    measure: str
    superiority: Interval
    p_value: float


def compute_shift(
    val: NDArray[np.uint8], test: NDArray[np.uint8], val_features: Floats, test_features: Floats
) -> Shift | None:
    """Compare two splits by measures of their images and by what the model's last layer sees.

    Measures are compared by Kolmogorov and Smirnov's test, features by Hotelling's on the first
    `COMPONENTS` principal components.

    Args:
        val: (N, H, W, 3).
        test: (M, H, W, 3).
        val_features: (N, D); D may be 0.
        test_features: (M, D).

    Returns:
        None with fewer than two images in a split.
    """
    if min(len(val), len(test)) < 2:
        return None
    first, second = image_measures(val), image_measures(test)
    p_values = {name: float(stats.ks_2samp(first[name], second[name]).pvalue) for name in first}
    axis = _components(np.asarray(val_features, float), np.asarray(test_features, float))
    if axis is not None:
        p_values[FEATURES], first[FEATURES], second[FEATURES] = _hotelling(*axis)
    name = min(p_values, key=lambda measure: p_values[measure])
    superiority = superiority_interval(second[name].tolist(), first[name].tolist())
    return Shift(name, superiority, min(1.0, len(p_values) * p_values[name]))


def image_measures(images: NDArray[np.uint8]) -> dict[str, Floats]:
    """(N,) each: brightness, contrast, sharpness, and where the edges are, across and down."""
    found: dict[str, list[float]] = {
        name: [] for name in ("brightness", "contrast", "sharpness", "place across", "place down")
    }
    for image in images:
        grey = np.asarray(image).mean(axis=2, dtype=np.float32)
        contrast = float(grey.std())
        laplacian = cv2.Laplacian(grey, cv2.CV_32F, borderType=cv2.BORDER_REPLICATE)
        edges = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0)) + np.abs(
            cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        )
        total = float(edges.sum()) + 1e-6
        down, across = ((np.arange(n) + 0.5) / n for n in grey.shape)
        found["brightness"].append(float(grey.mean()))
        found["contrast"].append(contrast)
        found["sharpness"].append(float(np.abs(laplacian).mean()) / (contrast + 1.0))
        found["place across"].append(float(edges.sum(axis=0) @ across) / total)
        found["place down"].append(float(edges.sum(axis=1) @ down) / total)
    return {name: np.array(values) for name, values in found.items()}


def _components(val: Floats, test: Floats) -> tuple[Floats, Floats] | None:
    """Both splits on the first principal components of all; None where features do not vary."""
    both = np.concatenate([val, test]) if val.shape[1] else np.zeros((0, 0))
    count = min(COMPONENTS, both.shape[1], len(both) // 10)
    if count < 1:
        return None
    centred = both - both.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    kept = axes[:count][sizes[:count] > 1e-6 * max(float(sizes[0]), 1e-12)]
    if not len(kept):
        return None
    projected = centred @ kept.T
    return projected[: len(val)], projected[len(val) :]


def _hotelling(val: Floats, test: Floats) -> tuple[float, Floats, Floats]:
    """The p-value of equal means, and both splits along the direction that separates them most."""
    n, m, d = len(val), len(test), val.shape[1]
    pooled = (np.cov(val.T) * (n - 1) + np.cov(test.T) * (m - 1)).reshape(d, d) / (n + m - 2)
    difference = test.mean(axis=0) - val.mean(axis=0)
    direction = np.linalg.solve(pooled + 1e-12 * np.eye(d), difference)
    statistic = n * m / (n + m) * float(difference @ direction)
    ratio = statistic * (n + m - d - 1) / ((n + m - 2) * d)
    return float(stats.f.sf(ratio, d, n + m - d - 1)), val @ direction, test @ direction
