"""Exact Gaussian-process regression of learning curves over (config, time).

A trial's score at time t, 0 after the first epoch and 1 at the full budget, is modelled as

    curve(t) + grown(t) final(x) + (1 - t) way(x, t) + luck of the trial + noise,

where ``grown(t) = t + (1 - t) head_start``. The way there vanishes at t = 1, so that a
hyperparameter may rule the early epochs and have no part in the final score; with one kernel over
(x, t), stationary in t, it cannot. All four functions have squared exponential kernels, `way` and
`final` with a length scale a feature (Rasmussen and Williams 2006, section 5.1); that of `final`
has a part over all features jointly and one over each alone (Duvenaud et al. 2011). The parameters
maximise the marginal likelihood times a weak prior (length scales: Hvarfner et al. 2024).

Gradients are analytic and what depends on configs only is computed trial by trial, not row by row:
see docs/decisions.md for what that gains over automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

Array = npt.NDArray[np.float64]

JITTER = 1e-6
"""Added to the diagonal, in units of the scores' variance."""
BLOCK = 2048
"""Features that are predicted at a time."""
LOWEST_SCALE, HIGHEST_VARIANCE, FAR = -4.0, 5.0, 12.0
"""Bounds of log parameters: length scales (of features between 0 and 1) from below, variances (of
standardised scores) from above, else at this distance from 0. Beyond them twins among the configs,
which a search that has found its optimum proposes, leave no positive definite covariance."""
OTHERS = {
    "way_scale": (0.0, 1.0),
    "final": (0.0, 2.0),
    "alone": (-2.0, 2.0),
    "way": (0.0, 2.0),
    "curve_scale": (0.0, 1.0),
    "curve": (0.0, 2.0),
    "luck": (-5.0, 2.0),
    "noise": (-4.0, 2.0),
    "head_start": (0.5, 0.5),
}
"""Parameters beside the features' length scales: mean and standard deviation of the prior, of the
logarithm but for the last. Scores are standardised, times lie in [0, 1]."""


