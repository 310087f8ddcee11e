"""Studies of Optuna: a file of SQLite, a journal, or the address of a database.

Optuna's intermediate values are values of its objective at a step, so they are rows of one metric.
What a trial returned at its end is the value of its last row: Optuna chooses by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.adopt.database import has_tables, is_database
from analysis.adopt.found import FoundRow, FoundStudy, FoundTrial, Wanted
from analysis.adopt.histories import first_step, step_note
from analysis.adopt.sources import optuna_storage
from analysis.adopt.sources.optuna_storage import OptunaStudy, OptunaTrial
from analysis.adopt.values import number, plain_value
from deepsight.config import UserError, Value, unknown
from deepsight.optuna_distributions import to_domain, union
from deepsight.space import Choice, Domain

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

VALUE, REPORTED = "value", "intermediate_value"
"""Metrics: the objective, and what trials reported where the objective is something else."""
MODES = {"MAXIMIZE": "max", "MINIMIZE": "min"}
STATES = {"COMPLETE": "completed", "PRUNED": "stopped", "FAIL": "failed", "RUNNING": "running"}


def recognises(source: str) -> bool:
    """Whether `source` is a storage of Optuna."""
    tables = ("studies", "trials", "trial_params")
    return has_tables(source, *tables) or optuna_storage.is_journal(source)


def read(source: str, wanted: Wanted) -> FoundStudy:
    """A study of a storage.

    Raises:
        UserError: If the storage cannot be read, holds several studies or a study of several
            objectives, and which one is meant is not said.
    """
    load = optuna_storage.from_database if is_database(source) else optuna_storage.from_journal
    study = load(source, wanted.study)
    metrics = _metrics(study)
    chosen = _chosen(study, metrics, wanted.metric)
    began = [trial for trial in study.trials if trial.state in STATES]
    steps = [step for trial in began for step in trial.intermediate]
    shift = first_step(steps)
    longest = max((step + shift for step in steps), default=1)
    differs = _differing(began)
    trials = tuple(_trial(trial, metrics, shift, longest, bool(differs)) for trial in began)
    space, space_notes = _space(began)
    notes = (*study.notes, *step_note(shift), *_notes(study, began, differs), *space_notes)
    return FoundStudy(
        tool="optuna",
        name=study.name,
        trials=trials,
        metric=REPORTED if wanted.metric == REPORTED and differs else metrics[chosen],
        mode=wanted.mode or MODES.get(study.directions[chosen]),
        max_epochs=wanted.max_epochs,
        space=space,
        versions=study.versions,
        notes=notes,
    )


def _metrics(study: OptunaStudy) -> tuple[str, ...]:
    """The names of the objectives, as Optuna's own tables have them."""
    count = len(study.directions)
    if len(study.metric_names) == count == len(set(study.metric_names)):
        return study.metric_names
    return (VALUE,) if count == 1 else tuple(f"values_{index}" for index in range(count))


def _chosen(study: OptunaStudy, metrics: Sequence[str], wanted: str | None) -> int:
    """The objective to compare by: its place among `metrics`.

    Raises:
        UserError: If there are several and none is named, or the name is not known.
    """
    if wanted is None:
        if len(metrics) > 1:
            raise UserError(
                f"study {study.name!r} has {len(metrics)} objectives: {', '.join(metrics)}.",
                "Say which one to compare by: --metric NAME, or its number from 0.",
            )
        return 0
    if wanted in metrics:
        return metrics.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(metrics):
        return int(wanted)
    if len(metrics) == 1 and wanted in (VALUE, REPORTED):
        return 0
    raise unknown("objective", wanted, metrics)


