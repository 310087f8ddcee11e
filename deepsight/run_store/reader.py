"""Reading a study: its files, finished or not, as a `Study` in memory.

`docs/run_format.md` describes every field. The reader never writes, never guesses and never
unpickles.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepsight.config import UserError
from deepsight.files import read_file
from deepsight.run_store.format import (
    HEADER_BYTES,
    HEADER_FILE,
    RECORD_BYTES,
    RESULTS_FILE,
    TRIALS_FILE,
    StudyFormatError,
    apply_event,
    apply_result,
    damaged,
    decode,
    decode_line,
)
from deepsight.run_store.header import StudyHeader, parse_header
from deepsight.run_store.study import Study, TrialRecord
from deepsight.space import from_stored


def load_study(path: Path | str, skip_damaged: bool = False) -> Study:
    """Read a study, finished or not, also while it is being written.

    A torn last line is left out with a warning. A trial that went back to an earlier checkpoint
    repeats epochs: from a row whose epoch does not exceed the last one on, the later lines count.

    Args:
        path: The study's directory.
        skip_damaged: Leave damaged lines out and name them in `Study.skipped`, for a report that
            shows what is left; never to resume a study.

    Raises:
        UserError: If there is no study at `path`.
        StudyFormatError: If a file is damaged or of a newer version; the cause says where.
    """
    directory = Path(path)
    header = load_header(directory)
    events, results = _snapshot(directory)
    trials: dict[str, dict[str, Any]] = {}
    skipped: list[str] = []
    for name, content, apply in (
        (TRIALS_FILE, events, apply_event),
        (RESULTS_FILE, results, apply_result),
    ):
        for where, raw in whole_lines(directory / name, content):
            try:
                apply(where, decode_line(where, raw), trials)
            except StudyFormatError as error:
                if not skip_damaged:
                    raise
                skipped.append(error.cause)
    for trial in trials.values():
        trial["config"] = from_stored(trial["config"], header.space, header.fixed)
    return Study(
        directory=directory,
        header=header,
        records=[TrialRecord(**trial) for trial in trials.values()],
        skipped=tuple(skipped),
    )


def require_study(directory: Path) -> None:
    """Refuse a directory without a study.

    Raises:
        UserError: If `directory` does not exist or has no header.
    """
    if not directory.is_dir():
        raise UserError(f"{directory} is no directory.", "Give the directory of a study.")
    if not os.path.lexists(directory / HEADER_FILE):
        raise UserError(
            f"{directory} holds no study: there is no {HEADER_FILE}.",
            "Give the directory that deepsight.tune printed last.",
        )


def load_header(path: Path | str) -> StudyHeader:
    """Read and check ``study.json`` alone.

    Raises:
        UserError: If there is no study at `path`.
        StudyFormatError: If the header is damaged or of a newer version.
    """
    directory = Path(path)
    require_study(directory)
    file = directory / HEADER_FILE
    content = read_file(directory, [HEADER_FILE], HEADER_BYTES)
    try:
        header = decode(content.decode("utf-8"))
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        damaged(f"{file}:{line}", f"not JSON ({error})")
    if not isinstance(header, dict):
        damaged(f"{file}:1", "not a JSON object")
    return parse_header(header, str(file))


def _snapshot(directory: Path) -> tuple[bytes, bytes]:
    """Both files as of one moment: no event falls between the two reads."""
    trials = directory / TRIALS_FILE
    try:
        while True:
            events = read_file(directory, [TRIALS_FILE], RECORD_BYTES)
            rows = read_file(directory, [RESULTS_FILE], RECORD_BYTES)
            if trials.lstat().st_size == len(events):
                return events, rows
    except OSError as error:
        damaged(str(error.filename), f"cannot be read ({error.strerror})")


def whole_lines(path: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield ``("file:line", bytes)`` for every whole line, and warn of a torn last one."""
    *whole, torn = content.split(b"\n")
    for number, raw in enumerate(whole, start=1):
        yield f"{path}:{number}", raw
    if torn:
        warnings.warn(f"{path}:{len(whole) + 1}: the last line is torn and left out.", stacklevel=3)
