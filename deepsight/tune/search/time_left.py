"""How long a search still takes: its rest is played through with epochs as long as those seen.

Promotions, explorers and the last trials, which leave slots idle, all cost what they will cost. A
search is random in what only training tells: the scores. They are drawn several times.
"""

from __future__ import annotations

import copy
import functools
import heapq
import random
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from deepsight.run_store import trial_id as name_of
from deepsight.schedulers import Decision, Scheduler
from deepsight.tune.plan import StudyPlan
from deepsight.tune.search.search import Search, scheduler_of
from deepsight.tune.search.searcher import Proposal, explorer, is_explorer

EVERY_S = 5.0
"""Least seconds between two computations."""
DRAWS = 8
"""How often the rest of a search is played."""
MOST_TRIALS = 100
"""Trials up to which it is played; in larger studies the ends matter little."""
RECENT = 6
"""Trials whose places among the scores those to come may take: a searcher that learns proposes
better and better trials, of which more are promoted."""
PRIOR = 1
"""Weight of a uniform place beside them."""
LEAST_EPOCHS = 3
"""Epochs before which nothing is said."""
SPIKE = 3.0
"""Times the median epoch: what is longer was held up by other work and counts as this long."""
RECENT_EPOCHS = 20
"""Epochs by which those of trials to come are judged: machine and proposals change."""


@dataclass(frozen=True)
class UnendedTrial:
    """A trial that may train on."""

    trial_id: str
    epochs: int
    """On record."""
    budget: int
    exempt: bool
    """Whether no rung stops or pauses it."""
    paused: bool


@dataclass(frozen=True)
class Outlook:
    """What is left of a search."""

    scheduler: Scheduler
    trials: Sequence[UnendedTrial]
    new: Sequence[UnendedTrial]
    """Those that will be proposed; none are listed where they are too many to be played."""
    num_new: int
    begun: int
    """Trials proposed so far."""
    chosen: Sequence[str]
    """Those of them that the searcher chose, the earliest first."""
    epochs: int
    """Epochs on record."""
    rungs: Sequence[int]
    slots: int
    lean: float = 1.0
    """While no place is known: new trials take the best of so many uniform ones. 1 is a searcher
    that does not learn; the better the proposals get, the more of them are promoted."""


def outlook(search: Search, trials: int | None = None) -> Outlook:
    """What is left of `search`, if it begins that many trials in all; None: as many as it will."""
    plan = search.plan
    unended = [_unended(t.proposal, t.epochs, t.paused) for t in search.live]
    begun = len(unended) + search.progress.num_ended
    trials = search.most_trials if trials is None else trials
    last = begun if search.stopping else max(trials, begun)
    played = last <= MOST_TRIALS
    numbers = [n for n in range(begun) if played and not _is_exempt(plan, n)]
    return Outlook(
        scheduler=search.scheduler,
        trials=unended,
        new=[_to_come(plan, number) for number in range(begun, last) if played],
        num_new=last - begun,
        begun=begun,
        chosen=[name_of(number) for number in numbers],
        epochs=search.progress.epochs,
        rungs=plan.rungs,
        slots=max(search.slots, 1),
    )


def outlook_before(plan: StudyPlan, slots: int, trials: int) -> Outlook:
    """What a search of `trials` trials has before it that has not begun."""
    return Outlook(
        scheduler=scheduler_of(plan),
        trials=[],
        new=[_to_come(plan, number) for number in range(trials)],
        num_new=trials,
        begun=0,
        chosen=[],
        epochs=0,
        rungs=plan.rungs,
        slots=max(slots, 1),
    )


def _is_exempt(plan: StudyPlan, number: int) -> bool:
    """Whether no rung stops the trial of this number: the defaults and explorers."""
    return number == 0 or (not plan.planned and is_explorer(number, plan.settings.explore))


def _to_come(plan: StudyPlan, number: int) -> UnendedTrial:
    """A trial before it is proposed: the budgets of explorers are known."""
    if number and _is_exempt(plan, number):
        return _unended(explorer(plan, number))
    return _unended(Proposal(number, {}, False, plan.settings.max_epochs))


def _unended(proposal: Proposal, epochs: int = 0, paused: bool = False) -> UnendedTrial:
    exempt = proposal.explorer or proposal.number == 0
    return UnendedTrial(proposal.trial_id, epochs, proposal.budget, exempt, paused)


