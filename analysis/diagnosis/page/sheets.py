"""Sheets of images: the worst predictions of each class, and the pairs that are confused most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.diagnosis.class_scores import ConfusedPair
from analysis.diagnosis.evaluation import Evaluation
from analysis.diagnosis.names import figure_text
from analysis.figures.style import GREEN, ORANGE, new_figure
from analysis.page.formatting import shorten

PER_ROW = 5
LONGEST_ID = 24
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
        rows.append(Row(title, confusions(evaluation, true, predicted), "none"))
    return rows


def draw_sheet(
    rows: Sequence[Row],
    evaluation: Evaluation,
    images: npt.NDArray[np.uint8],
    names: Sequence[str],
) -> Figure:
    """Images with what was predicted, a frame that says hit or error, and the image's id.

    Args:
        rows: What is shown.
        evaluation: The model's answers.
        images: (N, H, W, 3) uint8, the split.
        names: What figures call the classes.
    """
    figure = new_figure(7.2, 2.05 * len(rows))
    parts = figure.subfigures(len(rows), 1, squeeze=False)
    for row, part in zip(rows, parts[:, 0], strict=True):
        part.suptitle(row.title, fontsize=9.5, x=0.01, ha="left")
        cells = part.subplots(1, PER_ROW, squeeze=False)[0]
        for axes in cells:
            axes.set_axis_off()
        if not len(row.positions):
            cells[0].text(0.0, 0.5, row.empty, fontsize=9, color="#56606b", clip_on=False)
        for axes, position in zip(cells, row.positions, strict=False):
            _draw_image(axes, int(position), evaluation, images, names)
    return figure


def _draw_image(
    axes: Axes,
    position: int,
    evaluation: Evaluation,
    images: npt.NDArray[np.uint8],
    names: Sequence[str],
) -> None:
    hit = bool(evaluation.hits[position])
    image = np.asarray(images[position])
    # small images keep their pixels: nothing is shown that the data do not hold
    axes.imshow(image, interpolation="nearest" if len(image) < 128 else "antialiased")
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=GREEN if hit else ORANGE, linewidth=2.2)
    said = names[evaluation.predicted[position]]
    confidence = 100 * evaluation.confidence[position]
    axes.set_title(
        f"{shorten(said, 14)} {confidence:.0f} %",
        fontsize=8.5,
        color=GREEN if hit else ORANGE,
        pad=3,
    )
    name = str(evaluation.ids[position])
    ending = name if len(name) <= LONGEST_ID else "…" + name[1 - LONGEST_ID :]
    shown = figure_text(ending, f"image {position}", LONGEST_ID)
    axes.set_xlabel(shown, fontsize=6.5, labelpad=2)
