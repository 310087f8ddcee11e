"""What is tried next: proposals by Optuna's ask and tell, without Ray.

Every epoch is reported. A trial that was stopped early, or that spent a smaller budget fixed
beforehand, is told as PRUNED, so that its low-fidelity score is never taken for a final one; a
failed or diverged trial is told as FAIL. Samplers are built anew for every trial from the study's
seed and the trial's number: a resumed study proposes what an uninterrupted one would have.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from deepsight.config import Value
from deepsight.space import Choice, Domain, Int, decide, sample
from deepsight.tune.study import StudyPlan

STARTUP_TRIALS = 10
"""Random proposals before TPE begins; explorers count among them."""

SAMPLERS = {
    "tpe": lambda seed: TPESampler(
        seed=seed, multivariate=True, group=True, constant_liar=True,
        n_startup_trials=STARTUP_TRIALS,
    ),
    "random": lambda seed: RandomSampler(seed=seed),
}  # fmt: skip
"""Samplers by name, built from a seed."""


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
        return f"t{self.number:04d}"


def is_explorer(number: int, share: float) -> bool:
    """Whether trial `number` is an explorer: they are spread evenly, and trial 0 never is.

    >>> [n for n in range(10) if is_explorer(n, 0.2)]
    [4, 9]
    """
    return (
        math.floor((number + 1) * share + 1e-9) > math.floor(number * share + 1e-9) and number > 0
    )


def to_distribution(domain: Domain) -> BaseDistribution:
    """Optuna's form of a domain."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


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
        storage = JournalStorage(JournalFileBackend(str(journal))) if journal else None
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
            point: Mapping[str, Value] | None = plan.default_config()
        elif explorer:
            rng = random.Random(f"explorer {plan.settings.seed} {number}")
            point = sample(plan.space, plan.fixed, rng)
            budget = rng.choice(plan.rungs)
        else:
            point = None
        config = self._ask(number, point, seed, explorer, budget)
        return Proposal(number, config, explorer, budget)

    def restore(self, proposal: Proposal) -> None:
        """Take in a trial that an earlier run proposed, in the order of the record."""
        self._ask(proposal.number, proposal.config, 0, proposal.explorer, proposal.budget)

    def _ask(
        self,
        number: int,
        point: Mapping[str, Value] | None,
        seed: int,
        explorer: bool,
        budget: int,
    ) -> dict[str, Value]:
        """Create Optuna's trial: with the values of `point`, else with the sampler's."""
        study = self._study
        attributes = {"trial_id": f"t{number:04d}", "explorer": explorer, "budget": budget}
        if point is None:
            study.sampler = self._sampler(seed)
        else:
            study.sampler = RandomSampler(seed=0)  # asks no model for what is given anyway
            given = {name: value for name, value in point.items() if value is not None}
            study.enqueue_trial(given, user_attrs=attributes)
        trial = study.ask()
        self._trials[number] = trial
        chosen: dict[str, Value] = {name: None for name in self.plan.space}
        for name, domain, config in decide(self.plan.space, self.plan.fixed):
            config[name] = chosen[name] = _suggest(trial, name, domain)
        if point is None:
            for key, value in attributes.items():
                trial.set_user_attr(key, value)
        return chosen

    def _sampler(self, seed: int) -> BaseSampler:
        with warnings.catch_warnings():  # group and constant_liar are marked experimental
            warnings.simplefilter("ignore", ExperimentalWarning)
            return SAMPLERS[self.plan.settings.searcher](seed)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Hear the metric after one epoch."""
        self._trials[number].report(value, epoch)

    def ended(self, number: int, state: str, epochs: int, value: float | None) -> None:
        """Hear how a trial ended.

        Args:
            number: The trial's.
            state: completed, stopped, diverged or failed.
            epochs: How many it trained.
            value: Its last metric.
        """
        trial = self._trials.pop(number)
        if state == "completed" and epochs >= self.plan.settings.max_epochs:
            self._study.tell(trial, value)
        elif state in ("completed", "stopped"):
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        return trial.suggest_categorical(name, domain.values)
    if isinstance(domain, Int):
        return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
