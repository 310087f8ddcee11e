"""How a diagnosis writes shares."""

from __future__ import annotations

from analysis.statistics.intervals import Interval


def share(value: Interval) -> str:
    """A share with its interval: ``94.1 % [91.2, 96.0]``."""
    return f"{100 * value.value:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def points(value: Interval) -> str:
    """A difference of shares in percentage points: ``23.7 points [15.9, 31.0]``."""
    return f"{100 * value.value:.1f} points [{100 * value.low:.1f}, {100 * value.high:.1f}]"
