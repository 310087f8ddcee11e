"""Figures that show several studies."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import SERIES, legend_above, new_figure
from analysis.page.formatting import shorten, time_unit
from analysis.statistics.comparison import Comparison


def draw_distributions(info: Comparison) -> Figure:
    """Scores at full budget, a dot a trial, with quartiles; a row a study."""
    figure = new_figure(height=max(2.2, 1.3 + 0.62 * len(info.sides)))
    axes = figure.subplots()
    rng = np.random.default_rng(0)  # where dots lie within their row says nothing
    for row, side in enumerate(info.sides):
        colour = SERIES[row % len(SERIES)]
        jitter = row + rng.uniform(-0.22, 0.22, len(side.scores))
        axes.scatter(side.scores, jitter, s=16, color=colour, alpha=0.65, linewidths=0, zorder=3)
        if side.quartiles:
            low, middle, high = side.quartiles
            axes.hlines(row + 0.36, low, high, color=colour, linewidth=4, zorder=3)
            axes.plot(
                [middle],
                [row + 0.36],
                "|",
                color="#22262b",
                markersize=11,
                markeredgewidth=1.6,
                zorder=4,
            )
    labels = [
        f"{shorten(s.label, 24)}\n{s.summary.max_epochs} epochs, n = {len(s.scores)}"
        for s in info.sides
    ]
    axes.set_yticks(range(len(info.sides)), labels)
    axes.set_ylim(len(info.sides) - 0.4, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"{info.metric} at full budget; bar: quartiles, tick: median")
    return figure


def draw_trajectories(info: Comparison) -> Figure:
    """The incumbents of all studies over epochs and over time."""
    figure = new_figure(width=7.2, height=3.1)
    panels = figure.subplots(1, 2, sharey=True)
    longest = max(side.trajectory.elapsed_s for side in info.sides)
    unit, name = time_unit(longest)
    for row, side in enumerate(info.sides):
        course = side.trajectory
        if not course.steps:
            continue
        y = [s.score for s in course.steps]
        for axes, x, end in (
            (panels[0], [float(s.num_epochs) for s in course.steps], float(course.num_epochs)),
            (panels[1], [s.elapsed_s / unit for s in course.steps], course.elapsed_s / unit),
        )[: 2 if course.timed else 1]:
            axes.step(
                [*x, end],
                [*y, y[-1]],
                where="post",
                color=SERIES[row % len(SERIES)],
                label=shorten(side.label, 28),
            )
    panels[0].set_xlabel("epochs trained, all trials")
    panels[1].set_xlabel(f"{name} elapsed")
    panels[0].set_ylabel(f"best {info.metric}\nat full budget")
    legend_above(panels[0], columns=2)
    return figure
