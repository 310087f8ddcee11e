"""Progress: a live line on a terminal or in a notebook, plain lines on standard error elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live as RichLive
from rich.text import Text

from deepsight.config import without_controls
from deepsight.data.class_balance import ClassBalance
from deepsight.notebook import Output, block_html, in_notebook, show
from deepsight.run_store import score_text
from deepsight.tune.search.search import Observer, Search
from deepsight.tune.search.searcher import Proposal
from deepsight.tune.search.time_left import TimeLeft

LINE_EVERY_S = 15.0
"""Seconds between plain lines."""
UPDATE_EVERY_S = 1.0
"""Seconds between changes of a notebook's line."""


def format_duration(seconds: float) -> str:
    """``75`` as ``1:15``, with hours where there are any."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


def describe(
    search: Search,
    elapsed_s: float,
    epochs_before: int = 0,
    baseline: float | None = None,
    left_s: float | None = None,
) -> str:
    """The state of a search in one line.

    Args:
        search: The search.
        elapsed_s: Seconds since this process began searching.
        epochs_before: Epochs that an earlier run had done.
        baseline: The majority baseline of the metric, which stands beside the best score.
        left_s: Seconds until no trial is left, where that is known.
    """
    progress, settings = search.progress, search.plan.settings
    ended = {state: n for state, n in progress.ended.items() if n}
    parts = [f"{progress.num_ended}/{settings.trials} trials"]
    states = [f"{n} {state}" for state, n in ended.items()]
    if search.num_paused:
        states.insert(0, f"{search.num_paused} paused")
    if search.num_running:
        where = f" in {search.slots} slots" if search.slots > 1 else ""
        states.insert(0, f"{search.num_running} running{where}")
    if progress.ended_early:
        states.append(f"{search.most_trials} are enough")
    elif search.most_trials < settings.trials:
        states.append(f"{search.most_trials} fit into the time")
    if states:
        parts[0] += f" ({', '.join(states)})"
    if progress.best is not None:
        beside = "" if baseline is None else f"; majority baseline {score_text(baseline)}"
        score = f"{settings.metric} {score_text(progress.best)}"
        parts.append(f"best {score} ({progress.best_trial}{beside})")
    epochs = progress.epochs - epochs_before
    if elapsed_s > 1 and epochs:
        parts.append(f"{60 * epochs / elapsed_s:.1f} epochs/min")
    parts.append(f"{format_duration(elapsed_s)} elapsed")
    if settings.time_limit_s:
        left_s = min(settings.time_limit_s - elapsed_s, math.inf if left_s is None else left_s)
    if left_s is not None and left_s > 0:
        parts.append(f"about {format_duration(left_s)} left")
    return ", ".join(parts)


class TerminalProgress(Observer):
    """An observer that shows the state of the search on the terminal.

    Args:
        stream: Where to; default: standard error.
        balance: Of the validation images, where the study states it: what is to be known before
            their scores are believed is said at the start.
    """

    def __init__(self, stream: Any = None, balance: ClassBalance | None = None) -> None:
        self._balance = balance
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._live: RichLive | None = None
        self._search: Search | None = None
        self._began = time.monotonic()
        self._epochs_before = 0
        self._last_line = 0.0
        self._time_left = TimeLeft()

    def watch(self, search: Search) -> None:
        """Begin to show `search`."""
        self._search = search
        self._began = time.monotonic()
        self._epochs_before = search.progress.epochs
        if self._console.is_terminal:
            self._live = RichLive(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=2,
                transient=True,
            )
            self._live.start()
        for line in self._warnings():
            self.say(line)

    def _warnings(self) -> tuple[str, ...]:
        """What is to be known of the classes."""
        return self._balance.warnings(self._metric) if self._balance else ()

    @property
    def _metric(self) -> str:
        assert self._search is not None
        return self._search.plan.settings.metric

    @property
    def _baseline(self) -> float | None:
        return self._balance.baseline(self._metric) if self._balance else None

    def _line(self) -> str:
        assert self._search is not None
        now = time.monotonic()
        left_s = self._time_left.seconds(self._search, now)
        elapsed_s = now - self._began
        return describe(self._search, elapsed_s, self._epochs_before, self._baseline, left_s)

    def _render(self) -> Text:
        return Text(without_controls(self._line()), no_wrap=False)

    def say(self, text: str) -> None:
        """Print a line above the live one."""
        self._console.print(without_controls(text), markup=False)

    def started(self, proposal: Proposal) -> None:
        """Its first epoch begins."""
        self._time_left.started(proposal.trial_id, time.monotonic())

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """A plain line now and then."""
        self._time_left.reported(proposal.trial_id, time.monotonic())
        if self._live is None and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            self.say(self._line())

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """Print a failure or a new best score at once."""
        if state == "failed":
            self.say(f"{proposal.trial_id} failed: {error}")
        elif state == "diverged":
            self.say(f"{proposal.trial_id} diverged")
        elif self._search and self._search.progress.best_trial == proposal.trial_id:
            best = self._search.progress.best
            assert best is not None
            line = f"{proposal.trial_id} is the best so far: {self._metric} {score_text(best)}"
            if self._baseline is not None and best <= self._baseline:
                line += f", no better than the majority baseline {score_text(self._baseline)}"
            self.say(line)

    def close(self) -> None:
        """Print the last line."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._search is not None:
            self.say(self._line())
            self._search = None


class Shown:
    """A few lines, as a notebook asks for them."""

    def __init__(self, line: str, warnings: Sequence[str], event: str) -> None:
        self.line = line
        self.below = [text for text in (*warnings, event) if text]

    def __repr__(self) -> str:
        return "\n".join((self.line, *self.below))

    def _repr_html_(self) -> str:
        return block_html(self.line, self.below)


class NotebookProgress(TerminalProgress):
    """The same in one output of a notebook's cell, which changes: the line, and what came last."""

    def __init__(self, output: Output | None = None, balance: ClassBalance | None = None) -> None:
        super().__init__(balance=balance)
        self._output, self._event = output, ""

    def watch(self, search: Search) -> None:
        """Begin to show `search`."""
        self._search = search
        self._began = self._last_line = time.monotonic()
        self._epochs_before = search.progress.epochs
        self._output = self._output or show(self._shown())

    def _shown(self) -> Shown:
        return Shown(self._line(), self._warnings(), self._event)

    def say(self, text: str) -> None:
        """Show `text` below the line, until the next one."""
        self._event = text
        self._update()

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """Count on, but not more often than one can read."""
        self._time_left.reported(proposal.trial_id, time.monotonic())
        if time.monotonic() - self._last_line >= UPDATE_EVERY_S:
            self._update()

    def _update(self) -> None:
        assert self._output is not None
        self._last_line = time.monotonic()
        self._output.update(self._shown())

    def close(self) -> None:
        """The last word."""
        if self._search is not None:
            self._update()
            self._search = None


def make_progress(balance: ClassBalance | None = None) -> TerminalProgress:
    """What suits the place where this process writes to; `balance` is of the validation images."""
    if in_notebook():
        return NotebookProgress(balance=balance)
    return TerminalProgress(balance=balance)
