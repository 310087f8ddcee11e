"""Checkpoints that are whole or absent: written aside, hashed, renamed; loaded as data only.

A checkpoint is a file of `torch.save` followed by 40 bytes: a mark and the SHA-256 of all that
stands before it. Plain ``torch.load(path, weights_only=True)`` opens it too, but checks nothing.
It says which study, trial and config it is of, so that one that lies elsewhere is not taken.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch

from deepsight.files import (
    MARK,
    TRAILER,
    FileRefusedError,
    hash_fits,
    open_file,
    require_stored,
)

SUFFIX = ".pt"
PREVIOUS = ".previous"

logger = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A file that is missing, torn, altered or not a checkpoint."""


@dataclass(frozen=True)
class Identity:
    """What a checkpoint is of."""

    study: str
    """The study's ``id``."""
    trial: str
    config: str
    """A digest of the hyperparameters."""


def identify(study: str, trial: str, config: Mapping[str, Any]) -> Identity:
    """The identity of a trial's checkpoints.

    Args:
        study: The study's ``id``.
        trial: The trial's id.
        config: All hyperparameters by dotted name. Where the data lie and the hardware may change;
            the seed follows from the trial.
    """
    kept = {
        name: float(value) if isinstance(value, int | float) else value
        for name, value in config.items()
        if name not in ("data.name", "train.seed") and not name.startswith("hardware.")
    }
    text = json.dumps(kept, sort_keys=True)
    return Identity(study, trial, hashlib.sha256(text.encode()).hexdigest())


class _Hashing:
    """A binary file that keeps the hash of what went through it: saves a second pass."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def previous(path: Path) -> Path:
    """Where the checkpoint that `path` replaced is kept."""
    return path.with_name(path.name + PREVIOUS)


def save(
    path: Path,
    state: Mapping[str, Any],
    row: Mapping[str, Any],
    identity: Identity | None = None,
    *,
    wait: bool = False,
) -> None:
    """Write a checkpoint to `path` atomically and keep the one that was there as `previous`.

    A file becomes the fallback only once the disk has it, so that one of the two survives a
    power cut. A process that dies loses nothing.

    Args:
        path: The file; its folder exists.
        state: Tensors and plain values, nested in dictionaries, lists and tuples.
        row: The results row that belongs to the state, so that a crash between writing the two
            loses neither.
        identity: What it is of; None says nothing.
        wait: Whether to return only when the disk has it; a thread sees to it otherwise.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:
            hashing = _Hashing(file)
            content = {"state": dict(state), "row": dict(row)}
            if identity is not None:
                content["identity"] = asdict(identity)
            torch.save(content, hashing)  # type: ignore[arg-type]
            file.write(MARK + hashing.sha256.digest())
        _finish_syncing(path)
        if path.exists():
            path.replace(previous(path))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _syncing[path] = threading.Thread(target=_sync, args=(path,))
    _syncing[path].start()
    if wait:
        _finish_syncing(path)


_syncing: dict[Path, threading.Thread] = {}
"""By checkpoint, who waits for the disk: that takes longer than writing, and uses no processor."""


def _finish_syncing(path: Path) -> None:
    thread = _syncing.pop(path, None)
    if thread is not None:
        thread.join()


def _sync(path: Path) -> None:
    """Wait until the disk has the file at `path` and its folder's entry."""
    for target in (path, path.parent):
        try:
            descriptor = os.open(target, os.O_RDONLY)
        except FileNotFoundError:  # the folder was removed meanwhile
            return
        try:
            os.fsync(descriptor)
        except OSError as error:  # a file system without fsync, or a full or failing disk
            logger.warning("%s may not be on the disk yet: %s", target, error)
        finally:
            os.close(descriptor)


def load(path: Path, identity: Identity | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state (tensors on the CPU) and the results row of the checkpoint at `path`.

    Args:
        path: The file.
        identity: What it must be of; None asks nothing. One that says nothing, which an older
            version wrote, is taken with a warning.

    Raises:
        CheckpointError: If it is missing, its hash does not fit, it is of something else, it holds
            more than data or unpacks to more than it takes on the disk.
    """
    try:
        with _opened(path) as file:
            _check_hash(file, path)
            require_stored(file, path)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: is no checkpoint ({error}).") from error
    except FileRefusedError as error:
        raise CheckpointError(error.cause) from error
    names = {"state", "row"}
    if not isinstance(content, dict) or content.keys() - {"identity"} != names:
        raise CheckpointError(f"{path}: is no checkpoint (state and row expected).")
    if not all(isinstance(content[name], dict) for name in names):
        raise CheckpointError(f"{path}: is no checkpoint (state and row are tables).")
    if identity is not None:
        _require(identity, content.get("identity"), path)
    return content["state"], content["row"]


def _require(identity: Identity, stated: Any, path: Path) -> None:
    """Refuse a checkpoint of something else."""
    if stated is None:
        logger.warning("%s does not say what it is of: an older version wrote it.", path)
        return
    stated = stated if isinstance(stated, dict) else {}
    other = [k for k, value in asdict(identity).items() if stated.get(k) != value]
    if other:
        raise CheckpointError(f"{path}: is of another {' and '.join(other)}.")


def sha256_of(path: Path) -> str:
    """The SHA-256, in hexadecimal digits, that a checkpoint states of its own content.

    Read from its last bytes: it tells one checkpoint from another, and only `load` and `verify`
    check that it is true.

    Raises:
        CheckpointError: If the file cannot be read or does not end like a checkpoint.
    """
    try:
        with _opened(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TRAILER))
            trailer = file.read()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    if len(trailer) != TRAILER or not trailer.startswith(MARK):
        raise CheckpointError(f"{path}: is torn or altered (it does not end with its SHA-256).")
    return trailer.removeprefix(MARK).hex()


def verify(path: Path) -> bool:
    """Whether `path` is there and its hash fits."""
    try:
        with _opened(path) as file:
            _check_hash(file, path)
    except (OSError, CheckpointError):
        return False
    return True


def _opened(path: Path) -> IO[bytes]:
    """The file, which must be a plain one.

    Raises:
        CheckpointError: If it is a link or a special file.
        OSError: If it cannot be opened.
    """
    try:
        return os.fdopen(open_file(path.parent, [path.name]), "rb")
    except FileRefusedError as error:
        raise CheckpointError(error.cause) from error


def _check_hash(file: IO[bytes], path: Path) -> None:
    if not hash_fits(file):
        raise CheckpointError(f"{path}: is torn or altered (its SHA-256 does not fit).")


def load_newest(
    directory: Path, identity: Identity | None = None
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """State and row of the newest checkpoint in `directory` that `load` takes; None without any.

    A file counts as newer than what it replaced whatever the clocks of the nodes that wrote
    them say; among the rest the time of writing decides. What is passed over leaves a warning.

    Args:
        directory: A trial's.
        identity: As in `load`.
    """
    for path in _newest_first(directory):
        try:
            return load(path, identity)
        except CheckpointError as error:
            logger.warning("passed over: %s", error)
    return None


def _newest_first(directory: Path) -> Iterator[Path]:
    for suffix in (SUFFIX, SUFFIX + PREVIOUS):
        files = [p for p in directory.glob(f"*{suffix}") if not p.name.startswith(".")]
        yield from sorted(files, key=lambda p: (p.lstat().st_mtime_ns, p.name), reverse=True)
