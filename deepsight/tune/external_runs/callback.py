"""A callback for somebody else's Ray Tune run, which leaves a study in our run format.

Ray tells callbacks neither the space nor the metric (it passes ``stop``, ``num_samples`` and
``time_budget_s`` only), so the caller does. The run is theirs: whatever goes wrong here is said
once, and their run goes on without the study.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.result import AUTO_RESULT_KEYS
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from ray.tune.utils import flatten_dict

from deepsight.config import UserError
from deepsight.run_store import (
    StudyExistsError,
    StudyWriter,
    create_study,
    load_header,
    open_study,
    parse_header,
    trial_id,
)
from deepsight.space import from_stored, to_json
from deepsight.tune.external_runs.explorers import (
    EPOCH,
    RAY_TRIAL,
    Explorers,
    ExplorerScheduler,
    ExplorerSearcher,
)
from deepsight.tune.external_runs.notes import CHANGED, REPEATED, UNSTATED, sentences
from deepsight.tune.external_runs.ray_spaces import read_space
from deepsight.tune.plan import make_rungs

ERROR_CHARACTERS = 500
FORGOTTEN = "the run was restored from a state of Ray's in which this trial had not begun"
OURS = ("epoch", "time", "trial_id", RAY_TRIAL)
"""Fields of a result; a metric of theirs with such a name is stored as ``own_epoch`` and so on."""
RAYS = frozenset({*AUTO_RESULT_KEYS, "done", "trial_id", "experiment_tag", "should_checkpoint"})
"""What Ray adds to results."""
DURATION = "time_this_iter_s"

logger = logging.getLogger(__name__)


def ray_callback(
    directory: str | Path,
    *,
    metric: str,
    mode: str,
    max_epochs: int,
    space: Mapping[str, Any],
    rungs: Sequence[int] | None = None,
    explorers: float = 0.0,
    seed: int = 0,
) -> StudyCallback:
    """A callback that records a Ray Tune run of yours as a study, while it runs.

    Args:
        directory: Where the study goes; must not exist, but where the run itself is restored.
        metric: What the trials report and are compared by.
        mode: ``max`` or ``min``.
        max_epochs: The full budget of a trial, in reports (Ray's ``training_iteration``).
        space: The ``param_space`` of the Tuner, or that of its searcher: Ray's domains or ours.
        rungs: Reports at which trials are compared, increasing, `max_epochs` last; where the
            scheduler has others than powers of 3.
        explorers: Share of trials that are drawn uniformly and never stopped for their score; then
            the run's searcher and scheduler are given as ``callback.searcher(...)`` and
            ``callback.scheduler(...)``.
        seed: Of the explorers.

    Raises:
        UserError: If `directory` is taken, or an argument is not allowed.

    Examples:
        >>> tune.RunConfig(callbacks=[ray_callback("runs/mine", ...)])  # doctest: +SKIP
    """
    where = Path(directory).expanduser().absolute()
    if not 0.0 <= explorers < 1.0:
        raise UserError(f"explorers is {explorers:g}.", "Give a share from 0 to below 1, as 0.2.")
    _require_free(where)
    ray_space = read_space(space)
    levels = tuple(rungs or make_rungs(1, max_epochs, 3))
    header = {
        "name": where.name,
        "id": uuid.uuid4().hex,
        "metric": metric,
        "mode": mode,
        "max_epochs": max_epochs,
        "rungs": list(levels),
        "explore": explorers,
        "seeds": {"study": seed},
        "fixed": dict(ray_space.fixed),
        "space": to_json(ray_space.space),
        "origin": {"tool": "ray_tune", "by": "callback"},
        "versions": {name: version(name) for name in ("ray", "deepsight")},
    }
    parse_header({"schema_version": 1, **header}, "ray_callback")
    return StudyCallback(where, header, Explorers(where, ray_space, explorers, levels, seed))


def _require_free(directory: Path) -> None:
    if directory.exists():
        raise StudyExistsError(
            f"{directory} exists already.", "Give another directory for the study, or move it away."
        )


class StudyCallback(Callback):  # type: ignore[misc]
    """Writes a study from what Ray tells its callbacks."""

    def __init__(self, directory: Path, header: dict[str, Any], explorers: Explorers) -> None:
        self._directory, self._header, self._explorers = directory, header, explorers
        self._space = explorers.space
        self._restored = False
        self._forget()

    def _forget(self) -> None:
        """What is of this process, and never pickled."""
        self._writer: StudyWriter | None = None
        self._broken = False
        self._ids: dict[str, str] = {}
        self._configs: dict[str, dict[str, Any]] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._live: dict[str, Trial] = {}
        self._over: dict[str, str] = {}
        self._next = 0
        self._tags: dict[str, str] = {}
        self._left_out: dict[str, list[str]] = {}

    def __getstate__(self) -> dict[str, Any]:
        kept = ("_directory", "_header", "_explorers", "_space", "_restored")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def searcher(self, searcher: Searcher) -> Searcher:
        """A searcher of Ray's, with explorers among its trials."""
        self._header["searcher"] = type(searcher).__name__
        return ExplorerSearcher(searcher, self._explorers)

    def scheduler(self, scheduler: TrialScheduler | None = None) -> TrialScheduler:
        """A scheduler of Ray's that leaves explorers alone."""
        self._header["scheduler"] = type(scheduler).__name__ if scheduler else "fifo"
        return ExplorerScheduler(scheduler, self._explorers)

    def get_state(self) -> dict[str, Any]:
        """What a restored run goes on with: its study, and what is not on record there."""
        drawn = self._explorers.drawn
        return {
            "study": self._header["id"],
            "number": drawn.number,
            "budgets": dict(drawn.budgets),
            "tags": dict(self._tags),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """The run is restored: its study goes on."""
        self._header["id"] = state["study"]
        self._explorers.resume(state["number"], state["budgets"])
        self._tags = state["tags"]
        self._restored = True

    def _guard(self, act: Callable[[], None]) -> None:
        """Do `act`; what goes wrong is said once and costs the study, not the run."""
        if self._broken:
            return
        try:
            act()
        except Exception as error:
            self._broken = True
            logger.warning("%s is not written any more: %s", self._directory, error)
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> StudyWriter:
        if self._writer is None:
            if self._restored:
                self._writer = self._reopened()
            else:
                _require_free(self._directory)
                created = datetime.now(UTC).isoformat(timespec="seconds")
                self._writer = create_study(self._directory, {**self._header, "created": created})
        return self._writer

    def _reopened(self) -> StudyWriter:
        """The study of a run that was restored, and its trials by Ray's ids."""
        header = load_header(self._directory)
        if header.id != self._header["id"]:
            raise UserError(
                f"{self._directory} holds another study than the restored run began.",
                "Put that study back in its place before the run is restored.",
            )
        writer = open_study(self._directory)
        self._left_out = dict(header.origin.get("left_out", {}))
        self._next = len(writer.study.records)
        for record in writer.study.records:
            ray_id = str(record.origin)
            if record.ended is not None:
                self._over[ray_id] = record.state
                continue
            self._ids[ray_id], self._configs[ray_id] = record.trial_id, record.config
            if record.rows:
                self._last[ray_id] = record.rows[-1]
        return writer

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """A trial begins, or goes on after a pause or an error."""
        self._guard(lambda: self._start(trial))

    def _start(self, trial: Trial) -> None:
        writer, ray_id = self._open(), trial.trial_id
        config = from_stored(self._space.flat(trial.config), self._space.space, self._space.fixed)
        if self._is_changed(trial, config):
            self._end(ray_id, self._state(ray_id, True))
            self._leave_out(CHANGED, ray_id)
        if ray_id not in self._ids:
            if self._over.get(ray_id, "failed") != "failed":  # only one that failed goes on
                if ray_id not in self._left_out.get(CHANGED, ()):
                    self._leave_out(REPEATED, ray_id)
                return
            self._ids[ray_id], self._next = trial_id(self._next), self._next + 1
            self._configs[ray_id] = config
            for name in self._space.unstated(trial.config):
                self._leave_out(UNSTATED, name)
        self._live[ray_id] = trial
        budget = self._explorers.budgets.get(ray_id)
        full = int(self._header["max_epochs"])
        number = self._ids[ray_id]
        writer.started(number, config, budget is not None, budget or full, origin=ray_id)

    def _is_changed(self, trial: Trial, config: dict[str, Any]) -> bool:
        """Whether the scheduler has given the trial another config, or another's weights.

        Population based training may draw the values that a trial has already, while it goes on
        from another's checkpoint: Ray's tag of the trial tells.
        """
        tag = self._tags.setdefault(trial.trial_id, str(trial.experiment_tag))
        return tag != trial.experiment_tag or self._configs.get(trial.trial_id, config) != config

    def _leave_out(self, kind: str, name: str) -> None:
        """Say in the header what the study does not hold."""
        names = self._left_out.setdefault(kind, [])
        if name not in names:
            names.append(name)
            stored = dict(load_header(self._directory).stored)
            told = {"left_out": self._left_out, "notes": sentences(self._left_out)}
            self._open().write_header({**stored, "origin": {**stored["origin"], **told}})

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """A trial reported."""
        self._guard(lambda: self._result(trial, result))

    def _result(self, trial: Trial, result: dict[str, Any]) -> None:
        if trial.trial_id not in self._ids:  # what it goes on with is left out
            return
        row: dict[str, Any] = {"epoch": int(result[EPOCH]), RAY_TRIAL: trial.trial_id}
        if isinstance(result.get(DURATION), int | float):
            row["wall_s"] = float(result[DURATION])
        own = {n: v for n, v in result.items() if n not in RAYS and not n.startswith("__")}
        for name, value in flatten_dict(own, delimiter="/").items():
            number = (
                value.item() if hasattr(value, "item") and not hasattr(value, "grad") else value
            )
            if isinstance(number, int | float):
                row[f"own_{name}" if name in OURS else name] = number
        self._open().result(self._ids[trial.trial_id], row)
        self._last[trial.trial_id] = {**row, "done": bool(result.get("done"))}

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        """A trial ended by itself, was stopped, or spent its budget."""
        paused = trial.status != Trial.RUNNING  # and stopped while it waited
        self._guard(lambda: self._end(trial.trial_id, self._state(trial.trial_id, paused)))

    def _state(self, ray_id: str, stopped: bool) -> str:
        """How a trial has ended; `stopped` where Ray ended it between two results."""
        last = self._last.get(ray_id, {})
        value = last.get(self._header["metric"], 0.0)
        if value is None or not math.isfinite(value):  # on record it is null
            return "diverged"
        budget = self._explorers.budgets.get(ray_id, int(self._header["max_epochs"]))
        early = (stopped or last.get("done")) and last.get("epoch", 0) < budget
        return "stopped" if early else "completed"

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """A trial failed for good; one that Ray tries again goes on."""
        self._guard(lambda: self._end(trial.trial_id, "failed", _last_line(trial)))

    def _end(self, ray_id: str, state: str, error: str | None = None) -> None:
        if ray_id in self._ids:
            self._open().ended(self._ids.pop(ray_id), state, error)
            self._over[ray_id] = state
            for known in (self._configs, self._last, self._live):
                known.pop(ray_id, None)

    def on_step_end(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        """Trials that a limit of the whole run ended, of which Ray tells callbacks nothing."""
        self._guard(self._end_unannounced)

    def _end_unannounced(self) -> None:
        for ray_id, trial in list(self._live.items()):
            if trial.status == Trial.TERMINATED:
                self._end(ray_id, self._state(ray_id, True))
            elif trial.status == Trial.ERROR:
                self._end(ray_id, "failed", _last_line(trial))

    def on_experiment_end(self, trials: list[Trial], **_: Any) -> None:
        """The run is over; what has not ended can be resumed by Ray, if it still knows of it."""
        self._guard(lambda: self._end_forgotten({trial.trial_id for trial in trials}))
        self._close()

    def _end_forgotten(self, known: set[str]) -> None:
        for ray_id in [name for name in self._ids if name not in known]:
            self._end(ray_id, "failed", FORGOTTEN)


def _last_line(trial: Trial) -> str:
    """The last line of the error that Ray kept."""
    try:
        lines = Path(trial.error_file).read_text("utf-8", "replace").strip().splitlines()
    except (OSError, TypeError):
        return "no reason given"
    return (lines[-1] if lines else "no reason given")[:ERROR_CHARACTERS]
