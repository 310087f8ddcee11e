"""A trial as a proposal takes it into account, read from Optuna's trials."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from deepsight.space import INACTIVE, Entry
from deepsight.tune.earlier.trials import last_within_halves

OUTCOMES = ("completed", "stopped", "diverged", "failed")
"""What the user attribute ``state`` of a trial may say; Optuna's own states know less."""
STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "failed",  # nothing is known of it yet: as good as absent
}


@dataclass
class ObservedTrial:
    """What a searcher knows of one trial."""

    config: Mapping[str, Entry]
    explorer: bool
    scores: dict[int, float] = field(default_factory=dict)
    """Score (higher is better) by rung."""
    state: str = "running"
    """running (also: paused), completed, stopped, diverged or failed."""


def observe(
    trials: Sequence[FrozenTrial],
    names: Collection[str],
    maximise: bool,
    max_epochs: int | None = None,
    rungs: Collection[int] | None = None,
) -> tuple[list[ObservedTrial], int]:
    """What Optuna's `trials` say, and the full budget.

    Args:
        trials: In the order of their numbers.
        names: The hyperparameters.
        maximise: Whether more is better.
        max_epochs: The full budget; None takes the highest step that anybody reported.
        rungs: The epochs whose scores count. None takes, from every trial, the last score within
            the full budget, half of it, a quarter ...; the value of a complete trial is its score
            at the full budget, and steps may begin at 0.
    """
    shift = int(rungs is None and any(0 in t.intermediate_values for t in trials))
    last = max((step + shift for t in trials for step in t.intermediate_values), default=1)
    full = max_epochs or last
    observed = []
    for trial in trials:
        sign = 1.0 if maximise else -1.0
        curve = {
            min(step + shift, full): sign * value
            for step, value in sorted(trial.intermediate_values.items())
            if math.isfinite(value)
        }
        if rungs is None:
            if trial.state == TrialState.COMPLETE and math.isfinite(trial.value or 0.0):
                curve[full] = sign * float(trial.value or 0.0)
            scores = last_within_halves(curve, full)
        else:
            scores = {epoch: score for epoch, score in curve.items() if epoch in rungs}
        config = {name: trial.params.get(name, INACTIVE) for name in names}
        explorer = bool(trial.user_attrs.get("explorer"))
        observed.append(ObservedTrial(config, explorer, scores, _state(trial)))
    return observed, full


def _state(trial: FrozenTrial) -> str:
    """How the trial stands; one that breaks a constraint counts as diverged."""
    told = trial.user_attrs.get("state")
    if told in OUTCOMES:
        return str(told)
    values = [*trial.intermediate_values.values()][-1:]
    if trial.state == TrialState.COMPLETE:
        values.append(trial.value or 0.0)
    if not all(map(math.isfinite, values)) or any(c > 0 for c in _constraints(trial)):
        return "diverged"
    if trial.state == TrialState.RUNNING and not trial.params:
        return "failed"  # just begun by somebody else: nothing is known of it yet
    return STATES[trial.state]


def _constraints(trial: FrozenTrial) -> Collection[float]:
    """Values of the trial's constraints: positive ones are broken."""
    named = getattr(trial, "constraints", None)  # Optuna 5: Trial.set_constraint
    if named is not None:
        return list(named.values())
    return trial.system_attrs.get("constraints") or ()
