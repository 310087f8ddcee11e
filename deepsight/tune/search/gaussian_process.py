"""A Gaussian process for a few hundred rows, in NumPy: the model behind the searcher `gp`.

Matérn 5/2 kernel with one length scale for each group of columns (a hyperparameter, the epoch),
fitted by maximising the posterior of the kernel's parameters (Rasmussen and Williams 2006,
sections 2.7, 4.2 and 5.4).

Rows may come from several sources, as from this study and from earlier ones (Swersky et al. 2013,
"Multi-task Bayesian optimization"): the last columns of a row say from which, and their length
scales how alike the sources are. Each source has a level and a noise of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize

JITTER = 1e-6
SCALE_PRIOR = (np.log(1.5), 0.7)
"""Mean and standard deviation of a logarithmic length scale. Long ones: what a few trials say about
one hyperparameter holds for the others' values too, until more trials say otherwise. With short
ones the best place left is always beside the best trial."""
SIGNAL_PRIOR = (0.0, 1.0)
"""The same for the variance of the signal, scores having variance 1."""
NOISE_PRIOR = (np.log(0.01), 1.5)
"""The same for the variance of the noise."""
SOURCE_PRIOR = (np.log(2.0), 1.0)
"""Mean and standard deviation of the logarithmic length scale between sources; at its mean two
sources correlate by 0.83, one deviation below by 0.40."""
LEVEL = 0.5
"""Variance of what all rows of one source have in common."""
SCALE_BOUNDS = (np.log(0.03), np.log(20.0))
SIGNAL_BOUNDS = (-3.0, 3.0)
NOISE_BOUNDS = (np.log(1e-4), 0.0)
STEPS = 12
"""Steps of the optimiser at most."""


@dataclass(frozen=True)
class Kernel:
    """The kernel's parameters; scores are standardised before."""

    scales: np.ndarray
    """Length scale by group of columns."""
    signal: float
    noise: np.ndarray
    """Variance by source."""

    def covariance(self, distances: np.ndarray) -> np.ndarray:
        """(n, m) covariances of the signal from (groups, n, m) squared distances."""
        return self.signal * _matern(np.tensordot(self.scales**-2.0, distances, 1))[0]


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process."""

    kernel: Kernel
    groups: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    """Standardised scores."""
    mean: float
    spread: float
    """Mean and standard deviation of the scores."""
    factor: np.ndarray
    """Lower Cholesky factor of the rows' covariance."""
    weights: np.ndarray
    others: int = 0
    """Columns, the last ones, that say which other source a row is from."""

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the score without noise, (n,) each."""
        mean, solved = self._solve(rows)
        prior = self.kernel.signal + (LEVEL if self.others else 0.0)
        variance = np.maximum(prior - (solved**2).sum(0), 1e-9)
        return self.mean + self.spread * mean, self.spread * np.sqrt(variance)

    def sample(self, rows: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
        """(num, n) draws of the scores without noise at `rows`, jointly."""
        mean, solved = self._solve(rows)
        prior = self._covariance(rows, rows)
        prior[np.diag_indices(len(rows))] += JITTER
        factor = np.linalg.cholesky(prior - solved.T @ solved)
        drawn = mean + rng.normal(size=(num, len(rows))) @ factor.T
        return np.asarray(self.mean + self.spread * drawn)

    def _solve(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardised mean (n,), and the whitened covariances (seen, n) with what was seen."""
        cross = self._covariance(rows, self.rows)
        return cross @ self.weights, solve_triangular(self.factor, cross.T, lower=True)

    def _covariance(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        signal = self.kernel.covariance(_distances(first, second, self.groups))
        return signal + _level(first, second, self.others)

    def with_fantasies(self, rows: np.ndarray) -> GaussianProcess:
        """The process that has seen its own predictions at `rows` (Ginsbourger et al. 2010)."""
        seen = (self.predict(rows)[0] - self.mean) / self.spread
        return _condition(
            self.kernel,
            self.groups,
            np.concatenate([self.rows, rows]),
            np.concatenate([self.targets, seen]),
            self.mean,
            self.spread,
            self.others,
        )


def fit(
    rows: np.ndarray, scores: np.ndarray, groups: np.ndarray, others: int = 0
) -> GaussianProcess:
    """The process that explains `scores` (n,) at `rows` (n, columns) best.

    Args:
        rows: Inputs, each column about 0 to 1.
        scores: What was measured there.
        groups: The group of each column (columns,), counted from 0.
        others: Columns, the last ones and each a group of its own, that are 1 for rows of one other
            source and else 0. Scores of each source are standardised in themselves before.
    """
    mean, spread = float(scores.mean()), float(scores.std()) + 1e-9
    targets = (scores - mean) / spread
    distances = _distances(rows, rows, groups)
    num = len(distances)
    noises = 1 + others
    scales = [SCALE_PRIOR] * (num - others) + [SOURCE_PRIOR] * others
    priors = np.array([*scales, SIGNAL_PRIOR] + [NOISE_PRIOR] * noises)
    bounds = [SCALE_BOUNDS] * num + [SIGNAL_BOUNDS] + [NOISE_BOUNDS] * noises
    sources, level = _source(rows, others), _level(rows, rows, others)
    found = minimize(
        _loss,
        priors[:, 0],
        (distances, targets, priors, sources, level),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": STEPS},
    ).x
    kernel = Kernel(np.exp(found[:num]), float(np.exp(found[num])), np.exp(found[num + 1 :]))
    return _condition(kernel, groups, rows, targets, mean, spread, others)


def _condition(
    kernel: Kernel,
    groups: np.ndarray,
    rows: np.ndarray,
    targets: np.ndarray,
    mean: float,
    spread: float,
    others: int,
) -> GaussianProcess:
    covariance = kernel.covariance(_distances(rows, rows, groups)) + _level(rows, rows, others)
    covariance[np.diag_indices(len(rows))] += kernel.noise[_source(rows, others)] + JITTER
    factor = np.linalg.cholesky(covariance)
    weights = cho_solve((factor, True), targets)
    return GaussianProcess(kernel, groups, rows, targets, mean, spread, factor, weights, others)


def _source(rows: np.ndarray, others: int) -> np.ndarray:
    """The source of each row (n,): 0, or the number of the other one."""
    flags = rows[:, rows.shape[1] - others :]
    return np.asarray(flags @ np.arange(1, others + 1)).astype(int)


def _level(first: np.ndarray, second: np.ndarray, others: int) -> np.ndarray | float:
    """Covariances (n, m) of what rows of one source have in common; 0 if there is just one."""
    if not others:
        return 0.0
    return np.asarray(LEVEL * (_source(first, others)[:, None] == _source(second, others)))


def _loss(
    parameters: np.ndarray,
    distances: np.ndarray,
    targets: np.ndarray,
    priors: np.ndarray,
    sources: np.ndarray,
    level: np.ndarray | float,
) -> tuple[float, np.ndarray]:
    """Negative logarithmic posterior of the kernel's logarithmic parameters, and its gradient."""
    num = len(distances)
    inverse = np.exp(-2.0 * parameters[:num])
    signal, noise = np.exp(parameters[num]), np.exp(parameters[num + 1 :])
    shape, slope = _matern(np.tensordot(inverse, distances, 1))
    covariance = signal * shape + level
    covariance[np.diag_indices(len(targets))] += noise[sources] + JITTER
    factor, _ = dpotrf(covariance, lower=True)
    weights, _ = dpotrs(factor, targets, lower=True)
    inverted, _ = dpotri(factor, lower=True)
    outer = np.tril(inverted) + np.tril(inverted, -1).T - np.outer(weights, weights)
    gradient = np.empty_like(parameters)
    gradient[:num] = -inverse * np.tensordot(distances, outer * signal * slope, 2)
    gradient[num] = 0.5 * signal * (outer * shape).sum()
    traces = np.bincount(sources, outer.diagonal(), len(noise))
    gradient[num + 1 :] = 0.5 * noise * traces
    off = (parameters - priors[:, 0]) / priors[:, 1]
    loss = 0.5 * targets @ weights + np.log(factor.diagonal()).sum() + 0.5 * off @ off
    return float(loss), gradient + off / priors[:, 1]


def _matern(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matérn 5/2 of scaled squared distances, and its derivative by them."""
    root = np.sqrt(5.0 * squared)
    decay = np.exp(-root)
    return (1 + root + root**2 / 3) * decay, -5 / 6 * (1 + root) * decay


def _distances(first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Squared distances (groups, n, m) of rows (n, columns) and (m, columns)."""
    distances = np.zeros((groups.max() + 1, len(first), len(second)))
    for column, group in enumerate(groups):
        distances[group] += (first[:, column, None] - second[None, :, column]) ** 2
    return distances
