"""What may vary: domains, conditions and their JSON form.

A space is a dictionary from dotted names to domains. It is data: it can be printed, checked,
stored, sampled and drawn. `when` makes a hyperparameter conditional on another one. In memory,
`INACTIVE` stands in a config for what is not active there; None is a value like any other. Files
hold null for both, which `to_stored` writes and `from_stored` tells apart. `same` decides
everywhere whether two values are one.

Every domain has one map to the unit interval, `to_unit`, and back, `from_unit`. It runs on the
domain's own scale, logarithmic where that is searched so: a uniform number between 0 and 1 becomes
a uniform draw. A whole number fills the half step on either side of it, as in Optuna, so that both
ends are drawn as often as the others; a choice fills one of equally wide cells.
"""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deepsight.config import UserError, Value


class Inactive(enum.Enum):
    """The type of `INACTIVE`."""

    INACTIVE = "inactive"

    def __str__(self) -> str:
        return self.value


INACTIVE: Final = Inactive.INACTIVE
"""What a config holds in memory for a hyperparameter that is not active in it."""

Entry = Value | Inactive
"""What a config holds for one hyperparameter of a space."""


def same(a: Entry, b: Entry) -> bool:
    """Whether two values are one: numbers by their size, whatever their type; texts by letters.

    So 1, 1.0 and True are one value, as for Python, Optuna and most readers of JSON; "1", None and
    `INACTIVE` equal only themselves.
    """
    return a == b


@dataclass(frozen=True)
class Condition:
    """Active only while hyperparameter `name` has one of `values`."""

    name: str
    values: tuple[Value, ...]

    def holds(self, value: Entry) -> bool:
        """Whether `value` of the parent makes the child active; `INACTIVE` never does."""
        return any(same(value, one) for one in self.values)


