"""The space of an adopted study: as a file or the source states it, else worked out from trials.

What is worked out is a guess that can be read and corrected: bounds are the extremes that were
tried, a scale is logarithmic where the values lie evenly on it, a hyperparameter is conditional
where the value of another one tells exactly in which trials it is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from analysis.adopt.values import as_number
from deepsight.config import UserError, Value
from deepsight.space import Choice, Condition, Domain, Float, Int, same

FEW = 10
"""Most values of a number that is taken for a choice."""
DECADE = 10.0
"""Least ratio of the largest to the smallest value on a logarithmic scale."""
MARGIN = 7.0
"""By how much the log-likelihood must favour a logarithmic scale: a thousand to one."""
EARLY = 30
"""Distinct values, the first tried, by which the scale is judged: later ones a searcher chose."""
LABELS = 8
"""Trials from which a text that is different in each is a label, not a hyperparameter."""

Config = Mapping[str, Value]


@dataclass(frozen=True)
class Settled:
    """What was searched, and what was held fixed."""

    space: dict[str, Domain] = field(default_factory=dict)
    fixed: dict[str, Value] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Of each inferred domain, what it was inferred from."""
    notes: tuple[str, ...] = ()


def settle_space(
    configs: Sequence[Config],
    by_file: Mapping[str, Domain],
    by_source: Mapping[str, Domain],
    ignored: Sequence[str] = (),
) -> Settled:
    """The domains of all hyperparameters.

    Args:
        configs: Of all trials, in their order; what was not active is absent.
        by_file: What the user states; it must hold every value that was tried.
        by_source: What the source declares; it is widened to hold every value that was tried.
        ignored: Names that the user leaves out.

    Raises:
        UserError: If a value lies outside of what the user states, or a stated name is unknown.
    """
    names = dict.fromkeys(name for config in configs for name in config)
    for name in [*by_file, *ignored]:
        if name not in names:
            raise UserError(
                f"the space names {name}, which no trial has.",
                f"Trials have {', '.join(names) or 'no hyperparameters'}.",
            )
    settled = Settled()
    notes: list[str] = [f"{name} is left out, as the space file says." for name in ignored]
    for name in (n for n in names if n not in ignored):
        values = [config[name] for config in configs if name in config]
        stated = by_file.get(name, by_source.get(name))
        if stated is not None:
            check = _require_inside if name in by_file else _widened
            settled.space[name] = check(name, stated, values)
        elif _constant(values) and len(values) == len(configs):
            settled.fixed[name] = values[0]
        elif _is_label(values):
            notes.append(f"{name} is left out: a text that is different in every trial.")
        else:
            settled.space[name], settled.reasons[name] = _infer(values)
    notes += _add_conditions(settled, configs, set(by_file))
    return replace(settled, notes=tuple(notes))


def read_numbers(configs: Sequence[Config], stated: Mapping[str, Domain]) -> list[dict[str, Value]]:
    """Configs in which hyperparameters that only texts of numbers spell are numbers.

    Args:
        configs: Of all trials.
        stated: Domains that are known; a choice of texts keeps its texts.
    """
    names = dict.fromkeys(name for config in configs for name in config)
    read: dict[str, dict[str, int | float]] = {}
    for name in names:
        texts = {v for c in configs if isinstance(v := c.get(name), str)}
        others = [v for c in configs if name in c and not isinstance(v := c[name], str)]
        numbers = {text: value for text in texts if (value := as_number(text)) is not None}
        plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in others)
        kept = isinstance(domain := stated.get(name), Choice) and any(
            isinstance(v, str) for v in domain.values
        )
        if texts and len(numbers) == len(texts) and plain and not kept:
            read[name] = numbers
    return [
        {n: read[n].get(v, v) if n in read and isinstance(v, str) else v for n, v in c.items()}
        for c in configs
    ]


def _constant(values: Sequence[Value]) -> bool:
    return all(same(value, values[0]) for value in values)


def _is_label(values: Sequence[Value]) -> bool:
    texts = {value for value in values if isinstance(value, str)}
    return len(texts) == len(values) >= LABELS


def _distinct(values: Sequence[Value]) -> list[Value]:
    """The values, each once, in their order; 1, 1.0 and true are one."""
    return list(dict.fromkeys(values))


