"""The cache directory, and how something is made in it exactly once by racing processes.

What is in it decides what is learnt, so nobody else may write there, and what is opened is
verified: by the first of a process and its descendants in full, by the others by the state of the
files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from deepsight.config import UserError

logger = logging.getLogger(__name__)

_WRITABLE = "Set DEEPSIGHT_CACHE to a directory you can write to."
_STALE_S = 24 * 3600.0  # no packing lasts a day: an older temporary directory was abandoned


VERIFIED = "DEEPSIGHT_VERIFIED"
"""Environment variable by which descendants know what need not be verified again."""
REMEMBERED = 64
"""How many files or packs they know of."""


def cache_dir() -> Path:
    """Where packed data and weights are kept: ``DEEPSIGHT_CACHE`` or ``~/.cache/deepsight``.

    Raises:
        UserError: If it is somebody else's, or anybody may write to it.
    """
    told = os.environ.get("DEEPSIGHT_CACHE")
    path = Path(told).expanduser().absolute() if told else Path.home() / ".cache" / "deepsight"
    require_ours(path)
    return path


def require_ours(path: Path) -> None:
    """Refuse a directory or file that others could have filled; what is absent is fine.

    Raises:
        UserError: If another user (but for root) owns it, or all may write to it.
    """
    try:
        status = path.stat()
    except OSError:  # absent, or a parent that others keep closed
        return
    if status.st_uid not in (os.getuid(), 0):
        raise UserError(
            f"the cache {path} belongs to another user (number {status.st_uid}), who decides what "
            "is in it.",
            "Set DEEPSIGHT_CACHE to a directory of your own.",
        )
    if status.st_mode & stat.S_IWOTH:
        raise UserError(
            f"the cache {path} can be written by every user of this machine.",
            f"Run chmod o-w {path}, or set DEEPSIGHT_CACHE to a directory of your own.",
        )


def check_once(files: Iterable[Path], check: Callable[[], None]) -> None:
    """Run `check` unless this process or one above it did, and the files have not changed since.

    Args:
        files: What is checked; told apart by place, inode, size and times.
        check: Raises if something is wrong.

    Raises:
        OSError: If a file is not there.
    """
    seen = [(str(path), path.stat()) for path in files]
    facts = [
        (name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in seen
    ]
    state = hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    known = [one for one in os.environ.get(VERIFIED, "").split(",") if one]
    if state not in known:
        check()
        os.environ[VERIFIED] = ",".join([*known, state][-REMEMBERED:])


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path` (made if absent) against other processes.

    The lock only saves doing the same work twice; `replace_directory` is safe without it. Where
    the file system has no locks, a warning is logged and the body runs without.
    """
    make_directory(path.parent)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            logger.warning("%s cannot be locked (%s): work may be done twice", path, error)
        yield


@contextlib.contextmanager
def replace_directory(path: Path) -> Iterator[Path]:
    """Give a temporary directory that becomes `path` at the end, unless the body raises.

    The temporary directory is a sibling, so that the renaming is atomic: `path` is absent or
    whole, never half. When another process was faster, its result stays.

    Raises:
        UserError: If the directory cannot be made or the disk is full.
    """
    make_directory(path.parent)
    _remove_abandoned(path)
    temporary = Path(tempfile.mkdtemp(prefix=f"{path.name}.partial-", dir=path.parent))
    try:
        yield temporary
        _sync(temporary)
        try:
            temporary.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"no space left under {path.parent}.",
            "Free some, or set DEEPSIGHT_CACHE to a directory on another disk.",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_directory(path: Path) -> None:
    """Make `path` and its parents, for the user alone.

    Raises:
        UserError: If it cannot be made or written to, or is somebody else's.
    """
    try:
        for absent in reversed([p for p in (path, *path.parents) if not p.exists()]):
            absent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the cache directory {path} cannot be made: {error.strerror}.",
            _WRITABLE,
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"the cache directory {path} cannot be written to.", _WRITABLE)
    require_ours(path)


def _remove_abandoned(path: Path) -> None:
    for leftover in path.parent.glob(f"{path.name}.partial-*"):
        with contextlib.suppress(OSError):  # another process may be removing it too
            if time.time() - leftover.stat().st_mtime > _STALE_S:
                shutil.rmtree(leftover, ignore_errors=True)


def _sync(directory: Path) -> None:
    """Flush the files of `directory` to disk: after a power cut a renamed pack must be whole."""
    for path in (*directory.iterdir(), directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
