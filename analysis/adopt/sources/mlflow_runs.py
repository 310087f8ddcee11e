"""Runs of MLflow as all of its stores have them, and which of them are one study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from analysis.adopt.histories import History
from deepsight.config import UserError

PARENT_TAG, NAME_TAG, STATE_TAG = "mlflow.parentRunId", "mlflow.runName", "state"
"""Tags: MLflow's own, and the one of Optuna's `MLflowCallback`."""
LARGEST = math.nextafter(math.inf, 0)
"""What a database of MLflow holds for infinity."""


def finite(value: float) -> float | None:
    """The value of a metric; None for NaN, infinities and what databases hold for these."""
    return value if abs(value) < LARGEST else None


def seconds(milliseconds: object) -> float | None:
    """A time of MLflow's; None where there is none."""
    try:
        known = int(str(milliseconds))
    except ValueError:
        return None
    return known / 1000 if 0 < known < 10**14 else None


@dataclass
class Run:
    """One run."""

    run_id: str
    experiment_id: str
    status: str
    """As MLflow writes it: FINISHED, FAILED, KILLED, RUNNING, SCHEDULED."""
    started: float | None = None
    ended: float | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.tags.get(NAME_TAG) or self.run_id


class Store(Protocol):
    """Where runs are kept."""

    def experiments(self) -> Mapping[str, str]:
        """The names of experiments by id, without deleted ones."""

    def runs(self) -> Sequence[Run]:
        """All runs of these experiments, without deleted ones."""

    def histories(self, runs: Sequence[Run]) -> Mapping[str, History]:
        """The metrics of `runs`, by run id."""


@dataclass(frozen=True)
class Group:
    """Runs that may be one study: the children of a run, or those of an experiment without any."""

    experiment: str
    experiment_id: str
    parent: Run | None
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """How an error lists it, and `--study` names it."""
        return self.parent.name if self.parent else self.experiment

    def is_called(self, wanted: str) -> bool:
        """Whether `wanted` names exactly this group, by name or id."""
        if self.parent:
            return wanted in (self.parent.name, self.parent.run_id)
        return wanted in (self.experiment, self.experiment_id)


def choose(source: str, store: Store, wanted: str | None) -> Group:
    """The runs that are the study.

    Raises:
        UserError: If there are none, or several groups of them and none is named.
    """
    groups = _groups(store)
    if not groups:
        raise UserError(f"{source} holds no run.", "Give the store that the search logged to.")
    fitting = groups
    if wanted is not None:
        named = [group for group in groups if group.is_called(wanted)]
        of_experiment = [g for g in groups if wanted in (g.experiment, g.experiment_id)]
        fitting = named or of_experiment
        if not fitting:
            raise UserError(
                f"{source} holds no experiment and no parent run {wanted!r}.",
                f"It holds: {_listed(groups)}.",
            )
    if len(fitting) > 1:
        alike = len({group.name for group in fitting}) < len(fitting)
        raise UserError(
            f"{source} holds {len(fitting)} groups of runs: {_listed(fitting)}.",
            f"Say which one: --study {'ID' if alike else 'NAME'}.",
        )
    return fitting[0]


def _groups(store: Store) -> list[Group]:
    experiments, runs = store.experiments(), store.runs()
    by_id = {run.run_id: run for run in runs}
    members: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        parent = run.tags.get(PARENT_TAG, "")
        members.setdefault((run.experiment_id, parent if parent in by_id else ""), []).append(run)
    parents = {parent for _, parent in members}
    groups = []
    for (experiment, parent), found in members.items():
        single = [run for run in found if run.run_id not in parents] if not parent else found
        if single:
            name = experiments.get(experiment, experiment)
            groups.append(Group(name, experiment, by_id.get(parent), tuple(single)))
    return groups


def _listed(groups: Sequence[Group]) -> str:
    shown = [
        f"{g.name} ({len(g.runs)} runs"
        + (f" of {g.experiment}, id {g.parent.run_id})" if g.parent else f", id {g.experiment_id})")
        for g in groups[:20]
    ]
    more = f" and {len(groups) - 20} more" if len(groups) > 20 else ""
    return ", ".join(shown) + more
