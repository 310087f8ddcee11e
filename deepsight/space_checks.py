"""Whether a space is sound: its domains, their bounds and their conditions."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from deepsight.config import PARAMS, UserError, Value, check_value, single_value, unknown
from deepsight.space import Choice, Condition, Domain, Float, Int, Space, ordered, same


def check_space(space: Space, known: bool = True, fixed: Collection[str] = ()) -> None:
    """Check that every domain is sound, its bounds allowed and its conditions resolvable.

    Args:
        space: What is checked.
        known: Whether the names must be DeepSight's own hyperparameters; False for the space of
            a trainable of one's own.
        fixed: Names that are not searched, which the conditions of such a space may read.

    Raises:
        UserError: With the name and the rule it breaks.
    """
    for name, domain in space.items():
        if not isinstance(name, str):
            raise UserError(f"{name!r} is no name of a hyperparameter.", "Names are texts.")
        if not isinstance(domain, Float | Int | Choice):
            raise UserError(
                f"{name}: {domain!r} is no domain.",
                "Use uniform, loguniform, randint, choice or when from deepsight.space.",
            )
        _check_domain(name, domain)
        if known:
            _check_known(name, domain)
        if domain.condition:
            _check_condition(name, domain.condition, space, known, fixed)
    ordered(space)


def check_stored(space: Space) -> None:
    """Check that a space that was read can be drawn from and computed with.

    What is merely unwise is let through: older versions may have searched it.

    Raises:
        UserError: If a bound, a value or a condition is impossible, or conditions form a circle.
    """
    for name, domain in space.items():
        if isinstance(domain, Choice):
            if not domain.values:
                raise UserError(f"{name}: a choice of nothing.", "List at least one value.")
            for value in domain.values:
                single_value(name, value)
        else:
            _check_domain(name, domain)
        if domain.condition:
            for value in domain.condition.values:
                single_value(f"the condition of {name}", value)
    ordered(space)


def _check_condition(
    name: str, condition: Condition, space: Space, known: bool, fixed: Collection[str]
) -> None:
    """Refuse a condition on an unknown name, and one that can never hold."""
    for value in condition.values:
        single_value(f"the condition of {name}", value)
    parent = space.get(condition.name)
    allowed = {*space, *(PARAMS if known else fixed)}
    if condition.name not in allowed:
        raise unknown(f"hyperparameter in the condition of {name}:", condition.name, allowed)
    if parent is not None:
        possible = any(parent.contains(value) for value in condition.values)
    elif known:
        possible = bool([check_value(condition.name, value) for value in condition.values])
    else:
        possible = bool(condition.values)
    if not possible:
        listed = " or ".join(map(repr, condition.values))
        raise UserError(
            f"{name} can never be active: {condition.name} is never {listed or 'one of nothing'}.",
            f"Name values that {condition.name} can have.",
        )


def _check_domain(name: str, domain: Domain) -> None:
    if isinstance(domain, Choice):
        _check_values(name, domain.values)
        return
    for bound in (domain.low, domain.high):
        _check_bound(name, bound, domain)
    if domain.low > domain.high or (domain.log and domain.low <= 0):
        raise UserError(
            f"{name}: bounds [{domain.low:g}, {domain.high:g}] are out of order"
            + (" or not positive." if domain.log else "."),
            "Give low <= high, and low > 0 on a log scale.",
        )


def _check_values(name: str, values: Sequence[Value]) -> None:
    """Refuse a choice of nothing, of what is no value, or of the same value twice."""
    for value in values:
        single_value(name, value)
    for number, value in enumerate(values):
        twin = next((v for v in values[:number] if same(v, value)), value)
        if repr(twin) != repr(value):
            raise UserError(
                f"{name}: {twin!r} and {value!r} are the same value.",
                f"Keep one of them, or tell them apart as texts: {str(twin)!r}, {str(value)!r}.",
            )
        if value in values[:number]:
            raise UserError(
                f"{name}: choices must be distinct, got {value!r} twice.", "List each value once."
            )
    if not values:
        raise UserError(f"{name}: a choice of nothing.", "List at least one value.")


def _check_bound(name: str, bound: object, domain: Float | Int) -> None:
    """Refuse a bound that is no number of the domain's kind."""
    if not isinstance(bound, int | float) or isinstance(bound, bool):
        raise UserError(
            f"{name}: bounds must be numbers, got {bound!r}.", "Write 1.0e-4 rather than '1e-4'."
        )
    if isinstance(bound, int):
        single_value(name, bound)
    elif not math.isfinite(bound):
        raise UserError(
            f"{name}: bounds must be finite, got {bound}.",
            "Give the largest and smallest value that is worth a trial; loguniform spans decades.",
        )
    if isinstance(domain, Int) and not isinstance(bound, int):
        raise UserError(
            f"{name}: bounds of whole numbers must be whole, got {bound!r}.",
            f"Give ints to randint, or use uniform({domain.low!r}, {domain.high!r}).",
        )


def _check_known(name: str, domain: Domain) -> None:
    if name == "train.epochs":
        raise UserError("train.epochs is the fidelity.", "Set study.max_epochs instead.")
    values = domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
    for value in values:
        if name not in PARAMS and not name.startswith("user."):
            raise unknown("hyperparameter", name, PARAMS)
        check_value(name, value)
