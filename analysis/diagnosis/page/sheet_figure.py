"""Drawing a sheet: images with what was predicted, and beneath each its maps with their scale.

All stands on one plane measured in inches, which is several times faster than a grid of axes: a
data set of a hundred classes has a hundred sheets.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.diagnosis.evaluation import Evaluation
from analysis.diagnosis.maps.figures import DIFFERENCE, FOR
from analysis.diagnosis.maps.grad_cam import ClassMaps
from analysis.diagnosis.maps.passes import Floats
from analysis.diagnosis.names import figure_text
from analysis.diagnosis.page.sheets import PER_ROW, Row
from analysis.figures.style import GREEN, ORANGE
from analysis.page.formatting import number, shorten

LONGEST_ID = 24
WIDTH, SIDE, LEFT, STEP = 7.4, 1.16, 0.72, 1.22
"""Inches: of the sheet, of a tile, left of the first tile, from one tile to the next."""
TITLE, HEAD, FOOT, GAP = 0.3, 0.2, 0.2, 0.08
"""Inches: of a row's title, above and below an image, between maps."""
VEIL = 0.62
"""Opacity of a map over its image."""
MUTED = "#56606b"


@dataclass(frozen=True, eq=False)
class SheetMaps:
    """The maps that stand beneath images.

    Attributes:
        maps: Of the whole split.
        verdict: Whether they are evidence; written on every sheet.
    """

    maps: ClassMaps
    verdict: str


def draw_sheet(
    rows: Sequence[Row],
    evaluation: Evaluation,
    images: npt.NDArray[np.uint8],
    names: Sequence[str],
    looks: SheetMaps | None = None,
) -> Figure:
    """Images with what was predicted, a frame that says hit or error, the image's id and its maps.

    An error has the map for the true class, that for the predicted one and their difference; a hit
    has one. All maps of a row share a scale, so that they compare.

    Args:
        rows: What is shown.
        evaluation: The model's answers.
        images: (N, H, W, 3) uint8, the split.
        names: What figures call the classes.
        looks: The maps of the same images; None shows none.
    """
    lines = [_map_lines(row, evaluation) if looks else 0 for row in rows]
    note = _note(looks) if looks and any(lines) else []
    heights = [
        TITLE + HEAD + (SIDE + FOOT + n * (SIDE + GAP) if len(row.positions) else 0.0)
        for row, n in zip(rows, lines, strict=True)
    ]
    total = sum(heights) + 0.16 * len(note) + 0.1
    figure = Figure(figsize=(WIDTH, total))
    plane = figure.add_axes((0, 0, 1, 1))
    top = 0.0
    for row, height, num in zip(rows, heights, lines, strict=True):
        plane.text(0.06, top + 0.18, row.title, fontsize=9.5, va="center")
        if not len(row.positions):
            plane.text(
                LEFT, top + TITLE + HEAD / 2, row.empty, fontsize=9, va="center", color=MUTED
            )
        for k, position in enumerate(row.positions):
            at = (LEFT + k * STEP, top + TITLE + HEAD)
            _draw_image(plane, at, int(position), evaluation, images, names)
        if looks and num:
            below = top + TITLE + HEAD + SIDE + FOOT
            _draw_maps(plane, below, row.positions, images, looks, num)
        top += height
    for k, line in enumerate(note):
        plane.text(0.06, top + 0.1 + 0.16 * k, line, fontsize=7.5, va="center", color=MUTED)
    plane.set(xlim=(0, WIDTH), ylim=(total, 0), aspect="auto")
    plane.set_axis_off()
    return figure


def _map_lines(row: Row, evaluation: Evaluation) -> int:
    """Lines of maps beneath a row: three with an error in it, one with hits alone."""
    if not len(row.positions):
        return 0
    return 1 if evaluation.hits[row.positions].all() else 3


def _note(looks: SheetMaps) -> list[str]:
    text = f"Grad-CAM at {looks.maps.layer}, in logits a cell. {looks.verdict}"
    return textwrap.wrap(text, 122)


