"""A trial as a proposal takes it into account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deepsight.config import Value


@dataclass
class Past:
    """What a searcher remembers of one trial."""

    config: Mapping[str, Value]
    explorer: bool
    scores: dict[int, float] = field(default_factory=dict)
    """Score (higher is better) by rung."""
    state: str = "running"
    """running (also: paused), completed, stopped, diverged or failed."""
