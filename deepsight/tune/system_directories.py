"""Directories outside the study that a local Ray and the caches need, checked before it starts."""

from __future__ import annotations

import os
from pathlib import Path

from deepsight.config import UserError
from deepsight.data.cache import cache_dir
from deepsight.tune.process_cleanup import ray_root

SOCKET_BYTES = 107
"""Longest path of a Unix socket on Linux; macOS has 103."""
SESSION = "session_2026-01-01_00-00-00_000000_{pid}/sockets/plasma_store"
"""The longest path that Ray puts below its directory."""


def check_directories(needs_cache: bool) -> None:
    """Check that Ray can put its sockets and its token somewhere, and we our cache.

    Args:
        needs_cache: Whether packed data and weights are kept.

    Raises:
        UserError: If not; the remedy names the variable that moves the directory.
    """
    _check_sockets()
    _check_token()
    if needs_cache:
        remedy = "Set DEEPSIGHT_CACHE to a directory you can write to."
        told = bool(os.environ.get("DEEPSIGHT_CACHE"))
        cache = cache_dir() if told else _home(remedy) / ".cache" / "deepsight"
        if not (told and cache.is_dir()):  # one that is shared may be read-only and hold all
            _require_writable(cache, "the cache", remedy)


def require_utf8(*paths: Path) -> None:
    """Refuse directories whose names Ray cannot send to its processes.

    Raises:
        UserError: If a path is not UTF-8.
    """
    for path in paths:
        if not _is_utf8(path):
            raise UserError(
                f"Ray cannot work with {path}: the name is not UTF-8.",
                "Rename the directory, or work in another one.",
            )


def _is_utf8(path: Path) -> bool:
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _check_sockets() -> None:
    root = ray_root()
    require_utf8(root)
    by = next((n for n in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(n)), "")
    longest = os.fsencode(root / SESSION.format(pid=os.getpid()))
    if len(longest) > SOCKET_BYTES:
        raise UserError(
            f"{by}={root.parent} is too long for Ray: its sockets would have paths of "
            f"{len(longest)} bytes, and {SOCKET_BYTES} are allowed.",
            "Set RAY_TMPDIR to a directory with a short path, as RAY_TMPDIR=/tmp.",
        )
    remedy = "Set RAY_TMPDIR to a directory of your own, with a short path."
    _require_writable(root, "Ray's directory for sockets", remedy)


def _check_token() -> None:
    """Ray writes a token to the home directory, unless there is one or it is told another place."""
    told = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if told:
        return
    remedy = "Set HOME to a directory you can write to."
    folder = _home(remedy) / ".ray"
    if not os.access(folder / "auth_token", os.R_OK):
        _require_writable(folder, "the directory of Ray's token", remedy)


def _home(remedy: str) -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise UserError(
            f"there is no home directory: HOME is not set, and user {os.getuid()} is not known "
            "to the system.",
            remedy,
        ) from None


def _require_writable(path: Path, what: str, remedy: str) -> None:
    """Refuse `path` if it cannot be written, or made where it does not exist."""
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        raise UserError(f"{what}, {path}, cannot be written.", remedy)