@dataclass(frozen=True)
class Float:
    """Real numbers in [low, high], uniform on a linear or logarithmic scale."""

    low: float
    high: float
    log: bool = False
    condition: Condition | None = None

    def contains(self, value: Entry) -> bool:
        """Whether `value` is the same as one that may be drawn."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def sample(self, rng: random.Random) -> float:
        """One uniform draw."""
        if self.log:
            draw = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(max(draw, self.low), self.high)
        return rng.uniform(self.low, self.high)

    def middle(self) -> float:
        """The centre of the domain on its own scale."""
        return math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2

    def to_unit(self, value: Entry, padded: bool = True) -> float:
        """Where `value` lies between `low` (0) and `high` (1); 0.5 if these are equal."""
        return _to_unit(value, self.low, self.high, self.log)

    def from_unit(self, unit: float, padded: bool = True) -> float:
        """The value at `unit`, from 0 to 1: the inverse of `to_unit`."""
        number = _from_unit(unit, self.low, self.high, self.log)
        return min(max(number, self.low), self.high)


@dataclass(frozen=True)
class Int:
    """Whole numbers in [low, high], both included."""

    low: int
    high: int
    log: bool = False
    condition: Condition | None = None

    def contains(self, value: Entry) -> bool:
        """Whether `value` is the same as one that may be drawn."""
        inside = isinstance(value, int | float) and self.low <= value <= self.high
        return inside and same(value, int(value))  # type: ignore[arg-type]

    def sample(self, rng: random.Random) -> int:
        """One uniform draw; on a log scale over [low - 1/2, high + 1/2], as Optuna draws."""
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(max(round(math.exp(rng.uniform(low, high))), self.low), self.high)
        return rng.randint(self.low, self.high)

    def middle(self) -> int:
        """The centre of the domain on its own scale."""
        centre = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return int(centre)

    def to_unit(self, value: Entry, padded: bool = True) -> float:
        """Where `value` lies in the domain, from 0 to 1; 0.5 if there is one value only.

        Args:
            value: Of the domain.
            padded: Whether the unit interval spans [low - 1/2, high + 1/2], as when numbers are
                drawn; else it spans [low, high], as the axis of a figure does.
        """
        pad = self._padding(padded)
        return _to_unit(value, self.low - pad, self.high + pad, self.log)

    def from_unit(self, unit: float, padded: bool = True) -> int:
        """The nearest value at `unit`, from 0 to 1: the inverse of `to_unit`."""
        pad = self._padding(padded)
        number = _from_unit(unit, self.low - pad, self.high + pad, self.log)
        return min(max(round(number), self.low), self.high)

    def _padding(self, padded: bool) -> float:
        return 0.5 if padded and self.low < self.high else 0.0


@dataclass(frozen=True)
class Choice:
    """One of `values`, without order."""

    values: tuple[Value, ...]
    condition: Condition | None = None

    def contains(self, value: Entry) -> bool:
        """Whether `value` is the same as one that may be drawn."""
        return any(same(one, value) for one in self.values)

    def sample(self, rng: random.Random) -> Value:
        """One uniform draw."""
        return rng.choice(self.values)

    def middle(self) -> Value:
        """The first value: there is no centre without order."""
        return self.values[0]

    def index(self, value: Entry) -> int:
        """The position of `value` among the values.

        Raises:
            ValueError: If it is not one of them.
        """
        for index, known in enumerate(self.values):
            if same(known, value):
                return index
        raise ValueError(f"{value!r} is not one of {self.values!r}")

    def to_unit(self, value: Entry, padded: bool = True) -> float:
        """The centre of the value's cell: (index + 1/2) / (number of values)."""
        return (self.index(value) + 0.5) / len(self.values)

    def from_unit(self, unit: float, padded: bool = True) -> Value:
        """The value whose cell holds `unit`, from 0 to 1."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]


def _to_unit(value: Entry, low: float, high: float, log: bool) -> float:
    assert isinstance(value, int | float)
    start, end, at = (math.log(x) if log else float(x) for x in (low, high, value))
    return (at - start) / (end - start) if end > start else 0.5


def _from_unit(unit: float, low: float, high: float, log: bool) -> float:
    start, end = (math.log(x) if log else float(x) for x in (low, high))
    number = start + float(unit) * (end - start)
    return math.exp(number) if log else number


Domain = Float | Int | Choice
Space = Mapping[str, Domain]
KINDS: dict[str, type[Float] | type[Int] | type[Choice]] = {
    "float": Float,
    "int": Int,
    "choice": Choice,
}


def uniform(low: float, high: float) -> Float:
    """Real numbers in [low, high]."""
    return Float(_real(low), _real(high))


def loguniform(low: float, high: float) -> Float:
    """Positive real numbers in [low, high], uniform in their logarithm."""
    return Float(_real(low), _real(high), log=True)


def randint(low: int, high: int, *, log: bool = False) -> Int:
    """Whole numbers in [low, high], both included."""
    return Int(plain(low), plain(high), log=log)


def choice(*values: Value) -> Choice:
    """One of `values`."""
    return Choice(tuple(plain(value) for value in values))


def when(name: str, values: Sequence[Value] | Value, domain: Domain) -> Domain:
    """`domain`, active only while hyperparameter `name` has one of `values`."""
    listed = values if isinstance(values, list | tuple) else (values,)
    condition = Condition(name, tuple(plain(value) for value in listed))
    if isinstance(domain, Choice):
        return Choice(domain.values, condition)
    return type(domain)(domain.low, domain.high, domain.log, condition)  # type: ignore[arg-type]


def plain(value: Any) -> Any:
    """A NumPy scalar as Python's value of its kind; anything else as it is, for the checks."""
    numpy_scalar = type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0
    return value.item() if numpy_scalar else value


def _real(bound: Any) -> Any:
    """A whole number as a real one; what is no number, or too large, is left for the checks."""
    bound = plain(bound)
    return float(bound) if type(bound) is int and bound.bit_length() < 1024 else bound


def ordered(space: Space) -> list[str]:
    """The names of `space`, every one after the one that its condition reads.

    Raises:
        UserError: If conditions form a circle.
    """
    done: list[str] = []
    waiting = list(space)
    while waiting:
        ready = [n for n in waiting if not _waits_for(space[n], waiting)]
        if not ready:
            raise UserError(
                f"conditions form a circle: {', '.join(waiting)}.",
                "A condition may only read what does not depend on it.",
            )
        done += ready
        waiting = [n for n in waiting if n not in ready]
    return done


def _waits_for(domain: Domain, waiting: Sequence[str]) -> bool:
    return domain.condition is not None and domain.condition.name in waiting


def is_active(domain: Domain, config: Mapping[str, Entry]) -> bool:
    """Whether `domain`'s condition holds in `config`.

    A parent that is inactive, or is not there at all, satisfies none.
    """
    condition = domain.condition
    return condition is None or condition.holds(config.get(condition.name, INACTIVE))


