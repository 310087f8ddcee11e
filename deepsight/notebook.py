"""How results show themselves in a notebook: small tables of HTML in which all text is escaped."""

from __future__ import annotations

import html
import importlib
import sys
from collections.abc import Iterable, Sequence
from typing import Protocol

from deepsight.config import Value


class Output(Protocol):
    """A cell's output that can be replaced: IPython's DisplayHandle."""

    def update(self, obj: object) -> None:
        """Show `obj` in the place of what was shown."""


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel, which shows HTML and has no terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def show(obj: object) -> Output:
    """Show `obj` below the running cell, by the IPython of the kernel that runs us."""
    output: Output = importlib.import_module("IPython.display").display(obj, display_id=True)
    return output


EMPTY = "–"
"""An empty cell."""


def cell(value: object) -> str:
    """A value of a config or a score as a table's cell shows it, on a page and in a notebook."""
    if value is None:
        return EMPTY
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table_html(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """A table; numbers stand on the right."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Value) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    side = "right" if number else "left"
    return f'<td style="text-align: {side}">{html.escape(cell(value))}</td>'


def block_html(title: str, lines: Iterable[str], table: str = "") -> str:
    """A title, lines below it, and a table of `table_html`."""
    said = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
    return f"<div><b>{html.escape(title)}</b>{said}{table}</div>"
