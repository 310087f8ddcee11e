"""Figures on what trials cost: rungs with survivors, and accuracy against time."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.style import (
    BLUE,
    ORANGE,
    OUTCOME_COLOURS,
    OUTCOME_MARKS,
    draw_rings,
    legend_above,
    new_figure,
    outcome_handles,
)
from analysis.page.formatting import time_unit
from analysis.statistics.cost import Cost
from analysis.statistics.early_stopping import EarlyStopping
from analysis.statistics.trial_outcomes import FULL


def draw_rungs(info: EarlyStopping) -> Figure:
    """How many trials reached each rung, and what became of them there."""
    figure = new_figure(height=max(2.3, 1.2 + 0.42 * len(info.rungs)))
    axes = figure.subplots()
    rows = range(len(info.rungs))
    left = [0] * len(info.rungs)
    for field, label, colour in (
        ("went_on", "went on, or completed", BLUE),
        ("stopped", "stopped here", "#c3c8cf"),
        ("waiting", "waiting or running", "#E69F00"),
        ("failed_or_diverged", "diverged or failed", ORANGE),
    ):
        counts = [getattr(rung, field) for rung in info.rungs]
        if any(counts):
            bars = axes.barh(rows, counts, left=left, height=0.62, color=colour, label=label)
            texts = [str(n) if n else "" for n in counts]
            axes.bar_label(
                bars,
                texts,
                label_type="center",
                fontsize=8,
                color="white" if colour == BLUE else "#22262b",
            )
        left = [a + b for a, b in zip(left, counts, strict=True)]
    axes.set_yticks(rows, [f"epoch {rung.epoch}" for rung in info.rungs])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, max([1, *left]) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trials the scheduler decides on")
    legend_above(axes, columns=2)
    return figure


def draw_cost(info: Cost) -> Figure:
    """Score against seconds of training, trials of full budget, with the front."""
    figure = new_figure()
    axes = figure.subplots()
    full = {
        t.trial_id: (t.seconds, t.score, t.explorer) for t in info.trials if t.score is not None
    }
    unit, name = time_unit(max((seconds for seconds, _, _ in full.values()), default=0.0))
    axes.plot(
        [seconds / unit for seconds, _, _ in full.values()],
        [score for _, score, _ in full.values()],
        OUTCOME_MARKS[FULL],
        color=OUTCOME_COLOURS[FULL],
        markersize=5,
        alpha=0.8,
        zorder=3,
    )
    explorers = [(seconds / unit, score) for seconds, score, explorer in full.values() if explorer]
    draw_rings(axes, [x for x, _ in explorers], [y for _, y in explorers])
    front = [full[trial_id] for trial_id in info.front]
    handles = outcome_handles([FULL], bool(explorers))
    if front:
        x, y = [seconds / unit for seconds, _, _ in front], [score for _, score, _ in front]
        handles += axes.plot(
            x,
            y,
            color=ORANGE,
            drawstyle="steps-post",
            linewidth=1.3,
            zorder=2,
            label="nothing is better for less",
        )
    axes.set_xlabel(f"{name} of training and validation, {info.max_epochs} epochs")
    axes.set_ylabel(f"{info.metric} at {info.max_epochs} epochs")
    legend_above(axes, handles)
    return figure
