"""Plans the trials of a study that has a time limit, from the epochs that it has measured.

A search that began trials to the last second would have trained most of them for nothing: the good
ones would not reach their full budget any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from deepsight.tune.search.search import Observer, Search
from deepsight.tune.search.searcher import Proposal
from deepsight.tune.search.time_left import EVERY_S, EpochSeconds, outlook, seconds_left

DRAWS = 3
"""How often the rest of the search is played for each number of trials."""


def start_timer(search: Search) -> threading.Timer | None:
    """A timer that ends the search after the running epochs, if it has a time limit."""
    limit = search.plan.settings.time_limit_s
    if not limit:
        return None
    timer = threading.Timer(limit, search.stop)
    timer.daemon = True
    timer.start()
    return timer


class TimeLimit(Observer):
    """Lets a search begin as many trials as can be trained, with their promotions, before its end.

    The number is computed anew while it runs, and may fall and rise.
    """

    def __init__(self, search: Search, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count.

        Args:
            search: Whose plan has a time limit.
            clock: Seconds.
        """
        self._search, self._clock = search, clock
        self._end = clock() + search.plan.settings.time_limit_s
        self._pace = EpochSeconds()
        self._planned_at = clock()

    def started(self, proposal: Proposal) -> None:
        """Its epoch begins."""
        self._pace.started(proposal.trial_id, self._clock())

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """Plan anew now and then."""
        now = self._clock()
        self._pace.reported(proposal.trial_id, now)
        if now - self._planned_at >= EVERY_S and self._pace.known:
            self._planned_at = now
            self._search.begin_at_most(self._most_trials(now))

    def _most_trials(self, now: float) -> int:
        """The most trials that fit, begun ones included, between none more and all of the study."""
        begun = len(self._search.live) + self._search.progress.num_ended
        all_of_them = self._search.plan.settings.trials
        most, least = self._seconds(all_of_them, now), self._seconds(begun, now)
        if now + most <= self._end or most <= least:
            return all_of_them
        share = (self._end - now - least) / (most - least)
        return begun + int(max(share, 0.0) * (all_of_them - begun))

    def _seconds(self, trials: int, now: float) -> float:
        """Until a search of that many trials ends."""
        left = seconds_left(outlook(self._search, trials), self._pace, now, draws=DRAWS)
        assert left is not None  # asked only once epochs were seen
        return left
