"""What is tried next: proposals by Optuna's ask and tell, without Ray.

Every epoch is reported. A trial that was stopped early, or that spent a smaller budget fixed
beforehand, is told as PRUNED, so that its low-fidelity score is never taken for a final one; a
failed or diverged trial is told as FAIL; a paused one is still RUNNING. The proposals themselves
come from `samplers.py`, anew for every trial from the study's seed, the trial's number
and what is past: a resumed study proposes what an uninterrupted one would have.
"""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from deepsight.config import Value
from deepsight.run_store import trial_id
from deepsight.space import sample
from deepsight.tune.plan import StudyPlan
from deepsight.tune.search.observed_trial import Past
from deepsight.tune.search.optuna_space import suggest_point
from deepsight.tune.search.samplers import SAMPLERS


@dataclass(frozen=True)
class Proposal:
    """What the next trial is."""

    number: int
    config: Mapping[str, Value]
    """Values of the whole space, None where inactive."""
    explorer: bool
    budget: int
    """Epochs after which the trial is complete."""

    @property
    def trial_id(self) -> str:
        """The trial's name in files."""
        return trial_id(self.number)


def is_explorer(number: int, share: float) -> bool:
    """Whether trial `number` is an explorer: they are spread evenly, and trial 0 never is.

    >>> [n for n in range(10) if is_explorer(n, 0.2)]
    [4, 9]
    """
    return (
        math.floor((number + 1) * share + 1e-9) > math.floor(number * share + 1e-9) and number > 0
    )


class Journal(JournalFileBackend):
    """Optuna's journal, written without a lock and without waiting for the disk.

    It is a cache, rebuilt from the study's record by every run that resumes, and only the holder
    of the study's own lock writes it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: Sequence[Mapping[str, Any]]) -> None:
        """Append lines in one piece."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._path.open("ab", buffering=0) as file:
            file.write(text.encode())


class Searcher:
    """Proposes configs for one study and hears what became of them."""

    def __init__(self, plan: StudyPlan, journal: Path | None = None) -> None:
        """Open an empty study.

        Args:
            plan: What is searched.
            journal: File that keeps the Optuna study; it must not exist yet. None keeps the
                study in memory.
        """
        self.plan = plan
        storage = JournalStorage(Journal(journal)) if journal else None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            storage=storage,
            direction=StudyDirection.MAXIMIZE
            if plan.settings.mode == "max"
            else StudyDirection.MINIMIZE,
            study_name=plan.name,
            sampler=RandomSampler(0),
        )
        self._trials: dict[int, optuna.Trial] = {}
        self._past: dict[int, Past] = {}

    @property
    def optuna_study(self) -> optuna.Study:
        """The study as Optuna sees it."""
        return self._study

    def propose(self, number: int) -> Proposal:
        """The trial of this number: the defaults first, explorers in between, else the sampler."""
        plan = self.plan
        seed = plan.settings.seed + number
        explorer = is_explorer(number, plan.settings.explore)
        budget = plan.settings.max_epochs
        if number == 0:
            point = plan.default_config()
        elif explorer:
            rng = random.Random(f"explorer {plan.settings.seed} {number}")
            point = sample(plan.space, plan.fixed, rng)
            budget = rng.choice(plan.rungs)
        else:
            past = [self._past[known] for known in sorted(self._past)]
            propose = SAMPLERS[plan.settings.searcher]
            point = propose(plan.space, plan.fixed, past, plan.settings.max_epochs, seed)
        return self._begin(Proposal(number, point, explorer, budget))

    def restore(self, proposal: Proposal) -> None:
        """Take in a trial that an earlier run proposed, in the order of the record."""
        self._begin(proposal)

    def _begin(self, proposal: Proposal) -> Proposal:
        """Create Optuna's trial with the values of `proposal`."""
        self._study.enqueue_trial(
            {name: value for name, value in proposal.config.items() if value is not None},
            user_attrs={
                "trial_id": proposal.trial_id,
                "explorer": proposal.explorer,
                "budget": proposal.budget,
            },
        )
        trial = self._study.ask()
        config = suggest_point(trial, self.plan.space, self.plan.fixed)
        self._trials[proposal.number] = trial
        self._past[proposal.number] = Past(config, proposal.explorer)
        return dataclasses.replace(proposal, config=config)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Hear the metric after one epoch."""
        self._trials[number].report(value, epoch)
        if epoch in self.plan.rungs:
            score = value if self.plan.settings.mode == "max" else -value
            self._past[number].scores[epoch] = score

    def ended(self, number: int, state: str, epochs: int, value: float | None) -> None:
        """Hear how a trial ended.

        Args:
            number: The trial's.
            state: completed, stopped, diverged or failed.
            epochs: How many it trained.
            value: Its last metric.
        """
        self._past[number].state = state
        trial = self._trials.pop(number)
        if state == "completed" and epochs >= self.plan.settings.max_epochs:
            self._study.tell(trial, value)
        elif state in ("completed", "stopped"):
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)
