"""Which kernels of the Gaussian process the scores allow: their posterior distribution.

A study of a few dozen trials does not determine the length scales of ten hyperparameters. One
estimate of them says "surely irrelevant" of what the data are silent about; so kernels are drawn
from their posterior, prior times marginal likelihood, by Hamiltonian Monte Carlo (Neal 2011), and
conclusions are averages over the draws. The prior of length scales is longer in more dimensions, as
Hvarfner, Hellsten and Nardi's (2024), and centred where those of real tables lie (a pre-trained
prior, Wang et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize

from analysis.importance.gaussian_process import JITTER, Array, Kernel, Process, Rows, rbf

LOWEST_SCALE, HIGHEST_VARIANCE, FAR = -4.0, 5.0, 12.0
"""Bounds of log parameters: length scales (of features between 0 and 1) from below, variances (of
standardised scores) from above, else at this distance from 0. Beyond them twins among the configs,
which a search that has found its optimum proposes, leave no positive definite covariance."""
SCALES = (-0.5, 1.3)
"""Mean and standard deviation of the prior of the logarithm of a length scale; the mean grows by
half the logarithm of the number of groups. Those of final scores of 450 random configs of each of
three real tables have mean 0.3 and deviation 1.2 in 8 or 9 groups; the prior is a little wider and
longer (docs/decisions/0041)."""
OTHERS = {
    "transient_time_scale": (0.0, 1.0),
    "final": (0.0, 1.5),
    "alone": (-2.0, 2.0),
    "transient": (0.0, 1.5),
    "curve_scale": (0.0, 1.0),
    "curve": (0.0, 2.0),
    "trial_effect": (-5.0, 2.0),
    "noise": (-4.0, 2.0),
    "head_start": (0.5, 0.5),
}
"""Parameters beside the length scales: mean and standard deviation of the prior, of the logarithm
but for the last. Scores are standardised, times lie in [0, 1]."""
FIRST_STEP = 0.1
"""Step of the leapfrog integrator to begin with, in units of the prior's standard deviations."""
MOST_STEPS = 15
"""Steps of one trajectory: uniformly 1 to this."""
ACCEPTED = 0.8
"""Share of trajectories to accept, for which the step is tuned (Hoffman and Gelman 2014)."""


