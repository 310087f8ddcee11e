"""The plan of a study: every source of settings resolved by one pure function.

Precedence, lowest first: defaults (`deepsight.config`), the space's ``FIXED``, the experiment's
``fixed``, flags and ``--set``. A value given for a searched hyperparameter pins it.
"""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deepsight.config import (
    DEFAULTS,
    STUDY_PARAMS,
    ResourceSettings,
    StudySettings,
    TrialConfig,
    UserError,
    Value,
    check_value,
    single_value,
    study_settings,
    trial_config,
)
from deepsight.imports import imports_in
from deepsight.run_store import Study, StudyHeader
from deepsight.space import (
    INACTIVE,
    Choice,
    Domain,
    Entry,
    default_point,
    from_stored,
    ordered,
    plain,
    same,
    sample,
    to_json,
    to_stored,
)
from deepsight.space_checks import check_space
from deepsight.tune.earlier.trials import EarlierStudy, from_json
from deepsight.tune.earlier.trials import to_json as earlier_to_json
from deepsight.tune.known_metrics import with_objective

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Allowed names of a study, which become names of directories."""

GRANTS = (
    *(name for name in STUDY_PARAMS if name.startswith("study.allow_")),
    "study.trackers",
)
"""Settings by which a person accepts a risk, each time anew: no file can, for somebody else."""


@dataclass(frozen=True)
class StudyPlan:
    """All settings of a study; later code reads them from nowhere else."""

    name: str
    space: Mapping[str, Domain]
    fixed: Mapping[str, Value]
    """Every hyperparameter that is not searched."""
    settings: StudySettings
    resources: ResourceSettings
    rungs: tuple[int, ...]
    """Epochs at which trials are compared, the full budget last."""
    name_is_made_up: bool = False
    """Whether nobody gave the name: where it is taken, the next free one will do."""
    pinned: tuple[str, ...] = ()
    """Hyperparameters of the space that were given a value and do not vary."""
    space_fixed: Mapping[str, Any] | None = None
    """The space's own ``FIXED``, over which other settings may have won; None if not known."""
    planned: tuple[Mapping[str, Entry], ...] = ()
    """The configs of all trials, where these were decided beforehand; nothing is proposed then."""
    earlier: tuple[EarlierStudy, ...] = ()
    """What the searcher learns from besides (`deepsight.tune.earlier.studies.with_earlier`)."""
    ended_early: Mapping[str, Any] | None = None
    """Why the study has ended although it has trials left (``study.patience``)."""

    @property
    def most_trials(self) -> int:
        """Trials that will be begun in all: those asked for, or fewer if the study ended early."""
        return int(self.ended_early["trials"]) if self.ended_early else self.settings.trials

    @property
    def own_trainable(self) -> bool:
        """Whether a trainable of the user's replaces DeepSight's."""
        return bool(self.settings.trainable)

    def default_config(self) -> dict[str, Entry]:
        """The first trial: defaults for everything searched (values for `space` only)."""
        if self.planned:
            return dict(self.planned[0])
        return default_point(self.space, self.fixed, {} if self.own_trainable else DEFAULTS)

    def full_config(self, point: Mapping[str, Entry]) -> dict[str, Value]:
        """All hyperparameters of a trial as training has them: the fixed ones and `point`."""
        return dict(self.fixed) | to_stored(point)

    @cached_property
    def default_trial(self) -> TrialConfig:
        """The first trial as training reads it."""
        return trial_config(self.full_config(self.default_config()))

    @cached_property
    def variants(self) -> tuple[TrialConfig, ...]:
        """One config for every value of a searched name that decides about data or weights."""
        flats = [self.full_config(self.default_config())]
        for name, domain in self.space.items():
            if isinstance(domain, Choice) and name in ("model.name", "model.weights", "data.name"):
                flats = [flat | {name: value} for flat in flats for value in domain.values]
        return tuple(trial_config(flat) for flat in flats)


