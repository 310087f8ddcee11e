"""Exact Gaussian-process regression of learning curves over (config, time).

A trial's score at time t, 0 after the first epoch and 1 at the full budget, is modelled as

    curve(t) + growth(t) final(x) + (1 - t) transient(x, t) + trial_effect + noise,

where ``growth(t) = t + (1 - t) head_start``. The transient vanishes at t = 1, so that a
hyperparameter may rule the early epochs and have no part in the final score; with one kernel over
(x, t), stationary in t, it cannot. All four functions have squared exponential kernels, `transient`
and `final` with a length scale a hyperparameter (Rasmussen and Williams 2006, section 5.1); that of
`final` has a part over all of them jointly and one over each alone (Duvenaud et al. 2011). Which
kernels the data allow: `analysis.importance.kernel_posterior`.

What depends on configs only is computed trial by trial, not row by row: see docs/decisions/0023 for
what that gains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]

JITTER = 1e-6
"""Added to the diagonal, in units of the scores' variance."""
BLOCK = 256
"""Features that are predicted at a time."""


@dataclass(frozen=True)
class Rows:
    """What a process is conditioned on: n rows of m trials."""

    features: Array
    """(m, p), of the trials."""
    trial: Numbers
    """(n,) rising: whose row it is; every trial has one at least."""
    time: Array
    """(n,), in [0, 1]."""
    target: Array
    """(n,): standardised scores."""
    groups: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    """(p,): to which of g groups each feature belongs, 0 to g - 1; the features of a group share a
    length scale. Empty: each is a group of its own."""

    def __post_init__(self) -> None:
        if not len(self.groups):
            object.__setattr__(self, "groups", np.arange(self.features.shape[1]))

    @cached_property
    def starts(self) -> Numbers:
        """(m,): the first row of each trial."""
        return np.searchsorted(self.trial, np.arange(len(self.features)))

    @property
    def ends(self) -> Numbers:
        """(m,): the last row of each trial."""
        return np.append(self.starts[1:], len(self.trial)) - 1

    @cached_property
    def times(self) -> Array:
        """(t,): the different times, rising. There are few of them."""
        return np.unique(self.time)

    @cached_property
    def at_time(self) -> Array:
        """(n, t): 1 where a row is of that time."""
        return np.asarray(self.time[:, None] == self.times[None, :], dtype=float)

    @cached_property
    def _pairs(self) -> tuple[Numbers, Numbers]:
        """(n, n) each: where a pair of rows lies in a flat (m, m) and in a flat (t, t)."""
        moment = np.searchsorted(self.times, self.time)
        by_trial = self.trial[:, None] * len(self.features) + self.trial[None, :]
        return by_trial, moment[:, None] * len(self.times) + moment[None, :]

    @cached_property
    def same_trial(self) -> Array:
        """(n, n): 1 where two rows are of one trial."""
        return np.asarray(self.trial[:, None] == self.trial[None, :], dtype=float)

    def by_trial(self, rows: Array) -> Array:
        """Sums over the rows of each trial along the first axis."""
        return np.asarray(np.add.reduceat(rows, self.starts, axis=0))

    def of_trials(self, square: Array) -> Array:
        """(m, m) of the trials as (n, n) of the rows."""
        return np.take(square, self._pairs[0])

    def of_times(self, square: Array) -> Array:
        """(t, t) of the times as (n, n) of the rows."""
        return np.take(square, self._pairs[1])


