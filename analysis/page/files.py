"""Write a report: one list of sections as HTML and as Markdown, with figures and data beside it.

The page opens without a server and asks no address for anything. Its content-security policy lets
run only the scripts whose hashes it names; jinja2 escapes whatever came from users.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.figures.trajectory import style
from analysis.page.document import (
    Cell,
    Document,
    Findings,
    Interactive,
    Note,
    Picture,
    Section,
    Table,
    number,
)

PAGE = Path(__file__).parent
FIGURES, DATA = "figures", "data"
MARKDOWN_ROWS = 60
"""Of a table in Markdown; its CSV file has all."""


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
        with style():
            picture.figure.savefig(directory / FIGURES / f"{picture.name}.png")
    for section in document.sections:
        _write_data(section, directory / DATA)
    (directory / "report.md").write_text(to_markdown(document), "utf-8")
    page = directory / "index.html"
    aside = directory / ".index.html"
    aside.write_text(to_html(document, directory / FIGURES), "utf-8")
    aside.replace(page)
    return page


def _pictures(document: Document) -> Iterator[Picture]:
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Picture):
                yield block
            elif isinstance(block, Interactive):
                yield block.fallback


# --- data ---------------------------------------------------------------------------------------


def _write_data(section: Section, directory: Path) -> None:
    for name, content in section.data.items():
        text = json.dumps(_plain(content), allow_nan=False, ensure_ascii=False, indent=1)
        (directory / f"{name}.json").write_text(text + "\n", "utf-8")
    for block in section.blocks:
        if isinstance(block, Table):
            (directory / f"{block.name}.csv").write_text(to_csv(block), "utf-8")


def _plain(value: Any) -> Any:
    """As JSON holds it: no tuples, nothing that is not a finite number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


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


def links(section: Section) -> list[str]:
    """Names of the files that hold the section's numbers."""
    tables = [f"{b.name}.csv" for b in section.blocks if isinstance(b, Table)]
    return tables + [f"{name}.json" for name in section.data]


# --- HTML ---------------------------------------------------------------------------------------


def to_html(document: Document, figures: Path) -> str:
    """The page as one text, figures and scripts inside."""
    plot = any(isinstance(b, Interactive) for s in document.sections for b in s.blocks)
    scripts = [plotly_source()] if plot else []
    scripts.append((PAGE / "report.js").read_text("utf-8"))
    css = (PAGE / "report.css").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, loader=jinja2.FileSystemLoader(PAGE), trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("report.html.j2").render(
        document=document,
        policy=_policy([css, ""], scripts),
        css=Markup(css),
        scripts=[Markup(s) for s in scripts],
        own_styles=_style_ids(scripts[0]) if plot else [],
        kind=lambda block: type(block).__name__.lower(),
        image=lambda picture: _data_uri(figures / f"{picture.name}.png"),
        figure_json=lambda block: Markup(_script_json(block.figure)),
        cell=cell,
        numeric=numeric,
        links=links,
    )


def _policy(styles: list[str], scripts: list[str]) -> str:
    """Nothing may be fetched, and only these styles and scripts apply."""
    style_hashes, script_hashes = (" ".join(map(_hash, texts)) for texts in (styles, scripts))
    return (
        f"default-src 'none'; script-src {script_hashes}; style-src {style_hashes}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def plotly_source() -> str:
    """Plotly's script, of the installed version."""
    from plotly.offline import get_plotlyjs

    # a browser normalises line ends before it hashes
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("</script", "<\\/script")


def _style_ids(source: str) -> list[str]:
    """Ids of the style elements that plotly would make; the policy refuses those with content.

    The global one gets its rules through the CSSOM, which the policy allows; those with a hash for
    a name belong to maps, which no figure of ours draws. An empty element of that id stands in.
    """
    found = re.findall(r'getElementById\("([0-9a-f]{64})"\)', source)
    return ["plotly.js-style-global", *dict.fromkeys(found)]


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _script_json(value: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(_plain(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def cell(value: Cell) -> str:
    """A cell as people read it."""
    if value is None:
        return "–"
    return number(value) if isinstance(value, float) else str(value)


def numeric(table: Table) -> list[bool]:
    """Which columns hold numbers, also beside cells that are empty or say inactive."""
    kinds = []
    for column in range(len(table.columns)):
        found = {type(row[column]) for row in table.rows if row[column] not in (None, "inactive")}
        kinds.append(bool(found) and found <= {int, float})
    return kinds


# --- Markdown -----------------------------------------------------------------------------------


def to_markdown(document: Document) -> str:
    """The same report as Markdown, its figures beside it."""
    parts = [f"# {_md(document.title)}", _md(document.subtitle)]
    parts += [f"**{_md(document.headline[0])}**", *map(_md, document.headline[1:])]
    parts += [f"> Warning: {_md(w)}" for w in document.warnings]
    parts.append("\n".join(f"- {_md(c.label)}: **{_md(c.value)}** ({_md(c.detail)})"
                           for c in document.cards))  # fmt: skip
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
    if isinstance(block, Picture):
        return [f"![{_md(block.alt)}]({FIGURES}/{block.name}.png)", _md(block.caption)]
    if isinstance(block, Table):
        return [_md(block.caption), _md_table(block)]
    if isinstance(block, Findings):
        return ["\n".join(f"- {_md(f.text)} ({_md(f.detail)})" for f in block.items)]
    assert isinstance(block, Note)
    return [f"> {_md(block.text)}" if block.warning else _md(block.text)]


def _md_table(table: Table) -> str:
    marks = ["---:" if right else "---" for right in numeric(table)]
    lines = ["| " + " | ".join(map(_md, table.columns)) + " |", "|" + "|".join(marks) + "|"]
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