def active(config: Mapping[str, Entry], space: Space) -> list[str]:
    """The names of `space` that matter in `config`, parents first."""
    seen = dict(config)
    names = []
    for name in ordered(space):
        if is_active(space[name], seen):
            names.append(name)
        else:
            seen[name] = INACTIVE
    return names


def decide(
    space: Space, fixed: Mapping[str, Value]
) -> Iterator[tuple[str, Domain, dict[str, Entry]]]:
    """Walk `space` parents first, yielding ``(name, domain, config so far)`` of what is active.

    The caller puts its choice into the yielded config under the yielded name; the others are
    `INACTIVE` there. The config begins as `fixed`.
    """
    config: dict[str, Entry] = dict(fixed) | dict.fromkeys(space, INACTIVE)
    for name in ordered(space):
        if is_active(space[name], config):
            yield name, space[name], config


def sample(space: Space, fixed: Mapping[str, Value], rng: random.Random) -> dict[str, Entry]:
    """One config drawn uniformly: values for all of `space`, `INACTIVE` where inactive."""
    drawn: dict[str, Entry] = dict.fromkeys(space, INACTIVE)
    for name, domain, config in decide(space, fixed):
        config[name] = drawn[name] = domain.sample(rng)
    return drawn


def default_point(
    space: Space, fixed: Mapping[str, Value], defaults: Mapping[str, Value]
) -> dict[str, Entry]:
    """The config of the defaults; a hyperparameter without one has its domain's `middle`.

    A default outside its domain is no default of this space: the middle stands in for it. One that
    a choice spells otherwise (0.0 for its 0) is taken as the choice spells it.
    """
    point: dict[str, Entry] = dict.fromkeys(space, INACTIVE)
    for name, domain, config in decide(space, fixed):
        value = domain.middle()
        if name in defaults and domain.contains(defaults[name]):
            value = defaults[name]
            if isinstance(domain, Choice):
                value = domain.values[domain.index(value)]
        config[name] = point[name] = value
    return point


def to_stored(config: Mapping[str, Entry]) -> dict[str, Value]:
    """`config` as files and training have it: None where inactive."""
    return {name: None if value is INACTIVE else value for name, value in config.items()}


def from_stored(
    config: Mapping[str, Value], space: Space, fixed: Mapping[str, Value]
) -> dict[str, Entry]:
    """The inverse of `to_stored`: a null is inactive exactly where the condition does not hold.

    A value stays what it is even there: it was trained with. What `config` lacks is inactive.

    Args:
        config: As files have it.
        space: What the study searches.
        fixed: What conditions may read besides.
    """
    read: dict[str, Entry] = dict(config)
    for name in ordered(space):
        null = read.setdefault(name, INACTIVE) is None
        if null and not is_active(space[name], {**fixed, **read}):
            read[name] = INACTIVE
    return read


def to_json(space: Space) -> dict[str, dict[str, object]]:
    """The stored form: ``{"optim.lr": {"type": "float", "low": 0.1, "high": 1, "log": true}}``."""
    kinds = {cls: kind for kind, cls in KINDS.items()}
    stored: dict[str, dict[str, object]] = {}
    for name, domain in space.items():
        entry: dict[str, object] = {"type": kinds[type(domain)]}
        if isinstance(domain, Choice):
            entry["values"] = list(domain.values)
        else:
            entry |= {"low": domain.low, "high": domain.high, "log": domain.log}
        if domain.condition:
            entry["when"] = {"name": domain.condition.name, "in": list(domain.condition.values)}
        stored[name] = entry
    return stored


def from_json(stored: Mapping[str, Mapping[str, object]]) -> dict[str, Domain]:
    """The inverse of `to_json`.

    Raises:
        UserError: If an entry is not of that form.
    """
    space: dict[str, Domain] = {}
    for name, entry in stored.items():
        try:
            space[name] = _domain_from_json(dict(entry))
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"space entry {name!r} is not readable: {error!r}.",
                "It has the form that docs/run_format.md describes.",
            ) from error
    return space


def _domain_from_json(entry: dict[str, object]) -> Domain:
    condition = None
    if entry.get("when") is not None:
        stated = entry["when"]
        assert isinstance(stated, Mapping)
        condition = Condition(str(stated["name"]), tuple(stated["in"]))
    kind = KINDS[str(entry["type"])]
    if kind is Choice:
        return Choice(tuple(entry["values"]), condition)  # type: ignore[arg-type]
    return kind(entry["low"], entry["high"], bool(entry["log"]), condition)  # type: ignore
