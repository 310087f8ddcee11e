"""Runs a study: starts Ray, lets it drive the search, and cleans up.

Ray, Optuna and TensorBoard are imported only after everything that can be wrong was checked.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepsight.config import Value
from deepsight.data.class_balance import validation_balance
from deepsight.files import remove_files
from deepsight.imports import REFUSE, Permission
from deepsight.run_store import (
    DISK_ERRORS,
    Study,
    StudyExistsError,
    StudyHeader,
    StudyWriter,
    create_study,
    load_header,
    open_study,
    storage_error,
)
from deepsight.tune.earlier.studies import with_earlier
from deepsight.tune.plan import StudyPlan, imports_of, plan_from_header
from deepsight.tune.preflight import (
    check_plan,
    files_needed,
    make_header,
    prepare_all,
    require_cores,
    tell_data,
    with_hardware,
)
from deepsight.tune.process_cleanup import KEEP, VARIABLE, ProcessCleanup, end_all
from deepsight.tune.process_environment import QUIET, environment, levels_of, require_no_ray
from deepsight.tune.resume import (
    naming_origin,
    remind_of_trackers,
    require_room,
    require_same_data,
    require_same_imports,
    require_same_space,
    update_header,
    with_data,
)
from deepsight.tune.signals import Interrupt, catch_signals
from deepsight.tune.system_directories import require_utf8

if TYPE_CHECKING:
    from deepsight.space import Domain
    from deepsight.tune.ray_backend.start import RayStart
    from deepsight.tune.search.search import Progress, Search

logger = logging.getLogger(__name__)

RUNS = Path("runs")
"""Where studies go, in the current directory."""
JOURNAL = "study.journal"
JOURNALS = re.compile(r"study\.journal(\.lock.*)?")
"""Optuna's files of a study."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended."""

    directory: Path
    progress: Progress | None
    """Counts and the best score; None if it was stopped before the search began."""
    signal: int | None
    """The signal that stopped it, None if there was none."""
    unfinished: bool = False
    """Whether trials are left to resume."""
    repeated_failure: str | None = None
    """Why the search stopped itself: the error of all its first trials."""


def ready_to_run(
    plan: StudyPlan, directory: Path | None = None, address: str | None = None
) -> tuple[StudyPlan, Path]:
    """Find what would stop a new study before Ray starts; nothing is written.

    Args:
        plan: As in `run_study`.
        directory: As in `run_study`.
        address: As in `run_study`.

    Returns:
        The plan with its hardware, unless that is the cluster's, and the study's directory.

    Raises:
        UserError: As `run_study`, but for what only reading the data shows.
    """
    named = not plan.name_is_made_up or directory is not None
    directory = (directory or RUNS / plan.name).resolve()
    require_utf8(Path.cwd(), directory)
    if named and directory.exists():
        create_study(directory, {})  # says what is there and what to do
    plan = with_earlier(plan)
    if not address:
        require_cores(plan)
        plan = with_hardware(plan)
    check_plan(plan, local=not address)
    return plan, directory


def run_study(
    plan: StudyPlan,
    directory: Path | None = None,
    *,
    address: str | None = None,
    show_progress: bool = False,
    may_exit: bool = False,
) -> Outcome:
    """Run a new study to its end.

    Args:
        plan: From `deepsight.tune.plan.resolve_study`.
        directory: Where it goes; must not exist. Default: ``runs/<name>``.
        address: A running Ray cluster (``HOST:PORT`` or ``auto``); None starts Ray here.
        show_progress: Whether a person is told how it goes: on standard error, or in a notebook.
        may_exit: Whether a signal may end the process where the search does not end in time; a
            command line may, a notebook would lose all that it holds.

    Raises:
        UserError: Of configuration, data or weights, before Ray starts; also if the caller has
            initialised Ray.
        StorageError: If the study's directory cannot be written, or not by all nodes.
        ClusterError: If Ray cannot be started or reached, or a node does not suit.
    """
    require_no_ray()
    named = not plan.name_is_made_up or directory is not None
    plan, directory = ready_to_run(plan, directory, address)
    interrupt = Interrupt(may_exit=may_exit)
    try:
        with (
            _guarded(interrupt) as (last, cleanup),
            _joined(plan, directory, address, interrupt) as (cluster, plan),
        ):
            data = prepare_all(plan)
            tell_data(data)
            writer = _create(plan, directory, data, cleanup.mark, named)
            last.enter_context(writer)  # the lock outlives the processes
            return _run(plan, writer, writer.study.header, cluster, show_progress, interrupt)
    except KeyboardInterrupt:
        return Outcome(directory, None, interrupt.signal or signal.SIGINT)


