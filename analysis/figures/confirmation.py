"""The forest plot of a confirmation: scores of fresh seeds, and gains paired by seed."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import BLUE, GREY, ORANGE, legend_above, new_figure
from analysis.page.formatting import shorten
from deepsight.confirm.record import Confirmation, Estimate

ROW = 0.42
"""Inches a row."""


def draw_forest(found: Confirmation) -> Figure:
    """Two panels: every config with its seeds, mean and interval; every gain with its interval."""
    rows, pairs = len(found.configs), [c for c in found.comparisons if c.split == "val"]
    heights = [0.6 + rows, 0.6 + len(pairs)]
    figure = new_figure(height=1.7 + ROW * sum(heights))
    top, bottom = figure.subplots(2, 1, height_ratios=heights)
    _draw_scores(top, found)
    for row, comparison in enumerate(pairs):
        if comparison.gain is not None:
            colour = GREY if comparison.verdict == "undecided" else BLUE
            _draw_estimate(bottom, comparison.gain, row, colour, "o")
    bottom.axvline(0, color="#22262b", linewidth=1)
    names = [f"{shorten(c.first)} over {shorten(c.second)}" for c in pairs]
    _rows(bottom, names)
    bottom.set_xlabel(f"better by, in {found.metric} (95 %, paired by seed)")
    return figure


def _draw_scores(axes: Axes, found: Confirmation) -> None:
    for row, config in enumerate(found.configs):
        known = [s for s in config.val if s is not None]
        label = "one seed, val" if row == 0 else None
        ys = [row] * len(known)
        axes.plot(known, ys, "o", color=GREY, markersize=3.5, alpha=0.7, label=label)
        if config.mean is not None:
            _draw_estimate(
                axes, config.mean, row - 0.18, BLUE, "o", "mean, val" if row == 0 else ""
            )
        if config.test_mean is not None:
            told = f"mean, {found.test_metric}" if row == 0 else None
            _draw_estimate(axes, config.test_mean, row + 0.18, ORANGE, "D", told)
        if config.search_score is not None:
            label = "score in the search" if row == 0 else None
            axes.plot([config.search_score], [row], "x", color="#22262b", zorder=5, label=label)
    if found.target is not None:
        axes.axvline(found.target, color="#22262b", linestyle=":", linewidth=1.2, label="target")
    _rows(axes, [_row_name(found, index) for index in range(len(found.configs))])
    axes.set_xlabel(f"{found.metric} after {found.max_epochs} epochs")
    legend_above(axes, columns=3)


def _row_name(found: Confirmation, index: int) -> str:
    config = found.configs[index]
    num = config.mean.n if config.mean else 0
    return f"{shorten(config.name, 22)}, n = {num}"


def _draw_estimate(
    axes: Axes, estimate: Estimate, y: float, colour: str, mark: str, label: str | None = None
) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.hlines(y, estimate.low, estimate.high, color=colour, linewidth=2.2, zorder=3)
    axes.plot([estimate.value], [y], mark, color=colour, markersize=6, zorder=4, label=label)


def _rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _num_choices(found: Confirmation) -> int:
    """Hyperparameters that are active in winner and defaults, with different values."""
    winner, defaults = (found.config(name).config for name in (found.winner, found.defaults))
    pairs = [(value, defaults.get(name)) for name, value in winner.items()]
    return sum(a is not None and b is not None and a != b for a, b in pairs)


def draw_waterfall(found: Confirmation) -> Figure | None:
    """From the defaults to the winner: what each choice is worth when it alone is taken back.

    What the choices do only together is a bar of its own, which also has those that were left out.
    None where a mean is missing.
    """
    means = [found.config(name).mean for name in (found.defaults, found.winner)]
    worth = [
        c for c in found.comparisons if c.split == "val" and c.second != found.defaults and c.gain
    ]
    if means[0] is None or means[1] is None or not worth:
        return None
    sign = 1.0 if found.mode == "max" else -1.0
    start, end = means[0].value, means[1].value
    steps = [sign * c.gain.value for c in worth if c.gain]
    names = [
        "defaults",
        *(shorten(f"not {c.second}", 34) for c in worth),
        "only together" if len(worth) >= _num_choices(found) else "left out, or together",
        "winner",
    ]
    steps.append(end - start - sum(steps))
    figure = new_figure(height=1.2 + ROW * len(names))
    axes = figure.subplots()
    axes.plot([start], [0], "o", color="#22262b")
    at = start
    for row, step in enumerate(steps, start=1):
        decided = row <= len(worth) and worth[row - 1].verdict != "undecided"
        colour = (BLUE if sign * step > 0 else ORANGE) if decided else GREY
        axes.barh(row, step, left=at, height=0.55, color=colour, zorder=3)
        gain = worth[row - 1].gain if row <= len(worth) else None
        if gain is not None and gain.low is not None and gain.high is not None:
            ends = [at + sign * gain.low, at + sign * gain.high]
            axes.hlines(row, min(ends), max(ends), color="#22262b", linewidth=1.2, zorder=4)
        at += step
        axes.vlines(at, row, row + 1, color=GREY, linewidth=0.8)
    axes.plot([end], [len(names) - 1], "o", color="#22262b")
    _rows(axes, names)
    axes.use_sticky_edges = False  # room beside the defaults
    axes.autoscale_view(scaley=False)
    axes.set_xlabel(f"{found.metric} after {found.max_epochs} epochs")
    return figure
