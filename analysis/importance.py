"""Which hyperparameters decide the score at full budget, and how sure that is.

`docs/importance.md` has the method and what it was measured to reach.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.surrogate import FitQuality

RANKED = "ranked"
TOO_FEW = "too few trials to say"


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval over trials."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """What part of the variance over the declared space is one hyperparameter's."""

    name: str
    main: Estimate
    """By itself: the variance of the mean score given this hyperparameter (Sobol 2001)."""
    total: Estimate
    """With all that it interacts in: what would remain if all others were known."""
    above_floor: bool
    """Whether the total is clearly above what a column of random numbers gets."""
    rank_low: int
    """Its best plausible place by total, 1 the most important."""
    rank_high: int
    """Its worst plausible place."""
    text: str
    """The verdict on this hyperparameter, one sentence."""


@dataclass(frozen=True)
class Pair:
    """What two hyperparameters decide together beyond what each decides alone."""

    a: str
    b: str
    share: Estimate


@dataclass(frozen=True)
class Importance:
    """The shares of all hyperparameters in what a study varied."""

    what: str
    """What varies: the study's metric, ``survival`` or ``seconds per epoch``."""
    method: str
    """How it was computed, for a reader of the figure."""
    region: str
    """``all`` of the declared space, or its ``good`` quarter as the surrogate predicts it."""
    epoch: int
    """The fidelity it speaks of."""
    shares: tuple[Share, ...]
    """By total, the largest first; hyperparameters with one value only are left out."""
    pairs: tuple[Pair, ...]
    """By share, the largest first."""
    floor: float
    """The total share below which a column of random numbers stays 95 times in 100."""
    verdict: str
    """``ranked`` or ``too few trials to say``."""
    reason: str
    """Why, one sentence with its numbers."""
    quality: FitQuality | None
    """How well the surrogate predicts trials that it has not seen; None without a surrogate."""
    num_trials: int
    num_explorers: int
