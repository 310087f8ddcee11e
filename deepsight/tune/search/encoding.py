"""Configs as rows of numbers between 0 and 1, for a model of the scores.

A number is its place in its domain on the domain's own scale, a choice one column a value. What is
not active lies in the middle (numbers) or at zero (choices), so that it makes no distance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from deepsight.config import Value
from deepsight.space import Choice, Domain, Float, Int, Space, active, decide, ordered

CHOSEN = math.sqrt(0.5)
"""Entry of the chosen value's column: two choices are then one apart."""
INACTIVE = 0.5


class Encoder:
    """Rows for the configs of one space."""

    def __init__(self, space: Space, fixed: Mapping[str, Value]) -> None:
        """Lay out the columns."""
        self.space, self.fixed = space, fixed
        self.columns: dict[str, slice] = {}
        owners: list[int] = []
        for number, (name, domain) in enumerate(space.items()):
            width = len(domain.values) if isinstance(domain, Choice) else 1
            self.columns[name] = slice(len(owners), len(owners) + width)
            owners += [number] * width
        self.owners = np.array(owners)
        """The hyperparameter, by number, that each column belongs to."""

    def encode(self, configs: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """Rows (len(configs), columns) of configs with None where inactive."""
        rows = np.zeros((len(configs), len(self.owners)))
        for name, domain in self.space.items():
            part = rows[:, self.columns[name]]
            for row, config in zip(part, configs, strict=True):
                value = config[name]
                if isinstance(domain, Choice):
                    if value is not None or self._none_is_chosen(name, config):
                        row[domain.values.index(value)] = CHOSEN
                else:
                    row[0] = INACTIVE if value is None else _place(domain, value)
        return rows

    def _none_is_chosen(self, name: str, config: Mapping[str, Value]) -> bool:
        """Whether None at `name` is one of its values, not the mark of what is inactive."""
        domain = self.space[name]
        possible = isinstance(domain, Choice) and None in domain.values
        return possible and name in active({**self.fixed, **config}, self.space)

    def decode(self, row: np.ndarray) -> dict[str, Value]:
        """The config of one row, None where inactive."""
        chosen: dict[str, Value] = {name: None for name in self.space}
        for name, domain, config in decide(self.space, self.fixed):
            config[name] = chosen[name] = _value(domain, row[self.columns[name]])
        return chosen

    def place(self, points: np.ndarray) -> np.ndarray:
        """Rows at points of the unit cube, (n, hyperparameters), uniform in every domain."""
        return self._settle(self._place(points))

    def draw(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """`num` rows drawn uniformly from the space."""
        return self.place(rng.random((num, len(self.space))))

    def perturb(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Neighbours of `rows`: some of the values moved a little, some choices made anew."""
        num = len(rows)
        fresh = self._place(rng.random((num, len(self.space))))
        moved = rows + rng.normal(size=rows.shape) * rng.choice(STEPS, (num, 1))
        moved = np.clip(1 - np.abs(1 - np.abs(moved)), 0, 1)  # reflected: no heap on the bounds
        rate = rng.choice(RATES, (num, 1))
        touched = rng.random((num, len(self.space))) < rate
        new = rows.copy()
        for number, (name, domain) in enumerate(self.space.items()):
            part, at = self.columns[name], touched[:, number]
            new[at, part] = (fresh if isinstance(domain, Choice) else moved)[at, part]
            if isinstance(domain, Choice):  # one that was inactive may have become active
                none = ~new[:, part].any(axis=1)
                new[none, part] = fresh[none, part]
        return self._settle(new)

    def _place(self, points: np.ndarray) -> np.ndarray:
        """The same, with values for what is not active."""
        rows = np.zeros((len(points), len(self.owners)))
        for shares, (name, domain) in zip(points.T, self.space.items(), strict=True):
            part = self.columns[name]
            if isinstance(domain, Choice):
                num = len(domain.values)
                rows[:, part] = CHOSEN * np.eye(num)[(shares * num).astype(int)]
            else:
                rows[:, part.start] = shares
        return rows

    def _settle(self, rows: np.ndarray) -> np.ndarray:
        """Put whole numbers where they lie and take out what is not active, in place."""
        on: dict[str, np.ndarray] = {}
        for name in ordered(self.space):
            domain, part = self.space[name], self.columns[name]
            if isinstance(domain, Int):
                rows[:, part.start] = _whole(domain, rows[:, part.start])
            elif isinstance(domain, Float) and domain.low == domain.high:
                rows[:, part.start] = INACTIVE
            on[name] = self._active(name, rows, on)
            rows[~on[name], part] = 0.0 if isinstance(domain, Choice) else INACTIVE
        return rows

    def _active(self, name: str, rows: np.ndarray, on: Mapping[str, np.ndarray]) -> np.ndarray:
        """In which rows the condition of `name` holds, its parents having been settled."""
        condition = self.space[name].condition
        if condition is None:
            return np.ones(len(rows), bool)
        if condition.name not in self.space:
            return np.full(len(rows), self.fixed.get(condition.name) in condition.values)
        parent, part = self.space[condition.name], self.columns[condition.name]
        if isinstance(parent, Choice):
            met = np.array([value in condition.values for value in parent.values])
            return np.asarray(on[condition.name] & met[rows[:, part].argmax(axis=1)])
        values = [_value(parent, row) in condition.values for row in rows[:, part]]
        return np.asarray(on[condition.name] & np.array(values, bool))


STEPS = (0.02, 0.07, 0.2)
"""How far a perturbed number moves: standard deviations in shares of its domain."""
RATES = (0.3, 0.6, 1.0)
"""Chances that a value is perturbed."""


def _place(domain: Domain, value: Value) -> float:
    """Where a number lies in its domain, 0 to 1."""
    assert isinstance(value, int | float)
    low, high, scaled = _scale(domain)
    return (scaled(value) - low) / (high - low) if high > low else INACTIVE


def _whole(domain: Int, places: np.ndarray) -> np.ndarray:
    """Where the whole numbers nearest to `places` lie."""
    low, high, _ = _scale(domain)
    if low == high:
        return np.full(len(places), INACTIVE)
    numbers = low + places * (high - low)
    numbers = np.rint(np.exp(numbers) if domain.log else numbers).clip(domain.low, domain.high)
    return ((np.log(numbers) if domain.log else numbers) - low) / (high - low)


def _value(domain: Domain, row: np.ndarray) -> Value:
    """The value that a hyperparameter's columns stand for."""
    if isinstance(domain, Choice):
        return domain.values[int(row.argmax())]
    low, high, _ = _scale(domain)
    number = low + float(row[0]) * (high - low)
    number = math.exp(number) if domain.log else number
    return min(max(round(number) if isinstance(domain, Int) else number, domain.low), domain.high)


def _scale(domain: Domain) -> tuple[float, float, Callable[[float], float]]:
    """Bounds on the domain's own scale, and the way there; whole numbers fill half a step more."""
    assert not isinstance(domain, Choice)
    pad = 0.5 if isinstance(domain, Int) and domain.low < domain.high else 0.0
    scaled = math.log if domain.log else float
    return scaled(domain.low - pad), scaled(domain.high + pad), scaled
