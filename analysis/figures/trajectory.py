"""Figures on the course of a study: scores over time, learning curves, the incumbent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    OUTCOME_COLOURS,
    OUTCOME_MARKS,
    SCORES,
    draw_rings,
    new_figure,
    outcome_handles,
)
from analysis.page.formatting import number, time_unit
from analysis.statistics.trajectory import Curve, Trajectory
from analysis.statistics.trial_outcomes import FULL, OUTCOMES


def draw_created(info: Trajectory) -> Figure:
    """Each trial's last score against the moment in which the trial was created."""
    figure = new_figure()
    axes = figure.subplots()
    latest = max((c.created_s for c in info.curves), default=0.0)
    unit, name = time_unit(latest) if info.timed else (1.0, "")
    shown = [c for c in info.curves if c.scores]
    outcomes = [f for f in OUTCOMES if any(c.outcome == f for c in shown)]
    for outcome in outcomes:
        some = [c for c in shown if c.outcome == outcome]
        axes.plot(
            [c.created_s / unit for c in some],
            [c.scores[-1] for c in some],
            OUTCOME_MARKS[outcome],
            color=OUTCOME_COLOURS[outcome],
            markersize=5,
            alpha=0.85,
            zorder=3,
        )
    explorers = [c for c in shown if c.explorer]
    draw_rings(axes, [c.created_s / unit for c in explorers], [c.scores[-1] for c in explorers])
    axes.set_xlabel(f"created, {name} after the first trial" if info.timed else "trials before it")
    axes.set_ylabel(f"{info.metric}, last epoch of each trial")
    handles = outcome_handles(outcomes, bool(explorers)) + _draw_majority(axes, info)
    _legend_over_all(figure, handles)
    return figure


def draw_curves(info: Trajectory) -> Figure:
    """The learning curves of all trials, those of full budget by their final score."""
    figure = new_figure()
    axes = figure.subplots()
    finals = [c.scores[-1] for c in info.curves if c.outcome == FULL and c.scores]
    norm = Normalize(min(finals, default=0.0), max(finals, default=1.0))
    colours = mpl.colormaps[SCORES]
    for name in (f for f in reversed(OUTCOMES) if f != FULL):
        some = [c for c in info.curves if c.outcome == name and c.scores]
        _draw_bundle(axes, some, [OUTCOME_COLOURS[name]] * len(some), faint=True)
    full = [c for c in info.curves if c.outcome == FULL and c.scores]
    _draw_bundle(axes, full, [colours(norm(c.scores[-1])) for c in full], faint=False)
    axes.set_xlabel("epoch")
    axes.set_ylabel(info.metric)
    axes.set_xlim(0.5 if info.max_epochs > 1 else 0, info.max_epochs + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_over_all(figure, _curve_handles(info.curves) + _draw_majority(axes, info))
    if finals:
        bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, pad=0.02)
        bar.set_label(f"{info.metric} at full budget")
    return figure


def _draw_bundle(axes: Axes, curves: Sequence[Curve], colours: Sequence[Any], faint: bool) -> None:
    """Curves and their ends: explorers' have a diamond, all others the mark of their outcome."""
    lines = LineCollection(
        [list(zip(c.epochs, c.scores, strict=True)) for c in curves],
        colors=list(colours),
        linewidths=0.8 if faint else 1.1,
        alpha=0.5 if faint else 0.9,
        zorder=2 if faint else 3,
        linestyles=[(0, (3, 2))] if faint else "solid",
    )
    axes.add_collection(lines)
    for explorer in (False, True):
        ends = [
            (c.epochs[-1], c.scores[-1], colour, c.outcome)
            for c, colour in zip(curves, colours, strict=True)
            if c.explorer == explorer
        ]
        if ends:
            x, y, shades, outcomes = zip(*ends, strict=True)
            mark = "D" if explorer else OUTCOME_MARKS[outcomes[0]]
            axes.scatter(x, y, c=list(shades), marker=mark, s=14, linewidths=1.0, zorder=4)


def _curve_handles(curves: Sequence[Curve]) -> list[Line2D]:
    seen = {c.outcome for c in curves if c.scores}
    handles = [
        Line2D(
            [],
            [],
            color=OUTCOME_COLOURS[f],
            linestyle=(0, (3, 2)),
            linewidth=1.0,
            marker=OUTCOME_MARKS[f],
            markersize=4,
            label=f,
        )
        for f in OUTCOMES
        if f in seen and f != FULL
    ]
    if any(c.explorer for c in curves if c.scores):
        handles.append(
            Line2D([], [], color=GREY, linestyle="", marker="D", markersize=4, label="explorer")
        )
    return handles


def _legend_over_all(figure: Figure, handles: Sequence[Any]) -> None:
    """A legend as wide as the figure: over one of its axes it would push the others away."""
    if handles:
        figure.legend(
            handles=handles,
            loc="outside upper left",
            ncols=4,
            handletextpad=0.5,
            columnspacing=1.2,
        )


MAJORITY = "majority baseline"


def _draw_majority(axes: Axes, info: Trajectory) -> list[Line2D]:
    """A thin line at the majority baseline; what a legend shall say of it.

    Where the line would take more than half of the axis from the scores, the legend states the
    value alone.
    """
    if info.majority is None or not any(c.scores for c in info.curves):
        return []
    look: dict[str, Any] = {"color": "#22262b", "linestyle": (0, (1, 2)), "linewidth": 0.9}
    low, high = axes.get_ylim()
    if low - (high - low) <= info.majority <= high + (high - low):
        axes.axhline(info.majority, zorder=1, **look)
        return [Line2D([], [], label=MAJORITY, **look)]
    side = "below" if info.majority < low else "above"
    text = f"{MAJORITY}: {number(info.majority)}, {side}"
    return [Line2D([], [], label=text, color="none")]


AXES_OF_TRAJECTORY = {
    "trials": ("num_trials", "trials begun"),
    "epochs": ("num_epochs", "epochs trained, all trials"),
    "time": ("elapsed_s", "elapsed"),
}


def draw_incumbent(info: Trajectory) -> Figure:
    """The incumbent against trials, epochs and time, side by side."""
    figure = new_figure(width=7.6, height=2.9)
    shown = {k: v for k, v in AXES_OF_TRAJECTORY.items() if info.timed or k != "time"}
    panels = figure.subplots(1, len(shown), sharey=True)
    unit, name = time_unit(info.elapsed_s)
    for axes, (kind, (field, label)) in zip(panels, shown.items(), strict=True):
        scale = unit if kind == "time" else 1.0
        x = [getattr(s, field) / scale for s in info.steps]
        y = [s.score for s in info.steps]
        if x:
            axes.step([*x, getattr(info, field) / scale], [*y, y[-1]], where="post", color=BLUE)
            axes.plot(x, y, "o", color=BLUE, markersize=4)
        if info.baseline is not None:
            axes.axhline(
                info.baseline, color=ORANGE, linestyle=(0, (4, 2)), linewidth=1.1, label="defaults"
            )
        axes.set_xlabel(f"{name} elapsed" if kind == "time" else label)
        axes.set_xlim(0, max(getattr(info, field) / scale, 1e-9) * 1.03)
    panels[0].set_ylabel(f"best {info.metric}\nat {info.max_epochs} epochs")
    for axes in panels:
        majority = _draw_majority(axes, info)
    handles = [*panels[0].get_legend_handles_labels()[0], *majority]
    _legend_over_all(figure, handles)
    return figure
