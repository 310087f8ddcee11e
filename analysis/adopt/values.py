"""Values of others as values of the run format: flat, plain, without code."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepsight.config import Value
from deepsight.space import plain

DEEPEST = 16
"""Levels of a nested config that get dotted names; what is deeper becomes a text."""
LONGEST = 500
"""Characters of a text."""
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def is_path(source: str) -> bool:
    """Whether a text may be a path: not longer than names can be, without a zero byte."""
    try:
        Path(source).lstat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return True


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


def flatten(nested: Mapping[Any, Any], separator: str = ".") -> dict[str, Any]:
    """A nested mapping as a flat one: ``{"optim": {"lr": 1}}`` becomes ``{"optim.lr": 1}``."""
    return dict(_flat(nested, "", separator, DEEPEST))


def _flat(
    nested: Mapping[Any, Any], prefix: str, separator: str, depth: int
) -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth > 1:
            yield from _flat(value, f"{name}{separator}", separator, depth - 1)
        else:
            yield name, value


def plain_config(nested: Mapping[Any, Any]) -> dict[str, Value]:
    """A config of any tool, flat and plain: lists and objects become texts, NaN becomes None."""
    return {name[:LONGEST]: plain_value(value) for name, value in flatten(nested).items()}


def plain_value(value: Any) -> Value:
    """One hyperparameter's value as JSON holds it without nesting."""
    value = plain(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, default=str)[:LONGEST]
    return str(value)[:LONGEST]


def number(value: Any) -> float | None:
    """A metric's value; None where it is no number, NaN or infinite. Texts are read."""
    value = plain(value)
    if isinstance(value, str):
        return None if (read := as_number(value)) is None else float(read)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 2**1023 and math.isfinite(value) else None


def is_numeric(value: Any) -> bool:
    """Whether it is a number or a text of one, NaN and infinities included."""
    value = plain(value)
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_number(text: str) -> int | float | None:
    """The finite number that a text spells, a whole one as such; None where it spells none."""
    if _WHOLE.fullmatch(text.strip()):
        return int(text)
    try:
        read = float(text)
    except ValueError:
        return None
    return read if math.isfinite(read) else None


def parsed(text: str) -> Value:
    """The number, truth value or None that a text spells in Python or JSON; else the text."""
    named = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in named:
        return named[text.lower()]
    return text if (read := as_number(text)) is None else read