def _draw_image(
    plane: Axes,
    at: tuple[float, float],
    position: int,
    evaluation: Evaluation,
    images: npt.NDArray[np.uint8],
    names: Sequence[str],
) -> None:
    colour = GREEN if evaluation.hits[position] else ORANGE
    image = np.asarray(images[position])
    # small images keep their pixels: nothing is shown that the data do not hold
    _tile(plane, at, image, interpolation="nearest" if len(image) < 128 else "antialiased")
    plane.add_patch(Rectangle(at, SIDE, SIDE, fill=False, edgecolor=colour, linewidth=2.2))
    said = shorten(names[evaluation.predicted[position]], 14)
    confidence = f"{said}: {100 * evaluation.confidence[position]:.0f} %"
    x, y = at[0] + SIDE / 2, at[1]
    plane.text(x, y - 0.06, confidence, fontsize=8.5, color=colour, ha="center", va="bottom")
    name = str(evaluation.ids[position])
    ending = name if len(name) <= LONGEST_ID else "…" + name[1 - LONGEST_ID :]
    shown = figure_text(ending, f"image {position}", LONGEST_ID)
    plane.text(x, y + SIDE + 0.05, shown, fontsize=6.5, ha="center", va="top")


def _draw_maps(
    plane: Axes,
    top: float,
    positions: npt.NDArray[np.int64],
    images: npt.NDArray[np.uint8],
    looks: SheetMaps,
    num: int,
) -> None:
    """The lines of maps beneath a row of images, each with its name and its scale."""
    maps = looks.maps
    both = np.stack([maps.true[positions], maps.predicted[positions]])
    most = float(both.max()) if both.max() > 0 else 1.0
    reach = float(np.abs(maps.difference[positions]).max()) or 1.0
    lines = [
        ("for the\ntrue class", maps.true, FOR, (0.0, most), ""),
        ("for the\npredicted", maps.predicted, FOR, (0.0, most), "the same\nclass"),
        ("predicted\n− true", maps.difference, DIFFERENCE, (-reach, reach), "none"),
    ]
    for k, (title, values, colours, span, instead) in enumerate(lines[:num]):
        y = top + k * (SIDE + GAP)
        plane.text(LEFT - 0.08, y + SIDE / 2, title, fontsize=7.5, ha="right", va="center")
        for column, position in enumerate(positions):
            at = (LEFT + column * STEP, y)
            if instead and maps.is_right[position]:
                middle = (at[0] + SIDE / 2, at[1] + SIDE / 2)
                plane.text(*middle, instead, fontsize=7.5, color=MUTED, ha="center", va="center")
            else:
                _map_over(plane, at, images[position], values[position], colours, span)
        _scale(plane, y, colours, span)


def _map_over(
    plane: Axes,
    at: tuple[float, float],
    image: npt.NDArray[np.uint8],
    values: Floats,
    colours: str,
    span: tuple[float, float],
) -> None:
    """A map in its own cells over the grey image."""
    _tile(plane, at, image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
    _tile(plane, at, values, cmap=colours, vmin=span[0], vmax=span[1], alpha=VEIL)


def _scale(plane: Axes, top: float, colours: str, span: tuple[float, float]) -> None:
    x = LEFT + PER_ROW * STEP - 0.02
    shades = colormaps[colours](np.linspace(1, 0, 128))[:, None, :3]
    _tile(plane, (x, top), shades, width=0.1)
    for value, y, va in ((span[1], top, "top"), (span[0], top + SIDE, "bottom")):
        plane.text(x + 0.14, y, number(value, 2), fontsize=6.5, va=va)


def _tile(
    plane: Axes,
    at: tuple[float, float],
    values: npt.NDArray[np.generic],
    interpolation: str = "nearest",
    width: float = SIDE,
    **look: object,
) -> None:
    extent = (at[0], at[0] + width, at[1] + SIDE, at[1])
    plane.imshow(values, extent=extent, interpolation=interpolation, aspect="auto", **look)  # type: ignore[arg-type]
