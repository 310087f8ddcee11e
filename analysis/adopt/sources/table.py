"""Trials as a table: a CSV file, or rows that somebody has in memory.

One row a trial and epoch. Columns: ``config.NAME`` for each hyperparameter, ``trial``, ``epoch``,
and any number of metrics; where they are there also ``state``, ``error``, ``time`` (seconds since
1970) and ``wall_s``. Without ``trial`` every row is a trial, without ``epoch`` it has one epoch.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.adopt.found import FoundRow, FoundStudy, FoundTrial, Wanted
from analysis.adopt.values import is_numeric, number, plain_value
from deepsight.config import UserError, Value
from deepsight.files import read_file
from deepsight.run_store import STATES
from deepsight.space import same

TRIAL, EPOCH, STATE, ERROR, TIME, WALL = "trial", "epoch", "state", "error", "time", "wall_s"
NAMED = frozenset({TRIAL, EPOCH, STATE, ERROR, TIME, WALL})
PREFIXES = ("config.", "config/")
MOST_BYTES, CELL_BYTES = 2 << 30, 1 << 20
TRUTH = {"true": True, "True": True, "false": False, "False": False}

Row = Mapping[str, Any]


def recognises(source: str) -> bool:
    """Whether it is a ``.csv`` file."""
    try:
        return source.lower().endswith(".csv") and Path(source).is_file()
    except OSError:  # longer than a name can be
        return False


def read(source: str, wanted: Wanted) -> FoundStudy:
    """The trials of a CSV file; comma, semicolon or tab stand between its columns.

    Raises:
        UserError: If it has no such columns, or a trial contradicts itself.
    """
    path = Path(source)
    real = path.resolve()
    try:
        text = read_file(real.parent, [real.name], MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}.", "Save it as CSV in UTF-8.") from error
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    csv.field_size_limit(CELL_BYTES)
    try:
        lines = csv.DictReader(io.StringIO(text), delimiter=separator)
        columns = list(lines.fieldnames or [])
        rows = [{k: _cell(v) for k, v in line.items() if k is not None} for line in lines]
    except csv.Error as error:
        raise UserError(f"{path} is no CSV: {error}.", "Save it as CSV in UTF-8.") from error
    return from_rows(columns, rows, path.stem)


def _cell(text: str | None) -> Value:
    """A cell; an empty one is missing. Numbers stay texts here: whoever needs one reads it."""
    return TRUTH.get(text, text) if text else None


def from_rows(columns: Sequence[str], rows: Iterable[Row], name: str) -> FoundStudy:
    """The study in a table.

    Args:
        columns: Its columns.
        rows: Its rows by column; None and NaN are missing.
        name: What the study is called.

    Raises:
        UserError: As `read`.
    """
    _check_columns(columns, name)
    trials: dict[str, list[tuple[int, Row]]] = {}
    for line, row in enumerate(rows, start=1):
        key = _key(row, line) if TRIAL in columns else f"row {line}"
        trials.setdefault(key, []).append((line, row))
    if not trials:
        raise UserError(f"{name} has no rows.", "Give one row for each trial and epoch.")
    metrics = [c for c in columns if c not in NAMED and not c.startswith(PREFIXES)]
    numeric = _numeric(metrics, [row for rows in trials.values() for _, row in rows])
    first = min(_epochs(trials, columns), default=1)
    notes = ["Epochs counted from 0 count from 1 here."] if first == 0 else []
    found = [_trial(key, part, columns, numeric, first == 0) for key, part in trials.items()]
    repeated = sum(len(part) - len(t.rows) for t, part in zip(found, trials.values(), strict=True))
    if repeated:
        notes.append(f"{repeated} rows without a metric, or of an epoch that comes again, are out.")
    return FoundStudy("table", name, tuple(found), notes=tuple(notes))


def from_frame(frame: Any, name: str) -> FoundStudy:
    """The study in a pandas data frame.

    Raises:
        UserError: As `read`.
    """
    columns = [str(column) for column in frame.columns]
    lines = frame.itertuples(index=False, name=None)
    return from_rows(columns, (dict(zip(columns, line, strict=True)) for line in lines), name)


def _check_columns(columns: Sequence[str], name: str) -> None:
    twice = sorted({c for c in columns if columns.count(c) > 1})
    if twice:
        raise UserError(f"{name} has two columns {twice[0]!r}.", "Name each column once.")
    if not any(c.startswith(PREFIXES) for c in columns):
        raise UserError(
            f"{name} has no column of a hyperparameter, only {', '.join(columns[:12])}.",
            "Name them config.NAME, as in config.lr; docs/adopt.md has the columns.",
        )
    if EPOCH in columns and TRIAL not in columns:
        raise UserError(
            f"{name} has a column epoch but none that tells the trial.", "Add a column trial."
        )


def _missing(value: Any) -> bool:
    return value is None or value != value  # NaN is what differs from itself


def _key(row: Row, line: int) -> str:
    value = row.get(TRIAL)
    if _missing(value):
        raise UserError(f"row {line} names no trial.", "Fill the column trial in every row.")
    return str(plain_value(value))


def _numeric(metrics: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Columns that hold numbers and nothing else."""
    held = {m: [row[m] for row in rows if row.get(m) is not None] for m in metrics}
    return [m for m, values in held.items() if values and all(map(is_numeric, values))]


