"""What decides the score: all views of importance, effects and interactions of one study."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.effects import Effects, InteractionMap
from analysis.importance import RANKED, Importance, Pair, Share
from deepsight.run_store import Study

SMALLEST_TOLD = 0.02
"""Lower end of a share's interval from which sentences speak of it."""
WIDEST_TOLD = 0.5
"""Width of the interval beyond which a share is shown, but no sentence speaks of it."""
MAPS = 4
"""Interactions that are drawn at most."""
SMALLEST_MAP = 0.01
"""Share of the variance from which an interaction is drawn."""


@dataclass(frozen=True)
class Explained:
    """What one study says of its hyperparameters."""

    importance: Importance
    """Of the score at full budget, over the declared space."""
    views: tuple[tuple[str, Importance], ...]
    """Other questions, by what a column of a table calls them."""
    effects: Effects
    maps: tuple[InteractionMap, ...]
    """Of the strongest interactions; empty while importance is not told."""


def explain(study: Study, seed: int = 0) -> Explained:
    """Fit the surrogate once and ask it everything."""
    from analysis.importance import (
        compute_cost_importance,
        compute_fanova,
        compute_importance,
        compute_survival_importance,
    )
    from analysis.surrogate import fit_surrogate

    empty = Effects(study.metric, study.mode, study.max_epochs, (), "", None)
    surrogate = fit_surrogate(study, seed)
    importance = compute_importance(study, seed, surrogate=surrogate)
    views = (
        ("among the best quarter", compute_importance(study, seed, "good", surrogate)),
        ("survival", compute_survival_importance(study, seed)),
        ("seconds per epoch", compute_cost_importance(study, seed)),
        ("Optuna's fANOVA", compute_fanova(study, seed)),
    )
    return Explained(importance=importance, views=views, effects=empty, maps=())


def told_shares(importance: Importance) -> list[Share]:
    """The shares that sentences may speak of: clear of chance, not tiny, and known well enough."""
    if importance.verdict != RANKED:
        return []
    return [
        share
        for share in importance.shares
        if share.above_floor
        and share.total.low >= SMALLEST_TOLD
        and share.total.high - share.total.low <= WIDEST_TOLD
    ]


def strongest(importance: Importance) -> list[Pair]:
    """The pairs whose interaction is worth a map."""
    if importance.verdict != RANKED:
        return []
    return [p for p in importance.pairs if p.share.low > SMALLEST_MAP][:MAPS]
