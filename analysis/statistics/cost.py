"""What trials cost in time, and which of them nothing cheaper beats."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.statistics.trial_outcomes import outcome_of, scored
from deepsight.run_store import Study, TrialRecord


@dataclass(frozen=True)
class TrialCost:
    """One trial's time and score."""

    trial_id: str
    outcome: str
    explorer: bool
    seconds: float
    """Of training and validation, over all of its epochs."""
    epoch_s: float
    """Median seconds of an epoch."""
    score: float | None
    """At full budget; None for trials that did not train for it."""
    on_front: bool
    """No trial of full budget is both as good and cheaper, or better and as cheap."""


@dataclass(frozen=True)
class Cost:
    """The numbers of the figure of accuracy against cost."""

    metric: str
    mode: str
    max_epochs: int
    trials: tuple[TrialCost, ...]
    """Those with seconds on record, in their order."""
    front: tuple[str, ...]
    """Trial ids, the cheapest first."""
    total_s: float
    """All seconds on record."""
    full_s: float
    """Of these, spent by trials of full budget."""
    reason: str
    """Why there is no front; empty if there is one."""


def compute_cost(study: Study) -> Cost:
    """Seconds by trial, and the Pareto front of score against seconds at full budget."""
    seconds = {r.trial_id: walls for r in study.records if (walls := _walls(r))}
    full = [(r, s) for r, s in scored(study) if r.trial_id in seconds]
    priced = [(math.fsum(seconds[r.trial_id]), s, r.trial_id) for r, s in full]
    front = _front(study, priced)
    scores = {r.trial_id: s for r, s in full}
    trials = tuple(
        TrialCost(
            trial_id=r.trial_id,
            outcome=outcome_of(study, r),
            explorer=r.explorer,
            seconds=math.fsum(seconds[r.trial_id]),
            epoch_s=statistics.median(seconds[r.trial_id]),
            score=scores.get(r.trial_id),
            on_front=r.trial_id in front,
        )
        for r in study.records
        if r.trial_id in seconds
    )
    reason = "" if seconds else "no result on record states the seconds of its epoch (wall_s)"
    if seconds and not full:
        reason = f"no trial has a score after {study.max_epochs} epochs"
    return Cost(
        metric=study.metric,
        mode=study.mode,
        max_epochs=study.max_epochs,
        trials=trials,
        front=tuple(front),
        total_s=math.fsum(t.seconds for t in trials),
        full_s=math.fsum(t.seconds for t in trials if t.score is not None),
        reason=reason,
    )


def _walls(record: TrialRecord) -> list[float]:
    return [float(w) for row in record.rows if isinstance(w := row.get("wall_s"), int | float)]


def _front(study: Study, priced: Iterable[tuple[float, float, str]]) -> list[str]:
    objective = study.objective
    front: list[str] = []
    best: float | None = None
    for _, score, name in sorted(priced, key=lambda p: (p[0], objective.sort_key(p[1]))):
        if best is None or objective.better(score, best):
            front.append(name)
            best = score
    return front
