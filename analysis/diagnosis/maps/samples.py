"""Which images are shown with their maps, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.diagnosis.maps.grad_cam import ClassMaps
from analysis.diagnosis.maps.passes import Floats, Labels

NUM_SAMPLES = 3


@dataclass(frozen=True, eq=False)
class MapSamples:
    """A few images with their maps.

    Attributes:
        images: (n, H, W, 3) uint8, RGB, as stored.
        maps: Of these images.
        confidence: (n,) of the prediction, 0..1.
        names: What figures call the classes.
        verdict: Of `analysis.diagnosis.map_checks.verdicts`, shown beneath; empty if not checked.
    """

    images: NDArray[np.uint8] = field(repr=False)
    maps: ClassMaps
    confidence: Floats
    names: Sequence[str]
    verdict: str = ""


def choose_samples(
    labels: Labels, predictions: Labels, confidence: Floats, num: int = NUM_SAMPLES
) -> Labels:
    """Positions of `num` right and `num` wrong predictions, the most confident of each.

    Classes differ as long as there are others left: of hits the true ones, of errors the pairs.
    """
    chosen: list[int] = []
    right = labels == predictions
    for group in (right, ~right):
        rows = np.flatnonzero(group)
        rows = rows[np.argsort(-confidence[rows], kind="stable")]
        kinds = [(int(labels[row]), int(predictions[row])) for row in rows]
        first = [k for k, kind in enumerate(kinds) if kind not in kinds[:k]]
        rest = [k for k in range(len(kinds)) if k not in set(first)]
        chosen += [int(rows[k]) for k in (first + rest)[:num]]
    return np.array(chosen, np.int64)