class Pace(Protocol):
    """How long epochs take."""

    def expected(self, trial_id: str, first: bool) -> float:
        """Seconds of the next epoch of a trial; `first` if it must be handed out before."""

    def since(self, trial_id: str, now: float) -> float:
        """Seconds since a trial was last heard of."""


@dataclass
class EpochSeconds:
    """How long epochs take, as whoever hands trials out sees it: from one event to the next.

    A trial's first epoch after it was handed out builds model and data too, and counts apart.
    """

    _last: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """When each trial was last heard of, and whether by an epoch."""
    _first: list[float] = field(default_factory=list)
    _later: list[float] = field(default_factory=list)
    _own: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def started(self, trial_id: str, now: float) -> None:
        """A trial was handed out."""
        self._last[trial_id] = (now, False)

    def reported(self, trial_id: str, now: float) -> None:
        """An epoch of it is on record."""
        began, goes_on = self._last.get(trial_id, (now, False))
        if now > began:
            (self._later if goes_on else self._first).append(now - began)
        if now > began and goes_on:
            self._own[trial_id].append(now - began)
        self._last[trial_id] = (now, True)

    @property
    def known(self) -> bool:
        """Whether enough epochs were seen to speak of the next."""
        return len(self._first) + len(self._later) >= LEAST_EPOCHS

    def expected(self, trial_id: str, first: bool) -> float:
        """Seconds of the next epoch of a trial; `first` if it must be handed out before."""
        recent = (self._later or self._first)[-RECENT_EPOCHS:]
        own = self._own.get(trial_id, recent)[-RECENT_EPOCHS:]
        most = SPIKE * statistics.median(recent)
        seconds = statistics.fmean(min(s, most) for s in own)
        # medians: the first workers of a search wait for their processes
        firsts = self._first[-RECENT_EPOCHS:] or recent
        start = statistics.median(firsts) - statistics.median(recent)
        return seconds + max(start, 0.0) * first

    def since(self, trial_id: str, now: float) -> float:
        """Seconds since a trial was last heard of."""
        return max(now - self._last[trial_id][0], 0.0) if trial_id in self._last else 0.0


def seconds_left(
    outlook: Outlook, pace: EpochSeconds, now: float, seed: int = 0, draws: int = DRAWS
) -> float | None:
    """Seconds until a search ends; None before a few epochs were trained.

    Args:
        outlook: What is left.
        pace: How long epochs take.
        now: On the clock of `pace`.
        seed: Of the scores that are drawn.
        draws: How often the rest is played.
    """
    if not pace.known:
        return None
    if outlook.begun + outlook.num_new > MOST_TRIALS:
        return _in_proportion(outlook, pace)
    rngs = [random.Random(f"{seed} {draw}") for draw in range(draws)]
    return statistics.fmean(play(outlook, pace, rng, now)[0] for rng in rngs)


def play(outlook: Outlook, pace: Pace, rng: random.Random, now: float = 0.0) -> tuple[float, int]:
    """Play one course that the rest of a search may take: its seconds and its epochs."""
    course = _Play(outlook, pace, rng, now)
    return course.run(), course.epochs


class TimeLeft:
    """The seconds left of a search that is followed, computed anew when something happened."""

    def __init__(self) -> None:
        self._pace = EpochSeconds()
        self._seconds: float | None = None
        self._at = 0.0
        self._changed = False

    def started(self, trial_id: str, now: float) -> None:
        """A trial was handed out."""
        self._pace.started(trial_id, now)

    def reported(self, trial_id: str, now: float) -> None:
        """A trial finished an epoch."""
        self._pace.reported(trial_id, now)
        self._changed = True

    def seconds(self, search: Search, now: float) -> float | None:
        """Seconds until `search` ends; None while nothing can be said."""
        if self._changed and (self._seconds is None or now - self._at >= EVERY_S):
            self._seconds = seconds_left(outlook(search), self._pace, now)
            self._at, self._changed = now, False
        return None if self._seconds is None else max(self._seconds - (now - self._at), 0.0)


def _in_proportion(outlook: Outlook, pace: EpochSeconds) -> float:
    """The epochs that a trial took so far, promotions included, for each that is to come."""
    per_trial = outlook.epochs / max(outlook.begun, 1)
    running = sum(not trial.paused for trial in outlook.trials)
    epochs = per_trial * (outlook.num_new + running / 2)
    return epochs * pace.expected("", first=False) / max(outlook.slots, 1)


