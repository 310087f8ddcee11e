"""Thin adapters from Ray Tune's interfaces to `deepsight.tune.search.search.Search`."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from deepsight.config import UserError, Value
from deepsight.run_store import HEADER_FILE, StorageError
from deepsight.tune.ray_backend.start import CONTROL, HEALTH_S, died, ray_died
from deepsight.tune.ray_backend.trainable_rows import require_number
from deepsight.tune.ray_backend.trial_spec import TrialSpec, sizes
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Proposal

RESTARTS = 2
"""How often a trial whose worker died restarts from its newest checkpoint."""

logger = logging.getLogger(__name__)

SpecMaker = Callable[[Proposal, int], TrialSpec]
"""Builds a worker's spec from a proposal and the number of epochs on record."""


def require_present(directory: Path) -> None:
    """Check that a running study is still where it was.

    Raises:
        StorageError: If it was moved or deleted.
    """
    if not (directory / HEADER_FILE).exists():
        raise StorageError(
            f"{directory} is gone: the study was moved or deleted while it ran.",
            "If it was moved, go on with --resume and its new place.",
        )


class AdapterState:
    """State that the adapters share: the search, Ray's trial ids, and the first error."""

    def __init__(
        self, search: Search, make_trial_spec: SpecMaker, slots: Callable[[], int] = lambda: 1
    ) -> None:
        self.search = search
        self.make_trial_spec = make_trial_spec
        self.slots = slots
        """Returns how many trials run at a time; nodes come and go."""
        self.ids: dict[str, str] = {}
        """Our trial id by Ray's, while the trial runs."""
        self.failures: Counter[str] = Counter()
        """How often the worker of each trial has died in this run."""
        self.error: BaseException | None = None
        """The first exception of our code inside Ray, which would turn it into a text."""

    def guard(self, act: Callable[[], Any]) -> Any:
        """Call `act`; an exception stops the search and is kept for the driver to raise.

        Nothing is recorded where nobody would find it: the study must be where it was.
        """
        try:
            require_present(self.search.writer.directory)
            return act()
        except BaseException as error:
            self.error = self.error or error
            self.search.stop()
            raise

    def end(self, ray_id: str) -> None:
        """Drop a trial that no longer runs."""
        self.ids.pop(ray_id, None)


class RaySearcher(Searcher):  # type: ignore[misc]
    """Hands out trials while a slot is free."""

    def __init__(self, state: AdapterState) -> None:
        super().__init__()  # no metric: workers return texts
        self._state = state

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial; None while all slots are taken, so that no proposal is made too early."""
        return self._state.guard(lambda: self._suggest(trial_id))  # type: ignore[no-any-return]

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        state = self._state
        if state.search.exhausted:  # finished only when no worker is left that may die
            return None if state.ids else Searcher.FINISHED
        state.search.set_slots(state.slots())
        if len(state.ids) >= state.search.slots:
            return None
        proposal = state.search.next()
        if proposal is None:
            return None
        state.ids[trial_id] = proposal.trial_id
        spec = state.make_trial_spec(proposal, state.search.epochs_of(proposal.trial_id))
        return spec.to_ray()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: `RayScheduler` and `WorkerFailureCallback` hear of every end."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study's record is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the study's record is the state."""


