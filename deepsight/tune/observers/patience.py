"""Ends a study when going on is expected to gain less than ``study.patience``."""

from __future__ import annotations

from deepsight.run_store import StudyHeader
from deepsight.tune.observers.time_limit import TimeLimit
from deepsight.tune.search.search import Observer, Search
from deepsight.tune.search.searcher import Proposal, is_explorer

LEAST_TRIALS = 12
"""Trials that must have ended: with fewer the model has seen next to nothing."""
LEAST_EXPLORERS = 3
"""Explorers among them, or all that the study will have: conclusions are drawn from these."""


class Patience(Observer):
    """Asks, whenever a trial completed its budget, what going on is expected to gain at most."""

    def __init__(self, search: Search, header: StudyHeader | None = None) -> None:
        """Begin to watch.

        Args:
            search: Whose plan has a patience.
            header: Of the study, where the end is recorded; None records it not.
        """
        self._search, self._header = search, header

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """A trial that completed is what tells most; ask then."""
        search = self._search
        if state != "completed" or search.progress.ended_early or not self._may_end():
            return
        gain, patience = search.searcher.expected_gain(), search.plan.settings.patience
        if gain > patience:
            return
        search.end_early({"trials": self._begun, "gain": gain, "patience": patience})
        if self._header is not None:
            stored = dict(self._header.stored) | {"ended_early": search.progress.ended_early}
            search.writer.write_header(stored)

    @property
    def _begun(self) -> int:
        return len(self._search.live) + self._search.progress.num_ended

    def _may_end(self) -> bool:
        """Whether trials are left to be saved, and enough of them and of explorers have ended."""
        settings = self._search.plan.settings
        explorers = [n for n in range(settings.trials) if is_explorer(n, settings.explore)]
        begun = sum(number < self._begun for number in explorers)
        ended = begun - sum(live.proposal.explorer for live in self._search.live)
        return (
            self._begun < settings.trials
            and self._search.progress.num_ended >= LEAST_TRIALS
            and ended >= min(LEAST_EXPLORERS, len(explorers))
        )


def limits(search: Search, header: StudyHeader) -> list[Observer]:
    """What ends `search` before all its trials are trained, if anything is to."""
    settings, found = search.plan.settings, list[Observer]()
    if settings.patience and not search.plan.planned:
        found.append(Patience(search, header))
    if settings.time_limit_s:
        found.append(TimeLimit(search))
    return found
