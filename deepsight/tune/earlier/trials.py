"""Trials of earlier studies, as a new study keeps them in its header (``study.warm_start``)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepsight.config import Value
from deepsight.run_store import STATES, StudyFormatError
from deepsight.space import Choice, Entry, Space

MOST_TRIALS = 200
"""Trials that come over in all; a model sees fewer still."""
MOST_STUDIES = 8
MOST_EPOCHS = 10_000_000
"""As for a result in the run format."""


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier study, in terms of the new study's space."""

    config: Mapping[str, Entry]
    """Values by dotted name; what is inactive, or was not known there, is absent. Numbers may lie
    outside their domains."""
    scores: Mapping[int, float]
    """Score (higher is better) by epoch."""
    state: str


@dataclass(frozen=True)
class EarlierStudy:
    """What a study says about the space of a later one."""

    path: str
    """Where it was, when the later study began."""
    id: str
    """Its ``id``, empty where it has none."""
    metric: str
    """What the scores are, negated if less is better."""
    same_metric: bool
    """Whether that is the later study's metric too."""
    max_epochs: int
    """Its full budget."""
    trials: tuple[EarlierTrial, ...]
    notes: tuple[str, ...]
    """What did not come over, or not as it was, in words."""


def to_json(earlier: Sequence[EarlierStudy]) -> list[dict[str, Any]]:
    """As ``study.json`` has it (docs/run_format.md)."""
    return [
        {
            "study": study.path,
            "id": study.id,
            "metric": study.metric,
            "same_metric": study.same_metric,
            "max_epochs": study.max_epochs,
            "notes": list(study.notes),
            "trials": [
                {
                    "config": dict(trial.config),
                    "scores": {str(epoch): score for epoch, score in trial.scores.items()},
                    "state": trial.state,
                }
                for trial in study.trials
            ],
        }
        for study in earlier
    ]


def from_json(stored: Sequence[Any], space: Space) -> tuple[EarlierStudy, ...]:
    """The inverse of `to_json`.

    Args:
        stored: The field ``warm_start`` of a header.
        space: What the study searches.

    Raises:
        StudyFormatError: If it holds anything else.
    """
    try:
        if len(stored) > MOST_STUDIES:
            raise ValueError(f"more than {MOST_STUDIES} studies")
        studies = tuple(_study(entry, space) for entry in stored)
        if sum(len(study.trials) for study in studies) > MOST_TRIALS:
            raise ValueError(f"more than {MOST_TRIALS} trials")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StudyFormatError(
            f"study.json: warm_start cannot be read ({str(error)[:80]!r}).",
            "Restore the file from a copy; docs/run_format.md says how it looks.",
        ) from None
    return studies


def _study(entry: Any, space: Space) -> EarlierStudy:
    full = entry["max_epochs"]
    if type(full) is not int or not 1 <= full <= MOST_EPOCHS:
        raise ValueError(f"max_epochs {full!r}")
    return EarlierStudy(
        str(entry["study"]),
        str(entry["id"]),
        str(entry["metric"]),
        entry["same_metric"] is True,
        full,
        tuple(_trial(trial, full, space) for trial in entry["trials"]),
        tuple(str(note) for note in entry["notes"]),
    )


def _trial(entry: Any, full: int, space: Space) -> EarlierTrial:
    config = {name: _value(name, value, space) for name, value in entry["config"].items()}
    scores = {int(epoch): float(score) for epoch, score in entry["scores"].items()}
    if not all(1 <= e <= full and math.isfinite(score) for e, score in scores.items()):
        raise ValueError(f"scores {entry['scores']!r:.80}")
    if entry["state"] not in STATES:
        raise ValueError(f"state {entry['state']!r}")
    return EarlierTrial(config, scores, entry["state"])


def _value(name: str, value: Value, space: Space) -> Value:
    """`value`, if a row can hold it."""
    if not can_hold(name, value, space):
        raise ValueError(f"{name}={value!r}")
    return value


def can_hold(name: str, value: Entry, space: Space) -> bool:
    """Whether `value` has a place on the scale of its domain; numbers may lie outside."""
    domain = space[name]
    if isinstance(domain, Choice):
        return domain.contains(value)
    return isinstance(value, int | float) and math.isfinite(value) and (value > 0 or not domain.log)


def last_within_halves(curve: Mapping[int, float], full: int) -> dict[int, float]:
    """The last scores within `full`, half of it, a quarter ...: no model needs more of a curve.

    Args:
        curve: Scores by epoch.
        full: The full budget.
    """
    epochs, kept = sorted(curve), set()
    level = float(full)
    while level >= 1:
        reached = bisect_right(epochs, level)
        if reached:
            kept.add(epochs[reached - 1])
        level /= 2
    return {epoch: curve[epoch] for epoch in sorted(kept)}
