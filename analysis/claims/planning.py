"""How many runs settle a claim: the power of the tests that will judge it."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

import numpy as np
from statsmodels.stats.power import TTestPower

from analysis.claims.claim_files import Claim, ClaimFile
from deepsight.confirm.statistics import ALPHA

PILOT = 4
"""Seeds from whose spread the number of all is planned; they are the first of these."""
FEWEST = PILOT + 2
"""Planned seeds: what is known of the spread besides the pilot has two degrees of freedom."""


def pairs_needed(
    spread: float, difference: float, alpha: float, power: float, most: int
) -> tuple[int, bool]:
    """The fewest pairs with which the t test of `Sample.spread` finds a difference.

    The power is that of the noncentral t distribution with noncentrality ``sqrt(n) * difference /
    spread`` (Cohen, "Statistical power analysis for the behavioral sciences", 2nd edition 1988,
    chapter 2), by statsmodels, here with n - `PILOT` degrees of freedom.

    Args:
        spread: Standard deviation of a pair's difference.
        difference: The true one that is to be found, more than 0.
        alpha: Of the two-sided test.
        power: Wanted, 0 to 1.
        most: No more pairs than these, at least `FEWEST`.

    Returns:
        The number, at least `FEWEST`, and whether it reaches the power.
    """
    if spread <= 0:
        return FEWEST, True
    test, allowed = TTestPower(), range(FEWEST, most + 1)

    def reached(n: int) -> float:
        effect = difference / spread
        return float(test.power(effect, n, alpha, df=n - PILOT, alternative="two-sided"))

    place = bisect.bisect_left(allowed, power, key=reached)
    return (allowed[place], True) if place < len(allowed) else (allowed[-1], False)


def planned_pairs(
    file: ClaimFile, claim: Claim, tests: int, pilots: Sequence[Sequence[float]]
) -> int:
    """How many pairs a claim's planned runs have.

    Each of the tests of a file gets its share of the error, as in the first step of Holm's method;
    where a value has to be better than several others, each of these tests gets its share of the
    error of the second kind.

    Args:
        file: Where the claim stands.
        claim: Whose `Claim.matters` is to be found.
        tests: Claims among which planned runs share the error.
        pilots: For each contrast of the claim, differences of the first seeds.
    """
    power = 1 - (1 - file.power) / len(pilots)
    spreads = [float(np.std(p, ddof=1)) if len(p) > 1 else math.nan for p in pilots]
    known = [s for s in spreads if math.isfinite(s)]
    if not known:
        return FEWEST
    return max(
        pairs_needed(s, claim.matters, ALPHA / tests, power, file.most_seeds)[0] for s in known
    )
