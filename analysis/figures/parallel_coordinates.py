"""The parallel coordinates as a plotly figure that can be brushed.

Plotly's own ``parcoords`` draws by WebGL code that it compiles at run time, which a strict
content-security policy forbids, and knows neither dashes nor markers; hence lines of ``scatter``.
`page/report.js` filters them: every vertex carries the index of its trial in ``customdata``.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import plotly.graph_objects as go
from matplotlib.colors import to_hex

from analysis.figures.style import OUTCOME_COLOURS, SCORES
from analysis.page.formatting import name_lines, number, shorten
from analysis.statistics.coordinates import BELOW, Axis, Coordinates, Line
from analysis.statistics.trial_outcomes import OUTCOMES

BINS = 12
"""Colours of scores."""
MOST = 2000
"""Lines on the page; more cannot be told apart. The best of full budget come first."""
INK, FONT = "#22262b", "system-ui, -apple-system, Segoe UI, Roboto, DejaVu Sans, sans-serif"


def draw_interactive(info: Coordinates, first: Sequence[str] = ()) -> dict[str, Any]:
    """The figure as JSON holds it.

    Args:
        info: What `compute_coordinates` returned.
        first: Names of axes to put beside the score, the most important first.
    """
    order = _order(info, first)
    axes = [info.axes[i] for i in order]
    figure = go.Figure(_traces(info, order), _layout(axes))
    plain: dict[str, Any] = json.loads(figure.to_json())
    lines = shown_lines(info)
    plain["trials"] = [line.trial_id for line in lines]
    plain["positions"] = [[line.positions[i] for i in order] for line in lines]
    plain["axes"] = [_axis(axis) for axis in axes]
    plain["legend"] = _legend(info, lines)
    return plain


def _legend(info: Coordinates, lines: Sequence[Line]) -> dict[str, Any]:
    """What colours, dashes and diamonds mean; the page's script draws it."""
    scored = any(line.score is not None for line in lines)
    steps = [to_hex(mpl.colormaps[SCORES]((i + 0.5) / BINS)) for i in range(BINS)]
    others = {line.outcome for line in lines if line.score is None}
    return {
        "colours": steps if scored else [],
        "low": number(info.score_low),
        "high": number(info.score_high),
        "score": info.axes[info.score_index].name,
        "outcomes": [[f, OUTCOME_COLOURS[f]] for f in OUTCOMES if f in others],
        "explorers": any(line.explorer for line in lines),
    }


def shown_lines(info: Coordinates) -> list[Line]:
    """The lines on the page, the best of full budget first."""

    def rank(line: Line) -> tuple[bool, float]:
        return line.score is None, info.objective.sort_key(line.score or 0.0)

    return sorted(info.lines, key=rank)[:MOST]


def _order(info: Coordinates, first: Sequence[str]) -> list[int]:
    """The score, then `first`, then all others as declared."""
    places = {info.axes[i].name: i for i in info.searched}
    leading = [info.score_index, *(places[name] for name in first if name in places)]
    return [*leading, *(i for i in range(len(info.axes)) if i not in leading)]


def _axis(axis: Axis) -> dict[str, Any]:
    """What the page's script needs to say in words what was brushed."""
    return {
        "name": axis.name,
        "ticks": [[t.position, t.label] for t in axis.ticks],
        "inactive": axis.inactive_label if axis.has_inactive else None,
        "scale": _scale(axis),
        "log": axis.kind == "log",
    }


def _scale(axis: Axis) -> tuple[float, float] | None:
    """What the ends of an axis of numbers stand for; None for a choice and an empty axis."""
    if axis.kind == "choice" or not axis.ticks:
        return None
    return float(axis.ticks[0].label), float(axis.ticks[-1].label)


