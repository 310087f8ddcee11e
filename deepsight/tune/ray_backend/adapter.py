"""Ray Tune's interfaces over `deepsight.tune.search`: thin, and the only place for them."""

from __future__ import annotations

import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from deepsight.config import Value
from deepsight.run_store import StorageError
from deepsight.tune.ray_backend.trial_spec import Order, sizes
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Proposal

RESTARTS = 2
"""How often a trial whose process died starts again, from its newest checkpoint."""

logger = logging.getLogger(__name__)

OrderMaker = Callable[[Proposal, int], Order]
"""Builds a worker's order from a proposal and the number of epochs on record."""


class Seam:
    """What the adapters share: the search, Ray's names for its trials, and the first error."""

    def __init__(
        self, search: Search, make_order: OrderMaker, slots: Callable[[], int] = lambda: 1
    ) -> None:
        self.search = search
        self.make_order = make_order
        self.slots = slots
        """Tells how many trials run at a time; nodes come and go."""
        self.ids: dict[str, str] = {}
        """Our trial id by Ray's, while the trial runs."""
        self.deaths: Counter[str] = Counter()
        """How often the process of each trial has died in this run."""
        self.error: BaseException | None = None
        """What our own code raised inside Ray, which would wrap it in a text."""

    def guard(self, act: Callable[[], Any]) -> Any:
        """Do `act`; an error in it stops the search and is kept for the driver to raise."""
        try:
            return act()
        except BaseException as error:
            self.error = self.error or error
            self.search.stopping = True
            raise

    def end(self, ray_id: str) -> None:
        """Forget a trial that no longer runs."""
        self.ids.pop(ray_id, None)


class RaySearcher(Searcher):  # type: ignore[misc]
    """Hands out orders while a slot is free."""

    def __init__(self, seam: Seam) -> None:
        super().__init__()  # no metric: workers answer with texts
        self._seam = seam

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next order; None while all slots are taken, so that no proposal is made too early."""
        return self._seam.guard(lambda: self._suggest(trial_id))  # type: ignore[no-any-return]

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        seam = self._seam
        if seam.search.exhausted:  # for good once nobody is left whose process may die
            return None if seam.ids else Searcher.FINISHED
        seam.search.slots = seam.slots()
        if len(seam.ids) >= seam.search.slots:
            return None
        proposal = seam.search.next()
        if proposal is None:
            return None
        seam.ids[trial_id] = proposal.trial_id
        order = seam.make_order(proposal, seam.search.epochs_of(proposal.trial_id))
        return order.to_ray()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: `RayScheduler` saw the trial's last epoch, `Failures` its death."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's record is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the study's record is the state."""


class RayScheduler(TrialScheduler):  # type: ignore[misc]
    """Brings every answer of a worker to the search, and its decision back to Ray."""

    def __init__(self, seam: Seam) -> None:
        super().__init__()
        self._seam = seam
        self._new: deque[Trial] = deque()
        self._chosen: list[Trial] = []

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Record the epoch and decide."""
        goes_on = self._seam.guard(lambda: self._result(trial.trial_id, result))
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP  # type: ignore

    def _result(self, ray_id: str, result: dict[str, Any]) -> bool:
        search, trial_id = self._seam.search, self._seam.ids[ray_id]
        if "storage" in result:  # no trial's fault: the study stops and can be resumed
            reason = result["storage"].rstrip(".")
            raise StorageError(
                f"a worker cannot write to {search.writer.directory}: {reason}.",
                "Make room or change the permissions; then continue with --resume.",
            )
        if "error" in result:
            search.failed(trial_id, result["error"])
        elif "row" in result:
            if search.result(trial_id, json.loads(result["row"])):
                return True
        elif result.get("finished"):
            search.finished(trial_id)
        self._seam.end(ray_id)
        return False

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Note that it waits."""
        self._new.append(trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing: `Failures` hears of it too, with the error."""

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Nothing: `on_trial_result` decided it."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing: a trial that never ran stays on record as unfinished."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The oldest trial that waits, first of those for whom Ray starts no process yet.

        A process that becomes free goes to whom we name. Were that a trial whose own process is
        about to start, Ray would end that process: with short trials a slot would never fill.
        """
        while self._new:
            trial = self._new.popleft()
            if trial.status == Trial.PENDING:
                self._chosen.append(trial)
                return trial
        self._chosen = [trial for trial in self._chosen if trial.status == Trial.PENDING]
        return self._chosen[0] if self._chosen else None

    def debug_string(self) -> str:
        """Ray prints this when it is asked to talk."""
        return "DeepSight"

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's record is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the study's record is the state."""


class Failures(Callback):  # type: ignore[misc]
    """Lets trials whose process died go on in another one, or records that they failed.

    Ray could start them again too (``max_failures``), but gives up those whose process dies while
    they wait for it to take their order.
    """

    def __init__(self, seam: Seam) -> None:
        self._seam = seam

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The worker is gone."""
        trial_id = self._seam.ids.get(trial.trial_id)
        if trial_id is not None:
            self._seam.end(trial.trial_id)
            self._seam.guard(lambda: self._died(trial_id, _last_words(trial)))

    def _died(self, trial_id: str, reason: str) -> None:
        seam, search = self._seam, self._seam.search
        seam.deaths[trial_id] += 1
        config = search.plan.full_config(search.live[trial_id].proposal.config)
        text = describe_death(reason, seam.deaths[trial_id], config)
        if seam.deaths[trial_id] > RESTARTS:
            search.failed(trial_id, text)
        else:
            logger.warning("%s starts again from its newest checkpoint: %s", trial_id, text)
            search.again(trial_id)


class Forgetting(Callback):  # type: ignore[misc]
    """Drops what Ray keeps of trials that have ended: nobody reads it, and thousands follow."""

    def __init__(self) -> None:
        self._ended: list[Trial] = []
        self._needs: dict[Any, Any] = {}
        """One object for all trials that ask for the same resources."""

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Ray has yet to take the last result into account."""
        self._ended.append(trial)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Ray has."""
        for trial in self._ended:
            trial.metric_analysis.clear()
            trial.metric_n_steps.clear()
            trial.run_metadata.last_result = {"done": True}  # an empty one would be asked for anew
            needs = trial.placement_group_factory
            trial.placement_group_factory = self._needs.setdefault(needs, needs)
        self._ended.clear()


def _last_words(trial: Trial) -> str:
    """What Ray says of the only failure of a trial of its."""
    try:
        return Path(trial.error_file).read_text("utf-8", "replace").partition("\n")[2]
    except (OSError, TypeError):  # a full disk, or nothing was said
        return "no reason given"


def describe_death(reason: str, times: int, config: Mapping[str, Value]) -> str:
    """Why a trial's process died, in a line, with the sizes that decide about memory."""
    memory = "Ray killed it for want of memory" if "running low on memory" in reason else (
        "killed, out of memory or crashed"
    )  # fmt: skip
    for verbose in ("There are some potential root causes", "Object store memory usage"):
        reason = reason.partition(verbose)[0]
    told = [line for line in reason.splitlines() if not line.startswith("\t")]  # the rest are ids
    reason = " ".join(" ".join(told).split())[:500]
    count = "once" if times == 1 else f"{times} times"
    return f"its process died {count} ({memory}) at {sizes(config)}: {reason}"
