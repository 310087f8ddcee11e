"""Figures of the checks of maps and of interventions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.diagnosis.map_checks.baselines import BLOB, EDGES, GRAD_CAM, GUIDED, RANDOM
from analysis.diagnosis.map_checks.interventions import GRID, InterventionEffect, Interventions
from analysis.diagnosis.map_checks.perturbation import DELETION, INSERTION, ROAD
from analysis.diagnosis.map_checks.verdicts import LIKE, MapChecks
from analysis.figures.style import BLUE, GREY, ORANGE, SERIES, new_figure

MAX_CLASSES = 20
"""Classes in the figure of interventions: those whose accuracy changes most."""

_COLOURS = {GRAD_CAM: BLUE, GUIDED: ORANGE, RANDOM: "#b9bec6", BLOB: "#E69F00", EDGES: "#009E73"}
_DASHES = {RANDOM: ":", BLOB: "--", EDGES: "--"}
_PANELS = {
    DELETION: ("deletion: less is better", "probability of the predicted class", "share greyed"),
    INSERTION: ("insertion: more is better", "probability of the predicted class", "share shown"),
    ROAD: ("ROAD: less is better", "share of predictions that stay", "share filled from around"),
}


def draw_map_checks(info: MapChecks) -> Figure:
    """Curves of all maps and baselines, and how maps change with ever more random layers."""
    lines = [line for v in info.verdicts.values() for line in textwrap.wrap(v.sentence, 118)]
    figure = new_figure(width=7.6, height=6.6 + 0.14 * len(lines))
    grid = figure.subplots(2, 2)
    for axes, test in zip(grid.flat, _PANELS, strict=False):
        _draw_test(axes, info, test)
    _draw_likeness(grid[1, 1], info)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    text = [f"{info.num_images} images; maps of {info.layer}", *lines]
    figure.supxlabel("\n".join(text), fontsize=7.5, color="#4a4f57")
    return figure


def _draw_test(axes: Axes, info: MapChecks, test: str) -> None:
    title, height, width = _PANELS[test]
    for k, curve in enumerate(c for c in info.curves if c.test == test):
        colour = _COLOURS.get(curve.method, SERIES[k % len(SERIES)])
        score = curve.score
        axes.plot(
            curve.fractions,
            curve.values,
            _DASHES.get(curve.method, "-"),
            color=colour,
            label=curve.method,
            marker="o",
            markersize=2.5,
        )
        text = f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"
        left, top = (0.97, 0.96) if test != INSERTION else (0.97, 0.36)
        axes.text(
            left,
            top - 0.07 * k,
            text,
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=7,
            color=colour,
            fontweight="bold",
        )
    axes.set_title(title, loc="left")
    axes.set_xlabel(f"{width}, most important cells first")
    axes.set_ylabel(height)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, 1)


def _draw_likeness(axes: Axes, info: MapChecks) -> None:
    for method in dict.fromkeys(step.method for step in info.likeness):
        steps = [step for step in info.likeness if step.method == method]
        values = np.array([[s.spearman.value, s.spearman.low, s.spearman.high] for s in steps])
        x, colour = np.arange(1, len(steps) + 1), _COLOURS.get(method, GREY)
        axes.plot(x, values[:, 0], marker="o", markersize=2.5, color=colour)
        axes.fill_between(x, values[:, 1], values[:, 2], color=colour, alpha=0.2, linewidth=0)
        axes.plot(
            x,
            [s.ssim.value for s in steps],
            ":",
            color=colour,
            linewidth=1,
            marker="s",
            markersize=2,
        )
    groups = list(dict.fromkeys(step.group for step in info.likeness))
    axes.axhline(LIKE, color=GREY, linewidth=0.8, linestyle="--")
    axes.text(len(groups), LIKE + 0.02, "limit", fontsize=7, color=GREY, ha="right")
    axes.set_xticks(range(1, len(groups) + 1), groups, rotation=35, ha="right", fontsize=7)
    axes.set_xlabel("random from the output down to")
    axes.set_ylabel("rank correlation (dotted: SSIM)")
    axes.set_title("likeness to the trained model's maps", loc="left")
    axes.set_ylim(min(-0.25, axes.get_ylim()[0]), 1.02)


def draw_interventions(info: Interventions, names: Sequence[str]) -> Figure:
    """What every change did to the accuracy, in all and by class."""
    changes = list(dict.fromkeys(e.name for e in info.effects))
    classes = _changed_most(info, len(names))
    figure = new_figure(width=9.2, height=1.9 + 0.34 * len(changes))
    left, right = figure.subplots(
        1, 2, width_ratios=(1.0, max(0.9, 0.17 * len(classes) + 0.4)), sharey=True
    )
    overall = [info.of(name) for name in changes]
    _draw_overall(left, overall)
    table = np.full((len(changes), len(classes)), np.nan)
    for row, name in enumerate(changes):
        by_class = {e.class_index: e for e in info.effects if e.name == name}
        for column, label in enumerate(classes):
            if label in by_class:
                table[row, column] = 100 * by_class[label].change.value
    drawn = right.imshow(table, cmap="RdBu", vmin=-100, vmax=100, aspect="auto")
    right.set_xticks(range(len(classes)), [names[c][:18] for c in classes], rotation=45, ha="right")
    right.tick_params(axis="y", length=0)
    right.grid(visible=False)
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "white" if abs(value) > 60 else "#22262b"
            right.text(
                column, row, f"{value:+.0f}", ha="center", va="center", fontsize=7, color=colour
            )
    title = "by class\npoints"
    if len(classes) < len(names):
        title += f"; the {len(classes)} of {len(names)} that change most"
    right.set_title(title, loc="left")
    figure.colorbar(drawn, ax=right, fraction=0.04, pad=0.02)
    if info.missing:
        figure.supxlabel("\n".join(textwrap.wrap(info.missing, 120)), fontsize=7.5, color="#4a4f57")
    return figure


def _draw_overall(axes: Axes, effects: Sequence[InterventionEffect]) -> None:
    for row, effect in enumerate(effects):
        change = effect.change
        colour = ORANGE if change.high < 0 else BLUE if change.low > 0 else GREY
        axes.plot([100 * change.low, 100 * change.high], [row, row], color=colour, linewidth=2)
        axes.plot(100 * change.value, row, "o", color=colour, markersize=5)
    axes.axvline(0, color="#4a4f57", linewidth=0.8)
    axes.set_yticks(range(len(effects)), [f"{e.name} (n={e.change.n})" for e in effects])
    axes.set_ylim(len(effects) - 0.5, -0.5)
    axes.set_xlabel("change of the accuracy, points")
    before = {round(100 * e.before, 1) for e in effects}
    axes.set_title(f"all images\nbefore: {min(before):.1f} %", loc="left")


def _changed_most(info: Interventions, num_classes: int) -> list[int]:
    reach = np.zeros(num_classes)
    for effect in info.effects:
        if effect.class_index is not None:
            label = effect.class_index
            reach[label] = max(reach[label], abs(effect.change.value))
    return sorted(np.argsort(-reach, kind="stable")[:MAX_CLASSES].tolist())


def draw_occlusion(info: Interventions, names: Sequence[str]) -> Figure:
    """What greying one cell did to the accuracy: all images, and the classes that lose most."""
    assert info.occlusion is not None, "drawn where there are no masks"
    loss = np.nan_to_num(-info.occlusion[:-1].min(axis=(1, 2)), nan=-1.0)
    classes = sorted(np.argsort(-loss, kind="stable")[: MAX_CLASSES - 1].tolist())
    shown = [("all images", len(names)), *((names[c][:18], c) for c in classes)]
    columns = min(5, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(width=7.6, height=1.5 * rows + 0.8)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    limits = Normalize(-100, 100)
    for axes, (name, row) in zip(grid.flat, shown, strict=False):
        points = 100 * info.occlusion[row]
        axes.imshow(points, cmap="RdBu", norm=limits, interpolation="nearest")
        for (i, j), value in np.ndenumerate(points):
            if np.isfinite(value):
                axes.text(j, i, f"{value:+.0f}", ha="center", va="center", fontsize=6)
        axes.set_title(name, fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
    bar = figure.colorbar(
        ScalarMappable(limits, "RdBu"), ax=grid.ravel().tolist(), shrink=0.8, pad=0.02
    )
    bar.set_label("change of the accuracy, points", fontsize=8)
    figure.suptitle(f"One cell of {GRID}x{GRID} greyed (n={info.num_images})", fontsize=10)
    return figure
