"""One writer at a time: a file lock, and a note in the study that says who holds it.

The lock is the system's and ends with its holder, however that ends. The note names the holder to
the next one; a note without a lock is what a killed run left.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from deepsight.config import UserError

NOTE = "writer.json"
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

    def __str__(self) -> str:
        began = datetime.fromtimestamp(self.started)
        return f"process {self.pid} on {self.host}, started {began:%Y-%m-%d %H:%M:%S}"

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it still runs on this machine."""
        began = _start_of(self.pid)
        return self.here and began is not None and abs(began - self.started) < CLOCK_S


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
        The writer that left its note behind without having finished, if there was one.

    Raises:
        UserError: If another process writes the study.
        OSError: If the note cannot be written.
    """
    import fcntl  # only writing needs a POSIX system

    before = read_note(directory)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = f" ({before})" if before else ""
        raise UserError(
            f"another process{who} is writing the study {directory}.",
            "Wait for it, or stop it with Ctrl-C.",
        ) from None
    except OSError as error:  # some network file systems
        if before and (before.alive or not before.here):
            raise UserError(
                f"another process ({before}) is writing the study {directory}.",
                f"If it has ended, delete {directory / NOTE}.",
            ) from error
        logger.warning("%s cannot be locked (%s): start no second writer.", directory, error)
    own = Writer(os.getpid(), _start_of(os.getpid()) or 0.0, socket.gethostname(), mark)
    temporary = directory / f".{NOTE}.{own.pid}"
    temporary.write_text(json.dumps(asdict(own)) + "\n", encoding="utf-8")
    temporary.replace(directory / NOTE)
    return before


def read_note(directory: Path) -> Writer | None:
    """The last writer of the study that did not finish; None if there is none."""
    try:
        return Writer(**json.loads((directory / NOTE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def remove_note(directory: Path) -> None:
    """Say that this process has finished writing."""
    own = read_note(directory)
    if own and own.pid == os.getpid() and own.here:
        with contextlib.suppress(OSError):
            (directory / NOTE).unlink()