def _traces(info: Coordinates, order: Sequence[int]) -> list[go.Scatter]:
    groups: dict[tuple[int, str, bool], list[tuple[int, Line]]] = {}
    for index, line in enumerate(shown_lines(info)):
        colour, depth = _colour(info, line)
        groups.setdefault((depth, colour, line.explorer), []).append((index, line))
    traces = []
    for (depth, colour, explorer), lines in sorted(groups.items(), key=lambda g: g[0]):
        x, y, owner = _vertices(lines, order)
        full = depth >= 0
        traces.append(
            go.Scatter(
                x=x,
                y=y,
                customdata=owner,
                mode="lines+markers" if explorer else "lines",
                line={
                    "color": colour,
                    "width": 1.8 if full else 1.0,
                    "dash": "solid" if full else "dash",
                },
                marker={"symbol": "diamond", "size": 5, "color": colour},
                opacity=0.95 if full else 0.55,
                hoverinfo="none",
                showlegend=False,
                connectgaps=False,
            )
        )
    return traces


def _colour(info: Coordinates, line: Line) -> tuple[str, int]:
    """The colour of a line and its depth, larger in front; below zero without a score."""
    if line.score is None:
        return OUTCOME_COLOURS[line.outcome], -1 - OUTCOMES.index(line.outcome)
    span = info.score_high - info.score_low
    share = (line.score - info.score_low) / span if span else 1.0
    step = min(int(share * BINS), BINS - 1)
    depth = step if info.objective.maximizes else BINS - 1 - step
    return to_hex(mpl.colormaps[SCORES]((step + 0.5) / BINS)), depth


def _vertices(
    lines: Sequence[tuple[int, Line]], order: Sequence[int]
) -> tuple[list[float | None], list[float | None], list[int]]:
    """All lines one after the other, a gap between two."""
    x: list[float | None] = []
    y: list[float | None] = []
    owner: list[int] = []
    for index, line in lines:
        for at, axis in enumerate(order):
            x.append(at)
            y.append(line.positions[axis])
            owner.append(index)
        x.append(None)
        y.append(None)
        owner.append(index)
    return x, y, owner


def _layout(axes: Sequence[Axis]) -> go.Layout:
    marks: list[dict[str, Any]] = []
    for at, axis in enumerate(axes):
        marks += [_label(at, t.position, shorten(t.label, 14)) for t in axis.ticks]
        if axis.has_inactive:
            marks.append(_label(at, BELOW, axis.inactive_label, "italic"))
        marks.append(_title(at, axis))
    bare = {"visible": False, "fixedrange": True}
    bars = [
        {
            "type": "line",
            "x0": at,
            "x1": at,
            "y0": 0,
            "y1": 1,
            "layer": "above",
            "line": {"color": "#4a4f57", "width": 1},
        }
        for at in range(len(axes))
    ]
    return go.Layout(
        xaxis=bare | {"range": [-0.3, len(axes) - 0.25]},
        yaxis=bare | {"range": [BELOW - 0.06, 1.03]},
        annotations=marks,
        shapes=bars,
        dragmode="select",
        hovermode="closest",
        margin={"l": 14, "r": 70, "t": 96, "b": 8},
        height=470,
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"family": FONT, "size": 11, "color": INK},
        newselection={"line": {"color": "#0072B2", "width": 1.5, "dash": "solid"}},
        template="none",
    )


def _label(at: int, y: float, text: str, style: str = "normal") -> dict[str, Any]:
    return {
        "x": at,
        "y": y,
        "text": html.escape(text),
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "middle",
        "xshift": 4,
        "font": {"size": 10, "color": INK, "style": style},
        "bgcolor": "rgba(255,255,255,0.75)",
        "borderpad": 1,
    }


def _title(at: int, axis: Axis) -> dict[str, Any]:
    first, *rest = (html.escape(line) for line in name_lines(axis.name))
    text = "<br>".join([first + (" (log)" if axis.kind == "log" else ""), *rest])
    return {
        "x": at,
        "y": 1,
        "yref": "paper",
        "yshift": 4,
        "showarrow": False,
        "xanchor": "left",
        "text": text,
        "yanchor": "bottom",
        "textangle": -18,
        "align": "left",
        "font": {"size": 11, "color": INK},
    }
