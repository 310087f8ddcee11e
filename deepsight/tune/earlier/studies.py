"""What earlier studies say about a new one's space: ``study.warm_start``.

An earlier study is only read. What comes over is kept in the new study's own header, so that it can
be resumed when the earlier one has grown, moved or gone.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deepsight.config import DEFAULTS, UserError
from deepsight.run_store import Study, TrialRecord, load_study
from deepsight.space import INACTIVE, Choice, Entry, active, same
from deepsight.tune.earlier.trials import (
    MOST_STUDIES,
    MOST_TRIALS,
    EarlierStudy,
    EarlierTrial,
    can_hold,
    last_within_halves,
)
from deepsight.tune.plan import StudyPlan

SHOWN = 4
"""Names in a line, before the others are counted."""


def with_earlier(plan: StudyPlan) -> StudyPlan:
    """`plan` with what the studies of ``study.warm_start`` say about its space.

    Raises:
        UserError: If there is no study, nothing in it is of use, or nobody would learn from it.
    """
    paths = [part.strip() for part in plan.settings.warm_start.split(",") if part.strip()]
    if not paths:
        return plan
    if plan.settings.searcher != "gp":
        raise UserError(
            f"study.searcher={plan.settings.searcher} does not learn from earlier studies.",
            "Leave study.warm_start out, or set study.searcher=gp.",
        )
    if len(paths) > MOST_STUDIES:
        raise UserError(
            f"study.warm_start names {len(paths)} studies.", f"Name at most {MOST_STUDIES}."
        )
    most = MOST_TRIALS // len(paths)
    return dataclasses.replace(plan, earlier=tuple(_read(plan, Path(path), most) for path in paths))


def _read(plan: StudyPlan, path: Path, most: int) -> EarlierStudy:
    """What the study at `path` says, at most so many trials."""
    study = load_study(path)
    metric, sign = _metric(plan, study)
    notes: list[str] = [*_space_notes(plan, study)]
    if metric != plan.settings.metric:
        notes.append(f"scored by {metric}: it has no {plan.settings.metric}")
    trials, left_out = [], Counter[str]()
    for record in study.records:
        scores = _scores(record, metric, sign, study.max_epochs)
        if not scores and record.state != "diverged":
            left_out["no score"] += 1
            continue
        config = _config(plan, study, record, left_out)
        if config is not None:
            trials.append(EarlierTrial(config, scores, record.state))
    kept = _best_and_others(trials, most)
    if len(kept) < len(trials):
        notes.append(f"{len(trials)} trials are of use, the best and some others are taken")
    notes += [f"{n} trials left out: {why}" for why, n in sorted(left_out.items())]
    if not any(trial.scores for trial in kept):
        raise UserError(
            f"{path} has nothing to start from: {'; '.join(notes) or 'no trial has a score'}.",
            "Leave it out of study.warm_start.",
        )
    header = study.header
    return EarlierStudy(
        str(path.resolve()),
        header.id or "",
        metric,
        metric == plan.settings.metric,
        study.max_epochs,
        tuple(kept),
        tuple(notes),
    )


def _metric(plan: StudyPlan, study: Study) -> tuple[str, float]:
    """By what the earlier trials are compared, and its sign: more is better.

    The new study's metric where their rows have it, else their own.
    """
    wanted = plan.settings.metric
    if any(wanted in row for record in study.records for row in record.rows):
        return wanted, 1.0 if plan.settings.mode == "max" else -1.0
    return study.metric, 1.0 if study.mode == "max" else -1.0


def _scores(record: TrialRecord, metric: str, sign: float, full: int) -> dict[int, float]:
    """Scores by epoch, the last ones within the full budget, half of it, a quarter ..."""
    if record.state == "failed":
        return {}
    curve = {
        min(int(row["epoch"]), full): sign * float(row[metric])
        for row in record.rows
        if isinstance(row.get(metric), int | float) and math.isfinite(row[metric])
    }
    return last_within_halves(curve, full)


def _config(
    plan: StudyPlan, study: Study, record: TrialRecord, left_out: Counter[str]
) -> dict[str, Entry] | None:
    """The trial's values for what is active in the new space; None if they do not fit."""
    config: dict[str, Entry] = {}
    for name, domain in plan.space.items():
        value = record.config.get(name, INACTIVE)
        if name not in study.space:
            value = _stated(study, name)
            if isinstance(domain, Choice) and not domain.contains(value):
                value = INACTIVE  # all its trials are alike there
        if value is INACTIVE:
            continue
        if not can_hold(name, value, plan.space):
            left_out[f"{name}={value} is outside"] += 1
            return None
        config[name] = value
    seen = {**plan.fixed, **dict.fromkeys(plan.space, INACTIVE), **config}
    names = set(active(seen, plan.space))
    return {name: value for name, value in config.items() if name in names}


def _stated(study: Study, name: str) -> Entry:
    """What all trials of an earlier study had for a hyperparameter that it did not vary."""
    if name in study.fixed:
        return study.fixed[name]
    return (
        INACTIVE if study.header.settings.get("study.trainable") else DEFAULTS.get(name, INACTIVE)
    )


def _space_notes(plan: StudyPlan, study: Study) -> list[str]:
    """What the two spaces do not share."""
    shared = [name for name in plan.space if name in study.space]
    if not shared:
        raise UserError(
            f"{study.directory} varied nothing that this study varies.",
            f"Leave it out of study.warm_start; it varied {_some(list(study.space))}.",
        )
    notes = []
    stated = {n: v for n in plan.space if n not in shared and (v := _stated(study, n)) != INACTIVE}
    if stated:
        notes.append("not varied there: " + _some([f"{n}={v}" for n, v in stated.items()]))
    unknown = [name for name in plan.space if name not in shared and name not in stated]
    if unknown:
        notes.append(f"not known there: {_some(unknown)}")
    dropped = [name for name in study.space if name not in plan.space]
    if dropped:
        notes.append(f"not varied here, dropped: {_some(dropped)}")
    other = [
        f"{name}={value} here, {study.fixed[name]} there"
        for name, value in plan.fixed.items()
        if name in study.fixed and not same(value, study.fixed[name])
    ]
    if other:
        notes.append(f"not the same: {_some(other)}")
    return notes


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _best_and_others(trials: Sequence[EarlierTrial], most: int) -> list[EarlierTrial]:
    """All, or half of `most` with the highest fidelity and scores, and as many spread evenly."""
    if len(trials) <= most:
        return list(trials)

    def place(number: int) -> tuple[int, float]:
        scores = trials[number].scores
        return (max(scores), scores[max(scores)]) if scores else (0, 0.0)

    order = sorted(range(len(trials)), key=place, reverse=True)
    best, others = order[: most // 2], sorted(order[most // 2 :])
    step = len(others) / (most - len(best))
    spread = [others[int(i * step)] for i in range(most - len(best))]
    return [trials[number] for number in sorted([*best, *spread])]


def describe_earlier(plan: StudyPlan) -> list[str]:
    """What came over, as lines of a dry run."""
    lines = []
    for study in plan.earlier:
        scored = sum(bool(trial.scores) for trial in study.trials)
        lines.append(f"from       {study.path}: {scored} trials with {study.metric}")
        lines += [f"           {note}" for note in study.notes]
    return lines
