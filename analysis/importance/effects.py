"""How the score at full budget moves along one hyperparameter or two, averaged over the others.

The average is over the declared space: what the score would be expected to be if only this were
known. Intervals are of that average, over functions that the trials leave plausible, as in
`analysis.importance.importance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from analysis.importance.encoding import Array, Encoding, from_unit
from analysis.importance.indices import FitQuality
from analysis.importance.surrogate import NoSurrogate, Surrogate, fit_surrogate
from analysis.page.formatting import text
from deepsight.config import Value
from deepsight.run_store import Study
from deepsight.space import Choice

NUM_GRID = 17
"""Values of a number at which its effect is computed."""
NUM_MAP = 13
"""The same for a map of two."""
NUM_POINTS = 128
"""Configs of the declared space that an effect averages over, a power of two."""
NUM_DRAWS = 5
"""Functions from each of the surrogate's cross-validation models."""
INTERVAL = (2.5, 97.5)
PLAUSIBLE = 0.05
"""A choice's value may be the best if it is in this share of the functions."""


@dataclass(frozen=True)
class EffectPoint:
    """The predicted score at one value, averaged over the rest of the declared space."""

    value: Value
    """In the hyperparameter's own unit; None where it is inactive."""
    label: str
    mean: float
    low: float
    """Of the average's 95 % interval, not of single trials."""
    high: float
    num_near: int
    """Trials of the study near this value: of this category, or nearest to this grid point."""


@dataclass(frozen=True)
class BestRegion:
    """Where along one hyperparameter the average score is best."""

    low: Value
    """Lower end of a range of numbers; None for a choice."""
    high: Value
    values: tuple[Value, ...]
    """For a choice: the values that may be the best; empty for a range of numbers."""
    gain: float
    """By how much the best value's average beats the mean over the domain, in the metric's unit."""
    gain_low: float
    gain_high: float


@dataclass(frozen=True)
class Effect:
    """One hyperparameter."""

    name: str
    kind: str
    """``number`` or ``choice``."""
    log: bool
    """Whether an axis of it is logarithmic."""
    points: tuple[EffectPoint, ...]
    """Numbers ascending, choices in their declared order."""
    inactive: EffectPoint | None
    """The average over configs in which it is inactive; None where it always is active."""
    best: BestRegion


@dataclass(frozen=True)
class Effects:
    """All hyperparameters of a study that vary."""

    metric: str
    mode: str
    epoch: int
    effects: tuple[Effect, ...]
    """In the order of the declared space; empty where nothing can be said (see `reason`)."""
    reason: str
    quality: FitQuality | None


@dataclass(frozen=True)
class InteractionMap:
    """The predicted score over two hyperparameters, averaged over the others."""

    a: str
    b: str
    a_values: tuple[Value, ...]
    b_values: tuple[Value, ...]
    a_log: bool
    b_log: bool
    mean: tuple[tuple[float, ...], ...]
    """One row a value of `a`, one column a value of `b`."""
    sd: tuple[tuple[float, ...], ...]
    epoch: int


def compute_effects(
    study: Study, seed: int = 0, surrogate: Surrogate | NoSurrogate | None = None
) -> Effects:
    """The effect of every hyperparameter that varies.

    Args:
        study: What `deepsight.run_store.load_study` returns.
        seed: Of everything random in the computation.
        surrogate: What `fit_surrogate` returned, if it was called already.
    """
    surrogate = surrogate or fit_surrogate(study, seed)
    if isinstance(surrogate, NoSurrogate):
        return Effects(study.metric, study.mode, study.max_epochs, (), surrogate.reason, None)
    configs = [r.config for r in study.records if study.score(r) is not None]
    tried = surrogate.encoding.units(configs)
    effects = tuple(
        _effect(surrogate, name, tried[:, column], seed)
        for column, name in enumerate(surrogate.encoding.names)
    )
    reason = surrogate.quality.text
    return Effects(study.metric, study.mode, study.max_epochs, effects, reason, surrogate.quality)


