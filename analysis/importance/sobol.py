"""Sobol indices of a function on a declared space, by pick-freeze on a quasi-random design.

Two independent designs A and B; ``AB[i]`` is A with hyperparameter i from B, ``BA[i]`` the
reverse. Main effects and pairs: products of values that share only what is asked for (Sobol 2001,
Saltelli 2002); totals: squared differences of values that differ in one hyperparameter
(Jansen 1999); the layout is Saltelli et al.'s (2010). Every hyperparameter has an independent
number whether it is active or not, which is what makes the decomposition unique; see
docs/importance.md for what that means for a conditional one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from analysis.importance.encoding import Array, Encoding

ROUNDING = 1e-12
"""Of the largest value: values that differ by less differ by rounding only."""


@dataclass(frozen=True)
class Design:
    """Points at which a function is asked, as units: A, B, and the mixtures by hyperparameter."""

    points: Array
    """(num * (2 + 2 size), d) units in the order A, B, AB[0..size), BA[0..size)."""
    random: Array
    """(num * (2 + 2 size),): a column of random numbers that means nothing, if there is one."""
    num: int
    size: int
    """d, and one more where there is a random column: the last one."""


@dataclass(frozen=True)
class Indices:
    """Shares of the variance of m functions."""

    main: Array
    """(d, m)."""
    total: Array
    """(d, m)."""
    pairs: Array
    """(d, d, m), symmetric, the diagonal 0: beyond both mains."""
    variance: Array
    """(m,)."""
    kurtosis: Array
    """(m,): of the values; 3 of normal ones, more where few points make up most of the variance."""


def make_design(encoding: Encoding, num: int, seed: int, random: bool = False) -> Design:
    """A design of `num` base points (a power of two), `random` column included or not."""
    d = len(encoding.names)
    size = d + random
    both = qmc.Sobol(2 * size, rng=seed).random(num)
    a, b = both[:, :size], both[:, size:]
    blocks = [a, b, *(_swapped(a, b, i) for i in range(size))]
    points = np.concatenate([*blocks, *(_swapped(b, a, i) for i in range(size))])
    meaningless = points[:, d] - 0.5 if random else np.zeros(len(points))
    return Design(encoding.design(points[:, :d]), meaningless, num, size)


def _swapped(base: Array, other: Array, column: int) -> Array:
    mixed = base.copy()
    mixed[:, column] = other[:, column]
    return mixed


def indices(values: Array, design: Design) -> Indices:
    """Indices of m functions from their `values` (points, m) at the points of `design`."""
    size = design.size
    blocks = values.reshape(-1, design.num, values.shape[1])
    centred = blocks - blocks[:2].mean(axis=(0, 1))
    a, b, ab, ba = centred[0], centred[1], centred[2 : 2 + size], centred[2 + size :]
    variance = 0.5 * ((a * a).mean(0) + (b * b).mean(0))
    whole = divisor(variance, values)
    main = 0.5 * ((b * (ab - a)).mean(1) + (a * (ba - b)).mean(1))
    total = 0.25 * (((a - ab) ** 2).mean(1) + ((b - ba) ** 2).mean(1))
    # AB[i] and BA[j] share exactly the numbers of i and j
    closed = np.einsum("inm,jnm->ijm", ab, ba) / design.num
    pairs = 0.5 * (closed + closed.swapaxes(0, 1)) - main[:, None] - main[None, :]
    pairs[np.diag_indices(size)] = 0.0
    kurtosis = 0.5 * ((a**4).mean(0) + (b**4).mean(0)) / whole**2
    return Indices(main / whole, total / whole, pairs / whole, variance, kurtosis)


def divisor(variance: Array, values: Array) -> Array:
    """What parts of the `variance` (m,) of `values` (n, m) are divided by to be shares of it.

    Infinity where the values differ by rounding only, so that all shares are 0; the unit of the
    values plays no part.
    """
    rounding = ROUNDING * np.abs(values).max(axis=0)
    return np.where(variance > rounding**2, variance, np.inf)


def sobol_indices(
    function: Callable[[Array], Array], encoding: Encoding, num: int = 4096, seed: int = 0
) -> Indices:
    """Indices of `function`, which maps units (n, d) to values (n,) or (n, m)."""
    design = make_design(encoding, num, seed)
    values = np.asarray(function(design.points), dtype=float)
    return indices(values.reshape(len(values), -1), design)
