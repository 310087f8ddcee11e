"""Sensitivity of the score: all views of importance, effects and interactions of one study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from threadpoolctl import threadpool_limits

from analysis.importance.effects import (
    Effects,
    InteractionMap,
    compute_effects,
    compute_interaction_map,
)
from analysis.importance.importance import (
    RANKED,
    Importance,
    Pair,
    Share,
    compute_cost_importance,
    compute_fanova,
    compute_importance,
    compute_survival_importance,
)
from analysis.importance.second_process import views_meanwhile, worthwhile
from analysis.importance.surrogate import NoSurrogate, fit_surrogate
from deepsight.run_store import Study, TrialRecord
from deepsight.space import INACTIVE

BEST_QUARTER, SURVIVAL = "best_quarter", "survival"
EPOCH_SECONDS, FANOVA = "epoch_seconds", "fanova"
"""Keys of the views."""
SMALLEST_REPORTABLE = 0.02
"""Lower end of a share's interval from which a sentence may report it."""
WIDEST_REPORTABLE = 3
"""Width of the interval over its lower end, up to which a sentence may report it."""
MAPS = 4
"""Interactions that are drawn at most."""
SMALLEST_MAP = 0.01
"""Share of the variance from which an interaction is drawn."""
Views = Mapping[str, Importance]
"""Importance by the question that it answers."""


@dataclass(frozen=True)
class Sensitivity:
    """How the score of one study depends on its hyperparameters."""

    importance: Importance
    """Of the score at full budget, over the declared space."""
    views: Views
    """Other questions: `BEST_QUARTER`, `SURVIVAL`, `EPOCH_SECONDS` and `FANOVA`."""
    effects: Effects
    maps: tuple[InteractionMap, ...]
    """Of the strongest interactions; empty while importance is not ranked."""


def compute_sensitivity(study: Study, seed: int = 0, processes: int = 1) -> Sensitivity:
    """Fit the surrogate once and ask it everything, of the trials that the space allows.

    On one thread: its many small matrices gain nothing from a second one, which on a busy machine
    costs twice the time.

    Args:
        study: What `load_study` returned.
        seed: Of resampling and of the surrogate.
        processes: 2 has a second process compute the other views, where that saves time. For
            commands only (`views_meanwhile`).
    """
    study = sound(study)
    with threadpool_limits(1):
        if processes < 2 or not worthwhile(study):
            return _compute_sensitivity(study, seed, lambda: compute_views(study, seed))
        with views_meanwhile(study, seed) as views:
            return _compute_sensitivity(study, seed, views)


def _compute_sensitivity(study: Study, seed: int, other_views: Callable[[], Views]) -> Sensitivity:
    surrogate = fit_surrogate(study, seed)
    importance = compute_importance(study, seed, surrogate=surrogate)
    best_quarter = compute_importance(study, seed, "good", surrogate)
    effects = compute_effects(study, seed, surrogate)
    maps: list[InteractionMap] = []
    if not isinstance(surrogate, NoSurrogate):
        pairs = strongest(importance)
        maps = [compute_interaction_map(study, p.a, p.b, seed, surrogate) for p in pairs]
    views = {BEST_QUARTER: best_quarter, **other_views()}
    return Sensitivity(importance, views, effects, tuple(maps))


def compute_views(study: Study, seed: int = 0) -> Views:
    """The views that need no surrogate of the score, of a study that is `sound`."""
    with threadpool_limits(1):
        return {
            SURVIVAL: compute_survival_importance(study, seed),
            EPOCH_SECONDS: compute_cost_importance(study, seed),
            FANOVA: compute_fanova(study, seed),
        }


def sound(study: Study) -> Study:
    """The study without trials whose values on record are none that the space allows."""

    def allowed(record: TrialRecord) -> bool:
        values = ((d, record.config.get(n, INACTIVE)) for n, d in study.space.items())
        return all(v is INACTIVE and d.condition is not None or d.contains(v) for d, v in values)

    return replace(study, records=[r for r in study.records if allowed(r)])


def reportable_shares(importance: Importance) -> list[Share]:
    """The shares that a sentence may report: clear of chance, not tiny, and known well enough."""
    if importance.verdict != RANKED:
        return []
    return [
        share
        for share in importance.shares
        if share.above_noise
        and share.total.low >= SMALLEST_REPORTABLE
        and share.total.low >= (share.total.high - share.total.low) / WIDEST_REPORTABLE
    ]


def strongest(importance: Importance) -> list[Pair]:
    """The pairs whose interaction is worth a map."""
    if importance.verdict != RANKED:
        return []
    return [p for p in importance.pairs if p.share.low > SMALLEST_MAP][:MAPS]