def compute_interaction_map(
    study: Study,
    a: str,
    b: str,
    seed: int = 0,
    surrogate: Surrogate | None = None,
) -> InteractionMap:
    """The predicted score over `a` and `b`.

    Where a value of one makes the other inactive, the map does not change along the other.

    Raises:
        ValueError: If the study has no surrogate, or `a` or `b` does not vary in it.
    """
    fitted = surrogate or fit_surrogate(study, seed)
    if isinstance(fitted, NoSurrogate):
        raise ValueError(fitted.reason)
    encoding = fitted.encoding
    for name in (a, b):
        if name not in encoding.names:
            raise ValueError(f"{name!r} is none of {', '.join(encoding.names)}")
    grids = encoding.grid(a, NUM_MAP), encoding.grid(b, NUM_MAP)
    base = _base(encoding, seed)[: NUM_POINTS // 2]
    tables = [_placed(encoding, base, {a: u, b: v}) for u in grids[0] for v in grids[1]]
    kept = [_where_active(encoding, table, (a, b)) for table in tables]
    mean, draws = _averages(fitted, kept, seed)
    shape = len(grids[0]), len(grids[1])
    spaces = encoding.space[a], encoding.space[b]
    return InteractionMap(
        a=a,
        b=b,
        epoch=study.max_epochs,
        a_values=tuple(from_unit(spaces[0], float(u)) for u in grids[0]),
        b_values=tuple(from_unit(spaces[1], float(u)) for u in grids[1]),
        a_log=not isinstance(spaces[0], Choice) and spaces[0].log,
        b_log=not isinstance(spaces[1], Choice) and spaces[1].log,
        mean=_nested(mean.reshape(shape)),
        sd=_nested(draws.std(axis=1).reshape(shape)),
    )


def _nested(table: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in table)


def _base(encoding: Encoding, seed: int) -> Array:
    """Configs of the declared space before conditions are applied."""
    sobol = qmc.Sobol(max(len(encoding.names), 1), rng=seed)
    return encoding.unmasked(sobol.random(NUM_POINTS))


def _placed(encoding: Encoding, base: Array, at: dict[str, float]) -> Array:
    """`base` with some hyperparameters set, and what is inactive then made so."""
    table = base.copy()
    for name, unit in at.items():
        table[:, encoding.names.index(name)] = unit
    return encoding.mask_inactive(table)


def _where_active(encoding: Encoding, table: Array, names: Sequence[str]) -> Array:
    """Rows in which all of `names` are active; all rows where none is."""
    columns = [encoding.names.index(name) for name in names]
    active = ~np.isnan(table[:, columns]).any(axis=1)
    return table[active] if active.any() else table


def _averages(surrogate: Surrogate, tables: Sequence[Array], seed: int) -> tuple[Array, Array]:
    """Mean score over each of `tables`: by the surrogate's mean (k,), and by draws (k, m)."""
    units = np.concatenate(tables)
    starts = np.cumsum([0, *(len(table) for table in tables[:-1])])
    counts = np.array([len(table) for table in tables])
    mean = surrogate.final_mean(units)
    draws = surrogate.final_draws(units, np.zeros(len(units)), NUM_DRAWS, seed)
    return (
        np.add.reduceat(mean, starts) / counts,
        np.add.reduceat(draws, starts, axis=0) / counts[:, None],
    )


def _effect(surrogate: Surrogate, name: str, tried: Array, seed: int) -> Effect:
    encoding = surrogate.encoding
    domain, grid = encoding.space[name], encoding.grid(name, NUM_GRID)
    base = _base(encoding, seed)
    tables = [_where_active(encoding, _placed(encoding, base, {name: u}), [name]) for u in grid]
    as_drawn = encoding.mask_inactive(base.copy())
    silent = as_drawn[np.isnan(as_drawn[:, encoding.names.index(name)])]
    mean, draws = _averages(surrogate, [*tables, *([silent] if len(silent) else [])], seed)
    nearest = np.abs(tried[~np.isnan(tried)][:, None] - grid).argmin(axis=1)
    near = np.bincount(nearest, minlength=len(grid))
    values = [from_unit(domain, float(unit)) for unit in grid]
    points = tuple(
        _point(value, text(value), mean[i], draws[i], int(near[i]))
        for i, value in enumerate(values)
    )
    inactive = None
    if len(silent):
        inactive = _point(None, "inactive", mean[-1], draws[-1], int(np.isnan(tried).sum()))
    num = len(grid)
    best = _best(surrogate.sign, domain, values, mean[:num], draws[:num])
    kind, log = ("choice", False) if isinstance(domain, Choice) else ("number", domain.log)
    return Effect(name, kind, log, points, inactive, best)


def _point(value: Value, text: str, mean: float, draws: Array, num_near: int) -> EffectPoint:
    low, high = np.percentile(draws, INTERVAL)
    mean = float(mean)
    return EffectPoint(value, text, mean, min(float(low), mean), max(float(high), mean), num_near)


def _best(
    sign: float, domain: object, values: Sequence[Value], mean: Array, draws: Array
) -> BestRegion:
    """Where the plausible functions have their best value."""
    first = int(np.argmax(sign * mean))
    places = np.argmax(sign * draws, axis=0)
    gains = sign * (draws[first] - draws.mean(axis=0))
    gain = float(sign * (mean[first] - mean.mean()))
    gain_low, gain_high = (float(x) for x in np.percentile(gains, INTERVAL))
    gain_low, gain_high = min(gain_low, gain), max(gain_high, gain)
    low: Value = None
    high: Value = None
    candidates: tuple[Value, ...] = ()
    if isinstance(domain, Choice):
        often = np.bincount(places, minlength=len(values)) / len(places)
        candidates = tuple(v for i, v in enumerate(values) if i == first or often[i] >= PLAUSIBLE)
    else:
        ends = np.percentile(np.append(places, first), INTERVAL)
        low = values[min(int(ends[0]), first)]
        high = values[max(int(np.ceil(ends[1])), first)]
    return BestRegion(low, high, candidates, gain, gain_low, gain_high)
