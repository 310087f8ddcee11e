"""Schedulers: which trials continue at a rung. Pure rules, without Ray.

A scheduler sees every score once and decides whether the trial continues, pauses or stops. It also
names the paused trial to promote next. `deepsight.tune.search.search` carries the decisions out; a
replay of the stored results rebuilds the scheduler.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import ClassVar


class Decision(Enum):
    """What happens to a trial after an epoch."""

    CONTINUE = auto()
    PAUSE = auto()
    STOP = auto()


@dataclass
class Scheduler:
    """Decides which trials continue; this one lets all of them (first in, first out)."""

    pauses: ClassVar[bool] = False
    """Whether a trial may be paused."""

    def judge(self, trial_id: str, epoch: int, score: float, exempt: bool = False) -> Decision:
        """Record `score` (higher is better) after `epoch`, and decide.

        Args:
            trial_id: Whose score it is.
            epoch: Epochs that the trial has trained.
            score: Its metric, negated if lower is better.
            exempt: Whether the trial continues whatever its score; others are compared with it.
        """
        return Decision.CONTINUE

    def peers(self, trial_id: str, epoch: int) -> Mapping[str, float]:
        """The scores that the trial's after `epoch` is compared with, by trial, as they came."""
        return {}

    def promotable(self) -> tuple[int, str] | None:
        """The rung and the id of the paused trial to train on first, None if there is none."""
        return None

    def resumed(self, trial_id: str) -> None:
        """Record that a paused trial trains again."""

    def ended(self, trial_id: str) -> None:
        """Record that a trial will not train again."""

    def unpromotable(self, trials: int) -> Sequence[str]:
        """Paused trials that cannot be promoted any more in a study of `trials` trials."""
        return ()


