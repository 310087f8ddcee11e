"""What stands on sheets: the worst predictions of each class, and the most confused pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.diagnosis.class_scores import ConfusedPair
from analysis.diagnosis.evaluation import Evaluation

PER_ROW = 5
SHOWN_PAIRS = 5
"""Pairs that have a sheet."""

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """Images side by side."""

    title: str
    positions: Positions
    """In the split, at most `PER_ROW`."""
    empty: str
    """What is said where there are none."""


def worst_predictions(evaluation: Evaluation, label: int) -> Positions:
    """A class's worst images: errors by their confidence, then hits from the least confident up."""
    mine = np.flatnonzero(evaluation.labels == label)
    confidence, hit = evaluation.confidence[mine], evaluation.hits[mine]
    order = np.lexsort((np.where(hit, confidence, -confidence), hit))
    return mine[order[:PER_ROW]]


def best_predictions(evaluation: Evaluation, label: int) -> Positions:
    """A class's most confident hits."""
    mine = np.flatnonzero((evaluation.labels == label) & evaluation.hits)
    return mine[np.argsort(-evaluation.confidence[mine], kind="stable")[:PER_ROW]]


def confusions(evaluation: Evaluation, true: int, predicted: int) -> Positions:
    """Images of one class that are taken for another, the most confident first."""
    chosen = (evaluation.labels == true) & (evaluation.predicted == predicted)
    found = np.flatnonzero(chosen)
    return found[np.argsort(-evaluation.confidence[found], kind="stable")[:PER_ROW]]


def class_rows(evaluation: Evaluation, label: int, names: Sequence[str]) -> list[Row]:
    """The rows of a class's sheet."""
    name, total = names[label], int((evaluation.labels == label).sum())
    errors = int(((evaluation.labels == label) & ~evaluation.hits).sum())
    nothing = f"no image of {name}"
    return [
        Row(
            f"{name}: worst of {total} (errors by confidence, then least confident hits)"
            if errors
            else f"{name}: all {total} right; the least confident",
            worst_predictions(evaluation, label),
            nothing,
        ),
        Row(
            f"{name}: most confident of {total - errors} hits",
            best_predictions(evaluation, label),
            f"no image of {name} is recognised" if total else nothing,
        ),
    ]


def pair_rows(evaluation: Evaluation, pair: ConfusedPair, names: Sequence[str]) -> list[Row]:
    """The rows of a pair's sheet: both directions."""
    rows = []
    for true, predicted, count in (
        (pair.first, pair.second, pair.first_as_second),
        (pair.second, pair.first, pair.second_as_first),
    ):
        total = int((evaluation.labels == true).sum())
        title = f"{names[true]} taken for {names[predicted]}: {count} of {total}"
        rows.append(Row(title, confusions(evaluation, true, predicted), "no such error"))
    return rows
