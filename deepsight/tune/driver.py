"""Runs a study: starts Ray, lets it drive the search, and cleans up after itself.

Ray, Optuna and TensorBoard are imported only after everything that can be wrong was checked.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepsight.config import Value
from deepsight.run_store import StudyWriter, create_study, load_study, open_study
from deepsight.tune.preflight import (
    check_plan,
    make_header,
    prepare_all,
    with_hardware,
)
from deepsight.tune.signals import Interrupt, catch_signals
from deepsight.tune.study import StudyPlan, plan_from_json, plan_to_json

if TYPE_CHECKING:
    from deepsight.tune.search import Progress, Search

logger = logging.getLogger(__name__)

RUNS = Path("runs")
"""Where studies go, in the current directory."""
JOURNAL = "study.journal"
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
}
"""Environment that keeps Ray from printing, logging and phoning."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended."""

    directory: Path
    progress: Progress | None
    """What happened; None if it was stopped before the search began."""
    signal: int | None
    """The signal that stopped it, None if there was none."""
    unfinished: bool = False
    """Whether trials are left to resume."""


def run_study(
    plan: StudyPlan,
    directory: Path | None = None,
    *,
    address: str | None = None,
    show_progress: bool = False,
) -> Outcome:
    """Run a new study to its end.

    Args:
        plan: What `deepsight.tune.study.resolve_study` made of the wishes.
        directory: Where it goes; must not exist. Default: ``runs/<name>``.
        address: A running Ray cluster; None starts Ray on this machine.
        show_progress: Whether standard error tells how it goes.

    Raises:
        UserError: Of configuration, data or weights, before Ray starts.
        StorageError: If the study's directory cannot be written.
        ClusterError: If Ray cannot be started or reached.
    """
    directory = (directory or RUNS / plan.name).resolve()
    if directory.exists():
        create_study(directory, {})  # says what is there and what to do
    plan = with_hardware(plan)
    check_plan(plan, local=address is None)
    interrupt = Interrupt()
    with catch_signals(interrupt):
        try:
            data = prepare_all(plan)
            writer = create_study(directory, make_header(plan, data))
            return _run(plan, writer, directory, address, show_progress, interrupt, resume=False)
        except KeyboardInterrupt:
            return Outcome(directory, None, interrupt.signal or signal.SIGINT)


def resume_study(
    directory: Path,
    *,
    address: str | None = None,
    show_progress: bool = False,
    **changes: Value,
) -> Outcome:
    """Go on with a study: unfinished trials from their checkpoints, finished ones never again.

    Args:
        directory: The study.
        address: As in `run_study`.
        show_progress: As in `run_study`.
        changes: Settings that may change: ``trials``, ``time_limit_s``.

    Raises:
        UserError: If it is no study, or another process is writing it.
    """
    directory = directory.resolve()
    header = load_study(directory).header
    plan = plan_from_json(header, **changes)
    check_plan(plan, local=address is None)
    interrupt = Interrupt()
    with catch_signals(interrupt):
        try:
            prepare_all(plan)
            writer = open_study(directory)
            if changes:
                writer.write_header(header | plan_to_json(plan))
            return _run(plan, writer, directory, address, show_progress, interrupt, resume=True)
        except KeyboardInterrupt:
            return Outcome(directory, None, interrupt.signal or signal.SIGINT)


def _run(
    plan: StudyPlan,
    writer: StudyWriter,
    directory: Path,
    address: str | None,
    show_progress: bool,
    interrupt: Interrupt,
    resume: bool,
) -> Outcome:
    os.environ.update(QUIET)
    from deepsight.tune.progress import TerminalProgress
    from deepsight.tune.search import Search
    from deepsight.tune.searcher import Searcher
    from deepsight.tune.tensorboard import TensorBoard
    from deepsight.tune.tidy import Tidy

    journal = directory / JOURNAL
    for stale in directory.glob(f"{JOURNAL}*"):  # the journal and its lock: rebuilt from the record
        stale.unlink()
    search = Search(plan, Searcher(plan, journal), writer)
    if resume:
        search.replay(load_study(directory))
    board = TensorBoard(directory, plan.space, plan.settings.metric)
    search.observers += [board, Tidy(directory, plan.settings.max_epochs)]
    progress = TerminalProgress() if show_progress else None
    if progress:
        search.observers.append(progress)
        progress.watch(search)
    interrupt.search = search
    timer = _time_limit(search)
    try:
        if not search.exhausted:
            from deepsight.tune.cluster import run_on_ray

            run_on_ray(search, directory, address, interrupt.install)
    finally:
        if timer:
            timer.cancel()
        interrupt.search = None
        board.close()
        writer.close()
        if progress:
            progress.close()
    return Outcome(directory, search.progress, interrupt.signal, search.unfinished)


def _time_limit(search: Search) -> threading.Timer | None:
    """A timer that ends the search after the running epochs, if it has a time limit."""
    limit = search.plan.settings.time_limit_s
    if not limit:
        return None

    def stop() -> None:
        search.stopping = True

    timer = threading.Timer(limit, stop)
    timer.daemon = True
    timer.start()
    return timer
