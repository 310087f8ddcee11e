"""The forest plot of claims."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.claims.verdicts import REFUTED, SUPPORTED, UNDECIDED, Verdict
from analysis.figures.style import BLUE, GREY, ORANGE, legend_above, new_figure
from analysis.page.formatting import shorten

ROW = 0.42
"""Inches a row."""
COLOURS = {SUPPORTED: BLUE, REFUTED: ORANGE, UNDECIDED: GREY}


def draw_claims(verdicts: Sequence[Verdict]) -> Figure | None:
    """Effects of claims of one scale with their intervals; None without any."""
    known = [v for v in verdicts if v.effect is not None]
    if not known:
        return None
    figure = new_figure(height=1.3 + ROW * len(known))
    axes = figure.subplots()
    axes.axvline(0, color="#22262b", linewidth=1)
    for row, verdict in enumerate(known):
        effect, colour = verdict.effect, COLOURS[verdict.verdict]
        assert effect is not None
        if effect.low is not None and effect.high is not None:
            axes.hlines(row, effect.low, effect.high, color=colour, linewidth=2.2, zorder=3)
        axes.plot([effect.value], [row], "o", color=colour, markersize=6, zorder=4)
        if verdict.claim.by:
            axes.plot([verdict.claim.by], [row], "|", color="#22262b", markersize=13, zorder=5)
    names = [shorten(v.claim.name + (f" (over {v.closest})" if v.closest else ""), 38)
             for v in known]  # fmt: skip
    axes.set_yticks(range(len(known)), names)
    axes.set_ylim(len(known) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    units = list(dict.fromkeys(v.unit for v in known))
    axes.set_xlabel(f"better by, in {' or '.join(units)} (95 %)")
    handles = [
        Line2D([], [], marker="o", color=COLOURS[v], label=v)
        for v in COLOURS
        if any(one.verdict == v for one in known)
    ]
    legend_above(axes, handles)
    return figure
