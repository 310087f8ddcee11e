"""Effects with intervals and one-sided p values: of differences, of draws, of two samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.importance.importance import INTERVAL
from deepsight.confirm.record import Estimate
from deepsight.confirm.statistics import ALPHA

Array = npt.NDArray[np.float64]
WIDER = 100 * ALPHA / 2 / INTERVAL[0]
"""By how much the tails of draws are thinner than those of what the data allow, as their 95 %
interval has it (`analysis.importance.importance`)."""


@dataclass(frozen=True)
class Measure:
    """By how much the first side of a contrast is better."""

    label: str
    """What it is better than, where there are several."""
    effect: Estimate
    p_above: float | None
    """Of such an effect or a larger one, were it `Claim.by` or less; None without an interval."""
    p_below: float | None
    """Of such an effect or a smaller one, were it `Claim.by` or more."""
    probability: float | None = None
    """That the effect is more than `Claim.by`, by the surrogate."""


@dataclass(frozen=True)
class Sample:
    """What the runs of one contrast say, a number each."""

    label: str
    values: tuple[float, ...]
    pilot: tuple[float, ...] = ()
    """Those of `values` by whose spread it was planned how many there are."""

    def spread(self) -> tuple[float, int]:
        """Standard deviation between runs, and its degrees of freedom.

        The squares that the pilot deviates from its own mean by are left out: the number of runs
        depends on them, and on nothing else. What is left of the sum of squares is independent of
        them and of the mean of all (Cochran's theorem), so that t has its distribution whatever
        number they led to; of n values with a pilot of k it has n - k degrees of freedom. Without
        a pilot this is the usual one. That the number may depend on the first spread alone is
        Stein's (1945); with the usual t of all values, as in Wittes and Brittain's internal
        pilots (1990), small pilots double the error.
        """
        squares = float(np.var(self.values) * len(self.values))
        if self.pilot:
            squares -= float(np.var(self.pilot) * len(self.pilot))
        freedom = len(self.values) - max(len(self.pilot), 1)
        scale = max(1.0, *map(abs, self.values)) if self.values else 1.0
        known = freedom > 0 and squares > len(self.values) * (1e-12 * scale) ** 2
        return (math.sqrt(squares / freedom) if known else 0.0), freedom


def of_runs(sample: Sample, by: float, variance: float = 0.0) -> Measure | None:
    """The mean over runs; None without any, and without p values where runs show no spread.

    Args:
        sample: Of the runs.
        by: What their mean is tested against.
        variance: Of the mean for other reasons, as for the images that there happen to be.
    """
    if not sample.values:
        return None
    value, n = float(np.mean(sample.values)), len(sample.values)
    spread, freedom = sample.spread()
    if spread == 0 and (variance == 0 or freedom < 1):
        return Measure(sample.label, Estimate(value, None, None, n), None, None)
    return of_mean(sample.label, value, n, spread, freedom, by, variance)


def of_mean(
    label: str,
    value: float,
    n: int,
    spread: float,
    freedom: int,
    by: float,
    variance: float = 0.0,
) -> Measure:
    """A mean, with one-sided t tests and its t interval.

    With a `variance` of other origin the degrees of freedom are Satterthwaite's (1946), those of
    that variance without end.

    Args:
        label: What the first is better than.
        value: The mean.
        n: Runs that it is of.
        spread: Standard deviation between runs.
        freedom: Degrees of freedom of `spread`.
        by: What the mean is tested against.
        variance: Of the mean for other reasons than runs.
    """
    runs = spread**2 / n
    error = math.sqrt(runs + variance)
    together = math.inf if runs == 0 else error**4 / (runs**2 / freedom)
    half, t = float(stats.t.ppf(1 - ALPHA / 2, together)) * error, (value - by) / error
    above, below = float(stats.t.sf(t, together)), float(stats.t.cdf(t, together))
    return Measure(label, Estimate(value, value - half, value + half, n), above, below)


def of_draws(
    label: str,
    draws: Array,
    by: float,
    n: int,
    unseen: float = 0.0,
    most: float = math.inf,
) -> Measure:
    """Effects in functions that the trials allow.

    Args:
        label: What the first is better than.
        draws: (m,) effects, one a function.
        by: What they are compared with.
        n: Trials that the functions rest on.
        unseen: By how much any of them may be off.
        most: No effect is larger, whichever its sign.
    """
    low, high = (float(x) for x in np.percentile(draws, INTERVAL))
    num = len(draws) + 1
    above, below = (
        min(1.0, WIDER * (1 + int((side * (draws - by) <= unseen).sum())) / num) for side in (1, -1)
    )
    low, high = max(low - unseen, -most), min(high + unseen, most)
    effect = Estimate(float(draws.mean()), low, high, n)
    return Measure(label, effect, above, below, float((draws > by).mean()))


def of_samples(first: Sequence[float], second: Sequence[float], by: float) -> Measure | None:
    """By how much the mean of `first` is more than that of `second`: Welch's t (1947)."""
    if min(len(first), len(second)) < 2:
        return None
    value, n = float(np.mean(first) - np.mean(second)), len(first) + len(second)
    if max(np.ptp(first), np.ptp(second)) == 0:
        return Measure("", Estimate(value, None, None, n), None, None)
    shifted = [x - by for x in first]
    above, below = (
        float(stats.ttest_ind(shifted, second, equal_var=False, alternative=side).pvalue)
        for side in ("greater", "less")
    )
    ends = stats.ttest_ind(first, second, equal_var=False).confidence_interval(1 - ALPHA)
    return Measure("", Estimate(value, float(ends.low), float(ends.high), n), above, below)


def deviations(scores: Sequence[float]) -> list[float]:
    """How far scores lie from their median: what Brown and Forsythe (1974) compare spreads by.

    Of an odd number one deviation is 0 whatever the spread; it is left out.
    """
    found = sorted(float(d) for d in np.abs(np.array(scores, float) - np.median(scores)))
    return found[1:] if len(found) % 2 else found
