"""Configs as rows of numbers between 0 and 1, for a model of the scores.

A number is encoded by its domain's `to_unit`, a choice as one column a value (one-hot). What is
not active is 0.5 (numbers) or 0 (choices), so that it adds nothing to distances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from deepsight.config import Value
from deepsight.space import (
    INACTIVE,
    Choice,
    Domain,
    Entry,
    Float,
    Int,
    Space,
    decide,
    ordered,
)

CHOSEN = math.sqrt(0.5)
"""Entry of the chosen value's column: two choices are then one apart."""
CENTRE = 0.5
"""Entry of a number that is not active."""


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

    def encode(self, configs: Sequence[Mapping[str, Entry]]) -> np.ndarray:
        """Rows (len(configs), columns) of configs with `INACTIVE` where inactive."""
        rows = np.zeros((len(configs), len(self.owners)))
        for name, domain in self.space.items():
            part = rows[:, self.columns[name]]
            for row, config in zip(part, configs, strict=True):
                value = config[name]
                if isinstance(domain, Choice):
                    if value is not INACTIVE:
                        row[domain.index(value)] = CHOSEN
                else:
                    row[0] = CENTRE if value is INACTIVE else domain.to_unit(value)
        return rows

    def decode(self, row: np.ndarray) -> dict[str, Entry]:
        """The config of one row, `INACTIVE` where inactive."""
        chosen: dict[str, Entry] = dict.fromkeys(self.space, INACTIVE)
        for name, domain, config in decide(self.space, self.fixed):
            config[name] = chosen[name] = _value(domain, row[self.columns[name]])
        return chosen

    def from_unit(self, points: np.ndarray) -> np.ndarray:
        """Rows at points of the unit cube, (n, hyperparameters), uniform in every domain."""
        return self._settle(self._one_hot(points))

    def draw(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """`num` rows drawn uniformly from the space."""
        return self.from_unit(rng.random((num, len(self.space))))

    def perturb(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Neighbours of `rows`: some of the values moved a little, some choices made anew."""
        num = len(rows)
        fresh = self._one_hot(rng.random((num, len(self.space))))
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

    def _one_hot(self, points: np.ndarray) -> np.ndarray:
        """The same, with values also for what is not active and whole numbers not yet rounded."""
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
            if isinstance(domain, Int) or (isinstance(domain, Float) and domain.low == domain.high):
                column = rows[:, part.start]
                column[:] = [domain.to_unit(domain.from_unit(unit)) for unit in column]
            on[name] = self._active(name, rows, on)
            rows[~on[name], part] = 0.0 if isinstance(domain, Choice) else CENTRE
        return rows

    def _active(self, name: str, rows: np.ndarray, on: Mapping[str, np.ndarray]) -> np.ndarray:
        """In which rows the condition of `name` holds, its parents having been settled."""
        condition = self.space[name].condition
        if condition is None:
            return np.ones(len(rows), bool)
        if condition.name not in self.space:
            return np.full(len(rows), condition.holds(self.fixed.get(condition.name, INACTIVE)))
        parent, part = self.space[condition.name], self.columns[condition.name]
        if isinstance(parent, Choice):
            met = np.array([condition.holds(value) for value in parent.values])
            return np.asarray(on[condition.name] & met[rows[:, part].argmax(axis=1)])
        values = [condition.holds(_value(parent, row)) for row in rows[:, part]]
        return np.asarray(on[condition.name] & np.array(values, bool))


STEPS = (0.02, 0.07, 0.2)
"""How far a perturbed number moves: standard deviations in shares of its domain."""
RATES = (0.3, 0.6, 1.0)
"""Chances that a value is perturbed."""


def _value(domain: Domain, row: np.ndarray) -> Value:
    """The value that a hyperparameter's columns stand for."""
    if isinstance(domain, Choice):
        return domain.values[int(row.argmax())]
    return domain.from_unit(row[0])
