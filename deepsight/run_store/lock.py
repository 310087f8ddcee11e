"""One writer at a time: a file lock, and a note in the study that says who holds it.

The lock is the system's and ends with its holder, however that ends. The note names the holder to
the next one; a note without a lock is what a killed run left. A note decides which processes are
ended, so it counts only where it is of this record (by device and inode: a copied study has a note
that is of the original's), has the exact form, and names a process that does not run any more.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import socket
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from deepsight.config import UserError
from deepsight.files import read_file, replacing
from deepsight.run_store.format import LATEST

NOTE = "writer.json"
NOTE_BYTES = 1 << 16
MARK = re.compile(r"(\d{1,10})-(\d{1,19})", re.ASCII)
"""What the processes of a run carry: the driver's number and when it began, in nanoseconds."""
CLOCK_S = 2.0
"""How far two readings of a process's start time may lie apart (the clock may have been set)."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Writer:
    """A process that writes a study."""

    pid: int
    started: float
    """When the process began, in seconds since the epoch."""
    host: str
    mark: str = ""
    """What the processes that it started carry in their environment."""
    record: str = ""
    """Device and inode of the ``trials.jsonl`` that it writes; a copy of the study has others."""

    def __str__(self) -> str:
        began = datetime.fromtimestamp(self.started)
        return f"process {self.pid} on {self.host}, started {began:%Y-%m-%d %H:%M:%S}"

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it still runs on this machine; by its mark too, whose time is its own."""
        began = _start_of(self.pid) if self.here else None
        if began is None:
            return False
        marked = MARK.fullmatch(self.mark)
        older = marked is not None and began < int(marked[2]) / 1e9 + CLOCK_S
        return older or abs(began - self.started) < CLOCK_S


def _start_of(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.Error:
        return None


def take_lock(descriptor: int, directory: Path, mark: str = "") -> Writer | None:
    """Become the writer of the study in `directory`.

    Args:
        descriptor: An open file of the study; the lock lasts until it is closed.
        directory: The study.
        mark: As in `Writer`.

    Returns:
        The writer of this very record that left its note behind without having finished, if there
        was one. It does not run any more.

    Raises:
        UserError: If another process writes the study.
        OSError: If the note cannot be written.
    """
    import fcntl  # only writing needs a POSIX system

    record = _identity(descriptor)
    before = read_note(directory)
    if before and before.record != record:
        logger.warning("%s is of another study, or of an older version.", directory / NOTE)
        before = None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = f" ({before})" if before else ""
        raise UserError(
            f"another process{who} is writing the study {directory}.",
            "Wait for it, or stop it with Ctrl-C.",
        ) from None
    except OSError as error:  # some network file systems
        if before and not before.here:
            raise UserError(
                f"another process ({before}) is writing the study {directory}.",
                f"If it has ended, delete {directory / NOTE}.",
            ) from error
        logger.warning("%s cannot be locked (%s): start no second writer.", directory, error)
    if before and before.alive and before.pid != os.getpid():
        raise UserError(
            f"another process ({before}) is writing the study {directory}.",
            f"Wait for it, or stop it; if it does something else, delete {directory / NOTE}.",
        )
    own = Writer(os.getpid(), _start_of(os.getpid()) or 0.0, socket.gethostname(), mark, record)
    with replacing(directory, [NOTE]) as temporary:
        temporary.write_text(json.dumps(asdict(own)) + "\n", encoding="utf-8")
    return before


def read_note(directory: Path) -> Writer | None:
    """The last writer of the study that did not finish; None if there is none, or no exact note."""
    try:
        note = Writer(**json.loads(read_file(directory, [NOTE], NOTE_BYTES)))
        return note if _exact(note) else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _exact(note: Writer) -> bool:
    """Whether every field has its form; the mark is that of the process itself."""
    if not all(isinstance(text, str) for text in (note.host, note.mark, note.record)):
        return False
    if type(note.pid) is not int or not 0 < note.pid < 2**31:
        return False
    if not isinstance(note.started, int | float) or not 0 <= note.started <= LATEST:
        return False
    marked = MARK.fullmatch(note.mark)
    fits = marked is not None and int(marked[1]) == note.pid
    return math.isfinite(note.started) and (fits or not note.mark)


def _identity(descriptor: int) -> str:
    """Device and inode of an open file."""
    status = os.fstat(descriptor)
    return f"{status.st_dev}:{status.st_ino}"


def remove_note(directory: Path) -> None:
    """Say that this process has finished writing."""
    own = read_note(directory)
    if own and own.pid == os.getpid() and own.here:
        with contextlib.suppress(OSError):
            (directory / NOTE).unlink()