@dataclass(frozen=True)
class Kernel:
    """The covariance's parameters, for features in g groups."""

    groups: Numbers
    """(p,): of the features, as in `Rows`."""
    final_scales: Array
    """(g,): length scales of `final`, joint and alone."""
    transient_scales: Array
    """(g,)."""
    transient_time_scale: float
    """Length scale of the transient in time."""
    final: float
    """Variance of the final score's joint part."""
    alone: float
    """Variance of its part over each group alone."""
    transient: float
    curve_scale: float
    curve: float
    trial_effect: float
    """Variance between trials of the same config."""
    noise: float
    """Variance of one row."""
    head_start: float
    """What part of the final score's differences shows after the first epoch."""

    @staticmethod
    def of(theta: Array, groups: Numbers) -> Kernel:
        """From one vector: logarithms of everything but the head start, in the fields' order."""
        num = int(groups.max(initial=-1)) + 1
        logs = np.exp(theta[:-1])
        others = [float(x) for x in (*logs[2 * num :], theta[-1])]
        return Kernel(groups, logs[:num], logs[num : 2 * num], *others)

    def growth(self, time: Array | float) -> Array:
        """What part of the final score's differences shows at a time."""
        return np.asarray(time + self.head_start * (1 - np.asarray(time)))

    def final_between(self, a: Array, b: Array) -> Array:
        """Prior covariance of the final score, (len(a), len(b))."""
        a, b = a / self.final_scales[self.groups], b / self.final_scales[self.groups]
        covariance = self.final * rbf(squared(a, b))
        for group in range(len(self.final_scales)):
            mine = self.groups == group
            covariance += self.alone * rbf(squared(a[:, mine], b[:, mine]))
        return covariance

    def transient_between(self, a: Array, b: Array) -> Array:
        """Prior covariance of the transient at one time, (len(a), len(b))."""
        scales = self.transient_scales[self.groups]
        return self.transient * rbf(squared(a / scales, b / scales))

    def transient_in_time(self, a: Array, b: Array) -> Array:
        """Its factor over time, (len(a), len(b)), 0 at the full budget."""
        apart = squared(a[:, None], b[:, None]) / self.transient_time_scale**2
        return np.outer(1 - a, 1 - b) * rbf(apart)

    def curve_between(self, a: Array, b: Array) -> Array:
        """Prior covariance of the curve that all trials share."""
        return self.curve * rbf(squared(a[:, None], b[:, None]) / self.curve_scale**2)

    def of_rows(self, rows: Rows) -> Array:
        """Covariance of the targets, (n, n)."""
        growth, times = self.growth(rows.times), rows.times
        covariance = rows.of_trials(self.final_between(rows.features, rows.features))
        covariance *= rows.of_times(np.outer(growth, growth))
        transient = rows.of_trials(self.transient_between(rows.features, rows.features))
        transient *= rows.of_times(self.transient_in_time(times, times))
        covariance += transient
        covariance += rows.of_times(self.curve_between(times, times))
        covariance += rows.of_trials(self.trial_effect * np.eye(len(rows.features)))
        covariance[np.diag_indices_from(covariance)] += self.noise + JITTER
        return covariance


def rbf(squares: Array) -> Array:
    """The squared exponential of squared scaled distances."""
    exponents = -0.5 * squares
    return np.asarray(np.exp(exponents, out=exponents))


def squared(a: Array, b: Array) -> Array:
    """Squared distances, (len(a), len(b))."""
    if a.shape[1] == 1:
        distances = a - b.T
        distances *= distances
        return np.asarray(distances)
    distances = a @ (-2 * b.T)
    distances += (a * a).sum(1)[:, None]
    distances += (b * b).sum(1)
    return np.asarray(np.maximum(distances, 0.0, out=distances))


