"""What people export from W&B: tables of runs, histories, charts and configs, as CSV or JSON.

W&B has no one form of export. What a file is, its columns say:

- runs: a column ``config`` with a table in each cell, as JSON or as Python prints it (the script of
  W&B's documentation, https://docs.wandb.ai/guides/track/public-api-guide);
- a table of runs as the web page exports it: ``Name`` and ``State`` or ``Created``, a column for
  each hyperparameter and each last value of a metric;
- a history (``run.history()``): ``_step``, a column a metric, of one run or with a column for it;
- a chart as the web page exports it: ``Step`` and columns ``RUN - METRIC``.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.adopt.values import parsed
from deepsight.config import UserError
from deepsight.files import read_file

MOST_BYTES = 1 << 30
CELL_BYTES = 1 << 20
NAMES = ("run_id", "run", "run_name", "id", "name", "Name", "ID")
"""Columns that say of which run a row is."""
ABOUT = re.compile(
    r"name|id|state|status|notes|user|tags|created|runtime|sweep|group|hostname|host|commit|github|"
    r"updated|description|heartbeat|job ?type|(start|end) time|run path|ran for|(gpu|cpu) (type|"
    r"count)|git commit|python version"
)
"""Columns of an exported table that are neither hyperparameters nor metrics, in small letters."""
METRIC = re.compile(
    r"(^|[^a-z])(loss|acc|accuracy|err|error|f1|auc|auroc|map|iou|dice|bleu|rouge|perplexity|ppl|"
    r"mse|mae|rmse|precision|recall|score|reward|val|valid|validation|test|train|eval)([^a-z]|$)"
)
"""Names of metrics, in a table that does not tell them from hyperparameters."""


@dataclass
class Exported:
    """What is said of one run."""

    key: str
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    state: str = ""
    group: str = ""
    sweep: str = ""
    project: str = ""
    started: float | None = None


def kind_of(columns: Iterable[str]) -> str | None:
    """What a table with these columns is: ``runs``, ``table``, ``history``, ``chart`` or None."""
    known = set(columns)
    if "config" in known:
        return "runs"
    if "_step" in known:
        return "history"
    if "Step" in known and any(" - " in column for column in known):
        return "chart"
    if "Name" in known and known & {"State", "Created", "Runtime"}:
        return "table"
    return None


def read_table(root: Path, parts: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a file of CSV or JSON; one row for a single object.

    Raises:
        UserError: If it is damaged.
    """
    where = root.joinpath(*parts)
    try:
        text = read_file(root, parts, MOST_BYTES).decode("utf-8-sig")
        if where.suffix.lower() == ".csv":
            csv.field_size_limit(CELL_BYTES)
            return [_row(row) for row in csv.DictReader(io.StringIO(text), strict=True)]
        if where.suffix.lower() == ".jsonl":
            return [_object(json.loads(line)) for line in text.splitlines() if line.strip()]
        stored = json.loads(text)
        if isinstance(stored, dict):
            return _of_columns(stored) or [stored]
        return [_object(row) for row in stored] if isinstance(stored, list) else []
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{where} cannot be read: {reason}.", "Export it again.") from error


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    """A row of CSV without its empty cells."""
    return {str(name): parsed(cell) for name, cell in row.items() if name and cell}


def _object(stored: object) -> dict[str, Any]:
    if not isinstance(stored, dict):
        raise ValueError("a row is no object")
    return stored