def _epochs(trials: Mapping[str, list[tuple[int, Row]]], columns: Sequence[str]) -> list[int]:
    if EPOCH not in columns:
        return [1]
    return [_epoch(row, line) for part in trials.values() for line, row in part]


def _epoch(row: Row, line: int) -> int:
    value = number(row.get(EPOCH))
    if value is None or value < 0 or value > 9_999_999 or not float(value).is_integer():
        raise UserError(
            f"row {line}: epoch must be a whole number from 0 or 1, got {row.get(EPOCH)!r}.",
            "Count epochs by whole numbers.",
        )
    return int(value)


def _trial(
    key: str,
    part: Sequence[tuple[int, Row]],
    columns: Sequence[str],
    metrics: Sequence[str],
    from_zero: bool,
) -> FoundTrial:
    """One trial; of an epoch that comes again the later row counts."""
    rows: dict[int, FoundRow] = {}
    for line, row in part:
        epoch = _epoch(row, line) + from_zero if EPOCH in columns else 1
        values = {m: number(row[m]) for m in metrics if row.get(m) is not None}
        if values:
            rows[epoch] = FoundRow(epoch, values, _time(row.get(TIME)), number(row.get(WALL)))
    last = part[-1][1]
    state, error = last.get(STATE), last.get(ERROR)
    if not _missing(state) and state not in STATES:
        raise UserError(
            f"trial {key}: state must be {', '.join(STATES)} or empty, got {state!r}.",
            "Leave the column out where it is not known: it is worked out.",
        )
    return FoundTrial(
        key=key,
        config=_config(key, part, columns),
        rows=tuple(rows[epoch] for epoch in sorted(rows)),
        state=None if _missing(state) else str(state),
        error=None if _missing(error) else str(error),
    )


def _time(value: Any) -> float | None:
    if hasattr(value, "timestamp"):  # a pandas Timestamp, NaT included
        return None if _missing(value) else float(value.timestamp())
    return number(value)


def _config(key: str, part: Sequence[tuple[int, Row]], columns: Sequence[str]) -> dict[str, Value]:
    """The trial's hyperparameters; an empty cell is one that was not active."""
    config: dict[str, Value] = {}
    names = {c: c[len(PREFIXES[0]) :] for c in columns if c.startswith(PREFIXES)}
    for line, row in part:
        for column, name in names.items():
            if _missing(value := row.get(column)):
                continue
            value = plain_value(value)
            if not same(config.setdefault(name, value), value):
                raise UserError(
                    f"row {line}: {column} is {value!r}, but {config[name]!r} in another row of "
                    f"trial {key}.",
                    "A trial has one config: give each its own name in the column trial.",
                )
    return config
