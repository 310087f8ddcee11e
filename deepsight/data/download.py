"""Downloads one file, with a deadline, a checksum and no half file at its place."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from deepsight.data.cache import make_directory

logger = logging.getLogger(__name__)

CHECK_S = 2.0
"""How long `unreachable` waits for an answer, in seconds."""

_READ_S = 30.0  # silence after which a download is given up
_REPORT_S = 5.0  # between two lines of progress
_BLOCK = 1 << 20


class DownloadError(OSError):
    """A file could not be downloaded, or is not the expected one."""


def unreachable(url: str) -> str:
    """Why `url` does not answer within `CHECK_S` seconds, or "" if it does.

    Asked in a thread: looking up a host name has no deadline of its own. Proxies are taken from
    the environment, as in `download`.
    """
    answers: list[str] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=CHECK_S):
                answers.append("")
        except (OSError, http.client.HTTPException) as error:
            answers.append(_reason(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CHECK_S)
    return answers[0] if answers else f"no answer within {CHECK_S:g} s"


def download(url: str, path: Path, sha256: str) -> None:
    """Download `url` to `path`; the file appears there whole and checked, or not at all.

    Args:
        url: http or https.
        path: Its directory is made if absent.
        sha256: The expected digest, in hexadecimal.

    Raises:
        DownloadError: If the host fails, goes silent, or sends something else.
    """
    make_directory(path.parent)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    logger.info("downloading %s", url)
    try:
        digest = _stream(url, partial)
        if digest != sha256:
            raise DownloadError(f"{url} sent a file with SHA-256 {digest}, not {sha256}")
        partial.replace(path)
    except DownloadError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{url}: {_reason(error)}") from error
    finally:
        partial.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stream(url: str, path: Path) -> str:
    digest = hashlib.sha256()
    received, reported = 0, time.monotonic()
    with urllib.request.urlopen(url, timeout=_READ_S) as answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(_BLOCK):
            file.write(block)
            digest.update(block)
            received += len(block)
            if time.monotonic() - reported > _REPORT_S:
                reported = time.monotonic()
                of = f" of {total / 1e6:.0f}" if total else ""
                logger.info("%s: %.0f%s MB", path.name.split(".partial")[0], received / 1e6, of)
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split()) or type(error).__name__
