"""Who goes on: decisions over rungs, without Ray.

A scheduler sees every score once and answers whether the trial may go on. It knows nothing of
processes; `deepsight.tune.ray_adapter` carries its answers out, and a replay of the stored
results rebuilds its rungs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Scheduler(Protocol):
    """Decides which trials go on."""

    def goes_on(self, trial_id: str, epoch: int, score: float) -> bool:
        """Take note of `score` (higher is better) after `epoch`, and decide."""
        ...


@dataclass
class AshaStop:
    """Asynchronous successive halving, stopping variant (Li et al., MLSys 2020, section 3.3).

    At a rung a trial goes on if its score is among the best ``1 / reduction_factor`` of those
    seen there so far; while fewer than `reduction_factor` have arrived, the best one does.
    """

    rungs: Sequence[int]
    reduction_factor: int
    seen: dict[int, dict[str, float]] = field(default_factory=dict)
    """Scores by rung and trial."""

    def goes_on(self, trial_id: str, epoch: int, score: float) -> bool:
        """Decide at the rungs; between them every trial goes on."""
        if epoch not in self.rungs[:-1]:
            return True
        scores = self.seen.setdefault(epoch, {})
        scores[trial_id] = score
        places = max(1, math.floor(len(scores) / self.reduction_factor))
        better = sum(other > score for other in scores.values())
        return better < places


@dataclass
class Fifo:
    """Nobody is stopped."""

    def goes_on(self, trial_id: str, epoch: int, score: float) -> bool:
        """Always."""
        return True


SCHEDULERS: dict[str, Callable[[Sequence[int], int], Scheduler]] = {
    "asha_stop": AshaStop,
    "fifo": lambda rungs, reduction_factor: Fifo(),
}
"""Schedulers by name, built from the rungs and the reduction factor."""
