"""A Gaussian process for a few hundred rows, in NumPy: the model behind the searcher `gp`.

Matérn 5/2 kernel with one length scale for each group of columns (a hyperparameter, the epoch),
fitted by maximising the posterior of the kernel's parameters (Rasmussen and Williams 2006,
sections 2.7, 4.2 and 5.4).
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
    noise: float

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

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the score without noise, (n,) each."""
        cross = self.kernel.covariance(_distances(rows, self.rows, self.groups))
        mean = cross @ self.weights
        solved = solve_triangular(self.factor, cross.T, lower=True)
        variance = np.maximum(self.kernel.signal - (solved**2).sum(0), 1e-9)
        return self.mean + self.spread * mean, self.spread * np.sqrt(variance)

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
        )


def fit(rows: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> GaussianProcess:
    """The process that explains `scores` (n,) at `rows` (n, columns) best.

    Args:
        rows: Inputs, each column about 0 to 1.
        scores: What was measured there.
        groups: The group of each column (columns,), counted from 0.
    """
    mean, spread = float(scores.mean()), float(scores.std()) + 1e-9
    targets = (scores - mean) / spread
    distances = _distances(rows, rows, groups)
    num = len(distances)
    priors = np.array([SCALE_PRIOR] * num + [SIGNAL_PRIOR, NOISE_PRIOR])
    bounds = [SCALE_BOUNDS] * num + [SIGNAL_BOUNDS, NOISE_BOUNDS]
    found = minimize(
        _loss,
        priors[:, 0],
        (distances, targets, priors),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": STEPS},
    ).x
    kernel = Kernel(np.exp(found[:num]), float(np.exp(found[num])), float(np.exp(found[num + 1])))
    return _condition(kernel, groups, rows, targets, mean, spread)


def _condition(
    kernel: Kernel,
    groups: np.ndarray,
    rows: np.ndarray,
    targets: np.ndarray,
    mean: float,
    spread: float,
) -> GaussianProcess:
    covariance = kernel.covariance(_distances(rows, rows, groups))
    covariance[np.diag_indices(len(rows))] += kernel.noise + JITTER
    factor = np.linalg.cholesky(covariance)
    weights = cho_solve((factor, True), targets)
    return GaussianProcess(kernel, groups, rows, targets, mean, spread, factor, weights)


def _loss(
    parameters: np.ndarray, distances: np.ndarray, targets: np.ndarray, priors: np.ndarray
) -> tuple[float, np.ndarray]:
    """Negative logarithmic posterior of the kernel's logarithmic parameters, and its gradient."""
    num = len(distances)
    inverse = np.exp(-2.0 * parameters[:num])
    signal, noise = np.exp(parameters[num]), np.exp(parameters[num + 1])
    shape, slope = _matern(np.tensordot(inverse, distances, 1))
    covariance = signal * shape
    covariance[np.diag_indices(len(targets))] += noise + JITTER
    factor, _ = dpotrf(covariance, lower=True)
    weights, _ = dpotrs(factor, targets, lower=True)
    inverted, _ = dpotri(factor, lower=True)
    outer = np.tril(inverted) + np.tril(inverted, -1).T - np.outer(weights, weights)
    gradient = np.empty_like(parameters)
    gradient[:num] = -inverse * np.tensordot(distances, outer * signal * slope, 2)
    gradient[num] = 0.5 * signal * (outer * shape).sum()
    gradient[num + 1] = 0.5 * noise * outer.trace()
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