def resume_study(
    directory: Path,
    *,
    address: str | None = None,
    show_progress: bool = False,
    may_exit: bool = False,
    space: Mapping[str, Domain] | None = None,
    fixed: Mapping[str, object] | None = None,
    allow_changed_data: bool = False,
    data: str | None = None,
    named: Mapping[str, Value] | None = None,
    permission: Permission = REFUSE,
    **changes: Value,
) -> Outcome:
    """Resume a study: unfinished trials go on from their checkpoints, ended ones are not rerun.

    Args:
        directory: The study.
        address: As in `run_study`.
        show_progress: As in `run_study`.
        may_exit: As in `run_study`.
        space: The space that the caller expects; None takes the study's.
        fixed: The ``FIXED`` of that space.
        allow_changed_data: Resume although the data have changed.
        data: Where the data are now, as ``folder:PATH``; None looks where they were.
        named: Code of the study that the caller names again, by setting; it must be the study's.
        permission: What else of the code that the study names may run.
        changes: Settings that may change: ``trials``, ``time_limit_s``, ``trackers``, ``patience``.

    Raises:
        UserError: If it is no study, another process is writing it, the space or the data have
            changed, it names code that may not run, or the caller has initialised Ray.
    """
    require_no_ray()
    directory = directory.resolve()
    require_utf8(Path.cwd(), directory)
    header = load_header(directory)
    if space is not None:
        require_same_space(header, space, fixed)
    require_same_imports(header, named or {})
    plan = with_data(plan_from_header(header, **changes), header, data)
    permission = permission.also(str(value) for value in (named or {}).values())
    permission = permission.also([data] if data else [])
    permission.require(imports_of(plan), directory)
    with naming_origin(header):
        check_plan(plan, local=not address)
    interrupt = Interrupt(may_exit=may_exit)
    try:
        with _guarded(interrupt) as (last, cleanup):
            writer = last.enter_context(open_study(directory, cleanup.mark))
            end_stale(writer)
            header = writer.study.header
            permission.also(imports_of(plan)).require(imports_of(plan, writer.study), directory)
            require_room(writer.study, changes.get("trials"))
            remind_of_trackers(header, plan)
            with _joined(plan, directory, address, interrupt) as (cluster, _):
                found = prepare_all(plan)
                tell_data(found)
                require_same_data(header, found, allow_changed_data)
                stored = update_header(writer, header, plan, found)
                return _run(plan, writer, stored, cluster, show_progress, interrupt)
    except KeyboardInterrupt:
        return Outcome(directory, None, interrupt.signal or signal.SIGINT)


def end_stale(writer: StudyWriter) -> None:
    """End the processes that the study's killed writer left on this machine."""
    stale = writer.stale
    if stale and stale.here and not stale.alive:
        end_all(stale.mark)


def _create(
    plan: StudyPlan, directory: Path, data: dict[str, Any], mark: str, named: bool
) -> StudyWriter:
    """A new study in `directory`; unless `named`, beside it where another run was faster."""
    for number in itertools.count(1):
        suffix = f"-{number}" if number > 1 else ""
        header = make_header(dataclasses.replace(plan, name=plan.name + suffix), data)
        try:
            return create_study(directory.with_name(directory.name + suffix), header, mark)
        except StudyExistsError:
            if named:
                raise
    raise AssertionError("unreachable")


@contextmanager
def _guarded(interrupt: Interrupt) -> Iterator[tuple[ExitStack, ProcessCleanup]]:
    """Signals caught, environment and log levels put back, processes killed at the end.

    Yields:
        What is closed after the processes are gone, and their cleanup.
    """
    with (
        environment(QUIET),
        levels_of(),
        catch_signals(interrupt),
        ExitStack() as last,
        ProcessCleanup() as cleanup,
    ):
        yield last, cleanup


