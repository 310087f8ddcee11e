"""How well each class is recognised, and which are taken for each other, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.diagnosis.calibration import calibration_interval, mean_confidence
from analysis.diagnosis.evaluation import Evaluation
from analysis.statistics.intervals import (
    LEVEL,
    RESAMPLES,
    Interval,
    accuracy_interval,
    interval_difference,
)
from deepsight import metrics

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassScores:
    """One class; None where no image carries the number."""

    label: int
    name: str
    num_images: int
    """Images of the class."""
    num_predicted: int
    """Images that are taken for the class."""
    num_hits: int
    accuracy: Interval | None
    """Share of the class's images that are recognised, which is also its recall."""
    precision: Interval | None
    """Share of what is taken for the class that belongs to it."""
    f1: Interval | None
    ece: Interval | None
    """Expected calibration error over what is taken for the class."""
    overconfidence: Interval | None
    """Mean confidence minus precision, over what is taken for the class."""
    hit_confidence: Interval | None
    """Mean confidence of the class's images that are recognised."""
    error_confidence: Interval | None
    """Mean confidence of the class's images that are taken for another."""


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes that are taken for each other; `first` is the one more often mistaken."""

    first: int
    second: int
    first_as_second: int
    """Images of the first class that are taken for the second."""
    second_as_first: int
    num_images: int
    """Images of both classes."""
    rate: Interval
    """Share of both classes' images that are taken for the other one."""
    error_share: Interval
    """Share of all errors that the pair makes up."""

    @property
    def count(self) -> int:
        """Errors in both directions."""
        return self.first_as_second + self.second_as_first


@dataclass(frozen=True)
class Scores:
    """A split's numbers."""

    confusion: Counts
    """(C, C): row the true class, column the predicted one."""
    accuracy: Interval | None
    """None without any image."""
    macro_f1: Interval | None
    classes: tuple[ClassScores, ...]
    pairs: tuple[ConfusedPair, ...]
    """Those with an error, most errors first."""

    @property
    def num_images(self) -> int:
        """Images in all."""
        return int(self.confusion.sum())

    @property
    def num_errors(self) -> int:
        """Images that are taken for another class."""
        return self.num_images - int(np.trace(self.confusion))


def compute_scores(evaluation: Evaluation, seed: int = 0) -> Scores:
    """All of a split's numbers.

    Shares have the interval of Wilson (1927). The mean F1 is resampled over images, which is
    drawing the cells of the confusion matrix from a multinomial distribution.

    Args:
        evaluation: The model's answers.
        seed: Of the resampling.
    """
    confusion = metrics.confusion_matrix(
        evaluation.labels, evaluation.predicted, len(evaluation.classes)
    )
    total, hits = int(confusion.sum()), int(np.trace(confusion))
    if not total:
        empty = tuple(_no_scores(i, name) for i, name in enumerate(evaluation.classes))
        return Scores(confusion, None, None, empty, ())
    return Scores(
        confusion=confusion,
        accuracy=accuracy_interval(hits / total, total),
        macro_f1=_macro_f1(confusion, seed),
        classes=tuple(
            _class_scores(evaluation, confusion, label, seed)
            for label in range(len(evaluation.classes))
        ),
        pairs=confused_pairs(confusion),
    )


def confused_pairs(confusion: Counts) -> tuple[ConfusedPair, ...]:
    """Pairs of classes with an error between them: most errors first, then the highest rate.

    The intervals are each pair's own: the first of many pairs is partly first by luck.
    """
    errors = int(confusion.sum() - np.trace(confusion))
    found = []
    for one, other in zip(*np.triu_indices(len(confusion), 1), strict=True):
        a, b = int(one), int(other)
        if confusion[b, a] > confusion[a, b]:
            a, b = b, a
        there, back = int(confusion[a, b]), int(confusion[b, a])
        if there + back:
            images = int(confusion[[a, b]].sum())
            rate = accuracy_interval((there + back) / images, images)
            share = accuracy_interval((there + back) / errors, errors)
            found.append(ConfusedPair(a, b, there, back, images, rate, share))
    return tuple(sorted(found, key=lambda p: (-p.count, -p.rate.value)))


def _no_scores(label: int, name: str) -> ClassScores:
    return ClassScores(label, name, 0, 0, 0, None, None, None, None, None, None, None)


def _share(count: int, total: int) -> Interval | None:
    return accuracy_interval(count / total, total) if total else None


def _class_scores(evaluation: Evaluation, confusion: Counts, label: int, seed: int) -> ClassScores:
    of_class, as_class = evaluation.labels == label, evaluation.predicted == label
    hits, images, taken = confusion[label, label], of_class.sum(), as_class.sum()
    confidence, right = evaluation.confidence.astype(np.float64), evaluation.hits
    precision, told = _share(int(hits), int(taken)), mean_confidence(confidence[as_class])
    return ClassScores(
        label=label,
        name=evaluation.classes[label],
        num_images=int(images),
        num_predicted=int(taken),
        num_hits=int(hits),
        accuracy=_share(int(hits), int(images)),
        precision=precision,
        f1=f1_interval(int(hits), int(images + taken - hits)),
        ece=calibration_interval(confidence[as_class], right[as_class], seed),
        overconfidence=interval_difference(told, precision) if told and precision else None,
        hit_confidence=mean_confidence(confidence[of_class & right]),
        error_confidence=mean_confidence(confidence[of_class & ~right]),
    )


def f1_interval(hits: int, involved: int) -> Interval | None:
    """F1 of a class; None if no image is of it or taken for it.

    Among the images that are of the class or taken for it, hits are a share J, and F1 is
    2 J / (1 + J): Wilson's interval of J becomes that of F1.

    Args:
        hits: Images that are of the class and taken for it.
        involved: Images that are one or the other, or both.
    """
    if not involved:
        return None
    share = accuracy_interval(hits / involved, involved)
    value, low, high = (2 * j / (1 + j) for j in (share.value, share.low, share.high))
    return Interval(value, low, high, involved)


def _macro_f1(confusion: Counts, seed: int) -> Interval:
    """The mean F1 with its percentile bootstrap interval; with Wilson's if there is no error."""
    total = int(confusion.sum())
    if total == np.trace(confusion):
        return accuracy_interval(1.0, total)
    rows, columns = np.nonzero(confusion)
    share = confusion[rows, columns] / total
    drawn = np.random.default_rng(seed).multinomial(total, share, size=RESAMPLES)
    hits, seen = (np.zeros((RESAMPLES, len(confusion))) for _ in range(2))
    for cell, (row, column) in enumerate(zip(rows, columns, strict=True)):
        seen[:, row] += drawn[:, cell]
        seen[:, column] += drawn[:, cell]
        if row == column:
            hits[:, row] += drawn[:, cell]
    # a class that a resample lacks is left out of its mean
    f1 = np.divide(2 * hits, seen, out=np.zeros_like(hits), where=seen > 0)
    macro = f1.sum(axis=1) / (seen > 0).sum(axis=1)
    low, high = np.quantile(macro, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = metrics.macro_f1(confusion)
    assert value is not None
    return Interval(value, min(float(low), value), max(float(high), value), total)