class _Play:
    """One course that the rest of a search may take."""

    def __init__(self, outlook: Outlook, pace: Pace, rng: random.Random, now: float) -> None:
        self.epochs = 0
        self._scheduler = copy.deepcopy(outlook.scheduler)
        self._rng, self._slots = rng, max(outlook.slots, 1)
        everybody = [*outlook.trials, *outlook.new]
        self._trials = {trial.trial_id: trial for trial in everybody}
        self._epochs = {trial.trial_id: trial.epochs for trial in everybody}
        self._expected = functools.cache(pace.expected)
        self._new = [trial.trial_id for trial in outlook.new][::-1]
        self._places = arrival_places(outlook)
        self._lean = outlook.lean
        self._models = list(self._places.values())[-RECENT:]
        self._ends: list[tuple[float, str]] = []
        """When each running trial ends its epoch."""
        running = [trial.trial_id for trial in outlook.trials if not trial.paused]
        for trial_id in running:
            fresh = not self._epochs[trial_id]
            rest = self._expected(trial_id, fresh) - pace.since(trial_id, now)
            heapq.heappush(self._ends, (max(rest, 0.0), trial_id))

    def run(self) -> float:
        """Seconds to the end."""
        time = 0.0
        while self._hand_out(time) or self._ends:
            time, trial_id = heapq.heappop(self._ends)
            self.epochs += 1
            if self._goes_on(trial_id):
                heapq.heappush(self._ends, (time + self._expected(trial_id, False), trial_id))
        return time

    def _hand_out(self, time: float) -> bool:
        """Fill the free slots: promotable trials first, then new ones."""
        while len(self._ends) < self._slots:
            promotion = self._scheduler.promotable()
            if promotion:
                trial_id = promotion[1]
                self._scheduler.resumed(trial_id)
            elif self._new:
                trial_id = self._new.pop()
            else:
                return False
            heapq.heappush(self._ends, (time + self._expected(trial_id, True), trial_id))
        return True

    def _goes_on(self, trial_id: str) -> bool:
        """Let a trial end an epoch with a score that it may have."""
        trial, epoch = self._trials[trial_id], self._epochs[trial_id] + 1
        self._epochs[trial_id] = epoch
        score = self._score(trial_id, epoch)
        decision = self._scheduler.judge(trial_id, epoch, score, trial.exempt)
        if epoch >= trial.budget:
            self._scheduler.ended(trial_id)
            return False
        if decision is Decision.PAUSE and self._scheduler.promotable() == (epoch, trial_id):
            self._scheduler.resumed(trial_id)
            return True
        return decision is Decision.CONTINUE

    def _score(self, trial_id: str, epoch: int) -> float:
        """A score that takes its place among those seen as the trial's, or its model's, did."""
        ranked = sorted(self._scheduler.peers(trial_id, epoch).values())
        if not ranked:
            return 0.0
        if trial_id not in self._places:
            self._places[trial_id] = self._draw_places()
        places = self._places[trial_id]
        place = places[max((rung for rung in places if rung <= epoch), default=min(places))]
        below = min(int(place * (len(ranked) + 1)), len(ranked))
        if below in (0, len(ranked)):
            return ranked[0] - 1.0 if below == 0 else ranked[-1] + 1.0
        return (ranked[below - 1] + ranked[below]) / 2

    def _draw_places(self) -> dict[int, float]:
        """Of a trial that is to come: those of one of the last that the searcher chose."""
        pick = self._rng.randrange(len(self._models) + PRIOR)
        if pick < len(self._models):
            return self._models[pick]
        return {1: self._rng.random() ** (1 / self._lean)}


def arrival_places(outlook: Outlook) -> dict[str, dict[int, float]]:
    """Of each trial, by rung: the share of the scores seen before that are below its own."""
    places: dict[str, dict[int, float]] = defaultdict(dict)
    for trial_id in outlook.chosen:
        for rung in outlook.rungs:
            peers = outlook.scheduler.peers(trial_id, rung)
            if trial_id in peers:
                earlier = list(peers.values())[: list(peers).index(trial_id)]
                below = sum(score < peers[trial_id] for score in earlier)
                places[trial_id][rung] = (below + 0.5) / (len(earlier) + 1)
    return dict(places)