class RayScheduler(TrialScheduler):  # type: ignore[misc]
    """Passes every result of a worker to the search, and its decision back to Ray."""

    def __init__(self, state: AdapterState) -> None:
        super().__init__()
        self._state = state
        self._new: deque[Trial] = deque()
        self._chosen: list[Trial] = []

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Record the epoch and decide."""
        goes_on = self._state.guard(lambda: self._result(trial.trial_id, result))
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP  # type: ignore

    def _result(self, ray_id: str, result: dict[str, Any]) -> bool:
        search, trial_id = self._state.search, self._state.ids[ray_id]
        if "storage" in result:  # not the trial's failure: the study stops and can be resumed
            reason = result["storage"].rstrip(".")
            raise StorageError(
                f"a worker cannot write to {search.writer.directory}: {reason}.",
                "Make room or change the permissions; then continue with --resume.",
            )
        if "error" in result:
            search.failed(trial_id, result["error"])
        elif "row" in result:
            if self._take(trial_id, json.loads(result["row"])):
                return True
        elif result.get("finished"):
            search.finished(trial_id)
        self._state.end(ray_id)
        return False

    def _take(self, trial_id: str, row: Mapping[str, Any]) -> bool:
        search = self._state.search
        metric = search.plan.settings.metric
        try:
            require_number(metric, row.get(metric))
        except UserError as error:
            search.failed(trial_id, f"{error.cause} {error.remedy}")
            return False
        return search.result(trial_id, row)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Queue the trial for `choose_trial_to_run`."""
        self._new.append(trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Do nothing: `WorkerFailureCallback` hears of it too, with the error."""

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Do nothing: `on_trial_result` decided it."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Do nothing: a trial that never ran stays on record as unfinished."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The oldest pending trial, first of those for which Ray starts no process yet.

        Ray reuses a free process for the trial named here. If that trial already had a process
        about to start, Ray would end it: with short trials the slot would never be filled.
        """
        while self._new:
            trial = self._new.popleft()
            if trial.status == Trial.PENDING:
                self._chosen.append(trial)
                return trial
        self._chosen = [trial for trial in self._chosen if trial.status == Trial.PENDING]
        return self._chosen[0] if self._chosen else None

    def debug_string(self) -> str:
        """Text that Ray prints in verbose mode."""
        return "DeepSight"

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study's record is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the study's record is the state."""


class WorkerFailureCallback(Callback):  # type: ignore[misc]
    """Requeues a trial whose worker died, or records that it failed after `RESTARTS` restarts.

    Ray's own retries (``max_failures``) give up trials whose process dies before it accepts them.
    """

    def __init__(self, state: AdapterState) -> None:
        self._state = state

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Handle the loss of a worker."""
        trial_id = self._state.ids.get(trial.trial_id)
        if trial_id is not None:
            self._state.end(trial.trial_id)
            self._state.guard(lambda: self._on_failure(trial_id, _last_words(trial)))

    def _on_failure(self, trial_id: str, reason: str) -> None:
        state, search = self._state, self._state.search
        state.failures[trial_id] += 1
        text = describe_worker_failure(reason, state.failures[trial_id], search.config_of(trial_id))
        if state.failures[trial_id] > RESTARTS:
            search.failed(trial_id, text)
        else:
            logger.warning("%s restarts from its newest checkpoint: %s", trial_id, text)
            search.requeue(trial_id)


class StudyPresenceCallback(Callback):  # type: ignore[misc]
    """Ends the run when the study's directory is gone, also in the middle of long epochs."""

    def __init__(self, state: AdapterState) -> None:
        self._state = state

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look for it."""
        self._state.guard(lambda: None)


class RayHealthCallback(Callback):  # type: ignore[misc]
    """Ends the run when a process of Ray's own has died: Tune would wait for it for ever.

    The search is not stopped: it can go on in another Ray.
    """

    def __init__(self, state: AdapterState) -> None:
        self._state = state
        self._until = 0.0

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look after them every `HEALTH_S` seconds."""
        now = time.monotonic()
        if now < self._until:
            return
        self._until = now + HEALTH_S
        dead = died()
        if dead and CONTROL not in dead:  # without that one the driver leaves: `watched`
            error = ray_died(", ".join(dead), self._state.search.writer.directory)
            self._state.error = self._state.error or error
            raise self._state.error


class TrialMemoryCallback(Callback):  # type: ignore[misc]
    """Frees the memory that Ray holds for ended trials, of which there may be thousands."""

    def __init__(self) -> None:
        self._ended: list[Trial] = []
        self._needs: dict[Any, Any] = {}
        """One object for all trials that ask for the same resources."""

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Remember the trial: Ray has not processed its last result yet."""
        self._ended.append(trial)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Free the memory of the trials that ended in this step."""
        for trial in self._ended:
            trial.metric_analysis.clear()
            trial.metric_n_steps.clear()
            trial.run_metadata.last_result = {"done": True}  # Ray would recompute an empty one
            needs = trial.placement_group_factory
            trial.placement_group_factory = self._needs.setdefault(needs, needs)
        self._ended.clear()


def _last_words(trial: Trial) -> str:
    """Ray's error message for the trial's only failure."""
    try:
        return Path(trial.error_file).read_text("utf-8", "replace").partition("\n")[2]
    except (OSError, TypeError):  # a full disk, or no message
        return "no reason given"


def describe_worker_failure(reason: str, times: int, config: Mapping[str, Value]) -> str:
    """Why a trial's worker died, in one line, with the sizes that decide about memory."""
    memory = (
        "Ray killed it for want of memory"
        if "running low on memory" in reason
        else ("killed, out of memory or crashed")
    )
    for verbose in ("There are some potential root causes", "Object store memory usage"):
        reason = reason.partition(verbose)[0]
    told = [line for line in reason.splitlines() if not line.startswith("\t")]  # the rest are ids
    reason = " ".join(" ".join(told).split())[:500]
    count = "once" if times == 1 else f"{times} times"
    return f"its process died {count} ({memory}) at {sizes(config)}: {reason}"
