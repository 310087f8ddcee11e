"""Which figures a diagnosis has, and writing those that are not there yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from analysis.diagnosis.names import file_stem, in_sentence
from analysis.diagnosis.page import figures, sheets
from analysis.diagnosis.page.sheet_figure import SheetMaps, draw_sheet
from analysis.diagnosis.progress import Progress
from analysis.diagnosis.results import Results
from analysis.figures.style import style
from analysis.page.document import Picture, Section, Table
from analysis.page.formatting import count
from deepsight.files import has_file, make_folder, replacing


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn."""

    name: str
    """Of its file, without an ending."""
    draw: Callable[[], Figure]
    alt: str
    caption: str
    title: str = ""
    """What it is called where one of several is chosen; may be a user's text."""

    @property
    def path(self) -> list[str]:
        """The parts of its file's path below the diagnosis."""
        return f"{self.name}.png".split("/")

    @property
    def picture(self) -> Picture:
        """The figure on the page, once its file is written."""
        return Picture(self.name, None, self.alt, caption=self.caption)


Drawings = dict[str, Drawing]
"""By the name of the file, all of them written."""


@dataclass(frozen=True)
class Part:
    """A section that brings figures and numbers of its own."""

    section: Callable[[Drawings], Section]
    """From the figures, written already."""
    drawings: list[Drawing] = field(default_factory=list)
    numbers: tuple[Table, ...] = ()
    """Files with one column a number, in the place of the page's tables of the same names."""
    summary: str = ""
    """Lines for ``summary.txt``."""
    on_findings: bool = False
    """Whether it stands beneath the findings; else further down."""


def pictures_of(drawings: Drawings, *names: str) -> tuple[Picture, ...]:
    """Those of the named figures that there are."""
    return tuple(drawings[name].picture for name in names if name in drawings)


def plan_drawings(
    results: Results, images: npt.NDArray[np.uint8], looks: SheetMaps | None = None
) -> list[Drawing]:
    """All figures that these results have, in the order in which they are drawn.

    Args:
        results: What they show.
        images: (N, H, W, 3) uint8, the split.
        looks: The maps of its images; None where there are none.
    """
    return [
        *_numbers(results),
        *_pair_sheets(results, images, looks),
        *_class_sheets(results, images, looks),
    ]


def write_drawings(drawings: list[Drawing], directory: Path, progress: Progress) -> None:
    """Draw all figures whose files are not there yet; a file is whole or absent, and no link."""
    missing = [d for d in drawings if not has_file(directory, d.path)]
    if missing:
        for drawing in progress(missing, "drawing"):
            make_folder(directory, drawing.path[:-1])
            with style(), replacing(directory, drawing.path, ".png") as temporary:
                drawing.draw().savefig(temporary)


def _numbers(results: Results) -> list[Drawing]:
    scores, names, split = results.scores, results.names, results.split
    n = f"n = {scores.num_images:,} {split} images"
    if not scores.num_images:
        return []
    found = [
        Drawing(
            "confusion_matrix",
            lambda: figures.draw_confusion(scores, names),
            "Confusion matrix: true classes against predicted ones",
            f"Confusion matrix, {n}.",
        ),
        Drawing(
            "class_accuracy",
            lambda: figures.draw_classes(scores, names),
            "Accuracy and precision of the classes with intervals",
            f"Accuracy and precision by class, the hardest on top, {n}.",
        ),
        Drawing(
            "reliability_diagram",
            lambda: figures.draw_reliability(results.calibration),
            "Accuracy against confidence, over the number of images",
            f"Reliability diagram, {n}. Points below the line: more confidence than accuracy.",
        ),
    ]
    if scores.pairs:
        found.append(
            Drawing(
                "top_confused_pairs",
                lambda: figures.draw_pairs(scores, names),
                "Pairs of classes by the errors between them",
                f"The most confused pairs, n = {count(scores.num_errors, 'error')} in "
                f"{count(scores.num_images, 'image')}.",
            )
        )
    if any(g.accuracy is not None for g in results.groups.groups):
        found.append(
            Drawing(
                "groups",
                lambda: figures.draw_groups(results.groups, scores, names),
                "Accuracy of groups of classes, and of the classes in them",
                f"Accuracy of groups of classes, {n}.",
            )
        )
    return found


def _pair_sheets(
    results: Results, images: npt.NDArray[np.uint8], looks: SheetMaps | None
) -> list[Drawing]:
    found = []
    classes, names = results.evaluation.classes, results.names
    for rank, pair in enumerate(results.scores.pairs[: sheets.SHOWN_PAIRS], start=1):
        first, second = (file_stem(label, classes) for label in (pair.first, pair.second))
        rows = sheets.pair_rows(results.evaluation, pair, names)
        found.append(
            Drawing(
                f"confused_pair_{rank}_{first}_{second}",
                lambda rows=rows: draw_sheet(rows, results.evaluation, images, names, looks),  # type: ignore[misc]
                "Images that are taken for the other class of the pair",
                f"{count(pair.count, 'error')} in {count(pair.num_images, 'image')} of both "
                "classes; the most confident errors of either direction.",
                f"{in_sentence(classes[pair.first])} / {in_sentence(classes[pair.second])}",
            )
        )
    return found


def _class_sheets(
    results: Results, images: npt.NDArray[np.uint8], looks: SheetMaps | None
) -> list[Drawing]:
    found = []
    evaluation, names = results.evaluation, results.names
    for label, name in enumerate(evaluation.classes):
        rows = sheets.class_rows(evaluation, label, names)
        scores = results.scores.classes[label]
        found.append(
            Drawing(
                f"worst_predictions/class_{file_stem(label, evaluation.classes)}",
                lambda rows=rows: draw_sheet(rows, evaluation, images, names, looks),  # type: ignore[misc]
                "The worst and the best predictions of one class",
                f"{scores.num_hits} of {count(scores.num_images, 'image')} recognised.",
                in_sentence(name),
            )
        )
    return found
