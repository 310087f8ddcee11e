"""How the score at full budget moves along one hyperparameter or two, averaged over the others."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.surrogate import FitQuality
from deepsight.config import Value


@dataclass(frozen=True)
class EffectPoint:
    """The predicted score at one value, averaged over the rest of the declared space."""

    value: Value
    """In the hyperparameter's own unit; None where it is inactive."""
    label: str
    mean: float
    low: float
    """Of the average's 95 % interval, not of single trials."""
    high: float
    num_near: int
    """Trials of the study near this value: of this category, or nearest to this grid point."""


@dataclass(frozen=True)
class BestRegion:
    """Where along one hyperparameter the average score is best."""

    low: Value
    """Lower end of a range of numbers; None for a choice."""
    high: Value
    values: tuple[Value, ...]
    """For a choice: the values that may be the best; empty for a range of numbers."""
    gain: float
    """By how much the best value's average beats the mean over the domain, in the metric's unit."""
    gain_low: float
    gain_high: float
    text: str


@dataclass(frozen=True)
class Effect:
    """One hyperparameter."""

    name: str
    kind: str
    """``number`` or ``choice``."""
    log: bool
    """Whether an axis of it is logarithmic."""
    points: tuple[EffectPoint, ...]
    """Numbers ascending, choices in their declared order."""
    inactive: EffectPoint | None
    """The average over configs in which it is inactive; None where it always is active."""
    best: BestRegion


@dataclass(frozen=True)
class Effects:
    """All hyperparameters of a study that vary."""

    metric: str
    mode: str
    epoch: int
    effects: tuple[Effect, ...]
    """In the order of the declared space; empty where nothing can be said (see `reason`)."""
    reason: str
    quality: FitQuality | None


@dataclass(frozen=True)
class InteractionMap:
    """The predicted score over two hyperparameters, averaged over the others."""

    a: str
    b: str
    a_values: tuple[Value, ...]
    b_values: tuple[Value, ...]
    a_log: bool
    b_log: bool
    mean: tuple[tuple[float, ...], ...]
    """One row a value of `a`, one column a value of `b`."""
    sd: tuple[tuple[float, ...], ...]
    epoch: int