def _of_columns(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of what pandas writes: ``{"config": {"0": ..., "1": ...}, ...}``; else nothing."""
    columns = list(stored.values())
    if not columns or not all(isinstance(c, dict) and c and all(map(str.isdecimal, c))
                              for c in columns):  # fmt: skip
        return []
    return [{n: column.get(key) for n, column in stored.items()} for key in columns[0]]


class Exports:
    """The runs that files tell of, put together by their names."""

    def __init__(self, metric: str | None) -> None:
        self.runs: dict[str, Exported] = {}
        self.notes: list[str] = []
        self._known: dict[str, str] = {}
        self._files: list[tuple[str, Sequence[str], list[dict[str, Any]]]] = []
        self._metric = metric

    def add(self, parts: Sequence[str], rows: list[dict[str, Any]]) -> bool:
        """Keep a file; False where it is none of the known ones."""
        kind = kind_of(name for row in rows[:100] for name in row)
        if kind is None and len(rows) == 1:
            stem = parts[-1].rpartition(".")[0]
            kind = next((each for each in ("config", "summary") if stem.endswith(each)), None)
        if kind is not None:
            self._files.append((kind, parts, rows))
        return kind is not None

    def finish(self) -> list[Exported]:
        """All runs, in the order of the files that list them, else of the others.

        Raises:
            UserError: If a file does not hold what its columns say.
        """
        takers = {
            "runs": self._add_runs,
            "table": self._add_table,
            "config": self._add_config,
            "summary": self._add_summary,
            "history": self._add_history,
            "chart": self._add_chart,
        }
        for kind, take in takers.items():
            for of, parts, rows in self._files:
                if of == kind:
                    try:
                        take(parts, rows)
                    except ValueError as error:
                        raise UserError(
                            f"{'/'.join(parts)} cannot be read: {error}.",
                            "Export it again, as JSON.",
                        ) from error
        return list(self.runs.values())

    def _add_runs(self, parts: Sequence[str], rows: list[dict[str, Any]]) -> None:
        for number, row in enumerate(rows):
            self._add_run(row, _own_name(parts) if len(rows) == 1 else str(number))

    def _add_config(self, parts: Sequence[str], rows: list[dict[str, Any]]) -> None:
        self._run(_own_name(parts)).config |= _unwrapped(rows[0])

    def _add_summary(self, parts: Sequence[str], rows: list[dict[str, Any]]) -> None:
        self._run(_own_name(parts)).summary |= rows[0]

    def _add_history(self, parts: Sequence[str], rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._run(_named(row) or _own_name(parts)).history.append(row)

    def _run(self, name: str, *others: str) -> Exported:
        names = [n for n in (name, *others) if n]
        key = next((self._known[n] for n in names if n in self._known), name)
        for each in names:
            self._known.setdefault(each, key)
        return self.runs.setdefault(key, Exported(key))

    def _add_run(self, row: Mapping[str, Any], otherwise: str) -> None:
        names = [str(row[name]) for name in NAMES if row.get(name) not in (None, "")]
        own, *others = names or [otherwise]
        while not names and own in self.runs:
            own += "'"
        if own in self._known and self.runs[self._known[own]].config:
            self.notes.append(f"Run {own} is there twice: the later one counts.")
        run = self._run(own, *others)
        if others:
            run.key = f"{others[-1]} ({own})"
        run.config |= _unwrapped(_table_in(row["config"]))
        run.summary |= _table_in(row.get("summary") or row.get("summary_metrics") or {})
        history = row.get("history")
        if isinstance(history, list):
            run.history += [each for each in history if isinstance(each, dict)]
        for name in ("state", "group", "sweep", "project"):
            setattr(run, name, str(row.get(name) or getattr(run, name)))

    def _add_chart(self, parts: Sequence[str], rows: list[dict[str, Any]]) -> None:
        for row in rows:
            found: dict[str, dict[str, Any]] = {}
            for column, value in row.items():
                name, dash, metric = column.rpartition(" - ")
                if dash and not metric.endswith(("__MIN", "__MAX")):
                    found.setdefault(name, {})[metric] = value
            for name, values in found.items():
                self._run(name).history.append({"_step": row.get("Step"), **values})

    def _add_table(self, parts: Sequence[str], rows: list[dict[str, Any]]) -> None:
        curves = [rows[:100] for kind, _, rows in self._files if kind in ("history", "chart")]
        told = {n.rpartition(" - ")[2] for rows in curves for row in rows for n in row}
        told |= {self._metric or "", "epoch"}
        columns = {
            n: None for row in rows for n in row if not ABOUT.fullmatch(n.lower()) and n[0] != "_"
        }
        metrics = [n for n in columns if n in told or METRIC.search(n.lower())]
        self.notes.append(
            "The exported table does not tell metrics from hyperparameters; taken for metrics: "
            f"{', '.join(metrics) or 'none'} (inferred)."
        )
        for row in rows:
            known = {name.lower(): value for name, value in row.items()}
            names = [str(known[n]) for n in ("id", "name") if known.get(n) not in (None, "")]
            twin = bool(names) and names[0] in self._known
            if twin and self.runs[self._known[names[0]]].config:
                names = [f"{names[0]} ({len(self.runs)})"]  # people give two runs one name
            run = self._run(*(names or [str(len(self.runs))]))
            run.state = str(known.get("state", "")).lower()
            run.sweep, run.group = str(known.get("sweep", "")), str(known.get("group", ""))
            run.config |= {n: row[n] for n in columns if n in row and n not in metrics}
            run.summary |= {n: row[n] for n in (*metrics, "_step") if n in row}


def _named(row: dict[str, Any]) -> str:
    """The run that a row of a history names; its column is taken out."""
    names = [str(row.pop(name)) for name in NAMES if row.get(name) not in (None, "")]
    return names[0] if names else ""


def _own_name(parts: Sequence[str]) -> str:
    """The run that the name of a file is of, or of its folder where all are called alike."""
    words = re.sub(r"(^|[_.-])(history|config|summary|wandb|metadata)(?=$|[_.-])", "",
                   parts[-1].rpartition(".")[0])  # fmt: skip
    words = words.strip("_.- ")
    return words or next((part for part in reversed(parts[:-1]) if part != "files"), "run")


def _unwrapped(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without the tables ``{"value": ..., "desc": ...}`` of W&B's files."""
    own = {n: v for n, v in config.items() if n not in ("_wandb", "wandb_version")}
    wrapped = [isinstance(v, dict) and "value" in v and set(v) <= {"value", "desc"}
               for v in own.values()]  # fmt: skip
    return {n: v["value"] for n, v in own.items()} if own and all(wrapped) else own


def _table_in(cell: object) -> dict[str, Any]:
    """The table in a cell: one already, or as JSON or Python writes it.

    Raises:
        ValueError: If there is none.
    """
    if isinstance(cell, dict):
        return cell
    text = str(cell or "{}")
    try:
        found = json.loads(text)
    except ValueError:
        found = _literal(text)
    if not isinstance(found, dict):
        raise ValueError(f"no table: {text[:40]!r}")
    return found


def _literal(text: str) -> Any:
    """What Python prints of plain values, `nan` and `inf` included; nothing is executed."""
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"no table: {text[:40]!r}") from error


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value) if isinstance(value, bool | int | float | str | None):
            return value
        case ast.Name(id=("nan" | "inf") as name):
            return math.nan if name == "nan" else math.inf
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_value(part) for part in parts]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {str(_value(k)): _value(v) for k, v in pairs if k is not None}
    raise ValueError("no plain value")
