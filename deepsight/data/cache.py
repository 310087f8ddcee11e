"""The cache directory, and how something is made in it exactly once by racing processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deepsight.config import UserError

logger = logging.getLogger(__name__)

_WRITABLE = "Set DEEPSIGHT_CACHE to a directory you can write to."
_STALE_S = 24 * 3600.0  # no packing lasts a day: an older temporary directory was abandoned


def cache_dir() -> Path:
    """Where packed data and weights are kept: ``DEEPSIGHT_CACHE`` or ``~/.cache/deepsight``."""
    path = os.environ.get("DEEPSIGHT_CACHE")
    return Path(path).expanduser().absolute() if path else Path.home() / ".cache" / "deepsight"


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
        temporary.chmod(0o755)  # mkdtemp's 0700 would shut out others who share the cache
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
    """Make `path` and its parents.

    Raises:
        UserError: If it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the cache directory {path} cannot be made: {error.strerror}.",
            _WRITABLE,
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"the cache directory {path} cannot be written to.", _WRITABLE)


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