def make_rungs(min_epochs: int, max_epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """`min_epochs` times powers of `reduction_factor` below `max_epochs`, then `max_epochs`.

    A power less than half a step (on the logarithmic scale) before the end is left out.

    >>> make_rungs(1, 9, 3), make_rungs(1, 9, 2)
    ((1, 3, 9), (1, 2, 4, 9))
    """
    rungs = []
    level = min_epochs
    while level * level * reduction_factor <= max_epochs * max_epochs and level < max_epochs:
        rungs.append(level)
        level *= reduction_factor
    return (*rungs, max_epochs)


def resolve_study(
    name: str,
    space: Mapping[str, Domain],
    *layers: Mapping[str, object],
) -> StudyPlan:
    """Merge `layers` of dotted names, later ones winning, over the defaults.

    Args:
        name: The study's name.
        space: What is searched.
        layers: The space's ``FIXED``, the experiment's values, the flags, ``--set``.

    Returns:
        The plan; a name that is both in `space` and in a layer is pinned.

    Raises:
        UserError: If a name is unknown, a value is not allowed or nothing is left to search.
    """
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name for a study.",
            "Use letters, digits, dots, dashes and underscores.",
        )
    given: dict[str, object] = {}
    for layer in layers:
        given |= {key: plain(value) for key, value in layer.items()}
    settings, resources = study_settings({n: v for n, v in given.items() if n in STUDY_PARAMS})
    own = bool(settings.trainable)
    settings = with_objective(_proposing(settings), own)
    check_space(space, known=not own, fixed=given)
    fixed: dict[str, Value] = {} if own else dict(DEFAULTS)
    for key, value in given.items():
        if key in STUDY_PARAMS:
            continue
        if key == "train.epochs":
            raise UserError("train.epochs is the fidelity.", "Set study.max_epochs instead.")
        fixed[key] = single_value(key, value) if own else check_value(key, value)
    searched = {key: domain for key, domain in space.items() if key not in given}
    if not own:  # a trainable of one's own finds every name of its space in its config
        fixed["train.epochs"] = settings.max_epochs
        searched = _reachable(searched, fixed)
    for key in searched:
        fixed.pop(key, None)
    if not searched:
        raise UserError("nothing is left to search.", "Pin fewer hyperparameters.")
    pinned = tuple(key for key in space if key in given)
    rungs = make_rungs(settings.min_epochs, settings.max_epochs, settings.reduction_factor)
    plan = StudyPlan(name, searched, fixed, settings, resources, rungs, pinned=pinned)
    if not own:
        _ = plan.default_trial  # whose values are checked together
    return plan


def _reachable(space: Mapping[str, Domain], fixed: Mapping[str, Value]) -> dict[str, Domain]:
    """`space` without what is never active: its condition reads a fixed value, or such a name."""
    kept = dict(space)
    for name in ordered(space):
        condition = space[name].condition
        if condition is None or condition.name in kept:
            continue
        if condition.name in space or not condition.holds(fixed.get(condition.name, INACTIVE)):
            del kept[name]
    return kept


def searched_values(space: Mapping[str, Domain]) -> Iterator[tuple[str, Value]]:
    """Every value that a choice of `space` may take, with its hyperparameter."""
    for name, domain in space.items():
        if isinstance(domain, Choice):
            yield from ((name, value) for value in domain.values)


def imports_of(plan: StudyPlan, study: Study | None = None) -> dict[str, str]:
    """The code that running `plan` would import (`deepsight.imports.imports_in`).

    Args:
        plan: The study's.
        study: The study on record, where there is one: its trials are trained as they stand there.
    """
    settings = plan.settings
    named: list[tuple[str, object]] = [("study.searcher", settings.searcher)]
    if plan.own_trainable:
        return imports_in([*named, ("study.trainable", settings.trainable)])
    named += [*plan.fixed.items(), *searched_values(plan.space)]
    named += [pair for config in plan.planned for pair in config.items()]
    if study is not None:
        named += [pair for record in study.records for pair in record.config.items()]
    return imports_in(named)


def _proposing(settings: StudySettings) -> StudySettings:
    """`settings`, whose searcher proposes trials."""
    if settings.searcher == "planned":
        raise UserError(
            "study.searcher=planned is for studies that list their trials.",
            "python -m deepsight.confirm makes them; name a searcher: gp, tpe or random.",
        )
    return settings


