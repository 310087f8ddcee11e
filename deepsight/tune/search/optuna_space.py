"""A space in Optuna's terms, and what the trials of an Optuna study show of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from deepsight.config import Value
from deepsight.optuna_distributions import to_domain, union
from deepsight.space import (
    INACTIVE,
    Choice,
    Condition,
    Domain,
    Entry,
    Int,
    Space,
    decide,
)

MOST_PARENT_VALUES = 10
"""A whole number with more values than this is not taken for the parent of a hyperparameter."""


def suggest_point(
    trial: optuna.Trial, space: Space, fixed: Mapping[str, Value]
) -> dict[str, Entry]:
    """The values that `trial` has, or its sampler draws, for what is active; else `INACTIVE`."""
    chosen: dict[str, Entry] = dict.fromkeys(space, INACTIVE)
    for name, domain, config in decide(space, fixed):
        config[name] = chosen[name] = _suggest(trial, name, domain)
    return chosen


def to_step(distribution: BaseDistribution, value: Entry) -> Entry:
    """The value of `distribution` that lies nearest to a `value` of its domain."""
    if isinstance(distribution, IntDistribution):
        assert isinstance(value, int)
        steps = round((value - distribution.low) / distribution.step)
        return min(distribution.low + steps * distribution.step, distribution.high)
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        assert isinstance(value, float)
        steps = round((value - distribution.low) / distribution.step)
        return min(distribution.low + steps * distribution.step, distribution.high)
    return value


def seen_distributions(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The hyperparameters that any of `trials` has, each over all the values that it could have.

    Those with a single value are left out: nothing is to be drawn for them.
    """
    seen: dict[str, BaseDistribution] = {}
    for trial in trials:
        for name, new in trial.distributions.items():
            seen[name] = union(seen[name], new) if name in seen else new
    return {name: distribution for name, distribution in seen.items() if not distribution.single()}


def seen_space(
    distributions: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial]
) -> dict[str, Domain]:
    """The space of `distributions` with the conditions that `trials` obeyed so far.

    Optuna's spaces are defined by running: a condition is inferred where a hyperparameter was
    there exactly when another, more common one had certain values.
    """
    done = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    count = {name: sum(name in t.params for t in done) for name in distributions}
    names = sorted(distributions, key=lambda name: -count[name])  # parents are never rarer
    space: dict[str, Domain] = {}
    for name in names:
        parents = [p for p in space if count[p] > count[name] and _may_decide(distributions[p])]
        conditions = (_condition(name, parent, done) for parent in parents)
        space[name] = to_domain(distributions[name], next(filter(None, conditions), None))
    return {name: space[name] for name in distributions}


def _may_decide(distribution: BaseDistribution) -> bool:
    if isinstance(distribution, IntDistribution):
        return distribution.high - distribution.low < MOST_PARENT_VALUES * distribution.step
    return isinstance(distribution, CategoricalDistribution)


def _condition(name: str, parent: str, trials: Sequence[FrozenTrial]) -> Condition | None:
    """The values of `parent` that came with `name`, if none of them came without it."""
    having = [t for t in trials if name in t.params]
    if not having or not all(parent in t.params for t in having):
        return None
    values = list(dict.fromkeys(t.params[parent] for t in having))
    others = [t.params[parent] for t in trials if name not in t.params and parent in t.params]
    condition = Condition(parent, tuple(values))
    return None if any(condition.holds(value) for value in others) else condition


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        return trial.suggest_categorical(name, domain.values)
    if isinstance(domain, Int):
        return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