@contextmanager
def _joined(
    plan: StudyPlan, directory: Path, address: str | None, interrupt: Interrupt
) -> Iterator[tuple[RayStart | None, StudyPlan]]:
    """The cluster at `address` and `plan` with its hardware; None and `plan` without an address."""
    if not address:
        yield None, plan
        return
    from deepsight.tune.ray_backend.join_cluster import joined, with_hardware_of

    variables = QUIET | KEEP | {VARIABLE: os.environ[VARIABLE]}
    if not plan.own_trainable:
        variables["DEEPSIGHT_CACHE"] = str(files_needed(plan)[0])
    with joined(plan, directory, address, interrupt.install, variables) as (cluster, nodes):
        yield cluster, with_hardware_of(plan, nodes)


def _run(
    plan: StudyPlan,
    writer: StudyWriter,
    header: StudyHeader,
    cluster: RayStart | None,
    show_progress: bool,
    interrupt: Interrupt,
) -> Outcome:
    """Search until nothing is left to do or a signal comes."""
    directory, study, ends = writer.directory, writer.study, ExitStack()
    starting = cluster or _start_ray(plan, study)  # takes seconds, in which we import
    try:
        from deepsight.tune.observers.progress import make_progress
        from deepsight.tune.observers.tensorboard import TensorBoard
        from deepsight.tune.observers.time_limit import start_timer
        from deepsight.tune.observers.trackers import tracked
        from deepsight.tune.search.search import Search
        from deepsight.tune.search.searcher import Searcher

        remove_files(directory, [], JOURNALS)  # rebuilt from the record
        search = Search(plan, Searcher(plan, directory / JOURNAL), writer)
        search.replay(study)
        balance = validation_balance(header.data)
        board = TensorBoard(directory, plan.space, plan.settings.metric, balance)
        progress = make_progress(balance) if show_progress else None
        search.add_observer(board)
        _add_keepers(search, header)
        if progress:
            search.add_observer(progress)
            progress.watch(search)
        ends.enter_context(tracked(search, header, lambda: interrupt.signal is not None))
        timer = start_timer(search)
        interrupt.search = search
        try:
            _search_on_ray(search, header, starting, interrupt, joined=cluster is not None)
        finally:
            if timer:
                timer.cancel()
            board.close()
            if progress:
                progress.close()
    finally:
        if starting:
            starting.stop()
        ends.close()
    if search.wrong_metric and not interrupt.signal:
        raise search.wrong_metric
    return Outcome(
        directory, search.progress, interrupt.signal, search.unfinished, search.repeated_failure
    )


def _add_keepers(search: Search, header: StudyHeader) -> None:
    """Let `search` be kept within its disk space, its time and its patience."""
    from deepsight.tune.observers.checkpoint_cleanup import CheckpointCleanup
    from deepsight.tune.observers.patience import limits

    directory, max_epochs = search.writer.directory, search.plan.settings.max_epochs
    for keeper in (CheckpointCleanup(directory, max_epochs), *limits(search, header)):
        search.add_observer(keeper)


def _start_ray(plan: StudyPlan, study: Study) -> RayStart | None:
    """Begin to start Ray, unless no trial is left to run."""
    if len(study.records) >= plan.most_trials and all(r.ended for r in study.records):
        return None
    from deepsight.tune.ray_backend.start import RayStart

    return RayStart(plan)


def _search_on_ray(
    search: Search,
    header: StudyHeader,
    starting: RayStart | None,
    interrupt: Interrupt,
    joined: bool,
) -> None:
    """Let Ray drive `search`; a signal ends that, and what ran stays on record as unfinished.

    Raises:
        ClusterError: If Ray cannot be started or reached, or died twice.
        StorageError: If the disk is full or read-only.
    """
    if search.exhausted or starting is None:
        return
    directory = search.writer.directory
    try:
        from deepsight.tune.ray_backend.cluster import run_on_ray
        from deepsight.tune.ray_backend.start import CONTROL, RayDiedError, ray_died, watched

        starting.wait(interrupt.install)
        with watched(lambda: interrupt.leave(ray_died(CONTROL, directory))):
            try:
                run_on_ray(search, header, joined)
            except RayDiedError as error:
                if search.stopping:  # nothing is left to do but that epoch, which is repeated
                    return
                logger.warning("%s It is started again, once.", error.cause)
                starting.restart()
                starting.wait(interrupt.install)
                search.requeue_running()
                run_on_ray(search, header, joined)
    except KeyboardInterrupt:
        interrupt.signal = interrupt.signal or signal.SIGINT
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise storage_error(directory, error) from error
