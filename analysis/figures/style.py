"""The look of all static figures: sizes, colours, legends and the marks of trial outcomes.

Every ``draw_x`` beside this module takes what ``compute_x`` returned and gives a matplotlib figure
that stands by itself: axes named with units, colours that colour-blind readers can tell apart,
nothing over data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.statistics.trial_outcomes import (
    DIVERGED,
    FAILED,
    FULL,
    OUTCOMES,
    RUNNING,
    SHORT,
    STOPPED,
)

WIDTH = 5.4
"""Inches of a figure that takes one column; its text stays legible on a telephone."""
SCORES = "viridis"
"""The colours of scores."""
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8a8f98"
SERIES = (BLUE, "#E69F00", GREEN, "#CC79A7", "#56B4E9", ORANGE)
"""Colours of Okabe and Ito, for things of equal rank."""

OUTCOME_COLOURS = {
    FULL: BLUE,
    STOPPED: GREY,
    SHORT: "#56B4E9",
    RUNNING: "#E69F00",
    DIVERGED: ORANGE,
    FAILED: "#CC79A7",
}
OUTCOME_MARKS = {FULL: "o", STOPPED: "x", SHORT: "^", RUNNING: "o", DIVERGED: "v", FAILED: "s"}

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4a4f57",
    "axes.labelcolor": "#22262b",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#4a4f57",
    "ytick.color": "#4a4f57",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "savefig.dpi": 180,
    "text.parse_math": False,  # a dollar sign in somebody's name is a dollar sign
}


@contextmanager
def style() -> Iterator[None]:
    """Draw within this, and save within it."""
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        yield


def new_figure(width: float = WIDTH, height: float = 3.4) -> Figure:
    """An empty figure whose parts do not overlap."""
    return Figure(figsize=(width, height), layout="constrained")


def legend_above(axes: Axes, handles: Sequence[Any] | None = None, columns: int = 3) -> None:
    """A legend above the axes, where no data are."""
    given = {"handles": handles} if handles else {}
    if handles or axes.get_legend_handles_labels()[0]:
        axes.legend(
            **given,
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=columns,
            borderaxespad=0.2,
            handletextpad=0.5,
            columnspacing=1.2,
        )


def outcome_handles(outcomes: Sequence[str], explorers: bool) -> list[Line2D]:
    """What the marks of trials mean."""
    handles = [
        Line2D([], [], marker=OUTCOME_MARKS[f], color=OUTCOME_COLOURS[f], linestyle="", label=f)
        for f in OUTCOMES
        if f in outcomes
    ]
    if explorers:
        ring = Line2D(
            [],
            [],
            marker="o",
            color="none",
            markeredgecolor="#22262b",
            markersize=9,
            linestyle="",
            label="explorer",
        )
        handles.append(ring)
    return handles


def draw_rings(axes: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    """Mark explorers."""
    axes.plot(x, y, "o", mfc="none", mec="#22262b", mew=0.9, markersize=9.5, zorder=4)
