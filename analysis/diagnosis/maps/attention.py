"""Where maps look, in numbers: inside the object, at the border, how spread out.

All numbers are those of the map as it is, one value a cell, never of an enlarged picture. A cell
that the mask covers in part counts in part. Only positive values attend; an image whose map has
none attends to nothing: it is counted and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from analysis.diagnosis.maps.grad_cam import ClassMaps, shares
from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.maps.passes import Bools, Floats
from analysis.diagnosis.object_masks import NO_MASKS
from analysis.statistics.intervals import LEVEL, RESAMPLES, Interval

BORDER = 1 / 8
"""Width of the border, as a share of the side."""

THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""Shares of a map's maximum above which a cell counts as the map's region."""

ALL, HITS, ERRORS = "all", "hits", "errors"
TRUE, PREDICTED = "true", "predicted"

MASK_MEASURES = {
    "mass_in_mask": "share of the map inside the object",
    "iou": "overlap of the map's region with the object",
    "pointing": "how far the strongest cell lies on the object",
}
FREE_MEASURES = {
    "entropy": "spread over the cells: 0 one cell, 1 all alike",
    "border_mass": "share of the map in the outer eighth of the image",
}
MEASURES = MASK_MEASURES | FREE_MEASURES
"""By column of ``attention.csv``, what is measured; all lie in 0..1."""

_CHUNK = 1 << 22  # numbers in memory while resampling


@dataclass(frozen=True)
class AttentionRow:
    """One measure of one group of images.

    Attributes:
        measure: Of `MEASURES`.
        map_for: `TRUE` or `PREDICTED`: whose class's map.
        group: `ALL`, `HITS` or `ERRORS`.
        interval: Mean over the images with its 95 % bootstrap interval and their number; None
            where there is none.
        uniform: The same mean for a map that is alike everywhere: what says nothing.
    """

    measure: str
    map_for: str
    group: str
    interval: Interval | None
    uniform: float | None


@dataclass(frozen=True, eq=False)
class Attention:
    """Attention in numbers.

    Attributes:
        layer: Whose cells the maps have.
        rows: Every measure by map and group.
        threshold: Share of a map's maximum that makes its region: the one with the best mean IoU
            over all images, true class; None without masks.
        num_images: Images in all.
        num_masked: Of these, with a mask of an object.
        num_empty: Images whose map for the true class has no positive cell.
        missing: Why measures are not there; empty if all are.
    """

    layer: Layer
    rows: Sequence[AttentionRow]
    threshold: float | None
    num_images: int
    num_masked: int
    num_empty: int
    missing: str


def compute_attention(
    maps: ClassMaps, masks: NDArray[np.uint8] | None, image_size: int, seed: int = 0
) -> Attention:
    """Measure the maps of the true and the predicted class, hits and errors apart.

    Args:
        maps: Of N images.
        masks: (N, H, W), 0 where the background is; an image without an object's pixel counts as
            one without a mask. None: mask-free measures alone.
        image_size: Side of the images in pixels.
        seed: Of the bootstrap over images.
    """
    covered = None if masks is None else coverage(masks, maps.layer)
    masked: Bools = np.zeros(len(maps.labels), np.bool_)
    if covered is not None:
        masked = np.asarray(covered.any(axis=(1, 2)))
    threshold = None
    if covered is not None and masked.any():
        curve = iou_curve(maps.true[masked], covered[masked])
        if np.isfinite(curve).any():
            threshold = float(THRESHOLDS[int(np.nanmean(curve, axis=0).argmax())])
    uniform = np.ones_like(maps.true)
    references = measure(uniform, covered, masked, threshold, image_size, maps.layer)
    rows: list[AttentionRow] = []
    for map_for, values in ((TRUE, maps.true), (PREDICTED, maps.predicted)):
        found = measure(values, covered, masked, threshold, image_size, maps.layer)
        for group, chosen in _groups(maps).items():
            rows += _rows(found, references, map_for, group, chosen, seed)
    missing = "" if masked.any() else NO_MASKS
    empty = int(np.isnan(shares(maps.true)).any(axis=(1, 2)).sum())
    return Attention(
        maps.layer, rows, threshold, len(maps.labels), int(masked.sum()), empty, missing
    )


def _groups(maps: ClassMaps) -> dict[str, Bools]:
    right = maps.is_right
    return {ALL: np.ones_like(right), HITS: right, ERRORS: ~right}


