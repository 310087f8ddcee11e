"""Process clean-up: no process that a run started outlives it, orphans included.

A run sets a mark in its environment. Ray's processes, their workers and whatever a trainable starts
inherit it. `ProcessCleanup` kills them when the run ends. If the run itself is killed, a watchdog
does: a small process that waits for the end of its standard input, which the system closes together
with the run. The watchdog is this file, run as a program without site packages; hence the standard
library only.

Marks are read from /proc. Without it (outside Linux) nothing is killed here, and Ray's own clean-up
must suffice. A process that sets its own title, as Ray's agents and workers do, overwrites what
/proc shows of its environment unless `KEEP` is set.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

VARIABLE = "DEEPSIGHT_RUN"
"""Environment variable that holds the mark."""
KEEP = {"SPT_NOENV": "1"}
"""Keeps setproctitle, which Ray uses, from overwriting what /proc shows of the environment."""
PROC = Path("/proc")
POLL_S = 0.1
QUIET_S = 0.05
"""Time without a find after which the driver takes all processes for gone."""
PATIENT_S = 0.5
"""The same for the watchdog: a process that just starts shows no environment yet."""
WAIT_S = 10.0
"""Longest time to wait for killed processes to disappear."""
MARK = re.compile(r"(\d{1,10})-(\d{1,19})", re.ASCII)
"""A mark: the run's process and when it began, in nanoseconds. Any other text kills nothing."""
SESSION = re.compile(r"session_(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6})_(\d+)", re.ASCII)
"""A directory of Ray's: when it began, in local time, and its driver."""
DISMISSED = b"done"
"""Message to the watchdog that the run has cleaned up itself."""


class ProcessCleanup:
    """A context around a run: no process with its mark survives it."""

    def __init__(self) -> None:
        self.mark = f"{os.getpid()}-{time.time_ns()}"
        """Unique to the run; kept with the study's lock, so that a later run can clean up too."""

    def __enter__(self) -> ProcessCleanup:
        self._watchdog = subprocess.Popen(
            [sys.executable, "-IS", __file__, self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal is not for it
            cwd="/",
        )
        wanted = KEEP | {VARIABLE: self.mark}
        self._before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        return self

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        end_all(self.mark)
        self._watchdog.communicate(DISMISSED)


def end_all(mark: str, quiet_s: float = QUIET_S) -> None:
    """Kill what carries `mark`, and delete the files of its Ray session.

    Args:
        mark: A run's; it may come from a file, and one of another form is ignored.
        quiet_s: Time without a find after which all are taken for gone; a dying process may have
            started another.
    """
    if not MARK.fullmatch(mark):
        return
    sessions = {ray_root()}
    last = began = time.monotonic()
    while (now := time.monotonic()) <= last + quiet_s and now < began + WAIT_S:
        for pid in marked(mark):
            sessions |= {session.parent for session in _sessions_of(pid)}
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            last = time.monotonic()
        time.sleep(min(POLL_S, quiet_s / 2))
    for root in sessions:
        _delete_sessions(root, mark)


def marked(mark: str) -> Iterator[int]:
    """The processes that carry `mark`, but for this one."""
    wanted = f"{VARIABLE}={mark}".encode()
    names = [p.name for p in PROC.iterdir() if p.name.isdigit()] if PROC.is_dir() else []
    for name in names:
        try:
            environment = (PROC / name / "environ").read_bytes()
        except OSError:  # gone, or somebody else's
            continue
        if wanted in environment.split(b"\0") and int(name) != os.getpid():
            yield int(name)


def ray_root() -> Path:
    """Where Ray keeps the sockets and logs of its sessions."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray"


def _sessions_of(pid: int) -> list[Path]:
    """Session directories that a process of Ray's names among its arguments."""
    try:
        arguments = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return []
    return [Path(found) for found in re.findall(r"(/[^\0=,]*?/session_[-_\d]+_\d+)", arguments)]


def _delete_sessions(root: Path, mark: str) -> None:
    """Delete the run's sessions, and Ray's link to the latest one if it was ours.

    The process may have had a Ray before the run (a notebook's own): its session stays.
    """
    for session in root.glob("session_*"):
        if _is_of(session.name, mark) and not session.is_symlink():
            shutil.rmtree(session, ignore_errors=True)
    latest = root / "session_latest"
    with contextlib.suppress(OSError):
        if latest.is_symlink() and not latest.exists():
            latest.unlink()


def _is_of(session: str, mark: str) -> bool:
    """Whether a session was begun by the run's process after the run had begun."""
    name, (pid, began_ns) = SESSION.fullmatch(session), mark.split("-")
    if not name or name[2] != pid:
        return False
    began = datetime.fromtimestamp(int(began_ns) // 1000 / 1e6)  # like Ray's: no time zone
    return datetime.strptime(name[1], "%Y-%m-%d_%H-%M-%S_%f") >= began


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    if sys.stdin.buffer.read() != DISMISSED:
        end_all(sys.argv[1], PATIENT_S)
