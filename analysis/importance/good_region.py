"""Shares among good configs: the quarter of the declared space that a surrogate predicts best.

Inside such a region hyperparameters depend on each other, and Sobol's decomposition is not unique.
Main and total shares keep a meaning each (Kucherenko, Tarantola and Annoni 2012): the variance of
the mean given one hyperparameter, and the mean variance that is left given all others. Their sum
over hyperparameters has no bound at 1, and a main share may exceed the total one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from analysis.importance.encoding import Array
from analysis.importance.sobol import ROUNDING, Indices, divisor
from analysis.importance.surrogate import Surrogate

QUANTILE = 0.75
"""Of the predicted score; what is better is good."""
NUM_POINTS = 2048
"""Of the whole space; a quarter of them is good."""
NUM_TRIES = 8
"""Values tried for a hyperparameter until the config is good again."""
NUM_BINS = 8
NUM_DRAWS = 5


def good_points(
    surrogate: Surrogate, seed: int
) -> tuple[Array, list[tuple[Array, npt.NDArray[np.bool_]]]]:
    """Good configs, and for each hyperparameter the same with another good value of it.

    Returns:
        ``(base, others)``: uniforms (n, d + 1), the random column last; for each of the d + 1
        columns the uniforms with that column drawn anew, and whether a good value was found.
    """
    size = len(surrogate.encoding.names) + 1
    everywhere = qmc.Sobol(size, rng=seed).random(NUM_POINTS)
    predicted = _good_is_high(surrogate, everywhere)
    rounding = ROUNDING * float(np.abs(predicted).max())
    threshold = np.quantile(predicted, QUANTILE) - rounding  # the same points in every unit
    base = everywhere[predicted >= threshold]
    rng = np.random.default_rng(seed)
    others = []
    for column in range(size):
        other, found = base.copy(), np.zeros(len(base), dtype=bool)
        for _ in range(NUM_TRIES):
            missing = np.flatnonzero(~found)
            tried = base[missing]
            tried[:, column] = rng.random(len(missing))
            good = _good_is_high(surrogate, tried) >= threshold
            other[missing[good]] = tried[good]
            found[missing[good]] = True
        others.append((other, found))
    return base, others


def _good_is_high(surrogate: Surrogate, uniforms: Array) -> Array:
    units = surrogate.encoding.design(uniforms[:, :-1])
    return surrogate.sign * surrogate.final_mean(units)


def good_indices(surrogate: Surrogate, seed: int) -> tuple[Indices, Indices]:
    """Indices among good configs: of the surrogate's mean, and of its cross-validation models."""
    base, others = good_points(surrogate, seed)
    uniforms = np.concatenate([base, *(other for other, _ in others)])
    units = surrogate.encoding.design(uniforms[:, :-1])
    point = surrogate.final_mean(units)[:, None]
    draws = surrogate.final_draws(units, uniforms[:, -1] - 0.5, NUM_DRAWS, seed)
    found = [f for _, f in others]
    at = np.column_stack([units[: len(base)], base[:, -1]])
    return _indices(point, at, found), _indices(draws, at, found)


def _indices(values: Array, at: Array, found: list[npt.NDArray[np.bool_]]) -> Indices:
    """Indices of (n (2 + d), m) `values`: base points, then a block a hyperparameter."""
    num, size = at.shape
    blocks = values.reshape(size + 1, num, -1)
    variance = blocks[0].var(axis=0)
    whole = divisor(variance, blocks[0])
    total = np.stack(
        [
            0.5 * ((blocks[0] - blocks[1 + i])[found[i]] ** 2).mean(0)
            if found[i].any()
            else np.zeros(values.shape[1])
            for i in range(size)
        ]
    )
    main = np.stack([_between_bins(at[:, i], blocks[0]) for i in range(size)])
    pairs = np.zeros((size, size, values.shape[1]))
    kurtosis = ((blocks[0] - blocks[0].mean(0)) ** 4).mean(0) / whole**2
    return Indices(main / whole, total / whole, pairs, variance, kurtosis)


def _between_bins(unit: Array, values: Array) -> Array:
    """Variance (m,) of the mean of `values` (n, m) given `unit`, by bins; NaN is one of its own.

    What bins of finite size differ by in any case is subtracted.
    """
    distinct = np.unique(unit[~np.isnan(unit)])
    if len(distinct) > NUM_BINS:
        edges = np.quantile(unit[~np.isnan(unit)], np.linspace(0, 1, NUM_BINS + 1)[1:-1])
        bins = np.searchsorted(edges, np.nan_to_num(unit, nan=0.0))
    else:
        bins = np.searchsorted(distinct, np.nan_to_num(unit, nan=0.0))
    bins = np.where(np.isnan(unit), bins.max() + 1, bins)
    between = np.zeros(values.shape[1])
    for number in np.unique(bins):
        inside = values[bins == number]
        deviation = (inside.mean(0) - values.mean(0)) ** 2
        between += len(inside) * (deviation - inside.var(0) / max(len(inside) - 1, 1))
    return np.asarray(np.maximum(between / len(values), 0.0))
