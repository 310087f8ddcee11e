"""Figures over the space: parallel coordinates, importance, effects and interactions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import BLUE, GREY, ORANGE, OUTCOME_COLOURS, SCORES, new_figure
from analysis.importance.effects import Effect, EffectPoint, Effects, InteractionMap
from analysis.importance.importance import RANKED, Importance
from analysis.page.formatting import name_lines, shorten, text
from analysis.statistics.coordinates import BELOW, Axis, Coordinates, Line
from analysis.statistics.trial_outcomes import FULL, OUTCOMES
from deepsight.config import Value

ROW = 12
"""Axes of parallel coordinates side by side, without that of the score."""
BARS = 14
"""Hyperparameters in a figure of importance; the table has all."""


def draw_coordinates(info: Coordinates) -> Figure:
    """Parallel coordinates: one line a trial, full budget in colour, all others dashed.

    More than `ROW` axes are broken into rows; each ends with the axis of the score.
    """
    rows = _rows_of_axes(info)
    figure = new_figure(width=1.6 + 0.95 * max(map(len, rows)), height=0.5 + 3.7 * len(rows))
    norm = Normalize(info.score_low, info.score_high)
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, shown in zip(panels, rows, strict=True):
        _draw_row(axes, info, shown, norm)
    handles = _line_handles(info.lines)
    figure.legend(handles=handles, loc="outside upper left", ncols=6, frameon=False)
    if any(line.score is not None for line in info.lines):
        mapped = ScalarMappable(norm, mpl.colormaps[SCORES])
        bar = figure.colorbar(mapped, ax=list(panels), pad=0.01, aspect=30)
        bar.set_label(f"{info.metric} at {info.max_epochs} epochs")
    return figure


def _rows_of_axes(info: Coordinates) -> list[list[int]]:
    """Indices of axes by row, equally many in each, the score's at the end of all."""
    others = [i for i in range(len(info.axes)) if i != info.score_index]
    num_rows = max(1, math.ceil(len(others) / ROW))
    size = math.ceil(len(others) / num_rows)
    return [[*others[i : i + size], info.score_index] for i in range(0, len(others), size)]


def _draw_row(axes: Axes, info: Coordinates, shown: Sequence[int], norm: Normalize) -> None:
    sign = info.objective.sign
    best_last = sorted(info.lines, key=lambda line: sign * (line.score or 0.0))
    colours = mpl.colormaps[SCORES]
    others = [line for line in best_last if line.score is None]
    _draw_bundle(axes, others, shown, [OUTCOME_COLOURS[x.outcome] for x in others], faint=True)
    full = [line for line in best_last if line.score is not None]
    shades = [colours(norm(x.score or 0.0)) for x in full]
    _draw_bundle(axes, full, shown, shades, faint=False)
    for position, index in enumerate(shown):
        _draw_axis(axes, position, info.axes[index])
    axes.set_xlim(-0.25, len(shown) - 0.35)
    axes.set_ylim(BELOW - 0.06, 1.04)
    axes.axis("off")


def _draw_bundle(
    axes: Axes, lines: Sequence[Line], shown: Sequence[int], colours: Sequence[Any], faint: bool
) -> None:
    paths = [
        [(at, p) for at, i in enumerate(shown) if (p := line.positions[i]) is not None]
        for line in lines
    ]
    thin = min(1.0, max(0.4, 8 / math.sqrt(max(1, len(lines)))))  # many lines hide each other
    axes.add_collection(
        LineCollection(
            paths,
            colors=list(colours),
            linewidths=thin * (0.8 if faint else 1.3),
            alpha=thin * (0.55 if faint else 0.9),
            zorder=2 if faint else 3,
            linestyles=[(0, (4, 2))] if faint else "solid",
        )
    )
    marks = [
        (x, y, colour)
        for line, path, colour in zip(lines, paths, colours, strict=True)
        if line.explorer
        for x, y in path
    ]
    if marks:
        x, y, shades = zip(*marks, strict=True)
        axes.scatter(
            x,
            y,
            c=list(shades),
            marker="D",
            s=7 * thin,
            zorder=4,
            edgecolors="white",
            linewidths=0.3,
        )


def _draw_axis(axes: Axes, x: int, axis: Axis) -> None:
    axes.plot([x, x], [0, 1], color="#4a4f57", linewidth=0.9, zorder=5)
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    ticks = [(t.position, shorten(t.label, 13)) for t in axis.ticks]
    if axis.has_inactive:
        ticks.append((BELOW, axis.inactive_label.replace("not trained that far", "not so far")))
    for position, label in ticks:
        axes.plot([x - 0.03, x], [position] * 2, color="#4a4f57", linewidth=0.9, zorder=5)
        axes.text(
            x + 0.05,
            position,
            label,
            fontsize=7,
            va="center",
            zorder=6,
            bbox=box,
            style="italic" if position == BELOW else "normal",
        )
    suffix = "\n(log)" if axis.kind == "log" else ""
    name = "\n".join(name_lines(axis.name)) + suffix
    axes.text(
        x, 1.05, name, fontsize=7.5, ha="left", va="bottom", rotation=20, rotation_mode="anchor"
    )


def _line_handles(lines: Sequence[Line]) -> list[Line2D]:
    seen = {line.outcome for line in lines}
    handles = []
    if FULL in seen:
        colour = mpl.colormaps[SCORES](0.6)
        handles.append(Line2D([], [], color=colour, linewidth=1.5, label="full budget, by score"))
    handles += [
        Line2D([], [], color=OUTCOME_COLOURS[f], linewidth=1.0, linestyle=(0, (4, 2)), label=f)
        for f in OUTCOMES
        if f in seen and f != FULL
    ]
    if any(line.explorer for line in lines):
        handles.append(
            Line2D([], [], color=GREY, marker="D", markersize=4, label="explorer", linestyle="")
        )
    return handles


