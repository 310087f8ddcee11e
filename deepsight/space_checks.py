"""Whether a space is sound: its domains, their bounds and their conditions."""

from __future__ import annotations

from deepsight.config import PARAMS, UserError, check_value, unknown
from deepsight.space import Choice, Condition, Domain, Float, Int, Space, ordered


def check_space(space: Space, known: bool = True) -> None:
    """Check that every domain is sound, its bounds allowed and its conditions resolvable.

    Args:
        space: What is checked.
        known: Whether the names must be DeepSight's own hyperparameters; False for the space of
            a trainable of one's own.

    Raises:
        UserError: With the name and the rule it breaks.
    """
    for name, domain in space.items():
        if not isinstance(domain, Float | Int | Choice):
            raise UserError(
                f"{name}: {domain!r} is no domain.",
                "Use uniform, loguniform, randint, choice or when from deepsight.space.",
            )
        _check_domain(name, domain)
        if known:
            _check_known(name, domain)
        if domain.condition:
            _check_condition(name, domain.condition, space, known)
    ordered(space)


def _check_condition(name: str, condition: Condition, space: Space, known: bool) -> None:
    """Refuse a condition on an unknown name, and one that can never hold."""
    parent = space.get(condition.name)
    if parent is None and not known:
        return
    if parent is None and condition.name not in PARAMS:
        known_names = {*PARAMS, *space}
        raise unknown(f"hyperparameter in the condition of {name}:", condition.name, known_names)
    values = condition.values
    if isinstance(parent, Choice):
        possible = any(value in parent.values for value in values)
    elif parent is not None:
        possible = any(parent.contains(value) for value in values)
    else:
        possible = bool([check_value(condition.name, value) for value in values])
    if not possible:
        listed = " or ".join(map(repr, values))
        raise UserError(
            f"{name} can never be active: {condition.name} is never {listed}.",
            f"Name values that {condition.name} can have.",
        )


def _check_domain(name: str, domain: Domain) -> None:
    if isinstance(domain, Choice):
        if len(domain.values) != len({repr(v) for v in domain.values}) or not domain.values:
            raise UserError(
                f"{name}: choices must be distinct and at least one, got {domain.values!r}.",
                "List each value once.",
            )
        return
    if not all(isinstance(b, int | float) for b in (domain.low, domain.high)):
        raise UserError(f"{name}: bounds must be numbers.", "Write 1.0e-4 rather than '1e-4'.")
    if domain.low > domain.high or (domain.log and domain.low <= 0):
        raise UserError(
            f"{name}: bounds [{domain.low:g}, {domain.high:g}] are out of order"
            + (" or not positive." if domain.log else "."),
            "Give low <= high, and low > 0 on a log scale.",
        )


def _check_known(name: str, domain: Domain) -> None:
    if name == "train.epochs":
        raise UserError("train.epochs is the fidelity.", "Set study.max_epochs instead.")
    values = domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
    for value in values:
        if name not in PARAMS and not name.startswith("user."):
            raise unknown("hyperparameter", name, PARAMS)
        check_value(name, value)
