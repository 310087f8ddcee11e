"""What may vary: domains, conditions and their JSON form.

A space is a dictionary from dotted names to domains. It is data: it can be printed, checked,
stored, sampled and drawn. `when` makes a hyperparameter conditional on another one; what is not
active in a config is recorded as null there.

Every domain has one map to the unit interval, `to_unit`, and back, `from_unit`. It runs on the
domain's own scale, logarithmic where that is searched so: a uniform number between 0 and 1 becomes
a uniform draw. A whole number fills the half step on either side of it, as in Optuna, so that both
ends are drawn as often as the others; a choice fills one of equally wide cells.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepsight.config import UserError, Value


@dataclass(frozen=True)
class Condition:
    """Active only while hyperparameter `name` has one of `values`."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Float:
    """Real numbers in [low, high], uniform on a linear or logarithmic scale."""

    low: float
    high: float
    log: bool = False
    condition: Condition | None = None

    def contains(self, value: Value) -> bool:
        """Whether `value` may be drawn."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]

    def sample(self, rng: random.Random) -> float:
        """One uniform draw."""
        if self.log:
            draw = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(max(draw, self.low), self.high)
        return rng.uniform(self.low, self.high)

    def middle(self) -> float:
        """The centre of the domain on its own scale."""
        return math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2

    def to_unit(self, value: Value, padded: bool = True) -> float:
        """Where `value` lies between `low` (0) and `high` (1); 0.5 if these are equal.

        Args:
            value: Of the domain.
            padded: As in `Int.to_unit`; real numbers have no steps to pad.
        """
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

    def contains(self, value: Value) -> bool:
        """Whether `value` may be drawn."""
        return type(value) is int and self.low <= value <= self.high

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

    def to_unit(self, value: Value, padded: bool = True) -> float:
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

    def contains(self, value: Value) -> bool:
        """Whether `value` may be drawn."""
        return any(type(v) is type(value) and v == value for v in self.values)

    def sample(self, rng: random.Random) -> Value:
        """One uniform draw."""
        return rng.choice(self.values)

    def middle(self) -> Value:
        """The first value: there is no centre without order."""
        return self.values[0]

    def index(self, value: Value) -> int:
        """The position of `value` among the values.

        Raises:
            ValueError: If it is not one of them.
        """
        for index, known in enumerate(self.values):
            if type(known) is type(value) and known == value:
                return index
        raise ValueError(f"{value!r} is not one of {self.values!r}")

    def to_unit(self, value: Value, padded: bool = True) -> float:
        """The centre of the value's cell: (index + 1/2) / (number of values)."""
        return (self.index(value) + 0.5) / len(self.values)

    def from_unit(self, unit: float, padded: bool = True) -> Value:
        """The value whose cell holds `unit`, from 0 to 1."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]


def _to_unit(value: Value, low: float, high: float, log: bool) -> float:
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
    return Float(float(low), float(high))


def loguniform(low: float, high: float) -> Float:
    """Positive real numbers in [low, high], uniform in their logarithm."""
    return Float(float(low), float(high), log=True)


def randint(low: int, high: int, *, log: bool = False) -> Int:
    """Whole numbers in [low, high], both included."""
    return Int(low, high, log=log)


def choice(*values: Value) -> Choice:
    """One of `values`."""
    return Choice(values)


def when(name: str, values: Sequence[Value] | Value, domain: Domain) -> Domain:
    """`domain`, active only while hyperparameter `name` has one of `values`."""
    listed = values if isinstance(values, list | tuple) else (values,)
    condition = Condition(name, tuple(listed))  # type: ignore[arg-type]
    if isinstance(domain, Choice):
        return Choice(domain.values, condition)
    return type(domain)(domain.low, domain.high, domain.log, condition)  # type: ignore[arg-type]


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


def is_active(domain: Domain, config: Mapping[str, Value]) -> bool:
    """Whether `domain`'s condition holds in `config` (an inactive parent never satisfies one)."""
    condition = domain.condition
    return condition is None or config.get(condition.name) in condition.values


def active(config: Mapping[str, Value], space: Space) -> list[str]:
    """The names of `space` that matter in `config`, parents first."""
    seen = dict(config)
    names = []
    for name in ordered(space):
        if is_active(space[name], seen):
            names.append(name)
        else:
            seen[name] = None
    return names


def decide(
    space: Space, fixed: Mapping[str, Value], pick: Mapping[str, Value] | None = None
) -> Iterator[tuple[str, Domain, dict[str, Value]]]:
    """Walk `space` parents first, yielding ``(name, domain, config so far)`` of what is active.

    The caller puts its choice into the yielded config under the yielded name; inactive names are
    set to None there. The config begins as `fixed`.
    """
    config = dict(fixed) | dict(pick or {})
    for name in ordered(space):
        if is_active(space[name], config):
            yield name, space[name], config
        else:
            config[name] = None


def sample(space: Space, fixed: Mapping[str, Value], rng: random.Random) -> dict[str, Value]:
    """One config drawn uniformly: values for all of `space`, None where inactive."""
    drawn: dict[str, Value] = {name: None for name in space}
    for name, domain, config in decide(space, fixed):
        config[name] = drawn[name] = domain.sample(rng)
    return drawn


def default_point(
    space: Space, fixed: Mapping[str, Value], defaults: Mapping[str, Value]
) -> dict[str, Value]:
    """The config of the defaults; a hyperparameter without one has its domain's `middle`.

    A default outside its domain is no default of this space: the middle stands in for it.
    """
    point: dict[str, Value] = {name: None for name in space}
    for name, domain, config in decide(space, fixed):
        known = name in defaults and domain.contains(defaults[name])
        config[name] = point[name] = defaults[name] if known else domain.middle()
    return point


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
        except (KeyError, TypeError, ValueError) as error:
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
