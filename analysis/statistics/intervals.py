"""Intervals for counts and for differences, 95 % throughout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special, stats

LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A number, its 95 % interval and from how many observations it comes."""

    value: float
    low: float
    high: float
    n: int = 0
    """0 where it is stated elsewhere, as `Importance.num_trials`."""

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0

    @property
    def magnitude(self) -> Interval:
        """How far from zero it is, of an interval that excludes zero."""
        low, high = sorted((abs(self.low), abs(self.high)))
        return Interval(abs(self.value), low, high, self.n)


def share_interval(count: int, total: int) -> Interval:
    """`count` of `total`, with the exact interval of Clopper and Pearson (1934)."""
    assert 0 <= count <= total
    assert total > 0
    tail = (1 - LEVEL) / 2
    low = float(special.betaincinv(count, total - count + 1, tail)) if count else 0.0
    high = float(special.betainccinv(count + 1, total - count, tail)) if count < total else 1.0
    return Interval(count / total, low, high, total)


def accuracy_interval(accuracy: float, num_images: int, level: float = LEVEL) -> Interval:
    """An accuracy on `num_images` images, with the interval of Wilson (1927)."""
    share = round(accuracy * num_images) / num_images
    z2 = float(special.ndtri((1 + level) / 2)) ** 2 / num_images
    middle = (share + z2 / 2) / (1 + z2)
    reach = float(np.sqrt(z2 * share * (1 - share) + z2**2 / 4)) / (1 + z2)
    low = 0.0 if share == 0 else middle - reach  # exact: rounding must not lift it
    high = 1.0 if share == 1 else middle + reach
    return Interval(accuracy, low, high, num_images)


def share_difference(count_a: int, total_a: int, count_b: int, total_b: int) -> Interval:
    """How much larger the share ``a`` is than ``b``, of different things."""
    return interval_difference(
        accuracy_interval(count_a / total_a, total_a), accuracy_interval(count_b / total_b, total_b)
    )


def interval_difference(first: Interval, second: Interval) -> Interval:
    """How much larger one number is than another, independent one, from their intervals.

    Of two shares with Wilson's intervals this is method 10 of Newcombe (1998).
    """
    a, b = first.value, second.value
    down = float(np.hypot(a - first.low, second.high - b))
    up = float(np.hypot(first.high - a, b - second.low))
    n = first.n if first.n == second.n else first.n + second.n
    return Interval(a - b, a - b - down, a - b + up, n)


def bootstrap(
    samples: Sequence[Sequence[float]],
    statistic: Callable[..., Any],
    seed: int = 0,
) -> Interval:
    """`statistic` of one or several independent samples, with its percentile interval.

    Args:
        samples: Each is resampled by itself.
        statistic: Takes one array a sample, ``(n,)`` or resampled ``(RESAMPLES, n)``, and reduces
            the last axis.
        seed: Of the resampling.
    """
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(sample, dtype=float) for sample in samples]
    drawn = [a[rng.integers(len(a), size=(RESAMPLES, len(a)))] for a in arrays]
    low, high = np.quantile(statistic(*drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    n = sum(len(a) for a in arrays)
    return Interval(float(statistic(*arrays)), float(low), float(high), n)


def superiority_interval(a: Sequence[float], b: Sequence[float]) -> Interval:
    """How often a draw from `a` exceeds one from `b`, ties half: Mann and Whitney's U by its most.

    The interval is method 5 of Newcombe (Statistics in Medicine 25, 2006), which keeps its width
    where all of one sample exceed all of the other.
    """
    ranked = np.sort(np.asarray(b, dtype=float))
    below, up_to = (np.searchsorted(ranked, a, side) for side in ("left", "right"))
    share = float((below + up_to).mean() / (2 * len(ranked)))
    z = float(stats.norm.ppf((1 + LEVEL) / 2))
    more = (len(a) + len(b)) / 2 - 1

    def excess(at: float) -> float:
        spread = 1 + more * ((1 - at) / (2 - at) + at / (1 + at))
        return (share - at) ** 2 - z**2 * at * (1 - at) * spread / (len(a) * len(b))

    low = 0.0 if share == 0 else float(optimize.brentq(excess, 0.0, share - 1e-9))
    high = 1.0 if share == 1 else float(optimize.brentq(excess, share + 1e-9, 1.0))
    return Interval(share, low, high, len(a) + len(b))


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> Interval:
    """Spearman's, with Fisher's transformation and the variance of Bonett and Wright (2000).

    A sample without any spread correlates by 0, and nothing is known of it.
    """
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    if min(len(set(first)), len(set(second))) == 1:
        return Interval(0.0, -1.0, 1.0, len(pairs))
    value = float(stats.spearmanr(first, second).statistic)
    reach = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt((1 + value**2 / 2) / (len(pairs) - 3))
    most = 1 - 1 / len(pairs)  # a perfect correlation would be infinitely far
    middle = np.arctanh(np.clip(value, -most, most))
    low, high = (float(np.tanh(middle + side * reach)) for side in (-1, 1))
    return Interval(value, min(low, value), max(high, value), len(pairs))


def mean_difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """How much higher the mean of `a` is than that of `b` (Welch's t); each has two or more."""
    result = stats.ttest_ind(a, b, equal_var=False)
    value = float(np.mean(a) - np.mean(b))
    n = len(a) + len(b)
    if not np.isfinite(result.df):  # both constant
        return Interval(value, value, value, n)
    exact = result.confidence_interval(LEVEL)
    return Interval(value, float(exact.low), float(exact.high), n)