@dataclass(frozen=True)
class Posterior:
    """The distribution of a kernel's parameters, `theta` as in `Kernel.of`, given rows."""

    rows: Rows

    @property
    def num_groups(self) -> int:
        """Groups of features."""
        return int(self.rows.groups.max(initial=-1)) + 1

    @cached_property
    def mean(self) -> Array:
        """Of the normal prior."""
        scale = SCALES[0] + 0.5 * np.log(max(self.num_groups, 1))
        return np.array([scale] * 2 * self.num_groups + [mean for mean, _ in OTHERS.values()])

    @cached_property
    def spread(self) -> Array:
        """Standard deviations of the normal prior."""
        return np.array([SCALES[1]] * 2 * self.num_groups + [s for _, s in OTHERS.values()])

    @cached_property
    def bounds(self) -> Array:
        """(parameters, 2)."""
        others = {name: (-FAR, HIGHEST_VARIANCE) for name in OTHERS}
        others |= {"transient_time_scale": (LOWEST_SCALE, FAR), "curve_scale": (LOWEST_SCALE, FAR)}
        others["head_start"] = (-FAR, FAR)
        return np.array([(LOWEST_SCALE, FAR)] * 2 * self.num_groups + list(others.values()))

    @cached_property
    def apart(self) -> Array:
        """(g, m, m): squared distances of the trials' features, group by group."""
        features, groups = self.rows.features, self.rows.groups
        apart = np.zeros((self.num_groups, len(features), len(features)))
        for column, group in zip(features.T, groups, strict=True):
            apart[group] += (column[:, None] - column[None, :]) ** 2
        return apart

    @cached_property
    def apart_in_time(self) -> Array:
        """(t, t): squared distances of the different times."""
        times = self.rows.times
        return np.asarray((times[:, None] - times[None, :]) ** 2)

    def start(self) -> Array:
        """Where a search for parameters begins: everything matters."""
        theta = self.mean.copy()
        num = self.num_groups
        theta[: 2 * num] = np.log(0.5) + 0.5 * np.log(max(num, 1))
        return theta

    def process(self, theta: Array, rows: Rows | None = None) -> Process:
        """The process with parameters `theta`, conditioned on `rows` or its own."""
        return Process(Kernel.of(theta, self.rows.groups), rows or self.rows)

    def loss(self, theta: Array) -> tuple[float, Array]:
        """The negative logarithm of the density at `theta`, up to a constant, and its gradient.

        Raises:
            LinAlgError: If the covariance is not positive definite.
        """
        value, gradient = _likelihood(self, Kernel.of(theta, self.rows.groups))
        away = (theta - self.mean) / self.spread
        return -value + 0.5 * float(away @ away), -gradient + away / self.spread

    def maximum(self, begin: Array | None = None, max_steps: int = 100) -> Array:
        """The most probable parameters, by L-BFGS from `begin`."""
        found = minimize(
            self.loss,
            self.start() if begin is None else begin,
            jac=True,
            method="L-BFGS-B",
            bounds=self.bounds,
            options={"maxiter": max_steps, "ftol": 3e-6},
        )
        return np.asarray(found.x)

    def draw(self, begin: Array, rng: np.random.Generator, warm_up: int, num: int) -> Array:
        """Parameters from the distribution, (num, parameters), by Hamiltonian Monte Carlo.

        Args:
            begin: Where the chain begins.
            rng: Of momenta, lengths of trajectories and acceptance.
            warm_up: Trajectories while which the step is tuned; they are thrown away.
            num: Trajectories after that; the end of each is a draw.
        """
        chain = _Chain(self.loss_or_none, self.spread, begin)
        for number in range(warm_up):
            chain.tune(number, chain.move(rng), last=number == warm_up - 1)
        drawn = []
        for _ in range(num):
            chain.move(rng)
            drawn.append(chain.theta)
        return np.array(drawn)

    def loss_or_none(self, theta: Array) -> tuple[float, Array] | None:
        """`loss`, or None beyond the bounds and where the covariance is not positive definite."""
        if (theta < self.bounds[:, 0]).any() or (theta > self.bounds[:, 1]).any():
            return None
        try:
            return self.loss(theta)
        except LinAlgError:
            return None


class _Chain:
    """A Markov chain over parameters whose prior's standard deviations are `spread`."""

    def __init__(
        self, loss: Callable[[Array], tuple[float, Array] | None], spread: Array, begin: Array
    ) -> None:
        self._loss, self._spread = loss, spread
        self.theta = begin
        at = loss(begin)
        assert at is not None, "a chain begins where the density is known"
        self._at = at
        self._log_step = self._mean_log_step = float(np.log(FIRST_STEP))
        self._off = 0.0

    def move(self, rng: np.random.Generator) -> float:
        """One trajectory; the probability with which it was accepted."""
        momentum = rng.standard_normal(len(self.theta))
        begun = self._at[0] + 0.5 * float(momentum @ momentum)
        theta, at, step = self.theta, self._at, float(np.exp(self._log_step))
        for _ in range(int(rng.integers(1, MOST_STEPS + 1))):
            momentum = momentum - 0.5 * step * self._spread * at[1]
            theta = theta + step * self._spread * momentum
            there = self._loss(theta)
            if there is None:
                return 0.0
            at = there
            momentum = momentum - 0.5 * step * self._spread * at[1]
        ended = at[0] + 0.5 * float(momentum @ momentum)
        probability = float(np.exp(min(0.0, begun - ended)))
        if rng.random() < probability:
            self.theta, self._at = theta, at
        return probability

    def tune(self, number: int, probability: float, last: bool) -> None:
        """Set the step after warm-up trajectory `number`: Hoffman and Gelman (2014), section 3.2.

        Their constants: 10 trajectories of delay, a shrinkage of 0.05 and a decay of 0.75. After
        the last one the averaged step stays.
        """
        count = number + 1
        self._off += (ACCEPTED - probability - self._off) / (count + 10)
        self._log_step = float(np.log(10 * FIRST_STEP)) - self._off * np.sqrt(count) / 0.05
        weight = count**-0.75
        self._mean_log_step += weight * (self._log_step - self._mean_log_step)
        if last:
            self._log_step = self._mean_log_step


