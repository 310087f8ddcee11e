"""Which of two scores is better: the metric of a study and its direction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


def score_text(score: float) -> str:
    """A score with four decimals, or with four digits where these would hide or bloat it."""
    return f"{score:.4f}" if 0.001 <= abs(score) < 1000 or score == 0 else f"{score:.4g}"


@dataclass(frozen=True)
class Objective:
    """What a study optimises."""

    metric: str
    mode: str
    """``max`` or ``min``."""

    @property
    def maximizes(self) -> bool:
        """Whether higher scores are better."""
        return self.mode == "max"

    @property
    def sign(self) -> float:
        """1 or -1: times this, higher scores are better."""
        return 1.0 if self.maximizes else -1.0

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` is better than score `b`."""
        return a > b if self.maximizes else a < b

    def gain(self, a: float, b: float) -> float:
        """By how much score `a` is better than score `b`, in the metric's unit."""
        return a - b if self.maximizes else b - a

    def best(self, scores: Iterable[float]) -> float | None:
        """The best score; None without any."""
        return (max if self.maximizes else min)(scores, default=None)

    def worst(self, scores: Iterable[float]) -> float | None:
        """The worst score; None without any."""
        return (min if self.maximizes else max)(scores, default=None)

    def sort_key(self, score: float) -> float:
        """Sorted by this, the best score comes first."""
        return -self.sign * score
