"""Two classes whose labels contradict a model that is sure, by predictions on held-out images.

Predictions for train images would be memorised: all images here were not trained on.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.diagnosis.maps.passes import Floats, Labels
from analysis.statistics.intervals import Interval, share_interval

GRANTED_ERRORS = 0.05
"""Share of errors that is granted where the model is surest: hard classes have some."""
FACTOR = 2.0
"""How many times the errors of any other pair there have to be: some classes are hard in any data,
and the hardest pair has hardly more errors than the next."""
LEAST_IMAGES = 20
"""Of both classes; with fewer nothing is said."""
FLOOR = 1e-6
"""Of probabilities, so that their logarithms are finite."""

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class PairNoise:
    """How many labels of two classes contradict the model where it is surest.

    Attributes:
        first: A label.
        second: Another.
        share: Of the surer half of both classes' images, that with the other one's label, with its
            95 % interval and n.
        p_value: Corrected for the number of pairs; see `compute_label_noise`.
        suspects: Positions of images that are confidently predicted as the other class.
    """

    first: int
    second: int
    share: Interval
    p_value: float
    suspects: Rows = field(repr=False)


def compute_label_noise(probabilities: Floats, labels: Labels) -> tuple[PairNoise, ...]:
    """Test every pair of classes.

    A model that confuses two classes errs where it is unsure, exchanged labels contradict it
    everywhere. So the errors in the surer half of a pair's images are tested, against the share
    `GRANTED_ERRORS` (binomial, times the number of pairs) and against `FACTOR` times the errors in
    the surer half of any other pair (binomial, given the sum of both). The larger p-value counts.
    Two limits follow: several exchanged pairs hide each other, and two classes that no image tells
    apart look exchanged where all others are easy.

    Suspects are those that the confident joint counts (Northcutt et al. 2021): predicted as the
    other class with at least the mean probability that images of that class have for it.

    Args:
        probabilities: (N, C) of images that were not trained on.
        labels: (N,) as given.
    """
    chances = np.maximum(probabilities.astype(np.float64), FLOOR)
    pairs = list(itertools.combinations(range(chances.shape[1]), 2))
    suspects = [_suspects(chances, labels, *pair) for pair in pairs]
    counts = [_sure_errors(chances, labels, *pair) for pair in pairs]
    found = []
    for k, (errors, sure) in enumerate(counts):
        most = max((e for i, (e, _) in enumerate(counts) if i != k), default=0)
        p_value = 1.0
        if len(suspects[k]) > 1 and errors > 0 and 2 * sure >= LEAST_IMAGES:
            granted = float(stats.binom.sf(errors - 1, sure, GRANTED_ERRORS))
            others = stats.binom.sf(errors - 1, errors + most, FACTOR / (1 + FACTOR))
            p_value = max(min(1.0, granted * len(pairs)), float(others))
        share = share_interval(errors, sure) if sure else Interval(0.0, 0.0, 1.0, 0)
        found.append(PairNoise(*pairs[k], share, p_value, suspects[k]))
    return tuple(found)


def _suspects(probabilities: NDArray[np.float64], labels: Labels, first: int, second: int) -> Rows:
    predicted = probabilities.argmax(axis=1)
    found = []
    for label, other in ((first, second), (second, first)):
        own = probabilities[labels == other, other]
        usual = own.mean() if len(own) else 1.0
        sure = probabilities[:, other] >= usual
        found.append(np.flatnonzero((labels == label) & (predicted == other) & sure))
    return np.sort(np.concatenate(found))


def _sure_errors(
    probabilities: NDArray[np.float64], labels: Labels, first: int, second: int
) -> tuple[int, int]:
    """Errors between two classes in the surer half of their images, and images in that half."""
    own = (labels == first) | (labels == second)
    rows = np.flatnonzero(own & (probabilities[:, [first, second]].sum(axis=1) >= 0.5))
    margin = np.log(probabilities[rows, second] / probabilities[rows, first])
    sure = np.argsort(-np.abs(margin), kind="stable")[: len(rows) // 2]
    wrong = (margin[sure] > 0) != (labels[rows[sure]] == second)
    return int(wrong.sum()), len(sure)
