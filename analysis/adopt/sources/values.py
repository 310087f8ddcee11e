"""What a source says, as values, numbers and epochs of the run format."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from deepsight.config import Value

MOST_DEPTH = 20
"""Tables within tables that are taken apart; what is nested deeper becomes a text."""


def plain(value: Any) -> Value:
    """`value` as a hyperparameter may have it.

    What has no place in the files of a study becomes a text: lists and tables as JSON, infinite
    and very large numbers as they are written.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else hex(value)  # decimals have a limit of digits
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        return json.dumps(value, ensure_ascii=False)
    return f"<{type(value).__name__}>"


def flat(config: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> dict[str, Value]:
    """A nested config under dotted names; an empty table within it is left out."""
    found: dict[str, Value] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and depth < MOST_DEPTH:
            found |= flat(value, f"{prefix}{name}.", depth + 1)
        else:
            found[f"{prefix}{name}"] = plain(value)
    return found


def parsed(text: str) -> Value:
    """The number, truth value or None that `text` spells, as Python or JSON write it; else itself.

    A number with leading zeros (``007``) or beyond 64 bits is a text: it would not come back.
    """
    if len(text) > 40:
        return text
    named = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in named:
        return named[text.lower()]
    with contextlib.suppress(ValueError):
        whole = int(text)
        return whole if str(whole) == text.removeprefix("+") and abs(whole) < 2**63 else text
    with contextlib.suppress(ValueError):
        number = float(text)
        return number if math.isfinite(number) and "_" not in text else text
    return text


def number(value: Any) -> float | None:
    """`value` as what a metric holds: a finite number, else None (also for a text)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with contextlib.suppress(OverflowError):
        return float(value) if math.isfinite(value) else None
    return None


def first_step(steps: Iterable[int]) -> int:
    """What is added to a step to make it an epoch, which counts from 1: 1 where steps begin at 0.

    Args:
        steps: Of all trials of a study.
    """
    return max(0, 1 - min(steps, default=1))


def step_note(shift: int) -> tuple[str, ...]:
    """The sentence on the shift of `first_step`, where there is one."""
    if not shift:
        return ()
    return (f"Steps are counted from {1 - shift}: epoch = step + {shift} (inferred).",)
