"""Figures of a trained model's numbers: what `compute_x` returned, drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.diagnosis.calibration import NUM_BINS, Calibration
from analysis.diagnosis.class_scores import Scores
from analysis.diagnosis.groups import GroupComparison
from analysis.diagnosis.names import figure_text
from analysis.figures.style import BLUE, GREY, ORANGE, SERIES, WIDTH, legend_above, new_figure
from analysis.statistics.intervals import Interval

TOP_PAIRS = 15
MANY_CLASSES = 25
"""From here on cells hold no numbers, and only some classes are named."""
MAX_BARS = 40
"""Classes in a figure of bars: the worst ones, where there are more."""


def draw_confusion(scores: Scores, names: Sequence[str]) -> Figure:
    """The confusion matrix: shares of each true class as colours, counts as numbers."""
    counts = scores.confusion
    size, many = len(counts), len(counts) > MANY_CLASSES
    side = min(9.0, max(5.4, 0.42 * size + 1.8))
    figure = new_figure(side, side * 0.92)
    axes = figure.add_subplot()
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    image = axes.imshow(100 * share, cmap="Blues", vmin=0, vmax=100)
    axes.grid(visible=False)
    step = 1 if not many else int(np.ceil(size / 25))
    ticks = list(range(0, size, step))
    axes.set_xticks(
        ticks, [names[i] for i in ticks], rotation=45, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(ticks, [names[i] for i in ticks])
    if size > 12:
        axes.tick_params(labelsize=7.5)
    if not many:
        for row, column in zip(*np.nonzero(counts), strict=True):
            dark = share[row, column] > 0.55
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8.5 if size <= 12 else 6.5,
                color="white" if dark else "#22262b",
            )
    axes.set(xlabel="predicted class", ylabel="true class")
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02)
    bar.set_label("share of the true class's images, %")
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def draw_pairs(scores: Scores, names: Sequence[str]) -> Figure:
    """The pairs of classes with most errors between them, both directions."""
    pairs = scores.pairs[:TOP_PAIRS]
    figure = new_figure(WIDTH, 1.2 + 0.27 * len(pairs))
    axes = figure.add_subplot()
    rows = np.arange(len(pairs))
    there = [p.first_as_second for p in pairs]
    back = [p.second_as_first for p in pairs]
    axes.barh(rows, there, color=BLUE, label="the first taken for the second")
    axes.barh(rows, back, left=there, color=SERIES[1], label="the second taken for the first")
    axes.set_yticks(rows, [f"{names[p.first]} / {names[p.second]}" for p in pairs])
    for row, pair in enumerate(pairs):
        axes.text(pair.count, row, f" {100 * pair.rate.value:.0f} %", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("errors (%: share of both classes' images)")
    axes.set_xlim(0, 1.12 * max(p.count for p in pairs))
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.grid(visible=False, axis="y")
    legend_above(axes, columns=1)
    return figure


def draw_classes(scores: Scores, names: Sequence[str]) -> Figure:
    """Accuracy and precision of the classes with their intervals, the worst on top."""
    shown = [c for c in scores.classes if c.accuracy is not None]
    shown = sorted(shown, key=lambda c: c.accuracy.value if c.accuracy else 0.0)[:MAX_BARS]
    figure = new_figure(WIDTH, 1.1 + 0.3 * len(shown))
    axes = figure.add_subplot()
    for offset, colour, mark, name in (
        (-0.13, BLUE, "o", "accuracy"),
        (0.13, ORANGE, "D", "precision"),
    ):
        points = [(row + offset, getattr(c, name)) for row, c in enumerate(shown)]
        found = [(at, interval) for at, interval in points if interval is not None]
        _intervals(axes, found, colour, mark, name)
    axes.set_yticks(range(len(shown)), [f"{names[c.label]}" for c in shown])
    axes.invert_yaxis()
    axes.set(xlim=(-0.02, 1.02), xlabel="share of images, with 95 % interval")
    legend_above(axes, columns=2)
    return figure


def draw_reliability(calibration: Calibration) -> Figure:
    """The reliability diagram (Guo et al., 2017), over the number of images at each confidence."""
    figure = new_figure(WIDTH, 4.9)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], "--", color=GREY, label="exact")
    bins = calibration.bins
    confidence = [b.confidence for b in bins]
    accuracy = [b.accuracy.value for b in bins]
    reach = [
        [b.accuracy.value - b.accuracy.low for b in bins],
        [b.accuracy.high - b.accuracy.value for b in bins],
    ]
    top.errorbar(confidence, accuracy, reach, fmt="o", color=BLUE, capsize=2.5, label="this model")
    top.set(xlim=(0, 1.01), ylim=(-0.02, 1.02), ylabel="accuracy, with 95 % interval")
    legend_above(top, columns=2)
    width = 1 / NUM_BINS
    bottom.bar([b.low + width / 2 for b in bins], [b.count for b in bins], width * 0.92, color=BLUE)
    bottom.set(xlabel="confidence: probability of the predicted class", ylabel="images")
    bottom.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    return figure


def draw_groups(comparison: GroupComparison, scores: Scores, names: Sequence[str]) -> Figure:
    """The accuracy of each group, and of the classes in it."""
    groups = [g for g in comparison.groups if g.accuracy is not None]
    figure = new_figure(WIDTH, 1.2 + 0.62 * len(groups))
    axes = figure.add_subplot()
    for row, group in enumerate(groups):
        for label in group.labels:
            accuracy = scores.classes[label].accuracy
            if accuracy is not None:
                axes.plot(accuracy.value, row - 0.16, "|", color=GREY, markersize=11, mew=1.6)
    found = [(row + 0.12, g.accuracy) for row, g in enumerate(groups) if g.accuracy]
    _intervals(axes, found, BLUE, "o", "all images of the group, 95 % interval")
    axes.plot([], [], "|", color=GREY, markersize=11, mew=1.6, label="one class")
    axes.set_yticks(
        range(len(groups)),
        [figure_text(g.name, f"group {i}") for i, g in enumerate(groups, start=1)],
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(len(groups) - 0.4, -0.6), xlabel="accuracy")
    legend_above(axes, columns=2)
    return figure


def _intervals(
    axes: Axes, points: Sequence[tuple[float, Interval]], colour: str, mark: str, label: str
) -> None:
    axes.errorbar(
        [i.value for _, i in points],
        [at for at, _ in points],
        xerr=[[i.value - i.low for _, i in points], [i.high - i.value for _, i in points]],
        fmt=mark,
        color=colour,
        markersize=4.5,
        capsize=2,
        label=label,
    )
