"""Results on attention through training; `attention_by_epoch` computes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.diagnosis.maps.attention import Attention
from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.maps.passes import Floats, Labels
from analysis.statistics.intervals import Interval

SHOWN_EPOCHS = 6
"""Columns of maps; with more epochs, the first, the last and some between."""


@dataclass(frozen=True, eq=False)
class EpochAttention:
    """A model after one epoch.

    Attributes:
        epoch: Counted from 1.
        accuracy: On the whole split.
        attention: In numbers, of the images that were mapped.
        maps: (n, rows, columns) Grad-CAM of the shown images for their true class.
        predictions: (n,) what they were taken for.
    """

    epoch: int
    accuracy: Interval
    attention: Attention
    maps: Floats = field(repr=False)
    predictions: Labels = field(repr=False)


@dataclass(frozen=True, eq=False)
class AttentionByEpoch:
    """Attention through training.

    Attributes:
        layer: Whose maps these are.
        split: Of the images.
        num_images: Images that were mapped for the numbers.
        samples: (n,) positions of the shown images in the split.
        epochs: Rising.
        difference: Largest difference in val accuracy between the retraining and the trial.
    """

    layer: Layer
    split: str
    num_images: int
    samples: Labels
    epochs: tuple[EpochAttention, ...]
    difference: float


def shown_epochs(epochs: Sequence[EpochAttention]) -> list[EpochAttention]:
    """At most `SHOWN_EPOCHS`, the first and the last among them."""
    if len(epochs) <= SHOWN_EPOCHS:
        return list(epochs)
    places: NDArray[np.int64] = np.linspace(0, len(epochs) - 1, SHOWN_EPOCHS).round().astype(int)
    return [epochs[k] for k in places]