@dataclass(frozen=True)
class Rows:
    """What a process is conditioned on: n rows of m trials."""

    features: Array
    """(m, p), of the trials."""
    trial: npt.NDArray[np.intp]
    """(n,) rising: whose row it is; every trial has one at least."""
    time: Array
    """(n,), in [0, 1]."""
    target: Array
    """(n,): standardised scores."""

    @cached_property
    def starts(self) -> npt.NDArray[np.intp]:
        """(m,): the first row of each trial."""
        return np.searchsorted(self.trial, np.arange(len(self.features)))

    @property
    def ends(self) -> npt.NDArray[np.intp]:
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
    def _pairs(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """(n, n) each: where a pair of rows lies in a flat (m, m) and in a flat (t, t)."""
        moment = np.searchsorted(self.times, self.time)
        by_trial = self.trial[:, None] * len(self.features) + self.trial[None, :]
        return by_trial, moment[:, None] * len(self.times) + moment[None, :]

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
    """The covariance's parameters."""

    final_scales: Array
    """(p,): length scales of `final`, joint and alone."""
    way_scales: Array
    """(p,)."""
    way_scale: float
    """Length scale of the way there in time."""
    final: float
    """Variance of the final score's joint part."""
    alone: float
    """Variance of its part over each feature alone."""
    way: float
    curve_scale: float
    curve: float
    luck: float
    """Variance between trials of the same config."""
    noise: float
    """Variance of one row."""
    head_start: float
    """What part of the final score's differences shows after the first epoch."""

    @staticmethod
    def of(theta: Array) -> Kernel:
        """From one vector: logarithms of everything but the head start, in the fields' order."""
        num = (len(theta) - len(OTHERS)) // 2
        logs = np.exp(theta[:-1])
        others = [float(x) for x in (*logs[2 * num :], theta[-1])]
        return Kernel(logs[:num], logs[num : 2 * num], *others)

    def grown(self, time: Array | float) -> Array:
        """What part of the final score's differences shows at a time."""
        return np.asarray(time + self.head_start * (1 - np.asarray(time)))

    def final_between(self, a: Array, b: Array) -> Array:
        """Prior covariance of the final score, (len(a), len(b))."""
        a, b = a / self.final_scales, b / self.final_scales
        covariance = self.final * bell(squared(a, b))
        for column in range(a.shape[1]):
            covariance += self.alone * bell((a[:, column, None] - b[None, :, column]) ** 2)
        return covariance

    def way_between(self, a: Array, b: Array) -> Array:
        """Prior covariance of the way there at one time, (len(a), len(b))."""
        return self.way * bell(squared(a / self.way_scales, b / self.way_scales))

    def way_in_time(self, a: Array, b: Array) -> Array:
        """Its factor over time, (len(a), len(b)), 0 at the full budget."""
        apart = squared(a[:, None], b[:, None]) / self.way_scale**2
        return np.outer(1 - a, 1 - b) * bell(apart)

    def curve_between(self, a: Array, b: Array) -> Array:
        """Prior covariance of the curve that all trials share."""
        return self.curve * bell(squared(a[:, None], b[:, None]) / self.curve_scale**2)

    def of_rows(self, rows: Rows) -> Array:
        """Covariance of the targets."""
        return self.parts_of(rows)[-1]

    def parts_of(self, rows: Rows) -> tuple[Array, Array, Array]:
        """Covariance of the final score and of the way there, and of the targets, (n, n) each."""
        grown, times = self.grown(rows.times), rows.times
        final = rows.of_trials(self.final_between(rows.features, rows.features))
        way = rows.of_trials(self.way_between(rows.features, rows.features))
        way *= rows.of_times(self.way_in_time(times, times))
        covariance = final * rows.of_times(np.outer(grown, grown))
        covariance += way
        covariance += rows.of_times(self.curve_between(times, times))
        covariance += rows.of_trials(self.luck * np.eye(len(rows.features)))
        covariance[np.diag_indices_from(covariance)] += self.noise + JITTER
        return final, way, covariance


def bell(squares: Array) -> Array:
    """The squared exponential of squared scaled distances."""
    return np.asarray(np.exp(-0.5 * squares))


def squared(a: Array, b: Array) -> Array:
    """Squared distances, (len(a), len(b))."""
    distances = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * a @ b.T
    return np.asarray(np.maximum(distances, 0.0, out=distances))


@dataclass(frozen=True)
class Process:
    """A process conditioned on rows."""

    kernel: Kernel
    rows: Rows
    theta: Array

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
        final = rows.by_trial(kernel.grown(rows.time)[:, None] * weights)
        values = kernel.grown(time) * (kernel.final_between(features, rows.features) @ final)
        if time < 1:
            way = rows.by_trial(kernel.way_in_time(rows.time, at) * weights)
            values += kernel.way_between(features, rows.features) @ way
        return np.asarray(values + kernel.curve_between(at, rows.time) @ weights)

    def variance(self, features: Array, time: float) -> Array:
        """Posterior variance of the score at one time, without luck and noise."""
        kernel, rows, at = self.kernel, self.rows, np.array([time])
        cross = kernel.final_between(features, rows.features)[:, rows.trial]
        cross *= kernel.grown(time) * kernel.grown(rows.time)
        if time < 1:
            way = kernel.way_between(features, rows.features)[:, rows.trial]
            cross += way * kernel.way_in_time(at, rows.time)
        cross += kernel.curve_between(at, rows.time)
        inner = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        final = kernel.final + kernel.alone * features.shape[1]
        prior = kernel.curve + final * kernel.grown(time) ** 2 + kernel.way * (1 - time) ** 2
        return np.asarray(np.maximum(prior - (inner * inner).sum(0), 1e-12))

    def draws(
        self, num: int, rng: np.random.Generator, num_waves: int = 512
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
        observed += rng.standard_normal((len(rows.features), num))[rows.trial] * kernel.luck**0.5
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
        phases = rng.uniform(0, 2 * np.pi, count)
        heights = rng.standard_normal((count, num)) * np.sqrt(2 * variance / count)
        return lambda inputs: np.asarray(np.cos(inputs @ directions + phases) @ heights)

    final = waves(kernel.final_scales, kernel.final, num_waves)
    alone = [waves(np.array([s]), kernel.alone, 64) for s in kernel.final_scales]
    way = waves(np.append(kernel.way_scales, kernel.way_scale), kernel.way, num_waves)
    curve = waves(np.array([kernel.curve_scale]), kernel.curve, 64)

    def functions(features: Array, time: float) -> Array:
        values = final(features)
        for column, function in enumerate(alone):
            values += function(features[:, column, None])
        values *= kernel.grown(time)
        if time < 1:
            values += (1 - time) * way(np.column_stack([features, np.full(len(features), time)]))
        return np.asarray(values + curve(np.array([[time]])))

    return functions


def prior_of(num_features: int) -> tuple[Array, Array]:
    """Mean and standard deviation of the parameters' normal prior."""
    middle, wide = np.sqrt(2) + 0.5 * np.log(max(num_features, 1)), np.sqrt(3)
    others = np.array(list(OTHERS.values()))
    scales = np.ones(2 * num_features)
    return np.append(middle * scales, others[:, 0]), np.append(wide * scales, others[:, 1])


def start(num_features: int) -> Array:
    """Where the search for parameters begins: everything matters."""
    mean, _ = prior_of(num_features)
    mean[: 2 * num_features] = np.log(0.5) + 0.5 * np.log(max(num_features, 1))
    return mean


def bounds_of(num_features: int) -> list[tuple[float, float]]:
    """Of every parameter."""
    others = {name: (-FAR, HIGHEST_VARIANCE) for name in OTHERS}
    others |= {"way_scale": (LOWEST_SCALE, FAR), "curve_scale": (LOWEST_SCALE, FAR)}
    others["head_start"] = (-FAR, FAR)
    return [(LOWEST_SCALE, FAR)] * (2 * num_features) + list(others.values())


def negative_log_posterior(theta: Array, rows: Rows) -> tuple[float, Array]:
    """Of the kernel's parameters, up to a constant, and its gradient."""
    kernel, times, grown = Kernel.of(theta), rows.times, Kernel.of(theta).grown(rows.time)
    final, way, covariance = kernel.parts_of(rows)
    factor = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    weights = cho_solve((factor, True), rows.target, check_finite=False)
    value = -0.5 * rows.target @ weights - np.log(np.diag(factor)).sum()
    inverse = dpotri(factor, lower=True)[0]  # its upper triangle is 0, as the factor's
    slope = np.outer(weights, weights)  # twice the derivative by the covariance
    slope -= inverse + inverse.T
    slope[np.diag_indices_from(slope)] += np.diag(inverse)

    by_trial = rows.by_trial((rows.by_trial(slope * grown[:, None]) * grown).T)
    by_final, alone = _final_parts(kernel, rows, by_trial)
    way *= slope
    by_way = rows.by_trial(rows.by_trial(way).T)
    apart = squared(times[:, None], times[:, None])
    curve = rows.at_time.T @ slope @ rows.at_time * kernel.curve_between(times, times)
    way_by_time = rows.at_time.T @ way @ rows.at_time
    final *= slope
    gradient = np.concatenate([
        _by_scales(by_final, rows.features / kernel.final_scales) + alone[:-1],
        _by_scales(by_way, rows.features / kernel.way_scales),
        [
            0.5 * np.vdot(way_by_time, apart) / kernel.way_scale**2,
            0.5 * by_final.sum(),
            0.5 * alone[-1],
            0.5 * by_way.sum(),
            0.5 * np.vdot(curve, apart) / kernel.curve_scale**2,
            0.5 * curve.sum(),
            0.5 * kernel.luck * np.trace(rows.by_trial(rows.by_trial(slope).T)),
            0.5 * kernel.noise * np.trace(slope),
            (1 - rows.time) @ (final @ grown),
        ],
    ])  # fmt: skip
    mean, spread = prior_of(rows.features.shape[1])
    away = (theta - mean) / spread
    return float(-value + 0.5 * away @ away), -gradient + away / spread


def _final_parts(kernel: Kernel, rows: Rows, slope: Array) -> tuple[Array, Array]:
    """The slope by trials (m, m) times the final score's joint covariance.

    And of the parts alone: half the derivatives by the log length scales (p,), then the sum.
    """
    scaled = rows.features / kernel.final_scales
    alone = np.zeros(scaled.shape[1] + 1)
    for number, column in enumerate(scaled.T):
        apart = (column[:, None] - column[None, :]) ** 2
        part = kernel.alone * slope * bell(apart)
        alone[number], alone[-1] = 0.5 * np.vdot(part, apart), alone[-1] + part.sum()
    return slope * kernel.final * bell(squared(scaled, scaled)), alone


def _by_scales(pulled: Array, scaled: Array) -> Array:
    """Half the sum over pairs of `pulled` times squared scaled distances, column by column."""
    return np.asarray((scaled**2 * pulled.sum(1)[:, None] - scaled * (pulled @ scaled)).sum(0))


def fit(rows: Rows, begin: Array | None = None, max_steps: int = 100) -> Process:
    """The process with the most probable parameters, by L-BFGS from `begin`."""
    theta = start(rows.features.shape[1]) if begin is None else begin
    found = minimize(
        negative_log_posterior, theta, args=(rows,), jac=True, method="L-BFGS-B",
        bounds=bounds_of(rows.features.shape[1]), options={"maxiter": max_steps, "ftol": 3e-6},
    )  # fmt: skip
    return Process(Kernel.of(found.x), rows, np.asarray(found.x))
