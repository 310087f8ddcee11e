"""What a report consists of, before it is HTML or Markdown.

`analysis.report` fills these; `analysis.page.html` and `analysis.page.markdown` render them, and
`analysis.page.files` writes them out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from matplotlib.figure import Figure

from analysis.page.formatting import INACTIVE

FIGURES, DATA = "figures", "data"
"""Folders of a report."""

Cell = str | int | float | None


@dataclass(frozen=True)
class Picture:
    """A static figure."""

    kind: ClassVar[str] = "picture"
    name: str
    """Of its file, without an ending; ours, never a user's text."""
    figure: Figure | None
    """None where its file has been written already."""
    alt: str
    """What it shows, for those who cannot see it."""
    wide: bool = False
    """Whether it wants the whole width and may be scrolled sideways on a narrow screen."""
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Static figures of which one is shown at a time; all of them without scripts."""

    kind: ClassVar[str] = "gallery"
    label: str
    """What is chosen: ``class``."""
    options: tuple[str, ...]
    """What each figure is called; may be a user's text."""
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Browser:
    """Images by class and by confusion, with maps that blend over them; needs scripts."""

    kind: ClassVar[str] = "browser"
    content: Mapping[str, Any]
    """What ``browser.js`` reads, as JSON holds it."""


@dataclass(frozen=True)
class Interactive:
    """The parallel coordinates one can brush; filters the trial table of the same page."""

    kind: ClassVar[str] = "interactive"
    figure: Mapping[str, Any]
    """A plotly figure as JSON holds it."""
    fallback: Picture


@dataclass(frozen=True)
class Table:
    """A table; numbers are aligned to the right."""

    kind: ClassVar[str] = "table"
    name: str
    """Of its CSV file, without an ending."""
    columns: tuple[str, ...]
    """As the CSV file names them."""
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    keys: tuple[str, ...] = ()
    """Ids of the rows, by which the parallel coordinates filter them."""
    marked: frozenset[int] = frozenset()
    """Rows to show in bold."""
    folded: bool = False
    """Whether the page shows it only when asked."""
    title: str = ""
    """What a folded table is called; without it, its caption."""
    noun: str = "trials"
    """What its rows are, where they can be filtered and sorted."""
    example: str = "sgd, explorer, t0017"
    """Words that one may filter by."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """What pages call a column whose name in the file is an old one."""

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns as pages name them."""
        return tuple(self.titles.get(column, column) for column in self.columns)


@dataclass(frozen=True)
class Note:
    """A paragraph; `warning` ones stand out."""

    kind: ClassVar[str] = "note"
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Statement:
    """A statement in words with its number."""

    text: str
    detail: str
    """Effect, interval and n, in short."""


@dataclass(frozen=True)
class Statements:
    """A list of them."""

    kind: ClassVar[str] = "statements"
    items: tuple[Statement, ...]


Block = Picture | Gallery | Browser | Interactive | Table | Note | Statements


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
    """One number of the key results."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str
    key_results: tuple[str, ...]
    """What was found, a sentence each; the first is the largest."""
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    warnings: tuple[str, ...]
    """What is wrong with the files, a line each."""
    footer: Sequence[str]
    data: str = f"{DATA}/"
    """Where the files of its numbers are, seen from the page."""


def links(section: Section) -> list[str]:
    """Names of the files that hold the section's numbers."""
    tables = [f"{b.name}.csv" for b in section.blocks if isinstance(b, Table)]
    return tables + [f"{name}.json" for name in section.data]


def numeric(table: Table) -> list[bool]:
    """Which columns hold numbers, also beside cells that are empty or say inactive."""
    kinds = []
    for column in range(len(table.columns)):
        found = {type(row[column]) for row in table.rows if row[column] not in (None, INACTIVE)}
        kinds.append(bool(found) and found <= {int, float})
    return kinds


def plain(value: Any) -> Any:
    """As JSON holds it: no tuples, nothing that is not a finite number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
