"""The training curves of a trial, with its phases marked."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.diagnosis.training.phases import TrainingCurves
from analysis.figures.style import BLUE, GREEN, GREY, ORANGE, WIDTH, legend_above, new_figure

SHADES = ("#eef2f7", "#fdf3e3", "#e9f5ef", "#f7edf3")
"""Behind the phases, in turn."""
MAX_POINTS = 40
"""Epochs up to which each one has a mark."""


def draw_training(info: TrainingCurves) -> Figure:
    """Accuracy, losses and learning rate by epoch, over the phases."""
    figure = new_figure(WIDTH, 6.4)
    accuracy, loss, rate = figure.subplots(3, 1, sharex=True, height_ratios=(4, 3, 2))
    mark = "o" if len(info.rows) <= MAX_POINTS else ""
    _curve(accuracy, info, "val_accuracy", BLUE, mark, "val accuracy")
    if info.metric not in ("val_accuracy", "val_loss", "train_loss"):
        _curve(accuracy, info, info.metric, GREEN, mark, info.metric.replace("_", " "))
    if info.test_accuracy is not None and info.rows:
        tested = info.test_accuracy
        reach = [[tested.value - tested.low], [tested.high - tested.value]]
        at, label = [int(info.rows[-1]["epoch"])], "test accuracy, 95 % interval"
        accuracy.errorbar(
            at, [tested.value], reach, fmt="D", color=ORANGE, capsize=3, ms=5, label=label
        )
    if info.target is not None and info.metric not in ("val_loss", "train_loss"):
        accuracy.axhline(info.target, ls="--", color=GREY, lw=1.2, label=f"target {info.target:g}")
    accuracy.set_ylabel("accuracy")
    accuracy.margins(y=0.12)  # room for the names of the phases
    _curve(loss, info, "train_loss", GREY, mark, "train, on augmented images")
    _curve(loss, info, "val_loss", BLUE, mark, "val")
    loss.set_ylabel("loss")
    _curve(rate, info, "lr", GREEN, mark, "")
    rate.set(ylabel="learning rate", xlabel="epoch", ylim=(0, None))
    rate.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for axes in (accuracy, loss):
        legend_above(axes, columns=3)
    _shade(accuracy, loss, rate, info=info)
    figure.align_ylabels()
    return figure


def _curve(axes: Axes, info: TrainingCurves, name: str, colour: str, mark: str, label: str) -> None:
    values = [row.get(name) for row in info.rows]
    if any(v is not None for v in values):
        epochs = [int(row["epoch"]) for row in info.rows]
        numbers = [math.nan if v is None else float(v) for v in values]
        axes.plot(epochs, numbers, marker=mark, ms=3.5, color=colour, label=label)


def _shade(*panels: Axes, info: TrainingCurves) -> None:
    """Each phase in a colour of its own, and called by its name in the lowest panel."""
    if not info.phases:
        return
    first, last = info.phases[0].first, info.phases[-1].last
    for number, phase in enumerate(info.phases):
        span = (phase.first - 0.5, phase.last + 0.5)
        for axes in panels:
            axes.axvspan(*span, color=SHADES[number % len(SHADES)], zorder=0)
            axes.grid(visible=False, axis="x")
            if number:
                axes.axvline(span[0], color=GREY, lw=0.9, zorder=1)
        if span[1] - span[0] >= 0.16 * (last - first + 1):  # else its name would not fit
            panels[0].annotate(
                phase.kind,
                (sum(span) / 2, 0),
                (0, 4),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color="#4a4f57",
            )
    panels[0].set_xlim(first - 0.5, last + 0.5)