def _likelihood(posterior: Posterior, kernel: Kernel) -> tuple[float, Array]:
    """Logarithm of the marginal likelihood, up to a constant, and its gradient by theta."""
    rows, apart, times = posterior.rows, posterior.apart, posterior.rows.times
    alone = kernel.alone * rbf(apart / (kernel.final_scales**2)[:, None, None])
    joint = kernel.final * rbf(np.tensordot(kernel.final_scales**-2.0, apart, 1))
    transient = kernel.transient * rbf(np.tensordot(kernel.transient_scales**-2.0, apart, 1))
    growth, in_time = kernel.growth(times), kernel.transient_in_time(times, times)
    curve = kernel.curve_between(times, times)

    final = rows.of_trials(joint + alone.sum(0))
    transient = rows.of_trials(transient) * rows.of_times(in_time)
    covariance = final * rows.of_times(np.outer(growth, growth))
    covariance += transient
    covariance += rows.of_times(curve)
    covariance += kernel.trial_effect * rows.same_trial
    covariance.ravel()[:: len(covariance) + 1] += kernel.noise + JITTER
    value, slope = _value_and_slope(covariance, rows.target)

    growth_by_row = kernel.growth(rows.time)
    by_trial = rows.by_trial((rows.by_trial(slope * growth_by_row[:, None]) * growth_by_row).T)
    transient *= slope
    by_transient = rows.by_trial(rows.by_trial(transient).T) / 2
    by_joint, by_alone = by_trial * joint / 2, (alone * by_trial).reshape(len(alone), -1) / 2
    flat, apart_in_time = apart.reshape(len(alone), -1), posterior.apart_in_time
    by_curve = rows.at_time.T @ slope @ rows.at_time * curve / 2
    transient_by_time = rows.at_time.T @ transient @ rows.at_time / 2
    gradient = np.concatenate(
        [
            (flat @ by_joint.ravel() + (flat * by_alone).sum(1)) / kernel.final_scales**2,
            flat @ by_transient.ravel() / kernel.transient_scales**2,
            [
                np.vdot(transient_by_time, apart_in_time) / kernel.transient_time_scale**2,
                by_joint.sum(),
                by_alone.sum(),
                by_transient.sum(),
                np.vdot(by_curve, apart_in_time) / kernel.curve_scale**2,
                by_curve.sum(),
                0.5 * kernel.trial_effect * np.vdot(slope, rows.same_trial),
                0.5 * kernel.noise * np.trace(slope),
                (1 - rows.time) @ ((final * slope) @ growth_by_row),
            ],
        ]
    )
    return value, gradient


def _value_and_slope(covariance: Array, target: Array) -> tuple[float, Array]:
    """Logarithm of the density of `target` up to a constant; twice its derivative (n, n)."""
    factor, failed = dpotrf(covariance, lower=True, overwrite_a=True)
    if failed:
        raise LinAlgError(f"the covariance is not positive definite in row {failed}")
    weights = dpotrs(factor, target, lower=True)[0]
    value = -0.5 * float(target @ weights) - float(np.log(np.diag(factor)).sum())
    inverse = dpotri(factor, lower=True)[0]  # its upper triangle is 0, as the factor's
    slope = np.outer(weights, weights)
    slope -= inverse + inverse.T
    slope.ravel()[:: len(slope) + 1] += np.diag(inverse)
    return value, slope
