"""A space in Optuna's terms."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from deepsight.config import Value
from deepsight.space import Choice, Domain, Int, Space, decide


def suggest_point(
    trial: optuna.Trial, space: Space, fixed: Mapping[str, Value]
) -> dict[str, Value]:
    """The values that `trial` has, or its sampler draws, for what is active; None elsewhere."""
    chosen: dict[str, Value] = {name: None for name in space}
    for name, domain, config in decide(space, fixed):
        config[name] = chosen[name] = _suggest(trial, name, domain)
    return chosen


def to_distribution(domain: Domain) -> BaseDistribution:
    """Optuna's form of a domain."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        return trial.suggest_categorical(name, domain.values)
    if isinstance(domain, Int):
        return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
