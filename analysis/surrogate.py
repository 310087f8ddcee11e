"""A model of the score over hyperparameters and epochs, from all epochs of all trials."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitQuality:
    """How well a surrogate predicts the last recorded score of trials that it was not shown."""

    r2: float
    """Share of the held-out scores' variance that it explains; at most 1, negative when useless."""
    rank_correlation: float
    """Spearman's, of predictions and scores."""
    rmse: float
    """In the metric's unit."""
    coverage: float
    """Share of held-out scores inside their 95 % prediction interval."""
    num_trials: int
    """Trials that the surrogate was fitted on."""
    num_rows: int
    """Trial-and-epoch rows of them that it was fitted on."""
    num_held_out: int
    """Held-out predictions; every trial is held out once."""
    holds_out: bool
    """Whether conclusions may be drawn from it."""
    text: str
    """All of this in one sentence."""
