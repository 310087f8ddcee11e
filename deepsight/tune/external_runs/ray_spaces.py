"""A search space of Ray Tune (``param_space``) as domains of ours, and configs by dotted names.

A nested dictionary becomes flat: ``{"optim": {"lr": ...}}`` is ``optim.lr``. Values that are no
numbers or texts (lists, classes) stand in the record as text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from ray.tune.search import sample as ray_sample

from deepsight.config import UserError, Value
from deepsight.space import Choice, Domain, Float, Int
from deepsight.space_checks import check_stored

INTEGER_BELOW = 1
"""Ray's integers exclude their upper bound."""


@dataclass(frozen=True)
class RaySpace:
    """What a Ray run searches."""

    space: Mapping[str, Domain]
    fixed: Mapping[str, Value]
    places: Mapping[str, tuple[str, ...]]
    """Keys of the nested dictionary that lead to each name."""
    originals: Mapping[str, Mapping[Value, Any]] = field(default_factory=dict)
    """By name, what a stored value of a choice stands for in Ray's config."""

    def flat(self, config: Mapping[str, Any]) -> dict[str, Value]:
        """What a trial's config says of the searched hyperparameters; absent ones are left out."""
        found: dict[str, Value] = {}
        for name in self.space:
            value: Any = config
            for part in self.places[name]:
                value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
            if value is not _ABSENT:
                found[name] = plain_value(value)
        return found

    def unstated(self, config: Mapping[str, Any]) -> list[str]:
        """Names of what a trial's config holds beside the space."""
        stated = set(self.places.values())
        return [
            ".".join(place)
            for place, _ in _leaves(config, ())
            if not any(place[:depth] in stated for depth in range(1, len(place) + 1))
        ]

    def nested(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """A config for Ray with the values of `flat`."""
        config: dict[str, Any] = {}
        for name, value in flat.items():
            place = self.places[name]
            inner = config
            for part in place[:-1]:
                inner = inner.setdefault(part, {})
            inner[place[-1]] = self.originals.get(name, {}).get(value, value)
        return config


_ABSENT = object()


def _is_plain(value: object) -> TypeGuard[Value]:
    finite = not isinstance(value, float) or math.isfinite(value)
    return value is None or (isinstance(value, str | int | float) and finite)


def plain_value(value: Any) -> Value:
    """`value` as the run format holds it: numbers and texts as they are, others as text."""
    if not _is_plain(value) and hasattr(value, "item"):
        value = value.item()  # NumPy's numbers
    return value if _is_plain(value) else str(value)


def read_space(param_space: Mapping[str, Any]) -> RaySpace:
    """The domains and constants of a Ray space; domains of ours may stand in it.

    Raises:
        UserError: If a domain has no bounds or is drawn by a function.
    """
    space: dict[str, Domain] = {}
    fixed: dict[str, Value] = {}
    places: dict[str, tuple[str, ...]] = {}
    originals: dict[str, dict[Value, Any]] = {}
    for place, value in _leaves(param_space, ()):
        name = ".".join(place)
        places[name] = place
        if isinstance(value, Float | Int | Choice):
            space[name] = value
        elif isinstance(value, ray_sample.Domain) or _is_grid(value):
            values = value["grid_search"] if _is_grid(value) else getattr(value, "categories", None)
            if values is not None:
                originals[name] = {plain_value(each): each for each in values}
                space[name] = Choice(tuple(originals[name]))
            else:
                space[name] = _numeric(name, value)
        else:
            fixed[name] = plain_value(value)
    if not space:
        raise UserError("the space varies nothing.", "Give the param_space of the Tuner as space.")
    check_stored(space)
    return RaySpace(space, fixed, places, originals)


def _leaves(values: Mapping[str, Any], place: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    found = []
    for key, value in values.items():
        here = (*place, str(key))
        if isinstance(value, Mapping) and value and not _is_grid(value):
            found += _leaves(value, here)
        else:
            found.append((here, value))
    return found


def _is_grid(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"grid_search"}


def _numeric(name: str, domain: Any) -> Domain:
    """A numeric domain of Ray's."""
    sampler, step = domain.get_sampler(), 0.0
    if isinstance(sampler, ray_sample.Quantized):
        sampler, step = sampler.get_sampler(), sampler.q
    log = isinstance(sampler, ray_sample.LogUniform)
    bounded = isinstance(domain, ray_sample.Float | ray_sample.Integer) and (
        log or isinstance(sampler, ray_sample.Uniform)
    )
    if not bounded or not math.isfinite(domain.lower) or not math.isfinite(domain.upper):
        raise UserError(
            f"{name} of the space is a {type(domain).__name__} without bounds, or drawn by a "
            "function.",
            "Give its domain in space with deepsight.uniform, loguniform, randint or choice.",
        )
    if isinstance(domain, ray_sample.Float):
        return Float(float(domain.lower), float(domain.upper), log)
    upper = int(domain.upper) - (INTEGER_BELOW if step <= 1 else 0)
    return Int(int(domain.lower), upper, log)