@dataclass(frozen=True)
class Process:
    """A process conditioned on rows."""

    kernel: Kernel
    rows: Rows

    @cached_property
    def factor(self) -> Array:
        """Cholesky factor of the targets' covariance, lower."""
        once = replace(self.rows)  # holds 2 n^2 indices of pairs, which go with it
        covariance = self.kernel.of_rows(once)
        return np.asarray(cholesky(covariance, lower=True, overwrite_a=True, check_finite=False))

    def solve(self, targets: Array) -> Array:
        """The inverse covariance of the targets times `targets`."""
        return np.asarray(cho_solve((self.factor, True), targets, check_finite=False))

    @cached_property
    def weights(self) -> Array:
        """Of the rows in the posterior mean, (n,)."""
        return self.solve(self.rows.target)

    def mean(self, features: Array, time: float) -> Array:
        """Posterior mean of the score at one time, (len(features),)."""
        weights = self.weights[:, None]
        return _in_blocks(lambda block: self._response(block, time, weights), features)[:, 0]

    def _response(self, features: Array, time: float, weights: Array) -> Array:
        """Sums of kernel functions with `weights` (n, k), trial by trial: (len(features), k)."""
        kernel, rows = self.kernel, self.rows
        at = np.array([time])
        final = rows.by_trial(kernel.growth(rows.time)[:, None] * weights)
        values = kernel.growth(time) * (kernel.final_between(features, rows.features) @ final)
        if time < 1:
            transient = rows.by_trial(kernel.transient_in_time(rows.time, at) * weights)
            values += kernel.transient_between(features, rows.features) @ transient
        return np.asarray(values + kernel.curve_between(at, rows.time) @ weights)

    def variance(self, features: Array, time: float) -> Array:
        """Posterior variance of the score at one time, without trial_effect and noise."""
        kernel, rows, at = self.kernel, self.rows, np.array([time])
        cross = kernel.final_between(features, rows.features)[:, rows.trial]
        cross *= kernel.growth(time) * kernel.growth(rows.time)
        if time < 1:
            transient = kernel.transient_between(features, rows.features)[:, rows.trial]
            cross += transient * kernel.transient_in_time(at, rows.time)
        cross += kernel.curve_between(at, rows.time)
        inner = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        final = kernel.final + kernel.alone * len(kernel.final_scales)
        prior = kernel.curve + final * kernel.growth(time) ** 2 + kernel.transient * (1 - time) ** 2
        return np.asarray(np.maximum(prior - (inner * inner).sum(0), 1e-12))

    def draws(
        self, num: int, rng: np.random.Generator, num_waves: int = 384
    ) -> Callable[[Array, float], Array]:
        """Functions from the posterior (Wilson et al. 2020), exact at the rows.

        Returns:
            A function of features (k, p) and one time, with values (k, num).
        """
        kernel, rows = self.kernel, self.rows
        prior = _prior(kernel, num, num_waves, rng)
        observed = np.empty((len(rows.target), num))
        for time in np.unique(rows.time):
            here = rows.time == time
            observed[here] = prior(rows.features[rows.trial[here]], float(time))
        observed += (
            rng.standard_normal((len(rows.features), num))[rows.trial] * kernel.trial_effect**0.5
        )
        observed += rng.standard_normal(observed.shape) * (kernel.noise + JITTER) ** 0.5
        weights = self.solve(rows.target[:, None] - observed)

        def functions(features: Array, time: float) -> Array:
            return _in_blocks(
                lambda block: prior(block, time) + self._response(block, time, weights), features
            )

        return functions


def _in_blocks(function: Callable[[Array], Array], features: Array) -> Array:
    """`function` of a part of the features at a time: covariances with all rows are large."""
    starts = range(0, max(len(features), 1), BLOCK)
    return np.concatenate([function(features[start : start + BLOCK]) for start in starts])


def _prior(
    kernel: Kernel, num: int, num_waves: int, rng: np.random.Generator
) -> Callable[[Array, float], Array]:
    """`num` functions from the prior as sums of waves (Rahimi and Recht 2007)."""

    def waves(scales: Array, variance: float, count: int) -> Callable[[Array], Array]:
        directions = rng.standard_normal((len(scales), count)) / scales[:, None]
        directions = directions.astype(np.float32)
        phases = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
        heights = rng.standard_normal((count, num)) * np.sqrt(2 * variance / count)
        heights = heights.astype(np.float32)

        def function(inputs: Array) -> Array:  # in single precision a cosine takes a tenth
            waves = np.cos(inputs.astype(np.float32) @ directions + phases)
            return np.asarray(waves @ heights, dtype=float)

        return function

    scales, transient_scales = (
        kernel.final_scales[kernel.groups],
        kernel.transient_scales[kernel.groups],
    )
    final = waves(scales, kernel.final, num_waves)
    members = [kernel.groups == group for group in range(len(kernel.final_scales))]
    few = num_waves // 6  # in one or two dimensions
    alone = [(mine, waves(scales[mine], kernel.alone, few)) for mine in members]
    transient = waves(
        np.append(transient_scales, kernel.transient_time_scale), kernel.transient, num_waves
    )
    curve = waves(np.array([kernel.curve_scale]), kernel.curve, few)

    def functions(features: Array, time: float) -> Array:
        values = final(features)
        for mine, function in alone:
            values += function(features[:, mine])
        values *= kernel.growth(time)
        if time < 1:
            values += (1 - time) * transient(
                np.column_stack([features, np.full(len(features), time)])
            )
        return np.asarray(values + curve(np.array([[time]])))

    return functions
