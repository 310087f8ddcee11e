"""Writing a study: one JSON line an event, on the disk before the call returns.

`docs/run_format.md` describes every field; `deepsight.run_store.reader` reads them back.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import shutil
import time as clock
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from deepsight.config import UserError
from deepsight.files import make_folder, open_file, replacing, require_plain
from deepsight.run_store.format import (
    ENDED_STATES,
    HEADER_FILE,
    RESULTS_FILE,
    SCHEMA_VERSION,
    TRIALS_FILE,
    StorageError,
    plain_object,
    trial_path,
)
from deepsight.run_store.header import parse_header
from deepsight.run_store.lock import Writer, remove_note, take_lock
from deepsight.run_store.reader import load_study, require_study
from deepsight.run_store.study import Study
from deepsight.space import Entry, to_stored

logger = logging.getLogger(__name__)


OTHERS = ("report", "diagnosis", "confirm", "export")
"""Folders of a study that other commands write, and check themselves."""


class StudyExistsError(UserError):
    """The place of a new study is taken."""


def create_study(directory: Path, header: Mapping[str, Any], mark: str = "") -> StudyWriter:
    """Make the directory of a new study and return its writer.

    Args:
        directory: Must not exist; its parents are made. It appears whole or not at all.
        header: The fields of ``study.json``; `schema_version` is added here.
        mark: As in `deepsight.run_store.lock.Writer`.

    Raises:
        StudyExistsError: If `directory` exists already.
        StudyFormatError: If the header lacks a field that readers need.
        StorageError: If the disk does not let us write there.
    """
    with appearing(directory, header) as aside:
        (aside / TRIALS_FILE).touch()
        (aside / RESULTS_FILE).touch()
    return StudyWriter(directory, mark)


@contextmanager
def appearing(directory: Path, header: Mapping[str, Any]) -> Iterator[Path]:
    """A folder aside that becomes the study `directory` when the body has filled it.

    Args:
        directory: Must not exist; its parents are made.
        header: The fields of ``study.json``, which is written; `schema_version` is added here.

    Raises:
        StudyExistsError: As `create_study`, whose other errors are these too.
    """
    if directory.exists():
        raise _exists(directory)
    header = {"schema_version": SCHEMA_VERSION} | plain_object(HEADER_FILE, header)
    parse_header(header, HEADER_FILE)
    aside = directory.with_name(f".{directory.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)  # of a killed process that had our number
    try:
        (aside / "trials").mkdir(parents=True)
        _replace(aside / HEADER_FILE, header)
        yield aside
        aside.rename(directory)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        if directory.exists():  # another process was faster
            raise _exists(directory) from None
        raise StorageError(
            f"cannot make the study {directory}: {error.strerror}.",
            "Make room or change the permissions, or work in another directory.",
        ) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _exists(directory: Path) -> StudyExistsError:
    if (directory / HEADER_FILE).exists():
        return StudyExistsError(
            f"the study {directory} exists already.",
            f"Continue it with --resume {directory}, or choose another name with --name.",
        )
    return StudyExistsError(
        f"{directory} exists already and holds no study.",
        "Choose another name with --name, or move it away.",
    )


def open_study(directory: Path, mark: str = "") -> StudyWriter:
    """Open a study to continue it, cutting off a torn last line of either file.

    Args:
        directory: The study.
        mark: As in `deepsight.run_store.lock.Writer`.

    Raises:
        UserError: If there is no study, or another process is writing it.
        StudyFormatError: If its files are damaged in any other way.
        StorageError: If the disk does not let us write there.
    """
    require_study(directory)
    return StudyWriter(directory, mark)


class StudyWriter:
    """Appends to the files of one study; the only writer they have (held by a file lock)."""

    study: Study
    """What was on record when the writer was opened."""

    def __init__(self, directory: Path, mark: str = "") -> None:
        self.directory = directory
        self.stale: Writer | None = None
        """The writer that this one takes over from: it was killed."""
        try:
            require_plain(directory, besides=OTHERS)
            self._trials, self._results = (
                _opened(directory, n) for n in (TRIALS_FILE, RESULTS_FILE)
            )
        except OSError as error:
            raise storage_error(directory, error) from error
        try:
            self.stale = take_lock(self._trials.fileno(), directory, mark)
        except OSError as error:
            self._close_files()
            raise storage_error(directory, error) from error
        except UserError:
            self._close_files()
            raise
        try:
            self._trim()
            self.study = load_study(directory)
        except BaseException:
            self.close()
            raise
        self._states = {record.trial_id: record.state for record in self.study.records}
        self._latest = _latest_time(self.study)

    def __enter__(self) -> StudyWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write_header(self, header: Mapping[str, Any]) -> None:
        """Replace ``study.json`` in one step (a resumed study may be asked for more trials)."""
        header = plain_object(HEADER_FILE, header) | {"schema_version": SCHEMA_VERSION}
        parse_header(header, HEADER_FILE)
        try:
            _replace(self.directory / HEADER_FILE, header)
        except OSError as error:
            raise storage_error(self.directory, error) from error

    def started(
        self,
        trial_id: str,
        config: Mapping[str, Entry],
        explorer: bool,
        budget: int,
        time: float | None = None,
        origin: str | None = None,
    ) -> None:
        """Record that a trial begins; or goes on, promoted or after an interruption.

        Args:
            trial_id: A ``t`` and at least four digits.
            config: The trial's hyperparameters by dotted name, `INACTIVE` or None where
                inactive; the file has null.
            explorer: Whether it was drawn uniformly with its budget fixed beforehand.
            budget: Epochs it may train for.
            time: Seconds since the epoch; None is now.
            origin: What another tool, whose run this records, calls the trial.
        """
        trial_path(self.directory, trial_id)
        if self._states.get(trial_id, "running") != "running":
            raise ValueError(f"trial {trial_id} has ended and cannot start again")
        stated = {"config": to_stored(config), "explorer": bool(explorer), "budget": int(budget)}
        stated |= {} if origin is None else {"origin": origin}
        event = {"trial_id": trial_id, "event": "started", "time": self._stamp(time)}
        self._append(self._trials, event | stated)
        self._states[trial_id] = "running"

    def result(self, trial_id: str, row: Mapping[str, Any]) -> None:
        """Record one epoch of a trial.

        Args:
            trial_id: A trial that has started.
            row: ``epoch`` (from 1) and metrics by name; ``time`` is now unless given.
        """
        if trial_id not in self._states:
            raise ValueError(f"trial {trial_id} has not started")
        if type(row.get("epoch")) is not int:
            raise ValueError(f"a result needs an int named epoch, got {row.get('epoch')!r}")
        line = {"trial_id": trial_id, "epoch": row["epoch"], "time": self._stamp(row.get("time"))}
        self._append(self._results, line | {k: v for k, v in row.items() if k not in line})

    def ended(
        self, trial_id: str, state: str, error: str | None = None, time: float | None = None
    ) -> None:
        """Record how a trial ended: completed, stopped, diverged or failed."""
        if state not in ENDED_STATES:
            raise ValueError(f"a trial ends as {' or '.join(ENDED_STATES)}, got {state!r}")
        if self._states.get(trial_id) != "running":
            raise ValueError(f"trial {trial_id} is not running")
        event = {"trial_id": trial_id, "event": "ended", "time": self._stamp(time)}
        self._append(self._trials, event | {"state": state, "error": error})
        self._states[trial_id] = state

    def trial_directory(self, trial_id: str) -> Path:
        """The folder of one trial's files, made if absent."""
        path = trial_path(self.directory, trial_id)
        return make_folder(self.directory, path.relative_to(self.directory).parts)

    def close(self) -> None:
        """Release the files and the lock; what was written is on the disk already."""
        if not self._trials.closed:
            remove_note(self.directory)
        self._close_files()

    def _close_files(self) -> None:
        self._trials.close()
        self._results.close()

    def _trim(self) -> None:
        """Cut a torn last line off both files, so that the next line does not join it."""
        for file in (self._trials, self._results):
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                logger.warning(
                    "%s: cut off a torn last line (%d bytes).", file.name, len(content) - whole
                )
                file.truncate(whole)
                os.fsync(file.fileno())

    def _stamp(self, time: float | None) -> float:
        """`time`, or now; always after the last event, so that times tell the order of events."""
        if time is None:
            time = max(clock.time(), self._latest + 0.001)  # times have milliseconds
        self._latest = max(self._latest, time)
        return round(time, 3)

    def _append(self, file: Any, line: Mapping[str, Any]) -> None:
        """One line, whole and on the disk, or none of it."""
        name = Path(file.name).name
        content = encoded(plain_object(name, line)) + b"\n"
        end = file.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(content):
                written += file.write(content[written:])
            os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise storage_error(self.directory, error) from error


