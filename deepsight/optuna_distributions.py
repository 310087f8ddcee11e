"""Domains and Optuna's distributions. Importing this module does not import Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepsight.space import Choice, Condition, Domain, Float, Int

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def to_distribution(domain: Domain) -> BaseDistribution:
    """Optuna's form of `domain`; its condition, which Optuna does not know, is left out."""
    from optuna import distributions

    if isinstance(domain, Choice):
        return distributions.CategoricalDistribution(domain.values)
    if isinstance(domain, Int):
        return distributions.IntDistribution(domain.low, domain.high, log=domain.log)
    return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


def to_domain(distribution: BaseDistribution, condition: Condition | None = None) -> Domain:
    """Our form of a distribution; what it says of steps is lost."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return Choice(tuple(distribution.choices), condition)
    if isinstance(distribution, IntDistribution):
        return Int(distribution.low, distribution.high, distribution.log, condition)
    assert isinstance(distribution, FloatDistribution)
    return Float(distribution.low, distribution.high, distribution.log, condition)


def union(old: BaseDistribution, new: BaseDistribution) -> BaseDistribution:
    """The later distribution, widened to hold the earlier one's values."""
    from optuna.distributions import FloatDistribution, IntDistribution

    if isinstance(old, FloatDistribution) and isinstance(new, FloatDistribution):
        low, high = min(old.low, new.low), max(old.high, new.high)
        return FloatDistribution(low, high, log=new.log, step=new.step)
    if isinstance(old, IntDistribution) and isinstance(new, IntDistribution):
        low, high = min(old.low, new.low), max(old.high, new.high)
        return IntDistribution(low, high, log=new.log, step=new.step)
    return new
