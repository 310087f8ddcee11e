"""Write a report: HTML and Markdown of one document, with figures and numbers beside them."""

from __future__ import annotations

import csv
import io
import json
import re
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
from deepsight.config import spreadsheet_text
from deepsight.files import make_folder, read_file, remove_files, replacing

WRITTEN, WRITTEN_BYTES = "files.json", 1 << 20
"""Which figures and tables a report wrote; the next one removes these and no others."""
OURS = re.compile(rf"({FIGURES}|{DATA})/([\w-][\w.-]*)")


def write_report(document: Document, directory: Path) -> Path:
    """Write all files of a report; returns the page.

    Args:
        document: What to write.
        directory: Made if absent. The files that an earlier report wrote there are replaced; others
            stay, and no link is followed.

    Raises:
        FileRefusedError: If something in the directory is a link or a special file.
        OSError: If the disk refuses.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _remove_earlier(directory)
    for folder in (FIGURES, DATA):
        make_folder(directory, [folder])
    written = []
    for picture in _pictures(document):
        if picture.figure is not None:
            written.append(f"{FIGURES}/{picture.name}.png")
            with style(), replacing(directory, written[-1].split("/"), ".png") as path:
                picture.figure.savefig(path)
    for section in document.sections:
        for name, text in _data_of(section):
            written.append(f"{DATA}/{name}")
            _write(directory, written[-1], text)
    _write(directory, "report.md", to_markdown(document))
    _write(directory, "index.html", to_html(document, directory / FIGURES))
    _write(directory, WRITTEN, json.dumps(written, indent=1) + "\n")
    return directory / "index.html"


def _write(directory: Path, name: str, text: str) -> None:
    with replacing(directory, name.split("/")) as path:
        path.write_text(text, "utf-8", "backslashreplace")


def _remove_earlier(directory: Path) -> None:
    """Remove the figures and tables that an earlier report says it wrote."""
    try:
        content = read_file(directory, [WRITTEN], WRITTEN_BYTES)
    except FileNotFoundError:
        return
    try:
        names = json.loads(content)
    except (ValueError, RecursionError):  # damaged: what is not written again stays
        return
    for name in names if isinstance(names, list) else ():
        found = OURS.fullmatch(name) if isinstance(name, str) else None
        if found:
            remove_files(directory, [found[1]], re.compile(re.escape(found[2])))


def _pictures(document: Document) -> Iterator[Picture]:
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Picture):
                yield block
            elif isinstance(block, Gallery):
                yield from block.pictures
            elif isinstance(block, Interactive):
                yield block.fallback


def _data_of(section: Section) -> Iterator[tuple[str, str]]:
    """The files with the numbers of a section: name and content."""
    for name, content in section.data.items():
        text = json.dumps(plain(content), allow_nan=False, ensure_ascii=False, indent=1)
        yield f"{name}.json", text + "\n"
    for block in section.blocks:
        if isinstance(block, Table):
            yield f"{block.name}.csv", to_csv(block)


def to_csv(table: Table) -> str:
    """The table as CSV; a text that a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_harmless(column) for column in table.columns])
    for row in table.rows:
        writer.writerow(["" if cell is None else _harmless(cell) for cell in row])
    return out.getvalue()


def _harmless(cell: Cell) -> Cell:
    """A text without control characters, one of which would begin a row of its own."""
    return spreadsheet_text(cell) if isinstance(cell, str) else cell
