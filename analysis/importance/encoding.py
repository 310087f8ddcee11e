"""Configs as numbers: a point of the unit cube, with what is inactive, and a model's inputs.

Three forms. *Uniforms* (n, d): independent numbers in [0, 1], one a hyperparameter, from which
the declared space is sampled. *Units* (n, d): where a number lies in its domain on the domain's own
scale, 0 to 1; the index of a choice's value; NaN where inactive. *Features* (n, p): what a kernel
measures distances in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deepsight.config import Value
from deepsight.space import INACTIVE, Choice, Domain, Entry, Float, ordered, same

Array = npt.NDArray[np.float64]

MIN_OTHERS = 3
"""Trials with another value than the usual one; with fewer a hyperparameter was hardly varied."""
NEAR = 0.1
"""Of a number's domain: no other value is nearer to the usual one."""
MAX_NAMES, MAX_VALUES = 24, 50
"""Hyperparameters, and values of a choice, that are modelled: the time of a report is bounded."""


@dataclass(frozen=True)
class Encoding:
    """The hyperparameters of a space that vary, parents before what depends on them."""

    names: tuple[str, ...]
    space: Mapping[str, Domain]
    """The whole declared space."""
    pinned: Mapping[str, Entry]
    """What does not vary: fixed hyperparameters, and those of `left_out`."""
    left_out: Mapping[str, str]
    """Hyperparameters of the space that nothing can be said about, and why."""
    activity: tuple[str, ...] = field(default=())
    """Conditional hyperparameters whose being active is a feature of its own."""

    def units(self, configs: Sequence[Mapping[str, Entry]]) -> Array:
        """Configs, `INACTIVE` where inactive, as units."""
        table = np.full((len(configs), len(self.names)), np.nan)
        for column, name in enumerate(self.names):
            domain = self.space[name]
            for row, config in enumerate(configs):
                value = config.get(name, INACTIVE)
                if value is not INACTIVE:
                    table[row, column] = _to_unit(domain, value)
        return self.mask_inactive(table)

    def design(self, uniforms: Array) -> Array:
        """Points of the declared space: every hyperparameter from its own uniform number.

        A number that belongs to an inactive hyperparameter is left unused.
        """
        return self.mask_inactive(self.unmasked(uniforms))

    def unmasked(self, uniforms: Array) -> Array:
        """As `design`, before anything is made inactive."""
        drawn = [_from_uniform(self.space[n], uniforms[:, i]) for i, n in enumerate(self.names)]
        return np.stack(drawn, axis=1) if drawn else np.zeros((len(uniforms), 0))

    def grid(self, name: str, num: int) -> Array:
        """Up to `num` units across a hyperparameter's domain; all values of a choice."""
        domain = self.space[name]
        if isinstance(domain, Choice):
            return np.arange(len(domain.values), dtype=float)
        even = np.linspace(0.0, 1.0, num)
        if isinstance(domain, Float):
            return even
        whole = dict.fromkeys(from_unit(domain, float(u)) for u in even)
        return np.array([_to_unit(domain, value) for value in whole])

    def configs(self, units: Array) -> list[dict[str, Entry]]:
        """Units as configs of the whole space, `INACTIVE` where inactive."""
        fixed = {n: v for n, v in self.pinned.items() if n in self.space}
        absent: dict[str, Entry] = dict.fromkeys(self.space, INACTIVE)
        return [
            absent
            | fixed
            | {
                name: INACTIVE if math.isnan(u) else from_unit(self.space[name], u)
                for name, u in zip(self.names, row, strict=True)
            }
            for row in units
        ]

    def features(self, units: Array) -> Array:
        """What the kernel sees: numbers about 0, one column a choice's value, activity columns.

        The columns of an inactive hyperparameter are 0, so that two configs in which it is
        inactive do not differ in it whatever it would have been.
        """
        columns: list[Array] = []
        for column, name in enumerate(self.names):
            unit, domain = units[:, column], self.space[name]
            if isinstance(domain, Choice):
                columns += [_one_hot(unit, index) for index in range(len(domain.values))]
            else:
                columns.append(np.nan_to_num(unit - 0.5))
        columns += [(~np.isnan(units[:, self.names.index(n)])).astype(float) for n in self.activity]
        return np.stack(columns, axis=1) if columns else np.zeros((len(units), 0))

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """To which group of features each feature belongs: a hyperparameter's, or activity's."""
        groups: list[int] = []
        for number, name in enumerate(self.names):
            domain = self.space[name]
            groups += [number] * (len(domain.values) if isinstance(domain, Choice) else 1)
        return (*groups, *range(len(self.names), len(self.names) + len(self.activity)))

    def mask_inactive(self, table: Array) -> Array:
        """Put NaN into `table` where the conditions do not hold."""
        for column, name in enumerate(self.names):
            table[~self._active(name, table), column] = np.nan
        return table

    def _active(self, name: str, table: Array) -> npt.NDArray[np.bool_]:
        condition = self.space[name].condition
        if condition is None:
            return np.ones(len(table), dtype=bool)
        if condition.name not in self.names:
            holds = condition.holds(self.pinned.get(condition.name, INACTIVE))
            return np.full(len(table), holds)
        parent, unit = self.space[condition.name], table[:, self.names.index(condition.name)]
        held = np.zeros(len(table), dtype=bool)
        for value in condition.values:
            if parent.contains(value):
                held |= np.isclose(unit, _to_unit(parent, value), atol=1e-9)
        return held


