"""Sends a search to trackers while it runs, and never lets it wait for them.

Each tracker has a thread of its own and a bounded list of trials that have changed. What the thread
cannot send, because the tracker is away or slow, is left; at the end everything is compared with
the record, which is the state, and the rest is sent, for a bounded time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deepsight.config import without_controls
from deepsight.run_store import StudyHeader, TrialRecord, load_study
from deepsight.track.content import study_content, trial_content
from deepsight.track.report import made_report
from deepsight.track.send import send_study
from deepsight.track.sinks import Sink, make_sink, targets
from deepsight.tune.search.search import Observer, Search
from deepsight.tune.search.searcher import Proposal

WAITING = 1000
"""Changed trials that wait for one tracker at most."""
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 10.0)
"""After a failure, until the tracker is tried again; at the end so often, and no more."""
CATCH_UP_S, HURRY_S = 120.0, 2.0
"""For catching up at the end: of a search that ended by itself, and of one that was stopped."""
LOOK_S = 0.05

logger = logging.getLogger(__name__)


@dataclass
class Waiting:
    """Trials that have changed since they were sent, the earliest change first."""

    trials: dict[str, TrialRecord] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    closing: bool = False

    def put(self, record: TrialRecord) -> None:
        """Note a change; beyond `WAITING` trials the longest waiting one is left for the end."""
        with self.changed:
            self.trials[record.trial_id] = record
            if len(self.trials) > WAITING:
                del self.trials[next(iter(self.trials))]
            self.changed.notify()

    def take(self) -> TrialRecord | None:
        """The next one, when there is one; None when the search is over."""
        with self.changed:
            self.changed.wait_for(lambda: self.trials or self.closing)
            if self.closing:
                return None
            record = self.trials.pop(next(iter(self.trials)))
            return replace(record, rows=list(record.rows))

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the search."""
        with self.changed:
            self.changed.wait_for(lambda: self.closing, seconds)

    def close(self) -> None:
        """Let `take` return None."""
        with self.changed:
            self.closing = True
            self.changed.notify()


class TrackerThread(threading.Thread):
    """Sends to one tracker."""

    def __init__(self, name: str, header: StudyHeader, directory: Path) -> None:
        super().__init__(name=f"tracker {name}", daemon=True)
        self.tracker, self.waiting = name, Waiting()
        self.left: int | None = None
        """Trials that were not compared with the record in the end; None if it was not reached."""
        self.gives_up = False
        self.report: Path | None = None
        """The folder of the report; set before `closing` if there is one."""
        self._header, self._directory = header, directory
        self._sink: Sink | None = None
        self._ready = self._warned = False
        self._failures = 0

    def run(self) -> None:
        """Send what changes; then catch up from the record."""
        try:
            while (record := self.waiting.take()) is not None:
                self._try(lambda: self._send(record))  # noqa: B023  # called at once
            self._failures = 0
            for _ in PAUSES_S:
                if self.gives_up or self._try(self._catch_up):
                    break
        finally:
            if self._sink is not None:
                self._sink.close()

    def _try(self, act: Callable[[], None]) -> bool:
        """Whether `act` could be done; after a failure wait before the next one."""
        try:
            act()
        except Exception as error:  # whatever the tracker's library raises: the search goes on
            self._ready = False
            pause = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
            self._failures += 1
            self._warn(error)
            if self.waiting.closing:
                self._wait(pause)
            else:
                self.waiting.pause(pause)
            return False
        self._failures = 0
        return True

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.gives_up:
            time.sleep(LOOK_S)

    def _warn(self, error: Exception) -> None:
        """Say once that the tracker does not take what it is sent."""
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s takes nothing: %s The search goes on; the rest is sent at its end.",
                self.tracker,
                without_controls(" ".join(str(error).split()))[:200],
            )

    def _send(self, record: TrialRecord) -> None:
        if self._sink is None:
            self._sink = make_sink(self.tracker)
        if not self._ready:
            self._sink.begin(study_content(self._header))
            self._ready = True
        self._sink.send(trial_content(record, self._header))

    def _catch_up(self) -> None:
        if self._sink is None:
            self._sink = make_sink(self.tracker)
        study = load_study(self._directory)
        self.left = send_study(study, self._sink, self.report, lambda: self.gives_up)


class Trackers(Observer):
    """An observer that hands what happens to the threads of the trackers; none of it waits."""

    def __init__(self, threads: list[TrackerThread], known: list[TrialRecord]) -> None:
        """Begin with the trials on record, of which unfinished ones may go on."""
        self._threads = threads
        unfinished = [record for record in known if record.ended is None]
        self._live = {r.trial_id: replace(r, rows=list(r.rows)) for r in unfinished}

    def started(self, proposal: Proposal) -> None:
        """A trial begins, or goes on."""
        if proposal.trial_id not in self._live:
            self._live[proposal.trial_id] = TrialRecord(
                proposal.trial_id,
                dict(proposal.config),
                proposal.explorer,
                proposal.budget,
                time.time(),
            )
        self._tell(self._live[proposal.trial_id])

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """A trial finished an epoch."""
        record = self._live[proposal.trial_id]
        record.rows.append({"time": time.time(), **row})
        self._tell(record)

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """A trial will not go on."""
        record = self._live.pop(proposal.trial_id, None)
        if record is not None:
            self._tell(replace(record, state=state, ended=time.time()))

    def _tell(self, record: TrialRecord) -> None:
        for thread in self._threads:
            thread.waiting.put(record)


@contextmanager
def tracked(search: Search, header: StudyHeader, stopped: Callable[[], bool]) -> Iterator[None]:
    """While this lasts, `search` is sent to the trackers of its plan; then they catch up.

    Args:
        search: Has replayed the record.
        header: The study's.
        stopped: Whether a signal asked to end; then there is little time.
    """
    directory = search.writer.directory
    names = targets(search.plan.settings.trackers)
    threads = [TrackerThread(name, header, directory) for name in names]
    if threads:
        search.add_observer(Trackers(threads, search.writer.study.records))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        if threads:
            _finish(threads, directory, search, stopped)


def _finish(
    threads: list[TrackerThread], directory: Path, search: Search, stopped: Callable[[], bool]
) -> None:
    """Make the report of a finished study, let the trackers catch up, and say what is missing."""
    if not search.unfinished and not stopped():
        logger.info("making the report for the trackers")
        report = made_report(directory, stopped)
        for thread in threads:
            thread.report = report
    end = time.monotonic() + CATCH_UP_S
    for thread in threads:
        thread.waiting.close()
    for thread in threads:
        while thread.is_alive():
            end = min(end, time.monotonic() + HURRY_S) if stopped() else end
            if time.monotonic() > end:
                break
            thread.join(LOOK_S)
        thread.gives_up = True
        if thread.left != 0:
            logger.warning(
                "%s lacks a part of the study; to send it: python -m deepsight.track %s --to %s",
                thread.tracker,
                directory,
                thread.tracker,
            )