@dataclass
class AshaStop(Scheduler):
    """Asynchronous successive halving, stopping variant (Li et al., MLSys 2020, section 3.3).

    At a rung a trial continues if its score is among the top ``1 / reduction_factor`` of those
    seen there so far; while fewer than `reduction_factor` were seen, the best one does.
    """

    rungs: Sequence[int]
    reduction_factor: int
    seen: dict[int, dict[str, float]] = field(default_factory=dict)
    """Scores by rung and trial."""

    def judge(self, trial_id: str, epoch: int, score: float, exempt: bool = False) -> Decision:
        """Decide at the rungs; between them every trial continues."""
        if epoch not in self.rungs[:-1]:
            return Decision.CONTINUE
        scores = self.seen.setdefault(epoch, {})
        scores[trial_id] = score
        places = max(1, len(scores) // self.reduction_factor)
        better = sum(other > score for other in scores.values())
        return Decision.CONTINUE if exempt or better < places else Decision.STOP

    def peers(self, trial_id: str, epoch: int) -> Mapping[str, float]:
        """Those seen at the rung."""
        return self.seen.get(epoch, {})


@dataclass
class Asha(Scheduler):
    """Asynchronous successive halving as published (Li et al., MLSys 2020, algorithm 2).

    Every trial pauses at every rung. A trial that is paused at a rung and among the top
    ``1 / reduction_factor`` of the scores seen there can be promoted: the highest such rung first,
    the best score within it. One departure from the paper: while fewer than `reduction_factor`
    scores were seen, the best one can be promoted, so that a small study has an incumbent at all.
    """

    pauses: ClassVar[bool] = True
    rungs: Sequence[int]
    reduction_factor: int
    seen: dict[int, dict[str, float]] = field(default_factory=dict)
    """Scores by rung and trial."""
    paused: dict[str, int] = field(default_factory=dict)
    """The rung at which each trial is paused."""

    def judge(self, trial_id: str, epoch: int, score: float, exempt: bool = False) -> Decision:
        """Pause at the rungs."""
        if epoch not in self.rungs[:-1]:
            return Decision.CONTINUE
        self.seen.setdefault(epoch, {})[trial_id] = score
        if exempt:
            return Decision.CONTINUE
        self.paused[trial_id] = epoch
        return Decision.PAUSE

    def peers(self, trial_id: str, epoch: int) -> Mapping[str, float]:
        """Those seen at the rung."""
        return self.seen.get(epoch, {})

    def promotable(self) -> tuple[int, str] | None:
        """The best paused trial among the top of its rung, of the highest rung that has one."""
        for rung in sorted(set(self.paused.values()), reverse=True):
            for trial_id in self._best(rung, len(self.seen[rung])):
                if self.paused.get(trial_id) == rung:
                    return rung, trial_id
        return None

    def resumed(self, trial_id: str) -> None:
        """It is not paused any more."""
        self.paused.pop(trial_id, None)

    def ended(self, trial_id: str) -> None:
        """It is not paused any more; its scores stay."""
        self.paused.pop(trial_id, None)

    def unpromotable(self, trials: int) -> Sequence[str]:
        """Those that cannot reach the top 1/eta even if all remaining trials score worse.

        They are ended early, so that their checkpoints need not be kept.
        """
        promotable = {
            trial_id
            for rung in set(self.paused.values())
            for trial_id in self._best(rung, max(trials, len(self.seen[rung])))
        }
        return [trial_id for trial_id in self.paused if trial_id not in promotable]

    def _best(self, rung: int, arrived: int) -> Sequence[str]:
        """The top 1/eta at `rung` once `arrived` trials were seen there, the best first."""
        scores = self.seen[rung]
        ranked = sorted(scores, key=lambda trial_id: -scores[trial_id])  # ties: the earlier first
        return ranked[: max(1, arrived // self.reduction_factor)]


@dataclass
class Brackets(Scheduler):
    """Several schedulers whose first rungs differ, each trial in one of them (as in Hyperband).

    Bracket `s` begins at rung `s` and gets trials in proportion to ``reduction_factor ** -s``, so
    that the first rungs of all brackets cost the same. The draw depends on the seed and the
    trial only: a resumed study draws alike.
    """

    brackets: Sequence[Scheduler]
    reduction_factor: int
    seed: int

    @property
    def pauses(self) -> bool:  # type: ignore[override]
        """As the brackets do."""
        return self.brackets[0].pauses

    def bracket_of(self, trial_id: str) -> Scheduler:
        """The bracket of one trial."""
        weights = [self.reduction_factor**-s for s in range(len(self.brackets))]
        rng = random.Random(f"bracket {self.seed} {trial_id}")
        return rng.choices(self.brackets, weights)[0]

    def judge(self, trial_id: str, epoch: int, score: float, exempt: bool = False) -> Decision:
        """As the trial's bracket does."""
        return self.bracket_of(trial_id).judge(trial_id, epoch, score, exempt)

    def peers(self, trial_id: str, epoch: int) -> Mapping[str, float]:
        """Those of the trial's bracket."""
        return self.bracket_of(trial_id).peers(trial_id, epoch)

    def promotable(self) -> tuple[int, str] | None:
        """The highest rung first, the first bracket among equals."""
        found: Iterable[tuple[int, str]] = filter(None, (b.promotable() for b in self.brackets))
        return max(found, key=lambda promotion: promotion[0], default=None)

    def resumed(self, trial_id: str) -> None:
        """Tell the trial's bracket."""
        self.bracket_of(trial_id).resumed(trial_id)

    def ended(self, trial_id: str) -> None:
        """Tell the trial's bracket."""
        self.bracket_of(trial_id).ended(trial_id)

    def unpromotable(self, trials: int) -> Sequence[str]:
        """Those of all brackets."""
        return [trial_id for bracket in self.brackets for trial_id in bracket.unpromotable(trials)]


SCHEDULERS: dict[str, Callable[[Sequence[int], int], Scheduler]] = {
    "asha": Asha,
    "asha_stop": AshaStop,
    "fifo": lambda rungs, reduction_factor: Scheduler(),
}
"""Schedulers by name, built from the rungs and the reduction factor."""


def build_scheduler(
    name: str, rungs: Sequence[int], reduction_factor: int, brackets: int = 1, seed: int = 0
) -> Scheduler:
    """The scheduler of this name; at most as many brackets as there are rungs to begin at."""
    build = SCHEDULERS[name]
    brackets = min(brackets, len(rungs))
    if brackets == 1 or name == "fifo":
        return build(rungs, reduction_factor)
    parts = [build(rungs[s:], reduction_factor) for s in range(brackets)]
    return Brackets(parts, reduction_factor, seed)


STOPPING = ("asha", "asha_stop")
"""Names of those that stop trials on their score."""


def would_have_stopped(
    name: str, reduction_factor: int, arrivals: Sequence[tuple[str, float]]
) -> Mapping[str, bool]:
    """Whether each trial would have been stopped at a rung, by id, had none been exempt.

    Args:
        name: Of the scheduler. ``fifo`` and unknown ones stop nobody.
        reduction_factor: One in this many goes on.
        arrivals: Trials with their scores (higher is better), in the order in which they came.
    """
    if name == "asha":  # a trial waits, so that its place among all that ever came decides
        places = max(1, len(arrivals) // reduction_factor)
        scores = sorted(score for _, score in arrivals)
        better = {t: len(scores) - bisect_right(scores, score) for t, score in arrivals}
        return {trial_id: number >= places for trial_id, number in better.items()}
    if name != "asha_stop":
        return {trial_id: False for trial_id, _ in arrivals}
    stopping = AshaStop((1, 2), reduction_factor)
    return {t: stopping.judge(t, 1, score) is Decision.STOP for t, score in arrivals}