def measure(
    maps: Floats,
    covered: Floats | None,
    masked: Bools,
    threshold: float | None,
    image_size: int,
    layer: Layer,
) -> dict[str, NDArray[np.float64]]:
    """Every measure of every image, (N,) each; NaN where it cannot be taken.

    Args:
        maps: (N, rows, columns), with their sign.
        covered: (N, rows, columns) from `coverage`; None without masks.
        masked: (N,) which images have a mask.
        threshold: For the IoU.
        image_size: Side of the images in pixels.
        layer: Whose grid the maps have.
    """
    parts = shares(maps).astype(np.float64)
    border = border_coverage(image_size, layer)
    found = {
        "entropy": entropy(parts),
        "border_mass": (parts * border).sum(axis=(1, 2)),
    }
    if covered is not None and threshold is not None:
        cut = int(np.abs(THRESHOLDS - threshold).argmin())
        found |= {
            "mass_in_mask": (parts * covered).sum(axis=(1, 2)),
            "iou": iou_curve(maps, covered)[:, cut],
            "pointing": pointing(parts, covered),
        }
        for name in MASK_MEASURES:
            found[name] = np.where(masked, found[name], np.nan)
    return found


def coverage(masks: NDArray[np.uint8], layer: Layer) -> Floats:
    """(N, rows, columns): the share of each cell's pixels that show the object."""
    parts = [
        F.adaptive_avg_pool2d(
            torch.from_numpy((masks[k : k + 256] > 0).astype(np.float32)), layer.grid
        )
        for k in range(0, len(masks), 256)
    ]
    return torch.cat(parts).numpy() if parts else np.zeros((0, *layer.grid), np.float32)


def border_coverage(image_size: int, layer: Layer) -> Floats:
    """(rows, columns): the share of each cell that lies in the border."""
    width = max(1, round(BORDER * image_size))
    border = np.ones((1, image_size, image_size), np.uint8)
    border[:, width:-width, width:-width] = 0
    return np.asarray(coverage(border, layer)[0], np.float32)


def entropy(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of shares (N, rows, columns): Shannon's, by that of a uniform map: (N,), 0..1."""
    logs = np.log(parts, out=np.zeros_like(parts), where=parts > 0)
    return np.asarray(-(parts * logs).sum(axis=(1, 2)) / np.log(parts[0].size))


def pointing(parts: NDArray[np.float64], covered: Floats) -> NDArray[np.float64]:
    """The pointing game (Zhang et al. 2018) on cells: (N,).

    The chance that a point drawn in the strongest cell lies on the object; ties share. The paper
    takes the maximum of an enlarged map, which pretends to know the pixel.
    """
    strongest = parts == parts.max(axis=(1, 2), keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.asarray((strongest * covered).sum(axis=(1, 2)) / strongest.sum(axis=(1, 2)))


def iou_curve(maps: Floats, covered: Floats) -> NDArray[np.float64]:
    """Intersection over union of the object and the cells above each of `THRESHOLDS`.

    Args:
        maps: (N, rows, columns), with their sign.
        covered: (N, rows, columns): the share of each cell that shows the object.

    Returns:
        (N, thresholds); NaN for an image without a positive cell.
    """
    peak = maps.max(axis=(1, 2), keepdims=True)
    size = covered.sum(axis=(1, 2))
    curve = np.full((len(maps), len(THRESHOLDS)), np.nan)
    positive = peak[:, 0, 0] > 0
    for k, threshold in enumerate(THRESHOLDS):
        region = maps >= threshold * peak
        common = (region * covered).sum(axis=(1, 2))
        union = region.sum(axis=(1, 2)) + size - common
        curve[positive, k] = (common / union)[positive]
    return curve


def mean_interval(values: NDArray[np.float64], seed: int = 0, low: float = 0.0) -> Interval | None:
    """A mean over images with its percentile bootstrap interval; None without any.

    Args:
        values: (n,), within `low`..1; NaN is left out.
        seed: Of the resampling.
        low: The least possible value, 0 or -1.

    Where all values are alike, resampling shows no spread. Then the interval allows for 3 in n
    images, which a sample of n misses with 5 %, at the other end of the range.
    """
    values = np.asarray(values[np.isfinite(values)], np.float64)
    n = len(values)
    if not n:
        return None
    mean = float(values.mean())
    if np.ptp(values) < 1e-12:
        share = min(1.0, 3 / n)
        return Interval(mean, mean - share * (mean - low), mean + share * (1 - mean), n)
    rng, means = np.random.default_rng(seed), []
    step = max(1, _CHUNK // n)
    for start in range(0, RESAMPLES, step):
        size = (min(step, RESAMPLES - start), n)
        means.append(values[rng.integers(n, size=size)].mean(axis=1))
    bounds = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(bounds[0]), float(bounds[1]), n)


def _rows(
    found: Mapping[str, NDArray[np.float64]],
    references: Mapping[str, NDArray[np.float64]],
    map_for: str,
    group: str,
    chosen: Bools,
    seed: int,
) -> list[AttentionRow]:
    rows = []
    for name in MEASURES:
        if name in found:
            known = chosen & np.isfinite(found[name])
            uniform = float(references[name][known].mean()) if known.any() else None
            interval = mean_interval(found[name][chosen], seed)
            rows.append(AttentionRow(name, map_for, group, interval, uniform))
    return rows
