"""The statistics of a confirmation: arrays of scores in, estimates out. No files, no models.

A score is one seed's. Configs are compared seed by seed: equal seeds share what is random in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from deepsight.confirm.record import Comparison, Estimate

ALPHA = 0.05
"""Of every interval, and of all tests of a family together."""
EFFECT = 2.0
"""Spread of the effects, in standard deviations of a difference, that `anytime_half_width` mixes
over: 1 would cost a seed or two at the start, and win 5 % of the width at 20 seeds."""
FIRST_SEEDS, MOST_SEEDS = 4, 20
"""Of a sequential confirmation: with fewer no interval is finite; more only if asked for."""

Scores = Sequence[float | None]


def mean_estimate(scores: Scores, alpha: float = ALPHA) -> Estimate | None:
    """The mean and its t interval; None without any score.

    Args:
        scores: One a seed; None where there is none.
        alpha: One minus the coverage.
    """
    known = np.array([s for s in scores if s is not None], float)
    if not len(known):
        return None
    value = float(known.mean())
    if not _has_spread(known):
        return Estimate(value, None, None, len(known))
    low, high = DescrStatsW(known).tconfint_mean(alpha)
    return Estimate(value, float(low), float(high), len(known))


def within(found: Estimate | None, least: float, most: float) -> Estimate | None:
    """The estimate with an interval that leaves out what cannot be.

    A t interval of few seeds knows no bounds; values that no score can have are cut off, which
    costs no coverage.

    Args:
        found: An estimate, or none.
        least: The lowest value that there is.
        most: The highest.
    """
    if found is None or found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, least), high=min(found.high, most))


def _has_spread(scores: np.ndarray) -> bool:
    """Whether a t interval means anything: equal scores show no spread, not certainty."""
    return len(scores) > 1 and float(np.ptp(scores)) > 1e-12 * max(1.0, float(np.abs(scores).max()))


def gains(first: Scores, second: Scores, sign: float) -> list[float]:
    """By how much `first` is better, for every seed that both have.

    Args:
        first: Scores by seed.
        second: Scores of the same seeds.
        sign: 1 where more is better, -1 where less is.
    """
    pairs = zip(first, second, strict=True)
    return [sign * (a - b) for a, b in pairs if a is not None and b is not None]


def compare(
    scores: Mapping[str, Scores], pairs: Sequence[tuple[str, str]], split: str, sign: float
) -> tuple[Comparison, ...]:
    """Paired t tests of `pairs`, with Holm's correction (1979) over all of them.

    Args:
        scores: By config, all in the order of the same seeds.
        pairs: Which configs, the first against the second.
        split: What the scores were measured on.
        sign: 1 where more is better, -1 where less is.
    """
    estimates, p_values = [], []
    for first, second in pairs:
        found = gains(scores[first], scores[second], sign)
        estimates.append(mean_estimate(found))
        p_values.append(_p_value(found))
    adjusted = holm(p_values)
    return tuple(
        Comparison(first, second, split, gain, p, p_holm, _verdict(gain, p_holm))
        for (first, second), gain, p, p_holm in zip(
            pairs, estimates, p_values, adjusted, strict=True
        )
    )


def _p_value(found: Sequence[float]) -> float | None:
    values = np.array(found, float)
    return float(DescrStatsW(values).ttest_mean(0.0)[1]) if _has_spread(values) else None


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p values; a test without one counts as one that found nothing."""
    if not p_values:
        return []
    known = [1.0 if p is None else p for p in p_values]
    adjusted = multipletests(known, ALPHA, method="holm")[1]
    return [None if p is None else float(a) for p, a in zip(p_values, adjusted, strict=True)]


def _verdict(gain: Estimate | None, p: float | None) -> str:
    if gain is None or p is None or p > ALPHA:
        return "undecided"
    return "better" if gain.value > 0 else "worse"


