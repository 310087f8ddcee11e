"""What a conclusion about importance consists of. `analysis.importance.importance` computes these.

`docs/importance.md` has the method and what it was measured to reach.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.statistics.intervals import Interval
from deepsight.notebook import block_html, table_html

RANKED = "ranked"
TOO_FEW = "too few trials to say"


@dataclass(frozen=True)
class FitQuality:
    """How well a surrogate predicts the last recorded score of trials that it was not shown."""

    r2: float
    """Share of the variance of held-out scores around those that trained as long that it explains;
    at most 1, negative when useless. Each group of alike trials counts once."""
    rank_correlation: float
    """Spearman's, of predictions and scores, likewise among those that trained as long."""
    rmse: float
    """In the metric's unit."""
    coverage: float
    """Share of held-out scores inside their 95 % prediction interval."""
    num_trials: int
    """Trials that the surrogate was fitted on."""
    num_rows: int
    """Trial-and-epoch rows of them that it was fitted on."""
    num_held_out: int
    """Groups of alike trials; each is held out once, as a whole."""
    holds_out: bool
    """Whether conclusions may be drawn from it."""
    text: str
    """All of this in one sentence."""


@dataclass(frozen=True)
class Share:
    """What part of the variance over the declared space is one hyperparameter's."""

    name: str
    main: Interval
    """By itself: the variance of the mean score given this hyperparameter (Sobol 2001)."""
    total: Interval
    """With all that it interacts in: what would remain if all others were known."""
    above_noise: bool
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
    share: Interval


@dataclass(frozen=True)
class Importance:
    """The shares of all hyperparameters in what a study varied."""

    what: str
    """What is explained: the study's metric, ``survival`` or ``seconds per epoch``."""
    method: str
    """How it was computed, for a reader of the figure."""
    region: str
    """``all`` of the declared space, or its ``good`` quarter as the surrogate predicts it."""
    epoch: int
    """The fidelity it speaks of."""
    shares: tuple[Share, ...]
    """By total, the largest first; empty where nothing can be said."""
    left_out: tuple[tuple[str, str], ...]
    """Hyperparameters of the space that have no share, each with the reason."""
    pairs: tuple[Pair, ...]
    """By share, the largest first."""
    noise_threshold: float
    """The total share below which a random column stays 95 times in 100, at least 1 %."""
    verdict: str
    """``ranked`` or ``too few trials to say``."""
    reason: str
    """Why, one sentence with its numbers."""
    quality: FitQuality | None
    """How well the surrogate predicts trials that it has not seen; None without a surrogate."""
    has_intervals: bool
    """Whether the estimates have intervals; where not, their bounds repeat the value."""
    num_trials: int
    """Trials that it rests on."""
    num_explorers: int
    """Explorers among them."""

    def _repr_html_(self) -> str:
        """In a notebook: the verdict, and the total shares with their intervals."""
        columns = ["hyperparameter", "total share", "low", "high", "above chance"]
        rows = [
            (s.name, s.total.value, s.total.low, s.total.high, s.above_noise) for s in self.shares
        ]
        title = f"What decides {self.what} after {self.epoch} epochs: {self.verdict}"
        return block_html(title, [self.reason], table_html(columns, rows) if rows else "")