def _differing(trials: Sequence[OptunaTrial]) -> list[OptunaTrial]:
    """The complete trials that returned something else than they reported last."""
    return [
        trial
        for trial in trials
        if trial.state == "COMPLETE"
        and trial.values
        and trial.intermediate
        and not _same(trial.values[0], trial.intermediate[max(trial.intermediate)])
    ]


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _trial(
    trial: OptunaTrial, metrics: Sequence[str], shift: int, longest: int, both: bool
) -> FoundTrial:
    """One trial.

    Args:
        trial: In Optuna's words.
        metrics: The names of the objectives.
        shift: What makes a step an epoch.
        longest: The epochs of the longest trial: what one trained that reported none of them.
        both: Whether reported values stand beside the objective.
    """
    by_epoch: dict[int, dict[str, float | None]] = {}
    for step in sorted(trial.intermediate):
        value = number(trial.intermediate[step])
        by_epoch[step + shift] = {metrics[0]: value} | ({REPORTED: value} if both else {})
    state = STATES[trial.state]
    if trial.state == "COMPLETE" and trial.values:
        last = max(by_epoch, default=longest)
        finite = dict(zip(metrics, map(number, trial.values), strict=False))
        by_epoch[last] = by_epoch.get(last, {}) | finite
        if None in finite.values():
            state = "diverged"
    return FoundTrial(
        key=str(trial.number),
        config={name: plain_value(value) for name, value in trial.params.items()},
        rows=tuple(FoundRow(epoch, by_epoch[epoch]) for epoch in sorted(by_epoch)),
        state=state,
        error="Optuna says FAIL, and not why" if state == "failed" else None,
        started=trial.started,
        ended=trial.ended,
    )


def _notes(
    study: OptunaStudy, began: Sequence[OptunaTrial], differs: Sequence[OptunaTrial]
) -> list[str]:
    notes = []
    if len(began) < len(study.trials):
        notes.append(f"{len(study.trials) - len(began)} trials that never began were left out.")
    if differs:
        notes.append(
            f"{len(differs)} complete trials returned something else than they reported last: "
            f"their last epoch holds what they returned, {REPORTED} what they reported."
        )
    complete = [trial for trial in began if trial.state == "COMPLETE"]
    silent = [trial for trial in complete if not trial.intermediate]
    if silent and len(silent) < len(began) and any(trial.intermediate for trial in began):
        notes.append(
            f"{len(silent)} complete trials reported no intermediate value: what they returned "
            "stands at the epoch of the longest trial (inferred)."
        )
    infinite = [t for t in complete if t.values and not all(map(math.isfinite, t.values))]
    if infinite:
        notes.append(f"{len(infinite)} complete trials returned no finite number: diverged.")
    return notes


def _space(trials: Sequence[OptunaTrial]) -> tuple[dict[str, Domain], list[str]]:
    """The domains that trials declared, and what cannot be kept of them."""
    seen: dict[str, BaseDistribution] = {}
    changed: list[str] = []
    mixed: list[str] = []
    for trial in trials:
        for name, new in trial.distributions.items():
            old = seen.setdefault(name, new)
            if old is new or old == new:
                continue
            (changed if _comparable(old, new) else mixed).append(name)
            seen[name] = union(old, new)
    domains = {name: to_domain(seen[name]) for name in seen if name not in mixed}
    notes = [
        f"{name} was declared differently by different trials: the domain holds all of them."
        for name in sorted(set(changed) - set(mixed))
    ]
    notes += [
        f"{name} was declared as things that have no common domain: inferred from its values."
        for name in sorted(set(mixed))
    ]
    stepped = [name for name in domains if _has_steps(seen[name])]
    if stepped:
        notes.append(f"Steps of domains are not kept: {', '.join(sorted(stepped))}.")
    return {name: _plain_domain(domain) for name, domain in domains.items()}, notes


def _has_steps(distribution: BaseDistribution) -> bool:
    step = getattr(distribution, "step", None)
    return step is not None and not (isinstance(step, int) and step == 1)


def _comparable(old: BaseDistribution, new: BaseDistribution) -> bool:
    """Whether one domain can hold both: of one kind and scale; choices among the same things."""
    if type(old) is not type(new):
        return False
    return all(getattr(old, name, None) == getattr(new, name, None) for name in ("log", "choices"))


def _plain_domain(domain: Domain) -> Domain:
    """`domain` with values that a study's files can hold, each once."""
    if not isinstance(domain, Choice):
        return domain
    values: list[Value] = []
    for value in map(plain_value, domain.values):
        if value not in values:
            values.append(value)
    return Choice(tuple(values))