def _infer(values: Sequence[Value]) -> tuple[Domain, str]:
    """A domain that holds `values`, and why it is this one."""
    distinct = _distinct(values)
    numbers = [v for v in distinct if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(distinct):
        return Choice(tuple(sorted(distinct, key=_order))), f"{len(distinct)} values"
    whole = all(isinstance(v, int) for v in numbers)
    low, high = min(numbers), max(numbers)
    gapless = whole and len(numbers) > 2 and high - low + 1 == len(numbers)
    if len(numbers) <= FEW and len(values) >= 2 * len(numbers) and not gapless:
        return Choice(tuple(sorted(numbers))), f"{len(numbers)} values, tried again and again"
    log = is_logarithmic(numbers)
    seen = f"extremes of {len(numbers)} values"
    reason = f"{seen}, which lie evenly on a logarithmic scale" if log else seen
    if whole:
        return Int(int(low), int(high), log), reason
    return Float(float(low), float(high), log), reason


def _order(value: Value) -> tuple[str, float, str]:
    """Sorts values of any kinds."""
    is_number = isinstance(value, int | float)
    return type(value).__name__, float(value) if is_number else 0.0, str(value)  # type: ignore[arg-type]


def is_logarithmic(values: Sequence[int | float]) -> bool:
    """Whether distinct values, in the order in which they were tried, lie evenly in the logarithm.

    The likelihoods of a uniform and of a log-uniform density on their range are compared.
    """
    tried = values[:EARLY]
    low, high = min(tried), max(tried)
    if low <= 0 or high / low < DECADE:
        return False
    uniform = -len(tried) * math.log(high - low)
    logarithmic = -sum(map(math.log, tried)) - len(tried) * math.log(math.log(high / low))
    return logarithmic - uniform > MARGIN


def _require_inside(name: str, domain: Domain, values: Sequence[Value]) -> Domain:
    for value in values:
        if not domain.contains(value):
            raise UserError(
                f"{name} was {value!r} in a trial, outside of what the space file states.",
                "Widen its domain, or leave it out with `NAME: ignore`.",
            )
    return domain


def _widened(name: str, domain: Domain, values: Sequence[Value]) -> Domain:
    """`domain`, made to hold all `values`."""
    outside = [v for v in _distinct(values) if not domain.contains(v)]
    if not outside:
        return domain
    if isinstance(domain, Choice):
        return replace(domain, values=(*domain.values, *outside))
    numbers = [v for v in outside if isinstance(v, int | float)]
    ends = [domain.low, domain.high, *numbers]
    fits = not (domain.log and min(ends) <= 0)
    whole = all(float(v).is_integer() for v in numbers)
    if len(numbers) < len(outside) or not fits or (isinstance(domain, Int) and not whole):
        return replace(_infer(values)[0], condition=domain.condition)
    if isinstance(domain, Int):
        return replace(domain, low=int(min(ends)), high=int(max(ends)))
    return replace(domain, low=float(min(ends)), high=float(max(ends)))


def _add_conditions(settled: Settled, configs: Sequence[Config], stated: set[str]) -> list[str]:
    """Make those that are missing in some trials conditional, where another one's value says when.

    Args:
        settled: Changed in place.
        configs: Of all trials.
        stated: Names whose conditions are as the user wants them. A source that declares bounds
            (Optuna) may leave conditions to the code that ran.

    Returns:
        A sentence on each that is missing without such a reason, and on each whose bounds are
        stated but not its condition.
    """
    unexplained, worked_out = [], []
    for name, domain in settled.space.items():
        missing = sum(name not in config for config in configs)
        if not missing or domain.condition is not None or name in stated:
            continue
        condition = _parent_of(name, settled, configs)
        if condition is None:
            unexplained.append(name)
            continue
        settled.space[name] = replace(domain, condition=condition)
        if name in settled.reasons:
            settled.reasons[name] += f"; missing exactly where {condition.name} is another"
        else:
            worked_out.append(name)
    notes = [
        f"{n} depends on {settled.space[n].condition.name}: it is missing exactly where that has "  # type: ignore[union-attr]
        "other values (inferred)."
        for n in worked_out
    ]
    return notes + [
        f"{n} is missing in {sum(n not in c for c in configs)} of {len(configs)} trials, which no "
        "value of another hyperparameter explains."
        for n in unexplained
    ]


def _parent_of(name: str, settled: Settled, configs: Sequence[Config]) -> Condition | None:
    """The choice whose values tell exactly where `name` is there.

    Of several the one that is missing itself in the fewest trials, then of the fewest values.
    """
    choices = [
        (sum(parent not in c for c in configs), len(domain.values), parent)
        for parent, domain in settled.space.items()
        if isinstance(domain, Choice) and parent != name
    ]
    for *_, parent in sorted(choices, key=lambda choice: choice[:2]):
        with_it = {c[parent] for c in configs if parent in c and name in c}
        without = {c[parent] for c in configs if parent in c and name not in c}
        alone = any(name in c and parent not in c for c in configs)
        if with_it and not alone and not with_it & without and not _leads(parent, name, settled):
            values = settled.space[parent].values  # type: ignore[union-attr]
            return Condition(parent, tuple(v for v in values if v in with_it))
    return None


def _leads(parent: str, name: str, settled: Settled) -> bool:
    """Whether `parent` depends on `name`, directly or through others."""
    at: str | None = parent
    while at is not None and at != name:
        domain = settled.space.get(at)
        at = domain.condition.name if domain is not None and domain.condition else None
    return at == name
