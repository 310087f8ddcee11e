"""How numbers, intervals, durations and values of hyperparameters become text.

The one place for it: summaries, tables, figures and sentences format alike. Standard library only,
so that whoever prints a number loads nothing else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deepsight import space
from deepsight.space import Entry

if TYPE_CHECKING:
    from analysis.statistics.intervals import Interval

INACTIVE = str(space.INACTIVE)
"""What stands for the value of a conditional hyperparameter in a config without it."""


def number(value: float | None, digits: int = 4) -> str:
    """A number as sentences and tables show it."""
    if value is None:
        return "none"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def interval(estimate: Interval) -> str:
    """A number with its 95 % interval: ``0.794 [0.768, 0.818]``, two digits of its half."""
    value, low, high = estimate.value, estimate.low, estimate.high
    half = (high - low) / 2
    if not half > 0:
        return f"{value:.4g} [{low:.4g}, {high:.4g}]"
    decimals = min(12, max(0, 1 - math.floor(math.log10(half))))
    return f"{value:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


def bounds(estimate: Interval) -> str:
    """A 95 % interval by itself: ``95 %: 0.768 to 0.818``."""
    return f"95 %: {estimate.low:.3f} to {estimate.high:.3f}"


def percent(share: float) -> str:
    """A share in a sentence: ``62%``."""
    return f"{share:.0%}"


def percent_bounds(share: Interval) -> str:
    """The interval of a share: ``[50%, 71%]``."""
    return f"[{percent(share.low)}, {percent(share.high)}]"


def percent_interval(share: Interval) -> str:
    """A share with its interval: ``62% [50%, 71%]``."""
    return f"{percent(share.value)} {percent_bounds(share)}"


def variance_share(share: Interval, bounded: bool = True) -> str:
    """A share of the variance: ``62 % [50, 71]``; without its interval unless `bounded`."""
    value = f"{100 * share.value:.0f} %"
    return f"{value} [{100 * share.low:.0f}, {100 * share.high:.0f}]" if bounded else value


def count(n: int, noun: str, grouped: bool = True) -> str:
    """``1 trial``, ``2 trials``; from a thousand on with commas where `grouped`."""
    return (f"{n:,}" if grouped else str(n)) + f" {noun}" + ("" if n == 1 else "s")


def duration(seconds: float) -> str:
    """A time span with one or two units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def time_unit(seconds: float) -> tuple[float, str]:
    """The unit for an axis as long as `seconds`: its length in seconds, and its name."""
    for unit, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * unit:
            return unit, name
    return 1.0, "seconds"


def text(value: Entry, digits: int = 3) -> str:
    """A hyperparameter's value, as its default is written; ``inactive`` where it has none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def shorten(label: str, longest: int = 16) -> str:
    """The label, cut where it is too long for an axis."""
    return label if len(label) <= longest else label[: longest - 1] + "…"


def name_lines(name: str) -> tuple[str, ...]:
    """A dotted name broken after its first part, a score's before its epochs."""
    for mark, kept in ((".", "."), (" at ", "")):
        first, found, rest = name.partition(mark)
        if found and rest:
            return shorten(first, 20) + kept, shorten((mark + rest).lstrip(". "), 22)
    return (shorten(name, 24),)


def key_values(mapping: object) -> str | None:
    """``a 1, b 2`` of a mapping, entries that are None left out; None for anything else."""
    if not isinstance(mapping, dict):
        return None
    return ", ".join(f"{key} {value}" for key, value in mapping.items() if value is not None)
