"""Write a report: HTML and Markdown of one document, with figures and numbers beside them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from analysis.figures.style import style
from analysis.page.document import (
    DATA,
    FIGURES,
    Cell,
    Document,
    Gallery,
    Interactive,
    Picture,
    Section,
    Table,
    plain,
)
from analysis.page.html import to_html
from analysis.page.markdown import to_markdown


def write_report(document: Document, directory: Path) -> Path:
    """Write all files of a report; returns the page.

    Args:
        document: What to write.
        directory: Made if absent. What an earlier report left there is replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for folder in (FIGURES, DATA):
        shutil.rmtree(directory / folder, ignore_errors=True)
        (directory / folder).mkdir()
    for picture in _pictures(document):
        if picture.figure is not None:
            with style():
                picture.figure.savefig(directory / FIGURES / f"{picture.name}.png")
    for section in document.sections:
        _write_data(section, directory / DATA)
    (directory / "report.md").write_text(to_markdown(document), "utf-8", "backslashreplace")
    page = directory / "index.html"
    aside = directory / ".index.html"
    aside.write_text(to_html(document, directory / FIGURES), "utf-8", "backslashreplace")
    aside.replace(page)
    return page


def _pictures(document: Document) -> Iterator[Picture]:
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Picture):
                yield block
            elif isinstance(block, Gallery):
                yield from block.pictures
            elif isinstance(block, Interactive):
                yield block.fallback


def _write_data(section: Section, directory: Path) -> None:
    for name, content in section.data.items():
        text = json.dumps(plain(content), allow_nan=False, ensure_ascii=False, indent=1)
        (directory / f"{name}.json").write_text(text + "\n", "utf-8", "backslashreplace")
    for block in section.blocks:
        if isinstance(block, Table):
            (directory / f"{block.name}.csv").write_text(to_csv(block), "utf-8", "backslashreplace")


def to_csv(table: Table) -> str:
    """The table as CSV; a text that a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_harmless(column) for column in table.columns])
    for row in table.rows:
        writer.writerow(["" if cell is None else _harmless(cell) for cell in row])
    return out.getvalue()


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell
