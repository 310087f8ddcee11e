"""What a report consists of, before it is HTML or Markdown.

`analysis.report` fills these, `analysis.page.files` writes them out: two renderers of one list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

Cell = str | int | float | None


@dataclass(frozen=True)
class Picture:
    """A static figure."""

    name: str
    """Of its file, without an ending; ours, never a user's text."""
    figure: Figure
    alt: str
    """What it shows, for those who cannot see it."""
    wide: bool = False
    """Whether it wants the whole width and may be scrolled sideways on a narrow screen."""
    caption: str = ""


@dataclass(frozen=True)
class Interactive:
    """The parallel coordinates one can brush; filters the trial table of the same page."""

    figure: Mapping[str, Any]
    """A plotly figure as JSON holds it."""
    fallback: Picture


@dataclass(frozen=True)
class Table:
    """A table; numbers are aligned to the right."""

    name: str
    """Of its CSV file, without an ending."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    keys: tuple[str, ...] = ()
    """Ids of the rows, by which the parallel coordinates filter them."""
    marked: frozenset[int] = frozenset()
    """Rows to show in bold."""
    folded: bool = False
    """Whether the page shows it only when asked."""


@dataclass(frozen=True)
class Note:
    """A paragraph; `warning` ones stand out."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Finding:
    """A statement in words with its number."""

    text: str
    detail: str
    """Effect, interval and n, in short."""


@dataclass(frozen=True)
class Findings:
    """A list of them."""

    items: tuple[Finding, ...]


Block = Picture | Interactive | Table | Note | Findings


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading."""

    key: str
    """Its anchor."""
    title: str
    lead: str
    """One sentence: what the figures say."""
    blocks: tuple[Block, ...] = ()
    data: Mapping[str, object] = field(default_factory=dict)
    """What its numbers are, by the name of the JSON file that will hold them."""


@dataclass(frozen=True)
class Card:
    """One number of the headline."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str
    headline: tuple[str, ...]
    """What was found, a sentence each; the first is the largest."""
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    warnings: tuple[str, ...]
    """What is wrong with the files, a line each."""
    footer: Sequence[str]


def number(value: float | None, digits: int = 4) -> str:
    """A number as sentences and tables show it."""
    if value is None:
        return "none"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def interval(value: float, low: float, high: float) -> str:
    """A number with its 95 % interval: ``0.794 [0.768, 0.818]``, two digits of its half."""
    half = (high - low) / 2
    if not half > 0:
        return f"{value:.4g} [{low:.4g}, {high:.4g}]"
    decimals = min(12, max(0, 1 - math.floor(math.log10(half))))
    return f"{value:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


def count(n: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def duration(seconds: float) -> str:
    """A time span with one or two units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