def make_encoding(
    space: Mapping[str, Domain],
    fixed: Mapping[str, Value],
    configs: Sequence[Mapping[str, Entry]],
) -> Encoding:
    """The encoding of what varies, by declaration and in `configs`."""
    pinned: dict[str, Entry] = dict(fixed)
    left_out: dict[str, str] = {}
    names: list[str] = []
    for name in ordered(space):
        values = [v for c in configs if (v := c.get(name, INACTIVE)) is not INACTIVE]
        usual, reason = _unvaried(space[name], values)
        reason = reason or _too_many(space[name], len(names))
        if reason:
            left_out[name], pinned[name] = reason, usual
        else:
            names.append(name)
    encoding = Encoding(tuple(names), dict(space), pinned, left_out)
    return replace(encoding, activity=_activity_columns(encoding, configs))


def _unvaried(domain: Domain, values: Sequence[Value]) -> tuple[Entry, str]:
    """The usual one of a hyperparameter's values, and why nothing can be said about it, or ""."""
    if not _varies(domain):
        return (values[0] if values else INACTIVE), "it has one value only"
    if not values:
        return INACTIVE, "it was active in no trial"
    usual = max(values, key=values.count)
    if all(same(value, usual) for value in values):
        return usual, f"it was {usual!r} in every trial that had it"
    units = np.array([_to_unit(domain, value) for value in values])
    if not isinstance(domain, Choice):
        usual = from_unit(domain, float(np.median(units)))
    others = int((np.abs(units - _to_unit(domain, usual)) > NEAR).sum())
    if others < MIN_OTHERS:
        return usual, (
            f"it was hardly varied: {len(values) - others} of {len(values)} trials had {usual!r}"
            + ("" if isinstance(domain, Choice) else " or a value near it")
        )
    return usual, ""


def _too_many(domain: Domain, before: int) -> str:
    """Why a hyperparameter after `before` others would cost a report too much time, or ""."""
    if isinstance(domain, Choice) and len(domain.values) > MAX_VALUES:
        return f"a choice of {len(domain.values)} values is not modelled, only up to {MAX_VALUES}"
    if before >= MAX_NAMES:
        return f"only the first {MAX_NAMES} hyperparameters that vary are modelled"
    return ""


def _activity_columns(
    encoding: Encoding, configs: Sequence[Mapping[str, Entry]]
) -> tuple[str, ...]:
    """Conditional hyperparameters whose activity no other column already shows."""
    units = encoding.units(configs)
    known = {column.tobytes() for column in encoding.features(units).T}
    chosen = []
    for index, name in enumerate(encoding.names):
        active = (~np.isnan(units[:, index])).astype(float)
        patterns = {active.tobytes(), (1 - active).tobytes()}
        if active.min(initial=1.0) < 1.0 and not patterns & known:
            chosen.append(name)
            known |= patterns
    return tuple(chosen)


def _varies(domain: Domain) -> bool:
    return len(domain.values) > 1 if isinstance(domain, Choice) else domain.low < domain.high


def _one_hot(unit: Array, index: int) -> Array:
    return np.asarray(unit == index, dtype=float)


def _to_unit(domain: Domain, value: Value) -> float:
    """The unit of a value: the index of a choice, NaN if it is none; a number's place, 0 to 1."""
    if isinstance(domain, Choice):
        return float(domain.index(value)) if domain.contains(value) else math.nan
    assert isinstance(value, int | float)
    return domain.to_unit(value, padded=False)


def from_unit(domain: Domain, unit: float) -> Value:
    """The value at a unit: the inverse of how `Encoding.units` places it."""
    if isinstance(domain, Choice):
        return domain.values[round(unit)]
    return domain.from_unit(unit, padded=False)


def _from_uniform(domain: Domain, uniforms: Array) -> Array:
    """Draws of `domain` as units, as `Domain.sample` makes them."""
    if isinstance(domain, Float):
        return np.asarray(uniforms, dtype=float)
    if isinstance(domain, Choice):
        return np.minimum(np.floor(uniforms * len(domain.values)), len(domain.values) - 1.0)
    drawn = [domain.from_unit(uniform) for uniform in uniforms]
    units = {value: _to_unit(domain, value) for value in dict.fromkeys(drawn)}
    return np.array([units[value] for value in drawn])
