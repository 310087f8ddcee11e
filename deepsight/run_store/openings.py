"""The record of who opened the test split of a study, and when: ``test_openings.jsonl``.

A number on the test split is worth what its first look is worth. Who looks writes a line first.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from deepsight.files import append_to, read_file
from deepsight.run_store.format import (
    HEADER_BYTES,
    OPENINGS_FILE,
    check_time,
    damaged,
    decode_line,
)
from deepsight.run_store.reader import whole_lines
from deepsight.run_store.writer import storage_error

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opening:
    """One opening of the test split."""

    time: float
    """Seconds since the epoch."""
    command: str
    """What opened it: ``diagnose`` or ``confirm``."""
    trial_id: str
    """Of the model that saw it."""
    sha256: str
    """Of that model's checkpoint."""


def record_opening(directory: Path, command: str, trial_id: str, sha256: str) -> None:
    """Append a line to the study's record of openings; it is on the disk before this returns.

    Args:
        directory: The study's.
        command: As in `Opening`.
        trial_id: As in `Opening`.
        sha256: As in `Opening`.

    Raises:
        StorageError: If the disk does not let us write there.
    """
    line = asdict(Opening(round(time.time(), 3), command, trial_id, sha256))
    try:
        with append_to(directory, [OPENINGS_FILE]) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # another one that writes its line is not cut off
            _trim(file, directory)
            file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
            os.fsync(file.fileno())
    except OSError as error:
        raise storage_error(directory, error) from error


def load_openings(directory: Path) -> list[Opening]:
    """All openings of the test split, the first one first; none where there is no record.

    A torn last line is left out with a warning: whoever wrote it had not looked yet.

    Raises:
        StudyFormatError: If a line is damaged.
    """
    path = directory / OPENINGS_FILE
    try:
        content = read_file(directory, [OPENINGS_FILE], HEADER_BYTES)
    except FileNotFoundError:
        return []
    found = []
    for where, raw in whole_lines(path, content):
        line = decode_line(where, raw)
        if "time" in line:
            check_time(where, line)
        try:
            opening = Opening(**{k: line[k] for k in Opening.__dataclass_fields__})
        except KeyError as error:
            damaged(where, f"lacks {error}")
        for name in ("command", "sha256"):
            if not isinstance(line[name], str):
                damaged(where, f"{name} must be a text")
        found.append(opening)
    return found


def _trim(file: IO[bytes], directory: Path) -> None:
    """Cut a torn last line off, so that the next line does not join it."""
    content = read_file(directory, [OPENINGS_FILE], HEADER_BYTES)
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        logger.warning("%s: cut off a torn last line.", directory / OPENINGS_FILE)
        file.truncate(whole)
