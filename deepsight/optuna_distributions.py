"""A domain as Optuna's distribution. Importing this module does not import Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepsight.space import Choice, Domain, Int

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