def parse_duration(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``30m``, ``2h`` or ``1d``.

    Raises:
        UserError: If it has another form.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not match or float(match[1]) <= 0:
        raise UserError(f"{text!r} is no duration.", "Examples: 90s, 30m, 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]]


def plan_to_json(plan: StudyPlan) -> dict[str, Any]:
    """The part of ``study.json`` that `plan_from_header` rebuilds the plan from."""
    s = plan.settings
    stated: dict[str, Any] = {}
    if plan.planned:
        stated["planned"] = [to_stored(config) for config in plan.planned]
    if plan.ended_early:
        stated["ended_early"] = dict(plan.ended_early)
    if plan.earlier:
        stated["warm_start"] = earlier_to_json(plan.earlier)
    if plan.space_fixed is not None:
        stated["space_fixed"] = dict(plan.space_fixed)
    return stated | {
        "name": plan.name,
        "metric": s.metric,
        "mode": s.mode,
        "target": s.target,
        "trials": s.trials,
        "max_epochs": s.max_epochs,
        "rungs": list(plan.rungs),
        "reduction_factor": s.reduction_factor,
        "searcher": s.searcher,
        "scheduler": s.scheduler,
        "explore": s.explore,
        "seeds": {"study": s.seed},
        "settings": {
            f"{section}.{key}": value
            for section, values in (("study", s), ("resources", plan.resources))
            for key, value in dataclasses.asdict(values).items()
        },
        "fixed": dict(plan.fixed),
        "pinned": list(plan.pinned),
        "space": to_json(plan.space),
    }


def plan_from_header(header: StudyHeader, **changes: Value) -> StudyPlan:
    """The plan of a stored study, with ``study.*`` settings changed (``trials=48``).

    What was granted when it was written (`GRANTS`) is not granted now, unless `changes` says so.

    Raises:
        UserError: If a change is not allowed to have its value, or asks for more or fewer trials
            than a study lists; or another tool made the study.
    """
    if header.origin:
        raise UserError(
            f"{header.name} was adopted from {header.origin.get('tool', 'another tool')}: what "
            "trained its trials is not on record.",
            "It can be read (summary, report, claims), not continued; start a search of your own.",
        )
    listed = len(header.planned)
    if listed and changes.get("trials", listed) != listed:
        raise UserError(
            f"this study lists its {listed} trials; {changes['trials']} cannot be asked for.",
            "Leave --trials away; python -m deepsight.confirm with more seeds lists more.",
        )
    changes = {name: check_value(f"study.{name}", value) for name, value in changes.items()}
    settings, resources = study_settings(
        {name: value for name, value in header.settings.items() if name not in GRANTS}
    )
    stated = {name: getattr(header, name) for name in ("metric", "mode", "target", "max_epochs")}
    return StudyPlan(
        header.name,
        header.space,
        dict(header.fixed),
        dataclasses.replace(settings, **(stated | changes)),  # type: ignore[arg-type]
        resources,
        header.rungs,
        pinned=header.pinned or (),
        space_fixed=header.space_fixed,
        planned=tuple(from_stored(c, header.space, header.fixed) for c in header.planned),
        earlier=from_json(header.warm_start, header.space),
        ended_early=None if _goes_on(header, changes) else header.ended_early,
    )


def _goes_on(header: StudyHeader, changes: Mapping[str, Value]) -> bool:
    """Whether a study that ended early is asked for more: by more trials, or another patience."""
    more, patience = changes.get("trials"), changes.get("patience")
    has_more = isinstance(more, int) and more > (header.trials or 0)
    return has_more or (patience is not None and patience != header.settings.get("study.patience"))


def describe(plan: StudyPlan, samples: int = 3) -> str:
    """The resolved plan and some random configs, as ``--dry-run`` prints them."""
    s = plan.settings
    rng = random.Random(s.seed)
    drawn = [plan.default_config()]
    drawn += [sample(plan.space, plan.fixed, rng) for _ in range(samples)]
    default = DEFAULTS if not plan.own_trainable else {}
    changed = {n: v for n, v in plan.fixed.items() if n not in default or not same(v, default[n])}
    lines = [
        f"study      {plan.name}",
        f"trials     {s.trials}, {s.explore:.0%} of them explorers"
        + (f"; fewer if they do not fit into {s.time_limit_s:g} s" if s.time_limit_s else ""),
        f"budget     {s.max_epochs} epochs, rungs {', '.join(map(str, plan.rungs))}",
        f"search     {s.searcher}, {s.scheduler}, {s.mode} {s.metric}, "
        + ("no target" if s.target is None else f"target {s.target:g}"),
        "fixed      " + (_pairs(changed) or "nothing but defaults"),
        "space",
        *(f"  {name:28} {json.dumps(entry)}" for name, entry in to_json(plan.space).items()),
        "first      " + _pairs(drawn[0]),
        *(f"sample {i}   {_pairs(config)}" for i, config in enumerate(drawn[1:], start=1)),
    ]
    return "\n".join(lines)


def _pairs(config: Mapping[str, Entry]) -> str:
    shown = {n: v for n, v in config.items() if v is not INACTIVE}
    return " ".join(
        f"{n}={v:.4g}" if isinstance(v, float) else f"{n}={v}" for n, v in shown.items()
    )


def require_directory(text: str | Path, names: Sequence[str]) -> Path:
    """`text` as an existing directory that holds all of `names`.

    Raises:
        UserError: If it does not.
    """
    path = Path(text)
    missing = [n for n in names if not (path / n).exists()]
    if not path.is_dir() or missing:
        raise UserError(
            f"{path} is not a study" + (f" ({missing[0]} is missing)." if path.is_dir() else "."),
            "Give the directory that a search printed as its last line, as runs/NAME.",
        )
    return path
