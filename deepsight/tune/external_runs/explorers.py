"""Explorers in somebody else's Ray run: uniform draws beside what their searcher proposes.

An explorer's config is uniform in the space and its budget is drawn before it starts; nothing that
it scores ends it. The run's searcher and scheduler are wrapped: they never hear of explorers.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from deepsight.config import UserError
from deepsight.run_store import HEADER_FILE, TrialRecord, load_study
from deepsight.space import INACTIVE, sample
from deepsight.tune.external_runs.ray_spaces import RaySpace
from deepsight.tune.search.searcher import is_explorer

RAY_TRIAL = "ray_trial"
"""Field of a result that holds Ray's id of the trial."""
EPOCH = "training_iteration"

logger = logging.getLogger(__name__)


@dataclass
class Drawn:
    """What was decided in a run, which goes on from there when Ray restores it."""

    number: int = 0
    """Trials that were proposed, explorers included."""
    budgets: dict[str, int] = field(default_factory=dict)
    """Of each explorer, by Ray's id."""


_DRAWN: dict[str, Drawn] = {}
"""By study: one for searcher, scheduler and callback, which Ray pickles apart from each other."""


class Explorers:
    """Which trials of a run are explorers."""

    def __init__(
        self, directory: Path, space: RaySpace, share: float, rungs: tuple[int, ...], seed: int
    ) -> None:
        self.share, self.space = share, space
        self._directory = directory
        self._rungs, self._seed = rungs, seed
        _DRAWN.pop(str(directory), None)  # of an earlier study in this place

    @property
    def drawn(self) -> Drawn:
        """What was decided so far; in a new process what is on record."""
        key = str(self._directory)
        if key not in _DRAWN:
            records = self._records()
            budgets = {str(r.origin): r.budget for r in records if r.explorer}
            _DRAWN[key] = Drawn(len(records), budgets)
        return _DRAWN[key]

    def _records(self) -> list[TrialRecord]:
        try:
            there = (self._directory / HEADER_FILE).exists()
            return load_study(self._directory).records if there else []
        except UserError as error:  # the run goes on
            logger.warning("explorers on record cannot be read: %s", error)
            return []

    @property
    def budgets(self) -> Mapping[str, int]:
        """The budget of each explorer by Ray's id."""
        return self.drawn.budgets

    def resume(self, number: int, budgets: Mapping[str, int]) -> None:
        """Go on from what Ray saved, too: it knows of explorers that have not begun."""
        self.drawn.number = max(self.drawn.number, number)
        self.drawn.budgets |= budgets

    def draw(self, number: int, ray_id: str) -> dict[str, Any]:
        """The config of explorer `number`, whose budget is decided here."""
        rng = random.Random(f"explorer {self._seed} {number}")
        point = sample(self.space.space, self.space.fixed, rng)
        self.drawn.budgets[ray_id] = rng.choice(self._rungs)
        active = {n: v for n, v in point.items() if v is not INACTIVE}
        return self.space.nested({**self.space.fixed, **active})


class ExplorerSearcher(Searcher):  # type: ignore[misc]
    """A searcher of Ray's that proposes for most trials; the others are explorers."""

    def __init__(self, inner: Searcher, explorers: Explorers) -> None:
        super().__init__(metric=inner.metric, mode=inner.mode)
        self._inner, self._explorers = inner, explorers

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Pass on what the Tuner says."""
        return bool(self._inner.set_search_properties(metric, mode, config, **spec))

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """An explorer where it is one's turn, else what the searcher proposes."""
        drawn = self._explorers.drawn
        if is_explorer(drawn.number, self._explorers.share):
            drawn.number += 1
            return self._explorers.draw(drawn.number - 1, trial_id)
        proposed = self._inner.suggest(trial_id)
        drawn.number += isinstance(proposed, Mapping)
        return proposed  # type: ignore[no-any-return]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass on the results of trials that the searcher proposed."""
        if trial_id not in self._explorers.budgets:
            self._inner.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on the end of trials that the searcher proposed."""
        if trial_id not in self._explorers.budgets:
            self._inner.on_trial_complete(trial_id, result, error)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Let Ray limit both together."""
        return False

    def save(self, checkpoint_path: str) -> None:
        """The searcher's state; the callback saves that of explorers."""
        self._inner.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Restore the searcher's state."""
        self._inner.restore(checkpoint_path)


class ExplorerScheduler(TrialScheduler):  # type: ignore[misc]
    """A scheduler of Ray's for most trials; explorers train until their budget is spent."""

    def __init__(self, inner: TrialScheduler | None, explorers: Explorers) -> None:
        super().__init__()
        self._inner = inner or FIFOScheduler()
        self._explorers = explorers
        self._supports_buffered_results = self._inner.supports_buffered_results

    @property
    def metric(self) -> Any:
        """The scheduler's metric."""
        return self._inner.metric

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Pass on what the Tuner says."""
        return bool(self._inner.set_search_properties(metric, mode, **spec))

    def _is_explorer(self, trial: Trial) -> bool:
        return trial.trial_id in self._explorers.budgets

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Hide explorers from the scheduler."""
        if not self._is_explorer(trial):
            self._inner.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Hide explorers from the scheduler."""
        if not self._is_explorer(trial):
            self._inner.on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Whether the trial goes on: an explorer until its budget is spent."""
        if not self._is_explorer(trial):
            return str(self._inner.on_trial_result(tune_controller, trial, result))
        spent = int(result.get(EPOCH, 0)) >= self._explorers.budgets[trial.trial_id]
        return str(TrialScheduler.STOP if spent else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Hide explorers from the scheduler."""
        if not self._is_explorer(trial):
            self._inner.on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Hide explorers from the scheduler."""
        if not self._is_explorer(trial):
            self._inner.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """An explorer that waits, else whom the scheduler chooses."""
        for trial in tune_controller.get_trials():
            if trial.status == Trial.PENDING and self._is_explorer(trial):
                return trial
        return self._inner.choose_trial_to_run(tune_controller)

    def debug_string(self) -> str:
        """Text that Ray prints in verbose mode."""
        return str(self._inner.debug_string())

    def save(self, checkpoint_path: str) -> None:
        """The scheduler's state."""
        self._inner.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Restore the scheduler's state."""
        self._inner.restore(checkpoint_path)
