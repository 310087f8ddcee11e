"""Plain values, and the errors that users can cause and fix.

What everything else stands on: no project import, standard library only.
"""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Iterable

Value = bool | int | float | str | None
"""A hyperparameter's value: whatever JSON can hold without nesting."""

MOST_NAMES = 12
"""So many declared names are listed where an unknown one is like none of them."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_FORMULA = re.compile(
    r"[\t\r\n]|[\s\0\ufeff\u200b-\u200f\u2060]*[-=+@\u2212\uff1d\uff0b\uff0d\uff20]"
)
"""How texts begin that spreadsheets take for formulas: full-width signs, and what they skip."""


def without_controls(text: str) -> str:
    r"""`text` without what a terminal would obey: control characters become escapes (``\x1b``).

    Names come from files of others; an escape sequence in one could move the cursor, set the title
    or hide what follows, and a change of direction could show a name backwards. Tabs and ends of
    lines stay.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def spreadsheet_text(text: str) -> str:
    """`text` for a cell of a CSV file: no formula (an apostrophe before), no control characters."""
    return ("'" if _FORMULA.match(text) else "") + without_controls(text)


class PlainFormatter(logging.Formatter):
    """Lines of the log as a terminal may get them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without control characters."""
        return without_controls(super().format(record))


class UserError(ValueError):
    """An error that a user can cause and fix: one line of cause, one of remedy.

    Command lines print both lines and exit with `exit_code`, without a traceback.
    """

    exit_code = 2

    def __init__(self, cause: str, remedy: str) -> None:
        cause, remedy = (without_controls(" ".join(text.split("\n"))) for text in (cause, remedy))
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str]]:
        return type(self), (self.cause, self.remedy)


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for an undeclared name; names the nearest declared ones, else some of all."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return UserError(f"unknown {kind} {name!r}.", f"Did you mean {' or '.join(near)}?")
    more = len(known) - MOST_NAMES
    names = ", ".join(known if more <= 1 else known[:MOST_NAMES])
    return UserError(
        f"unknown {kind} {name!r}.", f"Known: {names}{f' and {more} more' if more > 1 else ''}."
    )


def is_import_path(text: str) -> bool:
    """Whether `text` has the form ``package.module:function``."""
    module, colon, name = text.partition(":")
    return bool(colon) and name.isidentifier() and all(p.isidentifier() for p in module.split("."))


def single_value(name: str, value: object) -> Value:
    """`value` as it is: None, a text, a boolean, or a number that JSON and tables can hold.

    Raises:
        UserError: If it is anything else, infinite, not a number, or an integer beyond 64 bits;
            with the name and what to write instead.
    """
    if not (value is None or isinstance(value, bool | int | float | str)):
        kind = type(value).__name__
        raise UserError(f"{name}: {str(value)[:40]} is of type {kind}.", _remedy(value))
    too_large = isinstance(value, int) and abs(value) >= 2**63
    if too_large or (isinstance(value, float) and not math.isfinite(value)):
        # decimals have a limit of digits, which hexadecimals have not
        shown = hex(value)[:20] if isinstance(value, int) else str(value)
        raise UserError(
            f"{name}: {shown} is no value: it has no place in the files of a study.",
            f"Give a finite number, or a text that your code understands, as '{shown}'.",
        )
    return value


def _remedy(value: object) -> str:
    plain = "A value is a number, a text, true, false or None."
    if isinstance(value, tuple):
        return f"{plain} Give a text and read it in your code: {'x'.join(map(str, value))!r}."
    if isinstance(value, list | set | frozenset | range) or hasattr(value, "tolist"):
        return f"{plain} List the values one by one: choice(16, 32), or choice(*values)."
    if isinstance(value, dict):
        return f"{plain} Give a text and look it up in your code, or a hyperparameter for each key."
    return plain
