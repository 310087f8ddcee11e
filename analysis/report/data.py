"""What the JSON files of a report hold: the numbers that were computed, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from analysis.statistics.intervals import Interval


def as_data(value: Any) -> Any:
    """A dataclass as a dictionary, with all that is in it.

    The n of an interval is left out where it is stated elsewhere.
    """
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value)]
        if isinstance(value, Interval) and not value.n:
            names.remove("n")
        return {name: as_data(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: as_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(item) for item in value]
    return value
