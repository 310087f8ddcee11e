"""Figures of attention through training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.diagnosis.maps.attention import ALL, MEASURES, TRUE, AttentionRow
from analysis.diagnosis.maps.figures import FOR, beneath, map_over, picture, row_scale
from analysis.diagnosis.training.epoch_attention import (
    AttentionByEpoch,
    EpochAttention,
    shown_epochs,
)
from analysis.figures.style import BLUE, GREY, new_figure

HEADINGS = {
    "mass_in_mask": "mass inside the object",
    "iou": "IoU with the object",
    "pointing": "pointing game",
    "entropy": "entropy (1: even)",
    "border_mass": "mass at the border",
}


def draw_attention_by_epoch(info: AttentionByEpoch, verdict: str) -> Figure:
    """Accuracy and every measure by epoch; dashed: what an even map would have."""
    measured = [m for m in MEASURES if _row(info.epochs[-1], m) is not None]
    columns = 3
    rows = -(-(len(measured) + 1) // columns)
    figure = new_figure(7.6, 2.1 * rows + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    panels = list(grid.flat)
    _line(panels[0], f"{info.split} accuracy", [(e.epoch, e.accuracy) for e in info.epochs])
    for axes, measure in zip(panels[1:], measured, strict=False):
        found = [(e.epoch, _row(e, measure)) for e in info.epochs]
        _line(axes, HEADINGS[measure], [(k, r.interval) for k, r in found if r and r.interval])
        even = [(k, r.uniform) for k, r in found if r and r.uniform is not None]
        axes.plot(*zip(*even, strict=True), "--", color=GREY, lw=1.1)
        axes.set_ylim(0, max(axes.get_ylim()[1], 1.05 * max(u for _, u in even)))
    for axes in panels[len(measured) + 1 :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    beneath(figure, f"Dashed: a map that is alike everywhere. {verdict}")
    return figure


def _row(epoch: EpochAttention, measure: str) -> AttentionRow | None:
    """Of all images, for the true class; None where it was not measured."""
    for row in epoch.attention.rows:
        if (row.measure, row.map_for, row.group) == (measure, TRUE, ALL) and row.interval:
            return row
    return None


def _line(axes: Axes, title: str, points: Sequence[tuple[int, object]]) -> None:
    epochs = [k for k, _ in points]
    value, low, high = (
        [getattr(interval, name) for _, interval in points] for name in ("value", "low", "high")
    )
    axes.fill_between(epochs, low, high, color=BLUE, alpha=0.18, lw=0)
    axes.plot(epochs, value, "o-", color=BLUE, ms=3.5)
    axes.set_title(title, fontsize=8.5)
    axes.set_ylim(0, max(0.05, min(1.02, 1.15 * max([*high, 0.0]))))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=7.5)


def draw_maps_by_epoch(
    info: AttentionByEpoch,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    names: Sequence[str],
    verdict: str,
) -> Figure:
    """A row an image: what was looked at for its true class, with one scale a row.

    Args:
        info: Of these images.
        images: (n, H, W, 3) uint8, the shown ones.
        labels: (n,) their true classes.
        names: What figures call the classes.
        verdict: On maps of this kind.
    """
    epochs = shown_epochs(info.epochs)
    num = len(images)
    figure = new_figure(7.6, 0.9 + num * 7.0 / (len(epochs) + 1.3))
    grid = figure.subplots(num, len(epochs) + 1, squeeze=False)
    for k, axes in enumerate(grid):
        picture(axes[0], images[k])
        axes[0].set_ylabel(names[labels[k]], fontsize=7.5)
        most = max(float(max(e.maps[k].max() for e in epochs)), 0.0) or 1.0
        for panel, epoch in zip(axes[1:], epochs, strict=True):
            values = np.maximum(epoch.maps[k], 0)
            drawn = map_over(figure, panel, images[k], values, FOR, 0.0, most, scale=False)
            said = int(epoch.predictions[k])
            mark = "right" if said == labels[k] else names[said]
            panel.set_xlabel(mark, fontsize=7, labelpad=2)
        row_scale(figure, drawn, axes)
    for panel, title in zip(grid[0], ["image", *(f"epoch {e.epoch}" for e in epochs)], strict=True):
        panel.set_title(title, fontsize=8.5)
    beneath(
        figure,
        f"Grad-CAM for the true class at {info.layer}, in logits a cell; one scale a row. Beneath "
        f"a map: what the image was taken for. {verdict}",
    )
    return figure
