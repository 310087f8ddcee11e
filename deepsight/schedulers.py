"""Who goes on: decisions over rungs, without Ray.

A scheduler sees every score once and answers whether the trial goes on, pauses or stops; asked
for work, it names the paused trial that has earned more epochs. It knows nothing of processes:
`deepsight.tune.search` carries its answers out, and a replay of the stored results rebuilds it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import ClassVar


class Verdict(Enum):
    """What becomes of a trial after an epoch."""

    GO_ON = auto()
    PAUSE = auto()
    STOP = auto()


@dataclass
class Scheduler:
    """Decides which trials go on; this one lets everybody."""

    pauses: ClassVar[bool] = False
    """Whether a trial may be told to pause."""

    def judge(self, trial_id: str, epoch: int, score: float, exempt: bool = False) -> Verdict:
        """Take note of `score` (higher is better) after `epoch`, and decide.

        Args:
            trial_id: Whose score it is.
            epoch: Epochs that the trial has trained.
            score: Its metric, turned so that more is better.
            exempt: Whether the trial goes on whatever it scored; others are compared with it.
        """
        return Verdict.GO_ON

    def promotable(self) -> tuple[int, str] | None:
        """The rung and the id of the paused trial to train on first, None if there is none."""
        return None

    def resumed(self, trial_id: str) -> None:
        """Hear that a paused trial trains again."""

    def ended(self, trial_id: str) -> None:
        """Hear that a trial will not train again."""

    def hopeless(self, trials: int) -> Sequence[str]:
        """Paused trials that cannot be promoted any more in a study of `trials` trials."""
        return ()


@dataclass
class AshaStop(Scheduler):
    """Asynchronous successive halving, stopping variant (Li et al., MLSys 2020, section 3.3).

    At a rung a trial goes on if its score is among the best ``1 / reduction_factor`` of those
    seen there so far; while fewer than `reduction_factor` have arrived, the best one does.
    """

    rungs: Sequence[int]
    reduction_factor: int
    seen: dict[int, dict[str, float]] = field(default_factory=dict)
    """Scores by rung and trial."""

    def judge(self, trial_id: str, epoch: int, score: float, exempt: bool = False) -> Verdict:
        """Decide at the rungs; between them every trial goes on."""
        if epoch not in self.rungs[:-1]:
            return Verdict.GO_ON
        scores = self.seen.setdefault(epoch, {})
        scores[trial_id] = score
        places = max(1, len(scores) // self.reduction_factor)
        better = sum(other > score for other in scores.values())
        return Verdict.GO_ON if exempt or better < places else Verdict.STOP


@dataclass
class Asha(Scheduler):
    """Asynchronous successive halving as published (Li et al., MLSys 2020, algorithm 2).

    Every trial pauses at every rung. One of the best ``1 / reduction_factor`` seen at a rung that
    is paused there has earned the epochs to the next rung; the highest such rung goes first, the
    best score within it. One departure: while fewer than `reduction_factor` have arrived the best
    of them has a place, so that a small study has an incumbent at all.
    """

    pauses: ClassVar[bool] = True
    rungs: Sequence[int]
    reduction_factor: int
    seen: dict[int, dict[str, float]] = field(default_factory=dict)
    """Scores by rung and trial."""
    paused: dict[str, int] = field(default_factory=dict)
    """The rung at which each paused trial waits."""

    def judge(self, trial_id: str, epoch: int, score: float, exempt: bool = False) -> Verdict:
        """Pause at the rungs."""
        if epoch not in self.rungs[:-1]:
            return Verdict.GO_ON
        self.seen.setdefault(epoch, {})[trial_id] = score
        if exempt:
            return Verdict.GO_ON
        self.paused[trial_id] = epoch
        return Verdict.PAUSE

    def promotable(self) -> tuple[int, str] | None:
        """The best of those who wait with a place among the best of their rung."""
        for rung in sorted(set(self.paused.values()), reverse=True):
            for trial_id in self._best(rung, len(self.seen[rung])):
                if self.paused.get(trial_id) == rung:
                    return rung, trial_id
        return None

    def resumed(self, trial_id: str) -> None:
        """It waits no longer."""
        self.paused.pop(trial_id, None)

    def ended(self, trial_id: str) -> None:
        """It waits no longer; its scores stay."""
        self.paused.pop(trial_id, None)

    def hopeless(self, trials: int) -> Sequence[str]:
        """Those who would have no place even if all trials arrived at their rung, worse than they.

        Ends them early, so that their checkpoints need not be kept.
        """
        hopeful = {
            trial_id
            for rung in set(self.paused.values())
            for trial_id in self._best(rung, max(trials, len(self.seen[rung])))
        }
        return [trial_id for trial_id in self.paused if trial_id not in hopeful]

    def _best(self, rung: int, arrived: int) -> Sequence[str]:
        """Who has a place at `rung` when `arrived` trials have come, the best first."""
        scores = self.seen[rung]
        ranked = sorted(scores, key=lambda trial_id: -scores[trial_id])  # ties: who came first
        return ranked[: max(1, arrived // self.reduction_factor)]


@dataclass
class Brackets(Scheduler):
    """Several schedulers whose first rungs differ, each trial in one of them (Hyperband's hedge).

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

    def judge(self, trial_id: str, epoch: int, score: float, exempt: bool = False) -> Verdict:
        """As the trial's bracket does."""
        return self.bracket_of(trial_id).judge(trial_id, epoch, score, exempt)

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

    def hopeless(self, trials: int) -> Sequence[str]:
        """Those of all brackets."""
        return [trial_id for bracket in self.brackets for trial_id in bracket.hopeless(trials)]


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