def optimism(search_score: float | None, mean: Estimate | None, sign: float) -> Estimate | None:
    """By how much the search's score was better than the mean of fresh seeds.

    The score is a number that was seen; only the mean is uncertain, and so is the difference.
    """
    if search_score is None or mean is None:
        return None
    ends = [None if end is None else sign * (search_score - end) for end in (mean.low, mean.high)]
    low, high = (ends[1], ends[0]) if sign > 0 else (ends[0], ends[1])
    return Estimate(sign * (search_score - mean.value), low, high, mean.n)


def target_verdict(mean: Estimate | None, target: float | None, sign: float) -> str | None:
    """Whether the whole interval reaches the target (met), misses it (missed), or neither."""
    if mean is None or target is None or mean.low is None or mean.high is None:
        return None
    worst, best = sorted((sign * mean.low, sign * mean.high))
    if worst >= sign * target:
        return "met"
    return "missed" if best < sign * target else "undecided"


def anytime_half_width(found: Sequence[float], alpha: float = ALPHA) -> float | None:
    """Half the width of an interval for a mean that holds at every number of seeds at once.

    One may look after every seed and stop when one likes: the interval covers the mean at all
    times together with probability ``1 - alpha``, for normal differences of unknown spread. It
    is where the mixture of t likelihoods over normal effects of standard deviation `EFFECT`, a
    non-negative martingale of the differences' ratios, stays below ``1 / alpha`` (Ville's
    inequality): the Gaussian mixture of Wang and Ramdas, "Anytime-valid t-tests and confidence
    sequences for Gaussian means with unknown variance", Sequential Analysis 44, 2025, theorem 4.9,
    with c = 1 / `EFFECT`. Lai (1976), from whom the construction is, mixed over a flat prior.

    Args:
        found: Differences, one a seed.
        alpha: One minus the coverage.

    Returns:
        None while no finite interval holds, or where there is no spread.
    """
    values = np.array(found, float)
    if not _has_spread(values):
        return None
    n = len(values)
    growth = 1 + n * EFFECT**2
    most = (math.sqrt(growth) / alpha) ** (2 / n)
    if most >= growth:
        return None
    squared = (n - 1) * (most - 1) / (1 - most / growth)
    return float(values.std(ddof=1)) * math.sqrt(squared / n)


def anytime_interval(found: Sequence[float], alpha: float = ALPHA) -> Estimate | None:
    """The mean of `found` with the interval of `anytime_half_width`; None without any."""
    if not found:
        return None
    value, half = float(np.mean(found)), anytime_half_width(found, alpha)
    if half is None:
        return Estimate(value, None, None, len(found))
    return Estimate(value, value - half, value + half, len(found))


def compare_anytime(
    scores: Mapping[str, Scores], pairs: Sequence[tuple[str, str]], split: str, sign: float
) -> tuple[Comparison, ...]:
    """As `compare`, where the number of seeds depended on what was seen.

    The intervals are those of `anytime_interval`, at `ALPHA` over the number of pairs
    (Bonferroni); a verdict is one of them that excludes zero. There are no p values.
    """
    found = []
    for first, second in pairs:
        gain = anytime_interval(gains(scores[first], scores[second], sign), ALPHA / len(pairs))
        found.append(Comparison(first, second, split, gain, None, None, _sure_verdict(gain)))
    return tuple(found)


def _sure_verdict(gain: Estimate | None) -> str:
    """Better or worse where the interval of a gain excludes zero."""
    if gain is None or gain.low is None or gain.high is None:
        return "undecided"
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else "undecided"


def is_settled(interval: Estimate | None, difference: float) -> bool:
    """Whether an interval says which config is better, or that they differ by less.

    Args:
        interval: Of the difference of two configs.
        difference: The smallest that matters, in the metric's unit.
    """
    if interval is None or interval.low is None or interval.high is None:
        return False
    alike = interval.low > -difference and interval.high < difference
    return alike or _sure_verdict(interval) != "undecided"


def seeds_at_once(num_configs: int, slots: int) -> int:
    """How many seeds a sequential confirmation adds before it looks again: no slot waits."""
    return max(1, slots // num_configs)
