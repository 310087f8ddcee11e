"""One search: proposes, records, decides. No Ray, no clock of its own, no files but the record's.

Ray's callbacks (`ray_backend/adapter.py`) and tests call the same methods, and nobody else changes
its state. A resumed search is a new `Search` that has replayed the record.

A trial is *live* from its first proposal to its end. A live trial is *running* in a slot, *paused*
at a rung, or *queued* to be handed out again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepsight.config import UserError, Value
from deepsight.run_store import Study, StudyWriter, TrialRecord
from deepsight.run_store.events import study_events
from deepsight.schedulers import Decision, Scheduler, build_scheduler
from deepsight.tune.known_metrics import missing_metric
from deepsight.tune.plan import StudyPlan
from deepsight.tune.search.searcher import Proposal, Searcher

REPEATED_FAILURES = 3
"""A search stops if so many first trials fail with one message, numbers in it aside."""


class Observer:
    """What follows the events of a search: progress on the terminal, TensorBoard.

    A subclass overrides what it needs; the methods here do nothing.
    """

    def started(self, proposal: Proposal) -> None:
        """A trial was handed out; also when it is resumed, promoted or requeued."""

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """A trial finished an epoch."""

    def paused(self, proposal: Proposal) -> None:
        """A trial gave its slot back; it may be promoted."""

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """A trial will not be handed out again."""


@dataclass
class LiveTrial:
    """A trial that was proposed and has not ended."""

    proposal: Proposal
    epochs: int = 0
    """Epochs on record."""
    value: float | None = None
    """The metric after the last of them."""
    paused: bool = False
    """Whether it waits at a rung, without a slot."""


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
    ended_early: Mapping[str, Any] | None = None
    """Why no more trials are begun, although the plan has more: `Search.end_early`."""

    @property
    def num_ended(self) -> int:
        """Trials that ended, in whatever state."""
        return sum(self.ended.values())


def scheduler_of(plan: StudyPlan) -> Scheduler:
    """The scheduler of a study, which has seen nothing yet."""
    s = plan.settings
    return build_scheduler(s.scheduler, plan.rungs, s.reduction_factor, s.brackets, s.seed)


class Search:
    """The state of one search."""

    def __init__(
        self,
        plan: StudyPlan,
        searcher: Searcher,
        writer: StudyWriter,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Begin with no trials; `replay` takes over those of an earlier run."""
        self.plan = plan
        self.searcher = searcher
        self.scheduler = scheduler_of(plan)
        self.writer = writer
        self.progress = Progress(ended_early=plan.ended_early)
        self._observers = list(observers)
        self._live: dict[str, LiveTrial] = {}
        self._queue: list[Proposal] = []
        self._slots = 0
        self._stopping = False
        self._repeated_failure: str | None = None
        self._wrong_metric: UserError | None = None
        self._first_errors: list[str | None] = []
        self._next_number = 0
        self._all_trials = self._most_trials = plan.most_trials

    def add_observer(self, observer: Observer) -> None:
        """Let `observer` hear of every event from now on."""
        self._observers.append(observer)

    def set_slots(self, slots: int) -> None:
        """Hear how many trials run at a time; nodes come and go."""
        self._slots = slots

    def begin_at_most(self, trials: int) -> None:
        """Propose no trial beyond this number, for now; those that were begun go on."""
        self._most_trials = min(trials, self._all_trials)

    def end_early(self, why: Mapping[str, Any]) -> None:
        """Propose no more trials for good (``ended_early`` of the header); those begun go on."""
        self.progress.ended_early = why
        self._all_trials = self._most_trials = self._next_number

    def stop(self) -> None:
        """Hand out no more trials; running ones end after their epoch and stay resumable."""
        self._stopping = True

    @property
    def most_trials(self) -> int:
        """Trials that will be begun in all: the study's, or fewer if time does not suffice."""
        return self._most_trials

    @property
    def slots(self) -> int:
        """Trials at a time; 0 before `set_slots`."""
        return self._slots

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called, or the search stopped itself."""
        return self._stopping

    @property
    def repeated_failure(self) -> str | None:
        """Why the search stopped itself: the error of all the first trials of this run."""
        return self._repeated_failure

    @property
    def wrong_metric(self) -> UserError | None:
        """Why the search stopped itself: the first report of all lacks the metric."""
        return self._wrong_metric

    @property
    def exhausted(self) -> bool:
        """Whether no trial will be given out any more."""
        if self._stopping:
            return True
        if self._queue or self._next_number < self._most_trials:
            return False
        # a running trial may yet pause, or make a paused one promotable
        may_come = self.scheduler.pauses and (self.num_running or self.scheduler.promotable())
        return not may_come

    @property
    def num_paused(self) -> int:
        """Trials that are paused at a rung."""
        return sum(live.paused for live in self._live.values())

    @property
    def num_running(self) -> int:
        """Trials that have begun, neither ended nor paused."""
        return len(self._live) - self.num_paused

    @property
    def unfinished(self) -> bool:
        """Whether the study has trials that did not end or were never begun."""
        return bool(self._live) or self._next_number < self._all_trials

    def epochs_of(self, trial_id: str) -> int:
        """Epochs of a live trial that are on record."""
        return self._live[trial_id].epochs

    def config_of(self, trial_id: str) -> dict[str, Value]:
        """All hyperparameters of a live trial."""
        return self.plan.full_config(self._live[trial_id].proposal.config)

    @property
    def live(self) -> Sequence[LiveTrial]:
        """The live trials, the earliest first."""
        return tuple(self._live.values())

    def next(self) -> Proposal | None:
        """The next trial, None when there is none, or none yet.

        Queued trials come first (interrupted ones of an earlier run, requeued ones), then the best
        promotable one, then a new one.
        """
        if self.exhausted:
            return None
        promotion = self.scheduler.promotable()
        if self._queue:
            proposal = self._queue.pop(0)
        elif promotion:
            live = self._live[promotion[1]]
            self._promote(live)
            proposal = live.proposal
        elif self._next_number >= self._most_trials:
            return None
        else:
            proposal = self.searcher.propose(self._next_number)
            self._next_number += 1
            self._record_start(proposal)
            self._live[proposal.trial_id] = LiveTrial(proposal)
        for observer in self._observers:
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
        live = self._live[trial_id]
        if int(row["epoch"]) <= live.epochs:
            return not self._stopping
        if self.plan.settings.metric not in row:
            missing = missing_metric(self.plan.settings.metric, row)
            if not self.progress.epochs:
                self._wrong_metric, self._stopping = missing, True
            self.failed(trial_id, missing.cause)
            return False
        self.writer.result(trial_id, row)
        for observer in self._observers:
            observer.reported(live.proposal, row)
        state = self._observe(live, row)
        if state:
            self._end(live, state)
        elif live.paused and self._next_is(trial_id):
            self._promote(live)  # the slot that it leaves would take it up again
        elif live.paused:
            for observer in self._observers:
                observer.paused(live.proposal)
        self._settle()
        return not (state or live.paused or self._stopping)

    def finished(self, trial_id: str) -> None:
        """Record that a trainable had nothing more to do before its budget was spent."""
        live = self._live[trial_id]
        if live.epochs:
            self._end(live, "completed")
        else:
            self._end(live, "failed", "the trainable ended without a single epoch")
        self._settle()

    def failed(self, trial_id: str, error: str) -> None:
        """Record that a trial raised or died."""
        self._end(self._live[trial_id], "failed", error)
        self._settle()

    def requeue(self, trial_id: str) -> None:
        """Queue a live trial whose worker was lost: it is handed out next."""
        self._queue.insert(0, self._live[trial_id].proposal)

    def requeue_running(self) -> None:
        """Queue every trial that runs: all workers were lost."""
        self._queue = [live.proposal for live in self._live.values() if not live.paused]

    def _next_is(self, trial_id: str) -> bool:
        """Whether `next` would hand out this paused trial."""
        if self._stopping or self._queue:
            return False
        promotion = self.scheduler.promotable()
        return promotion is not None and promotion[1] == trial_id

    def _promote(self, live: LiveTrial) -> None:
        """Let a paused trial train on, and record that for a resumed search."""
        self._record_start(live.proposal)
        self._wake(live)

    def _record_start(self, proposal: Proposal) -> None:
        self.writer.started(proposal.trial_id, proposal.config, proposal.explorer, proposal.budget)

    def _wake(self, live: LiveTrial) -> None:
        live.paused = False
        self.scheduler.resumed(live.proposal.trial_id)

    def _settle(self) -> None:
        """End the paused trials that cannot be promoted any more."""
        for trial_id in self.scheduler.unpromotable(self._all_trials):
            self._end(self._live[trial_id], "stopped")
        all_begun = self._next_number >= self._all_trials
        if all_begun and self.exhausted and not self._stopping and not self.num_running:
            for live in list(self._live.values()):
                self._end(live, "stopped")

    def _observe(self, live: LiveTrial, row: Mapping[str, Any]) -> str | None:
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
        decision = self.scheduler.judge(proposal.trial_id, live.epochs, score, exempt)
        if live.epochs >= proposal.budget:
            return "completed"
        live.paused = decision == Decision.PAUSE
        return "stopped" if decision == Decision.STOP else None

    def _end(self, live: LiveTrial, state: str, error: str | None = None) -> None:
        proposal = live.proposal
        self.searcher.ended(proposal.number, state, live.epochs, live.value)
        self.scheduler.ended(proposal.trial_id)
        self.writer.ended(proposal.trial_id, state, error)
        self._count(live, state, error)
        del self._live[proposal.trial_id]
        for observer in self._observers:
            observer.ended(proposal, state, error)
        self._stop_if_failures_repeat(error if state == "failed" else None)

    def _stop_if_failures_repeat(self, error: str | None) -> None:
        """Stop if the first trials that end in this run all fail with the same message."""
        if len(self._first_errors) < REPEATED_FAILURES:
            self._first_errors.append(error and re.sub(r"\w*\d[\w.]*", "#", error))
            if self._first_errors == REPEATED_FAILURES * self._first_errors[:1] and error:
                self._repeated_failure, self._stopping = error, True

    def _count(self, live: LiveTrial, state: str, error: str | None) -> None:
        progress, settings = self.progress, self.plan.settings
        progress.ended[state] += 1
        progress.last_error = error or progress.last_error
        if state == "completed" and live.epochs >= settings.max_epochs and live.value is not None:
            sign = 1 if settings.mode == "max" else -1
            if progress.best is None or sign * live.value > sign * progress.best:
                progress.best, progress.best_trial = live.value, live.proposal.trial_id

    def replay(self, study: Study) -> None:
        """Repeat an earlier run for searcher and scheduler, event by event from its record.

        Trials that were running are queued; paused ones stay paused at their rung. Where a crash
        came between a trial's last epoch and the line that it ended, that line is written now.
        """
        decided: dict[str, str] = {}
        for event in study_events(study):
            live = self._live.get(event.trial_id)
            if event.kind == "started":
                live = self._restore(event.record)
            assert live is not None
            if event.kind == "restarted" and live.paused:
                self._wake(live)
            elif event.kind == "result":
                state = self._observe(live, event.row)
                decided.pop(event.trial_id, None)  # it went on, whatever had been decided
                if state:
                    decided[event.trial_id] = state
            elif event.kind == "ended":
                self._restore_end(live, event.record)
        for trial_id in [t for t in decided if t in self._live]:
            self._end(self._live[trial_id], decided[trial_id])
        self._queue = [live.proposal for live in self._live.values() if not live.paused]
        self._settle()

    def _restore(self, record: TrialRecord) -> LiveTrial:
        """Take over a trial that an earlier run began."""
        number = int(record.trial_id[1:])
        proposal = Proposal(number, record.config, record.explorer, record.budget)
        self.searcher.restore(proposal)
        self._next_number = max(self._next_number, number + 1)
        self._live[record.trial_id] = LiveTrial(proposal)
        return self._live[record.trial_id]

    def _restore_end(self, live: LiveTrial, record: TrialRecord) -> None:
        """Take over how a trial ended in an earlier run."""
        del self._live[record.trial_id]
        self.searcher.ended(live.proposal.number, record.state, live.epochs, live.value)
        self.scheduler.ended(record.trial_id)
        self._count(live, record.state, record.error)
