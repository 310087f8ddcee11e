"""What a claim compares in a study: pairs of configs around its best one; or why it is not here.

A claim on values is about the best config of the search: all else stays as it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.claims.claim_files import BEST, BETTER, CLASSES, MATTERS_MORE, Claim
from analysis.page.formatting import text
from deepsight.config import PARAMS, UserError, Value, check_value, unknown
from deepsight.confirm.variants import Config, with_values
from deepsight.data.class_balance import printable
from deepsight.run_store import Study, TrialRecord
from deepsight.space import INACTIVE, Choice, Float, same

FEW = 8
"""Whole numbers of a domain up to which all of them are the other values of a best one."""


@dataclass(frozen=True)
class NotHere:
    """Why a claim is not about a study."""

    cause: str
    remedy: str


@dataclass(frozen=True)
class Contrast:
    """Two configs that differ in what a claim is about."""

    label: str
    """The other value, as in ``64``; empty where there is one contrast only."""
    first: Config
    second: Config


def winner_of(study: Study) -> TrialRecord:
    """The best config of a search, which claims on values are about.

    Raises:
        UserError: If no trial has the full budget.
    """
    best = study.incumbent()
    if best is None or not study.has_full_budget(best):
        raise UserError(
            f"no trial of {study.directory} completed {study.max_epochs} epochs: there is no best "
            "config that claims could be about.",
            f"Go on with python -m deepsight.tune --resume {study.directory}.",
        )
    return best


def not_here(study: Study, claim: Claim) -> NotHere | None:
    """Why `claim` is not about `study`; None where it is.

    Raises:
        UserError: If a name or a value is wrong for any study: the names that come near are told.
    """
    for name, value in claim.needs.items():
        _known(study, name)
        if name not in study.fixed or not same(study.fixed[name], value):
            return NotHere(
                f"it needs {name} = {text(value)}, which this study does not have fixed.",
                "Ask it of a study that has.",
            )
    if claim.kind == CLASSES:
        return _classes_not_here(study, claim)
    names = claim.names if claim.kind == MATTERS_MORE else ()
    for name in (n for n in names if n not in study.space):
        _known(study, name)
        return _not_in_space(name)
    if claim.kind in (BEST, BETTER):
        found = contrasts_of(study, claim)
        return found if isinstance(found, NotHere) else None
    return None


def _known(study: Study, name: str) -> None:
    if name not in {*study.space, *study.fixed, *PARAMS}:
        raise unknown("hyperparameter", name, study.space)


def _own(study: Study) -> bool:
    """Whether the study's trainable is the user's own, whose hyperparameters we do not know."""
    return bool(study.header.settings.get("study.trainable"))


def _not_in_space(name: str) -> NotHere:
    return NotHere(f"{name} is not in this space.", "Ask it of a study that searched it.")


def class_names(study: Study) -> list[str]:
    """The classes of a study's data, as they are shown; empty where it does not state them."""
    stated = study.header.data.get("classes")
    if not isinstance(stated, list) or not all(isinstance(c, str) for c in stated):
        return []
    return [printable(c) for c in stated]


def _classes_not_here(study: Study, claim: Claim) -> NotHere | None:
    known = class_names(study)
    if not known:
        return NotHere("this study does not state its classes.", "Ask it of one that does.")
    missing = [c for group in claim.groups for c in group if c not in known]
    if not missing:
        return None
    wrong = unknown("class", missing[0], known)
    return NotHere(f"no class {missing[0]!r} in its data.", wrong.remedy)


def contrasts_of(study: Study, claim: Claim) -> tuple[Contrast, ...] | NotHere:
    """The pairs of configs of a claim of kind best or better.

    Raises:
        UserError: As `not_here`.
    """
    if claim.kind == BEST:
        ((name, value),) = claim.first.items()
        others = _others(study, claim, name, value)
        if isinstance(others, NotHere):
            return others
        sides = [(text(other), {name: other}) for other in others]
    else:
        sides = [("", dict(claim.second))]
    found = []
    for label, second in sides:
        configs = [_config(study, {**claim.at, **side}) for side in (claim.first, second)]
        for config in configs:
            if isinstance(config, NotHere):
                return config
        a, b = (c for c in configs if not isinstance(c, NotHere))
        if all(same(a[key], b[key]) for key in study.space):
            return NotHere("both sides are one config here.", "Name values that differ.")
        found.append(Contrast(label, a, b))
    return tuple(found)


def _others(study: Study, claim: Claim, name: str, value: Value) -> list[Value] | NotHere:
    """The values that a best one is compared with."""
    if name not in study.space:
        _known(study, name)
        return _not_in_space(name)
    if claim.among is not None:
        return [other for other in claim.among if not same(other, value)]
    domain = study.space[name]
    if isinstance(domain, Choice):
        listed: list[Value] = list(domain.values)
    elif isinstance(domain, Float) or domain.high - domain.low >= FEW:
        raise UserError(
            f"claim {claim.name}: {name} is a number with many values.",
            f"Say which others {text(value)} is better than, as in among: [0.0, 0.1].",
        )
    else:
        listed = list(range(domain.low, domain.high + 1))
    return [other for other in listed if not same(other, value)]


def _config(study: Study, values: Mapping[str, Value]) -> Config | NotHere:
    """The best config with some values."""
    searched = {}
    for name, value in values.items():
        _known(study, name)
        if name in PARAMS and not _own(study):
            check_value(name, value)
        if name not in study.space:
            if name in study.fixed and same(study.fixed[name], value):
                continue
            return _not_in_space(name)
        if not study.space[name].contains(value):
            return NotHere(f"{name} = {text(value)} is not in this space.", "Name values of it.")
        searched[name] = value
    base, defaults = winner_of(study).config, study.defaults.config if study.defaults else {}
    config = with_values(study.space, study.fixed, base, defaults, searched)
    for name in searched:
        condition = study.space[name].condition
        if config[name] is INACTIVE and condition is not None:
            return NotHere(
                f"{name} is inactive beside the best config's {condition.name} = "
                f"{text(config.get(condition.name, study.fixed.get(condition.name)))}.",
                f"Add at: {{{condition.name}: {text(condition.values[0])}}} to the claim.",
            )
    return config
