"""Writing a finished record in one go: for studies that were made elsewhere.

A line at a time, each waiting for the disk, is for a search that may be killed. A record that
exists already is written into a folder aside, read back, and appears as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

from deepsight.run_store.format import RESULTS_FILE, TRIALS_FILE, plain_object
from deepsight.run_store.reader import load_study
from deepsight.run_store.study import TrialRecord
from deepsight.run_store.writer import appearing, encoded
from deepsight.space import to_stored

Lines = Iterable[tuple[float, Mapping[str, Any]]]
"""Lines with their times."""


def write_study(directory: Path, header: Mapping[str, Any], records: Sequence[TrialRecord]) -> None:
    """Write a study that has ended, or will not go on here.

    Args:
        directory: Must not exist; its parents are made. It appears whole or not at all.
        header: The fields of ``study.json``; `schema_version` is added here.
        records: Its trials in the order in which they began; times within a trial do not decrease.

    Raises:
        StudyExistsError: If `directory` exists already.
        StudyFormatError: If what would be written is not what the run format says.
        StorageError: If the disk does not let us write there.
    """
    with appearing(directory, header) as aside:
        _write(aside / TRIALS_FILE, chain.from_iterable(map(_events, records)))
        _write(aside / RESULTS_FILE, chain.from_iterable(map(_results, records)))
        load_study(aside)


def _events(record: TrialRecord) -> Iterator[tuple[float, Mapping[str, Any]]]:
    stated = {
        "trial_id": record.trial_id,
        "event": "started",
        "time": round(record.started, 3),
        "config": to_stored(record.config),
        "explorer": record.explorer,
        "budget": record.budget,
    }
    yield record.started, {**record.extra, **stated}
    if record.ended is not None:
        time = round(record.ended, 3)
        end = {"trial_id": record.trial_id, "event": "ended", "time": time}
        yield record.ended, end | {"state": record.state, "error": record.error}


def _results(record: TrialRecord) -> Iterator[tuple[float, Mapping[str, Any]]]:
    for row in record.rows:
        named = {"trial_id": record.trial_id, "epoch": row["epoch"], "time": round(row["time"], 3)}
        yield row["time"], {**named, **{k: v for k, v in row.items() if k not in named}}


def _write(path: Path, lines: Lines) -> None:
    """All lines by their times, on the disk."""
    with path.open("xb") as file:
        for _, line in sorted(lines, key=itemgetter(0)):
            file.write(encoded(plain_object(path.name, line)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