def draw_importance(info: Importance) -> Figure:
    """Bars of main and total shares with their intervals, and the noise threshold."""
    shares = info.shares[:BARS]
    figure = new_figure(height=max(2.2, 1.3 + 0.3 * len(shares)))
    axes = figure.subplots()
    rows = range(len(shares))
    ranked = info.verdict == RANKED
    solid = [BLUE if s.above_noise and ranked else GREY for s in shares]
    totals = [s.total.value for s in shares]
    axes.barh(rows, totals, height=0.62, color=solid, alpha=0.35, label="with interactions")
    # in the best quarter hyperparameters depend on each other, and mains may exceed totals
    mains = [min(s.main.value, s.total.value) for s in shares]
    axes.barh(rows, mains, height=0.62, color=solid, label="by itself")
    axes.hlines(
        rows,
        [s.total.low for s in shares],
        [s.total.high for s in shares],
        color="#22262b",
        linewidth=1.2,
        label="its 95 % interval",
    )
    if math.isfinite(info.noise_threshold):
        axes.axvline(
            info.noise_threshold,
            color=ORANGE,
            linestyle=(0, (4, 2)),
            linewidth=1.2,
            label="noise threshold: a random column",
        )
    axes.set_yticks(rows, [shorten(s.name, 28) for s in shares])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, max([1e-3, *(s.total.high for s in shares), *totals]) * 1.04)
    axes.set_xlabel(f"share of the variance of {info.what}")
    figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2, handletextpad=0.5)
    return figure


def draw_effects(info: Effects) -> Figure:
    """The predicted score along each hyperparameter, with the interval of the average."""
    effects = info.effects
    columns = min(3, max(1, len(effects)))
    rows = max(1, math.ceil(len(effects) / columns))
    figure = new_figure(width=2.55 * columns + 0.4, height=2.15 * rows + 0.2)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(effects) :]:
        axes.axis("off")
    for axes, effect in zip(grid.flat, effects, strict=False):
        (_draw_choice if effect.kind == "choice" else _draw_number)(axes, effect)
        axes.set_title(shorten(effect.name, 30), fontsize=8.5, loc="left")
        axes.tick_params(labelsize=7.5)
    for axes in grid[:, 0]:
        axes.set_ylabel(shorten(info.metric, 24), fontsize=8)
    return figure


def _draw_number(axes: Axes, effect: Effect) -> None:
    x = [float(p.value) for p in effect.points if isinstance(p.value, int | float)]
    axes.fill_between(
        x,
        [p.low for p in effect.points],
        [p.high for p in effect.points],
        color=BLUE,
        alpha=0.2,
        linewidth=0,
    )
    axes.plot(x, [p.mean for p in effect.points], color=BLUE)
    if effect.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: text(float(value)))
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    if effect.inactive is not None:
        _draw_inactive(axes, effect.inactive)


def _draw_inactive(axes: Axes, point: EffectPoint) -> None:
    """The average where the hyperparameter is inactive, beside the axis: it is no value on it."""
    beside = axes.get_yaxis_transform()
    axes.vlines(
        1.06, point.low, point.high, color=GREY, linewidth=2, transform=beside, clip_on=False
    )
    axes.scatter([1.06], [point.mean], color=GREY, s=22, transform=beside, clip_on=False)
    axes.text(
        1.1,
        1.0,
        "inactive",
        transform=axes.transAxes,
        fontsize=7,
        color="#4a4f57",
        ha="right",
        va="bottom",
        style="italic",
    )


def _draw_choice(axes: Axes, effect: Effect) -> None:
    points = [*effect.points, *([effect.inactive] if effect.inactive else [])]
    x = range(len(points))
    colours = [GREY if p is effect.inactive else BLUE for p in points]
    axes.vlines(x, [p.low for p in points], [p.high for p in points], color=colours, linewidth=2)
    axes.scatter(x, [p.mean for p in points], color=colours, s=22, zorder=3)
    labels = [shorten(p.label, 13) for p in points]
    crowded = sum(map(len, labels)) > 22
    axes.set_xticks(
        x,
        labels,
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
        rotation_mode="anchor" if crowded else "default",
    )
    axes.set_xlim(-0.5, len(points) - 0.5)


def draw_interactions(maps: Sequence[InteractionMap], metric: str) -> Figure:
    """Maps of the predicted score over pairs of hyperparameters."""
    columns = min(2, max(1, len(maps)))
    rows = max(1, math.ceil(len(maps) / columns))
    figure = new_figure(width=3.8 * columns, height=2.9 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(maps) :]:
        axes.axis("off")
    for axes, found in zip(grid.flat, maps, strict=False):
        _draw_map(figure, axes, found, metric)
    return figure


def _short(value: Value) -> str:
    return shorten(text(value, digits=2), 12)


def _draw_map(figure: Figure, axes: Axes, found: InteractionMap, metric: str) -> None:
    image = axes.imshow(
        found.mean, origin="lower", aspect="auto", cmap=SCORES, interpolation="nearest"
    )
    for axis, values in ((axes.xaxis, found.b_values), (axes.yaxis, found.a_values)):
        step = max(1, math.ceil(len(values) / 5))
        shown = range(0, len(values), step)
        axis.set_ticks(list(shown), [_short(values[i]) for i in shown], fontsize=7.5)
    axes.set_xlabel(shorten(found.b, 28), fontsize=8.5)
    axes.set_ylabel(shorten(found.a, 28), fontsize=8.5)
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.ax.tick_params(labelsize=7.5)
    bar.set_label(shorten(metric, 22), fontsize=8)
