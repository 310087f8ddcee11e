"""What is tried next: proposals by Optuna's ask and tell, without Ray.

Every epoch is reported. A trial that was stopped early, or that spent a smaller budget fixed
beforehand, is told as PRUNED, so that its low-fidelity score is never taken for a final one; a
failed or diverged trial is told as FAIL; a paused one is still RUNNING. The user attributes of a
trial say the rest (``trial_id``, ``explorer``, ``budget`` and, once it ended, ``state``). Optuna
asks its sampler (`named_samplers.py`) for all trials but the defaults and explorers. A resumed
study proposes what an uninterrupted one would have: our samplers read nothing but the study, and
those of others are asked again, in the order of the record.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from deepsight.imports import call
from deepsight.run_store import trial_id
from deepsight.space import Entry, active, sample
from deepsight.tune.plan import StudyPlan
from deepsight.tune.search.named_samplers import RecordedSampler, build_sampler
from deepsight.tune.search.observed_trial import observe
from deepsight.tune.search.optuna_space import suggest_point


@dataclass(frozen=True)
class Proposal:
    """What the next trial is."""

    number: int
    config: Mapping[str, Entry]
    """Values of the whole space, `INACTIVE` where inactive."""
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


def explorer(plan: StudyPlan, number: int) -> Proposal:
    """The explorer of this number: config and budget are drawn from the study's seed alone."""
    rng = random.Random(f"explorer {plan.settings.seed} {number}")
    point = sample(plan.space, plan.fixed, rng)
    return Proposal(number, point, True, rng.choice(plan.rungs))


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
        self._sampler = build_sampler(plan)
        self._study = optuna.create_study(
            storage=storage,
            direction=StudyDirection.MAXIMIZE
            if plan.settings.mode == "max"
            else StudyDirection.MINIMIZE,
            study_name=plan.name,
            sampler=self._sampler,
        )
        # samplers that enumerate a space call it at its end, which `Study.optimize` alone allows
        self._study.stop = lambda: None  # type: ignore[method-assign]
        self._trials: dict[int, optuna.Trial] = {}

    @property
    def optuna_study(self) -> optuna.Study:
        """The study as Optuna sees it."""
        return self._study

    def propose(self, number: int) -> Proposal:
        """The trial of this number: the defaults first, explorers in between, else the sampler.

        A plan that lists its trials has them in that order.
        """
        plan = self.plan
        if plan.planned:
            config = plan.planned[number]
            return self._begin(Proposal(number, config, False, plan.settings.max_epochs))
        if number == 0:
            return self._begin(
                Proposal(number, plan.default_config(), False, plan.settings.max_epochs)
            )
        if is_explorer(number, plan.settings.explore):
            return self._begin(explorer(plan, number))
        return self._ask(number)

    def restore(self, proposal: Proposal) -> None:
        """Take in a trial that an earlier run proposed, in the order of the record."""
        sampled = proposal.number > 0 and not proposal.explorer and not self.plan.planned
        if sampled and isinstance(self._sampler, RecordedSampler):
            self._ask(proposal.number, proposal.config)
        else:
            self._begin(proposal)

    def _begin(self, proposal: Proposal) -> Proposal:
        """Create Optuna's trial with the values of `proposal`."""
        plan = self.plan
        names = active({**plan.fixed, **proposal.config}, plan.space)
        self._study.enqueue_trial({name: proposal.config[name] for name in names})
        return self._open(proposal.number, proposal.explorer, proposal.budget)

    def _ask(self, number: int, recorded: Mapping[str, Entry] | None = None) -> Proposal:
        """Let the sampler propose; if it did so in an earlier run, it hears what it said."""
        budget = self.plan.settings.max_epochs
        if not isinstance(self._sampler, RecordedSampler):
            return self._open(number, False, budget)
        with self._sampler.replaying(recorded) if recorded else nullcontext():
            return call(self.plan.settings.searcher, self._open, number, False, budget)  # type: ignore[no-any-return]

    def _open(self, number: int, explorer: bool, budget: int) -> Proposal:
        """Create Optuna's next trial and have its values suggested, in the order of `decide`."""
        trial = self._study.ask()
        config = suggest_point(trial, self.plan.space, self.plan.fixed)
        proposal = Proposal(number, config, explorer, budget)
        for name, value in (
            ("trial_id", proposal.trial_id),
            ("explorer", explorer),
            ("budget", budget),
        ):
            trial.set_user_attr(name, value)
        self._trials[number] = trial
        return proposal

    def report(self, number: int, epoch: int, value: float) -> None:
        """Hear the metric after one epoch."""
        self._trials[number].report(value, epoch)

    def expected_gain(self) -> float:
        """What going on is expected to gain of the metric at most (`expected_gain.py`)."""
        # SciPy's optimiser: not before the first trials have run
        from deepsight.tune.search.expected_gain import expected_gain

        plan, trials = self.plan, self._study.get_trials(deepcopy=False)
        full, maximise = plan.settings.max_epochs, plan.settings.mode == "max"
        past, _ = observe(trials, plan.space, maximise, full, frozenset(plan.rungs))
        seed = plan.settings.seed + len(trials)
        return expected_gain(plan.space, plan.fixed, past, full, seed, plan.earlier)

    def ended(self, number: int, state: str, epochs: int, value: float | None) -> None:
        """Hear how a trial ended.

        Args:
            number: The trial's.
            state: completed, stopped, diverged or failed.
            epochs: How many it trained.
            value: Its last metric.
        """
        trial = self._trials.pop(number)
        trial.set_user_attr("state", state)
        if state == "completed" and epochs >= self.plan.settings.max_epochs:
            self._study.tell(trial, value)
        elif state in ("completed", "stopped"):
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)
