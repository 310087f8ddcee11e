"""Effects with intervals and one-sided p values: of differences, of draws, of two samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from analysis.importance.importance import INTERVAL
from deepsight.confirm.record import Estimate
from deepsight.confirm.statistics import ALPHA, mean_estimate

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


def of_differences(label: str, found: Sequence[float], by: float) -> Measure | None:
    """Paired differences: t tests and t interval; None without any."""
    effect = mean_estimate(found)
    if effect is None or effect.low is None:
        return None if effect is None else Measure(label, effect, None, None)
    values = DescrStatsW(np.array(found, float))
    above, below = (float(values.ttest_mean(by, side)[1]) for side in ("larger", "smaller"))
    return Measure(label, effect, above, below)


def of_gaps(
    found: Sequence[float], spread: float, freedom: int, variance: float, by: float
) -> Measure:
    """A mean over runs whose images are a sample too.

    The variance of the mean is ``spread ** 2 / n`` of the runs and `variance` of the images, with
    the degrees of freedom of Satterthwaite (1946), those of the images without end.

    Args:
        found: A gap between two groups of classes for every run, n of them.
        spread: Standard deviation between runs.
        freedom: Degrees of freedom of `spread`.
        variance: Of a gap, for the images that there happen to be.
        by: What it is tested against.
    """
    n, value = len(found), float(np.mean(found))
    runs = spread**2 / n
    error = math.sqrt(runs + variance)
    if error == 0:
        return Measure("", Estimate(value, None, None, n), None, None)
    together = math.inf if runs == 0 else error**4 / (runs**2 / freedom)
    half = float(stats.t.ppf(1 - ALPHA / 2, together)) * error
    t = (value - by) / error
    above, below = float(stats.t.sf(t, together)), float(stats.t.cdf(t, together))
    return Measure("", Estimate(value, value - half, value + half, n), above, below)


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
