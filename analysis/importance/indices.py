"""What a conclusion about importance consists of, and what it says in words.

`analysis.importance.importance` computes these.

`docs/importance.md` has the method and what it was measured to reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from analysis.statistics.intervals import Interval
from deepsight.notebook import block_html, table_html

RANKED = "ranked"
TOO_FEW = "too few trials to say"
PEER = "a peer's view"
MIN_SURVIVORS = 8
"""Trials of full budget of an adopted study from which its importance may be ranked."""
NEGLIGIBLE = 0.05
"""A hyperparameter hardly matters if its share is surely below this, whatever the threshold is."""


class Obstacle(StrEnum):
    """Why shares may not be shown as a ranking."""

    NO_MODEL = "no model could be fitted"
    HELD_OUT = "held-out trials are not predicted"
    NOISE = "nothing is above the noise threshold"
    FIRST_PLACE = "the first place is open"
    RARE_SCORES = "few configs make up most of the variance"
    SURVIVORS = "few trials reached the full budget, all of them chosen"


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

    @property
    def text(self) -> str:
        """All of this in one sentence."""
        return (
            f"Fitted on {self.num_trials} trials ({self.num_rows} rows) in {self.num_held_out} "
            "groups of alike ones; of held-out groups it explains "
            f"{100 * max(self.r2, 0.0):.0f} % of the variance at equal epochs (rank correlation "
            f"{self.rank_correlation:.2f}, error {self.rmse:.3g}, {100 * self.coverage:.0f} % "
            "inside the 95 % interval)"
            + ("." if self.holds_out else ": too little to conclude from.")
        )


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

    @property
    def text(self) -> str:
        """Whether it matters, one sentence; of a peer, which has no intervals, its share alone."""
        total = self.total
        if total.low == total.high:
            return f"{self.name}: a share of {_percent(total.value)}, without an interval."
        value = f"{_percent(total.value)} [{_percent(total.low)}, {_percent(total.high)}]"
        if self.above_noise:
            return f"{self.name} matters: a total share of {value}."
        if total.high <= NEGLIGIBLE:
            return f"{self.name} hardly matters: a total share of {value}."
        return f"{self.name} cannot be told from chance: a total share of {value}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


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
    """``ranked``, ``too few trials to say``, or ``a peer's view``, which claims nothing of ours."""
    obstacle: Obstacle | None
    """Why there is no ranking; None where there is one, or where a peer is quoted."""
    no_model: str
    """Why no model could be fitted; empty where one was."""
    leads: float | None
    """Share of the functions that the trials allow in which the first hyperparameter is among the
    first two; None without a model."""
    quality: FitQuality | None
    """How well the surrogate predicts trials that it has not seen; None without a surrogate."""
    has_intervals: bool
    """Whether the estimates have intervals; where not, their bounds repeat the value."""
    num_trials: int
    """Trials that it rests on."""
    num_explorers: int
    """Explorers among them."""

    @property
    def reason(self) -> str:
        """Why the verdict is what it is, one sentence with its numbers."""
        if self.quality is None or self.leads is None:
            return self.no_model or f"{self.num_trials} trials completed the full budget."
        first, threshold = self.shares[0], _percent(self.noise_threshold)
        if self.obstacle is Obstacle.HELD_OUT:
            return f"The surrogate does not predict held-out trials. {self.quality.text}"
        if self.obstacle is Obstacle.NOISE:
            return (
                f"Nothing is above what a column of random numbers gets ({threshold}): {first.text}"
            )
        if self.obstacle is Obstacle.FIRST_PLACE:
            return (
                f"The first place is open: {first.name} is among the first two in only "
                f"{_percent(self.leads)} of the functions that the trials allow."
            )
        if self.obstacle is Obstacle.SURVIVORS:
            return (
                f"Fewer than {MIN_SURVIVORS} trials have a score at full budget, all of them "
                "chosen by their scores before, and no explorer tells what the others would have "
                "reached."
            )
        if self.obstacle is Obstacle.RARE_SCORES:
            return (
                "Few configs make up most of the variance of the score, and too few explorers are "
                f"among them: {first.name} may owe its first place to which ones were tried."
            )
        above = sum(share.above_noise for share in self.shares)
        return f"{above} of {len(self.shares)} are above the noise threshold of {threshold}."

    def _repr_html_(self) -> str:
        """In a notebook: the verdict, and the total shares with their intervals."""
        columns = ["hyperparameter", "total share", "low", "high", "above chance"]
        rows = [
            (s.name, s.total.value, s.total.low, s.total.high, s.above_noise) for s in self.shares
        ]
        title = f"What decides {self.what} after {self.epoch} epochs: {self.verdict}"
        return block_html(title, [self.reason], table_html(columns, rows) if rows else "")
