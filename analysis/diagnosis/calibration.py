"""Whether confidence is right: a class named with 80 % should be there in 80 of 100 images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.diagnosis.evaluation import Evaluation
from analysis.statistics.intervals import LEVEL, RESAMPLES, Interval, accuracy_interval

NUM_BINS = 15
"""Of equal width, closed on the right: as in `deepsight.metrics.calibration_error`."""
FALSE_DISCOVERIES = 0.05
"""Share of classes named as miscalibrated that may be none, on average."""

Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Bin:
    """Images of about one confidence."""

    low: float
    high: float
    count: int
    confidence: float
    """Their mean."""
    accuracy: Interval


@dataclass(frozen=True)
class Miscalibrated:
    """A class that is named with too much or too little confidence."""

    label: int
    gap: float
    """Mean confidence minus precision of what is taken for the class."""
    p_value: float
    """Of such a gap if the confidences were right."""
    count: int


@dataclass(frozen=True)
class Calibration:
    """A split's calibration; None without any image."""

    bins: tuple[Bin, ...]
    """Those that hold an image."""
    ece: Interval | None
    chance_ece: Interval | None
    """The ECE that exact confidences would have on as many images: mean, and 95 % of the cases."""
    classes: tuple[Miscalibrated, ...]
    """Whose gap is no chance at 5 % false discoveries; the widest gap first."""


def compute_calibration(evaluation: Evaluation, seed: int = 0) -> Calibration:
    """Calibration over all images and by predicted class.

    By *predicted* class: of a class's own images even exact confidences average to something else
    than their accuracy, as the class may be hard (Gupta and Ramdas, Top-label calibration, 2022).

    Args:
        evaluation: The model's answers.
        seed: Of the resampling.
    """
    confidence, hits = evaluation.confidence.astype(np.float64), evaluation.hits
    return Calibration(
        bins=reliability(confidence, hits),
        ece=calibration_interval(confidence, hits, seed),
        chance_ece=chance_error(confidence, seed),
        classes=_miscalibrated(evaluation, confidence, hits),
    )


def reliability(confidence: Reals, hits: Flags) -> tuple[Bin, ...]:
    """The bins of a reliability diagram (Guo et al., 2017), with Wilson's intervals.

    Args:
        confidence: (N,) probability of the predicted class.
        hits: (N,) whether it is right.
    """
    edges, member = np.linspace(0, 1, NUM_BINS + 1), _bins(confidence)
    found = []
    for index in np.unique(member):
        inside = member == index
        count = int(inside.sum())
        found.append(
            Bin(
                float(edges[index]),
                float(edges[index + 1]),
                count,
                float(confidence[inside].mean()),
                accuracy_interval(float(hits[inside].mean()), count),
            )
        )
    return tuple(found)


def calibration_interval(confidence: Reals, hits: Flags, seed: int = 0) -> Interval | None:
    """The expected calibration error with a 95 % interval; None without an image.

    The error of a sample is larger than that of the model, and resampling enlarges it once more,
    so that neither the percentile nor the basic bootstrap interval covers. This one reaches up to
    the resamples' 97.5 % quantile and as far down, and down to 0 where exact confidences could
    show as much (`chance_error`): in simulations with 30 to 600 images it holds the model's error
    in 90 to 99 % of cases (tests/analysis/diagnosis/test_numbers.py).

    Args:
        confidence: (N,) probability of the predicted class.
        hits: (N,) whether it is right.
        seed: Of the resampling.
    """
    count, chance = len(hits), chance_error(confidence, seed)
    if chance is None:
        return None
    gaps, member = hits - confidence, _bins(confidence)
    value = float(_errors(gaps[None], member[None])[0])
    if count == 1:
        return Interval(value, 0.0, 1.0, 1)
    rng = np.random.default_rng(seed)
    drawn = []
    for size in _blocks(count):
        rows = rng.integers(count, size=(size, count))
        drawn.append(_errors(gaps[rows], member[rows]))
    reach = max(0.0, float(np.quantile(np.concatenate(drawn), (1 + LEVEL) / 2)) - value)
    low = 0.0 if value <= chance.high else max(0.0, value - reach)
    return Interval(value, low, min(1.0, value + reach), count)


def chance_error(confidence: Reals, seed: int = 0) -> Interval | None:
    """The ECE of a model whose confidences are exactly right, on as many images.

    Outcomes are drawn from the confidences: consistency resampling (Broecker and Smith, Increasing
    the reliability of reliability diagrams, 2007).

    Args:
        confidence: (N,) probability of the predicted class.
        seed: Of the resampling.
    """
    count = len(confidence)
    if not count:
        return None
    rng, member = np.random.default_rng(seed), _bins(confidence)
    drawn = []
    for size in _blocks(count):
        hits = rng.random((size, count)) < confidence
        drawn.append(_errors(hits - confidence, np.broadcast_to(member, hits.shape)))
    errors = np.concatenate(drawn)
    low, high = np.quantile(errors, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(errors.mean()), float(low), float(high), count)


def mean_confidence(confidence: Reals) -> Interval | None:
    """A mean of probabilities with Student's interval, inside 0..1; None without a value.

    One value says nothing of the mean: its interval is all of 0..1.
    """
    count = len(confidence)
    if not count:
        return None
    value, reach = float(confidence.mean()), 1.0
    if count > 1:
        error = float(confidence.std(ddof=1)) / np.sqrt(count)
        reach = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * error
    return Interval(value, max(0.0, value - reach), min(1.0, value + reach), count)


def _bins(confidence: Reals) -> npt.NDArray[np.int64]:
    edges = np.linspace(0.0, 1.0, NUM_BINS + 1)[1:-1]
    return np.digitize(confidence, edges, right=True).astype(np.int64)


def _errors(gaps: Reals, member: npt.NDArray[np.int64]) -> Reals:
    """ECE of each row: the gaps (hit minus confidence) summed by bin, their sizes over N."""
    rows = np.arange(len(gaps))[:, None] * NUM_BINS
    sums = np.bincount((member + rows).ravel(), gaps.ravel(), minlength=len(gaps) * NUM_BINS)
    return np.asarray(np.abs(sums).reshape(len(gaps), NUM_BINS).sum(axis=1) / gaps.shape[1])


def _blocks(count: int) -> list[int]:
    """Sizes of the parts in which resamples of `count` values are drawn: some 16 MB each."""
    size = max(1, min(RESAMPLES, 2_000_000 // count))
    whole, rest = divmod(RESAMPLES, size)
    return [size] * whole + [rest] * (rest > 0)


def _miscalibrated(
    evaluation: Evaluation, confidence: Reals, hits: Flags
) -> tuple[Miscalibrated, ...]:
    """Test the mean gap of each predicted class against exact confidences (Spiegelhalter, 1986)."""
    tested = []
    for label in range(len(evaluation.classes)):
        inside = evaluation.predicted == label
        spread = float(np.sqrt((confidence[inside] * (1 - confidence[inside])).sum()))
        if spread > 0:
            excess = float((confidence[inside] - hits[inside]).sum())
            p_value = float(2 * stats.norm.sf(abs(excess) / spread))
            count = int(inside.sum())
            tested.append(Miscalibrated(label, excess / count, p_value, count))
    if not tested:
        return ()
    adjusted = stats.false_discovery_control([t.p_value for t in tested])
    kept = [t for t, p in zip(tested, adjusted, strict=True) if p <= FALSE_DISCOVERIES]
    return tuple(sorted(kept, key=lambda t: -abs(t.gap)))
