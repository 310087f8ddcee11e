"""One search: proposes, records, decides. No Ray, no clock of its own, no files but the record's.

Ray's callbacks (`ray_backend/adapter.py`) and tests drive the same object; a resumed search is
the same object again after it has been shown the record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from deepsight.run_store import Study, StudyWriter, TrialRecord
from deepsight.run_store.events import history
from deepsight.schedulers import Verdict, build_scheduler
from deepsight.tune.plan import StudyPlan
from deepsight.tune.search.searcher import Proposal, Searcher

ALIKE = 3
"""First failures of one cause (but for its numbers) after which a search gives up."""


class Observer(Protocol):
    """Someone who watches a search: progress on the terminal, TensorBoard."""

    def started(self, proposal: Proposal) -> None:
        """A trial was given out (again, after a resume)."""

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """A trial finished an epoch."""

    def paused(self, proposal: Proposal) -> None:
        """A trial gave its slot back; it may be given out again."""

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """A trial will not be given out again."""


@dataclass
class Live:
    """A trial that has begun and not ended."""

    proposal: Proposal
    epochs: int = 0
    """Epochs on record."""
    value: float | None = None
    """The metric after the last of them."""
    paused: bool = False
    """Whether it waits at a rung, in no slot."""


@dataclass
class Progress:
    """What has happened so far."""

    ended: dict[str, int] = field(
        default_factory=lambda: {"completed": 0, "stopped": 0, "diverged": 0, "failed": 0}
    )
    epochs: int = 0
    best: float | None = None
    """Best metric at the full budget."""
    best_trial: str | None = None
    last_error: str | None = None

    @property
    def num_ended(self) -> int:
        """Trials that ended, in whatever state."""
        return sum(self.ended.values())


class Search:
    """The state of one search."""

    def __init__(
        self,
        plan: StudyPlan,
        searcher: Searcher,
        writer: StudyWriter,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Begin with nothing tried; `replay` shows an earlier run's record."""
        self.plan = plan
        self.searcher = searcher
        settings = plan.settings
        self.scheduler = build_scheduler(
            settings.scheduler, plan.rungs, settings.reduction_factor,
            settings.brackets, settings.seed,
        )  # fmt: skip
        self.writer = writer
        self.observers = list(observers)
        self.progress = Progress()
        self.live: dict[str, Live] = {}
        self.slots = 0
        """Trials at a time, told from outside; 0 before that is known."""
        self.stopping = False
        """Set from outside: running trials end after their epoch and stay resumable."""
        self.hopeless: str | None = None
        """Why the search stopped itself: the first trials of this run all failed of this."""
        self._first_causes: list[str | None] = []
        self._waiting: list[Proposal] = []
        self._next_number = 0

    @property
    def exhausted(self) -> bool:
        """Whether no trial will be given out any more."""
        if self.stopping:
            return True
        if self._waiting or self._next_number < self.plan.settings.trials:
            return False
        # whoever runs may yet pause, or make a place for one that waits
        may_come = self.scheduler.pauses and (self.num_running or self.scheduler.promotable())
        return not may_come

    @property
    def num_paused(self) -> int:
        """Trials that wait at a rung."""
        return sum(live.paused for live in self.live.values())

    @property
    def num_running(self) -> int:
        """Trials that have begun, neither ended nor paused."""
        return len(self.live) - self.num_paused

    @property
    def unfinished(self) -> bool:
        """Whether the study has trials that did not end or were never begun."""
        return bool(self.live) or self._next_number < self.plan.settings.trials

    def epochs_of(self, trial_id: str) -> int:
        """Epochs of a live trial that are on record."""
        return self.live[trial_id].epochs

    def next(self) -> Proposal | None:
        """The next trial, None when there is none, or none yet.

        Unfinished ones of an earlier run come first, then the best paused one that has earned
        more epochs, then a new one.
        """
        if self.exhausted:
            return None
        promotion = self.scheduler.promotable()
        if self._waiting:
            proposal = self._waiting.pop(0)
        elif promotion:
            live = self.live[promotion[1]]
            self._promote(live)
            proposal = live.proposal
        elif self._next_number >= self.plan.settings.trials:
            return None
        else:
            proposal = self.searcher.propose(self._next_number)
            self._next_number += 1
            self._record_start(proposal)
            self.live[proposal.trial_id] = Live(proposal)
        for observer in self.observers:
            observer.started(proposal)
        return proposal

    def result(self, trial_id: str, row: Mapping[str, Any]) -> bool:
        """Record one epoch of a trial and decide whether it goes on.

        Args:
            trial_id: A live trial.
            row: The epoch's metrics with ``epoch``; an epoch already on record is not recorded
                again.

        Returns:
            Whether the trial trains another epoch now.
        """
        live = self.live[trial_id]
        if int(row["epoch"]) <= live.epochs:
            return not self.stopping
        if self.plan.settings.metric not in row:
            self.failed(trial_id, _no_metric(self.plan.settings.metric, row))
            return False
        self.writer.result(trial_id, row)
        for observer in self.observers:
            observer.reported(live.proposal, row)
        state = self._learn(live, row)
        if state:
            self._end(live, state)
        elif live.paused and self._next_is(trial_id):
            self._promote(live)  # the slot that it leaves would take it up again
        elif live.paused:
            for observer in self.observers:
                observer.paused(live.proposal)
        self._settle()
        return not (state or live.paused or self.stopping)

    def finished(self, trial_id: str) -> None:
        """Record that a trainable had nothing more to do before its budget was spent."""
        live = self.live[trial_id]
        if live.epochs:
            self._end(live, "completed")
        else:
            self._end(live, "failed", "the trainable ended without a single epoch")
        self._settle()

    def failed(self, trial_id: str, error: str) -> None:
        """Record that a trial raised or died."""
        self._end(self.live[trial_id], "failed", error)
        self._settle()

    def again(self, trial_id: str) -> None:
        """Hear that a live trial was interrupted by no fault of its own: it is handed out next."""
        self._waiting.insert(0, self.live[trial_id].proposal)

    def _next_is(self, trial_id: str) -> bool:
        """Whether `next` would hand out this paused trial."""
        if self.stopping or self._waiting:
            return False
        promotion = self.scheduler.promotable()
        return promotion is not None and promotion[1] == trial_id

    def _promote(self, live: Live) -> None:
        """Let a paused trial go on; on record, so that a resumed search lets it too."""
        self._record_start(live.proposal)
        self._wake(live)

    def _record_start(self, proposal: Proposal) -> None:
        self.writer.started(proposal.trial_id, proposal.config, proposal.explorer, proposal.budget)

    def _wake(self, live: Live) -> None:
        live.paused = False
        self.scheduler.resumed(live.proposal.trial_id)

    def _settle(self) -> None:
        """End the paused trials that nothing can promote any more."""
        for trial_id in self.scheduler.hopeless(self.plan.settings.trials):
            self._end(self.live[trial_id], "stopped")
        if self.exhausted and not self.stopping and not self.num_running:
            for live in list(self.live.values()):
                self._end(live, "stopped")

    def _learn(self, live: Live, row: Mapping[str, Any]) -> str | None:
        """Tell searcher and scheduler about an epoch; the state if the trial ends with it."""
        proposal, settings = live.proposal, self.plan.settings
        if live.paused:  # in a replay of a record that has no lines for promotions
            self._wake(live)
        value = row.get(settings.metric)
        live.epochs = int(row["epoch"])
        self.progress.epochs += 1
        if not isinstance(value, int | float) or not math.isfinite(value):
            return "diverged"
        live.value = float(value)
        self.searcher.report(proposal.number, live.epochs, live.value)
        score = live.value if settings.mode == "max" else -live.value
        exempt = proposal.explorer or proposal.number == 0  # the defaults, everybody's baseline
        verdict = self.scheduler.judge(proposal.trial_id, live.epochs, score, exempt)
        if live.epochs >= proposal.budget:
            return "completed"
        live.paused = verdict == Verdict.PAUSE
        return "stopped" if verdict == Verdict.STOP else None

    def _end(self, live: Live, state: str, error: str | None = None) -> None:
        proposal = live.proposal
        self.searcher.ended(proposal.number, state, live.epochs, live.value)
        self.scheduler.ended(proposal.trial_id)
        self.writer.ended(proposal.trial_id, state, error)
        self._count(live, state, error)
        del self.live[proposal.trial_id]
        for observer in self.observers:
            observer.ended(proposal, state, error)
        self._give_up_if_hopeless(error if state == "failed" else None)

    def _give_up_if_hopeless(self, error: str | None) -> None:
        """Stop when the first trials that end in this run fail, and all of the same cause."""
        if len(self._first_causes) < ALIKE:
            self._first_causes.append(error and re.sub(r"\w*\d[\w.]*", "#", error))
            if self._first_causes == ALIKE * self._first_causes[:1] and error:
                self.hopeless, self.stopping = error, True

    def _count(self, live: Live, state: str, error: str | None) -> None:
        progress, settings = self.progress, self.plan.settings
        progress.ended[state] += 1
        progress.last_error = error or progress.last_error
        if state == "completed" and live.epochs >= settings.max_epochs and live.value is not None:
            sign = 1 if settings.mode == "max" else -1
            if progress.best is None or sign * live.value > sign * progress.best:
                progress.best, progress.best_trial = live.value, live.proposal.trial_id

    def replay(self, study: Study) -> None:
        """Show searcher and scheduler an earlier run's record, event by event as it happened.

        Trials that had not ended wait to be given out again, first of all; those whose last
        epoch paused them go on waiting at their rung. Where a crash came between a trial's last
        epoch and the line that it ended, that line is written now.
        """
        decided: dict[str, str] = {}
        for event in history(study):
            live = self.live.get(event.trial_id)
            if event.kind == "started":
                live = self._restore(event.record)
            assert live is not None
            if event.kind == "again" and live.paused:
                self._wake(live)
            elif event.kind == "result":
                state = self._learn(live, event.row)
                decided.pop(event.trial_id, None)  # it went on, whatever was decided before
                if state:
                    decided[event.trial_id] = state
            elif event.kind == "ended":
                self._forget(live, event.record)
        for trial_id in [t for t in decided if t in self.live]:
            self._end(self.live[trial_id], decided[trial_id])
        self._waiting = [live.proposal for live in self.live.values() if not live.paused]
        self._settle()

    def _restore(self, record: TrialRecord) -> Live:
        """Take in a trial that an earlier run began."""
        number = int(record.trial_id[1:])
        proposal = Proposal(number, record.config, record.explorer, record.budget)
        self.searcher.restore(proposal)
        self._next_number = max(self._next_number, number + 1)
        self.live[record.trial_id] = Live(proposal)
        return self.live[record.trial_id]

    def _forget(self, live: Live, record: TrialRecord) -> None:
        """Take in how a trial ended in an earlier run."""
        del self.live[record.trial_id]
        self.searcher.ended(live.proposal.number, record.state, live.epochs, live.value)
        self.scheduler.ended(record.trial_id)
        self._count(live, record.state, record.error)


def _no_metric(metric: str, row: Mapping[str, Any]) -> str:
    return (
        f"the trainable reports no {metric!r}, which study.metric names; it reports "
        + ", ".join(sorted(row))
    )