def _opened(directory: Path, name: str) -> io.FileIO:
    """A file of the record, for reading and appending; its ``name`` is its path."""

    def opener(_: str, flags: int) -> int:
        return open_file(directory, [name], flags)

    return io.FileIO(str(directory / name), "r+b", opener=opener)


def _latest_time(study: Study) -> float:
    """The time of the study's last event, in seconds since the epoch; 0 without any."""
    times = [t for r in study.records for t in (r.started, *r.restarts, r.ended or 0.0)]
    times += [r.rows[-1]["time"] for r in study.records if r.rows]
    return max(times, default=0.0)


def encoded(content: Mapping[str, Any], indent: int | None = None) -> bytes:
    """JSON in UTF-8. Bytes of file names that are none are JSON's escapes of surrogates.

    Python reads such names as lone surrogates, which UTF-8 cannot hold; reading the escape gives
    the same name again.
    """
    text = json.dumps(content, indent=indent, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", errors="backslashreplace")


def _replace(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one."""
    with replacing(path.parent, [path.name]) as temporary, temporary.open("wb") as file:
        file.write(encoded(content, indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)  # the new name lives in the folder: sync it too
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a disk that is full or read-only, which no trial caused."""


def storage_error(directory: Path, error: OSError) -> StorageError:
    """What to say of a disk that does not let us write to `directory`."""
    return StorageError(
        f"cannot write to {directory}: {error.strerror or error}.",
        "Make room or change the permissions; then continue with --resume.",
    )
