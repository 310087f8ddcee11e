"""A document as Markdown, its figures and numbers in files beside it."""

from __future__ import annotations

import re

from analysis.page.document import (
    DATA,
    FIGURES,
    Document,
    Gallery,
    Interactive,
    Note,
    Picture,
    Statements,
    Table,
    links,
    numeric,
)
from deepsight.notebook import cell

MARKDOWN_ROWS = 60
"""Of a table in Markdown; its CSV file has all."""


def to_markdown(document: Document) -> str:
    """The same report as Markdown, its figures beside it."""
    parts = [f"# {_md(document.title)}", _md(document.subtitle)]
    parts += [f"**{_md(document.key_results[0])}**", *map(_md, document.key_results[1:])]
    parts += [f"> Warning: {_md(w)}" for w in document.warnings]
    parts.append(
        "\n".join(f"- {_md(c.label)}: **{_md(c.value)}** ({_md(c.detail)})" for c in document.cards)
    )
    for section in document.sections:
        parts += [f"## {_md(section.title)}", _md(section.lead)]
        parts += [text for block in section.blocks for text in _md_block(block)]
        files = ", ".join(f"[{name}]({DATA}/{name})" for name in links(section))
        if files:
            parts.append(f"Numbers: {files}")
    parts += [_md(line) for line in document.footer]
    return "\n\n".join(part for part in parts if part) + "\n"


def _md_block(block: object) -> list[str]:
    if isinstance(block, Interactive):
        block = block.fallback
    if isinstance(block, Gallery):
        return [text for picture in block.pictures for text in _md_block(picture)]
    if isinstance(block, Picture):
        return [f"![{_md(block.alt)}]({FIGURES}/{block.name}.png)", _md(block.caption)]
    if isinstance(block, Table):
        return [_md(block.caption), table_markdown(block)]
    if isinstance(block, Statements):
        return ["\n".join(f"- {_md(f.text)} ({_md(f.detail)})" for f in block.items)]
    assert isinstance(block, Note)
    return [f"> {_md(block.text)}" if block.warning else _md(block.text)]


def table_markdown(table: Table) -> str:
    """A table in Markdown, its first rows where there are many."""
    marks = ["---:" if right else "---" for right in numeric(table)]
    lines = ["| " + " | ".join(map(_md, table.headings)) + " |", "|" + "|".join(marks) + "|"]
    for index, row in enumerate(table.rows[:MARKDOWN_ROWS]):
        cells = [_md(cell(c)) for c in row]
        if index in table.marked:
            cells = [f"**{c}**" for c in cells]
        lines.append("| " + " | ".join(cells) + " |")
    left = len(table.rows) - MARKDOWN_ROWS
    if left > 0:
        lines.append(f"\n{left:,} more rows in [{table.name}.csv]({DATA}/{table.name}.csv).")
    return "\n".join(lines)


def _md(text: str) -> str:
    """Text that Markdown shows as it is."""
    flat = " ".join(str(text).split())
    return re.sub(r"([\\`*_{}\[\]<>|#~!])", r"\\\1", flat)
