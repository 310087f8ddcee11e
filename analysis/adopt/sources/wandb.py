"""Runs of Weights & Biases: its own folders on the disk, and what people export from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from analysis.adopt.found import FoundStudy, FoundTrial, Wanted
from analysis.adopt.histories import History, Point, to_rows
from analysis.adopt.sources import wandb_exports
from analysis.adopt.sources.wandb_exports import Exported, Exports, read_table
from analysis.adopt.sources.wandb_record import read_record
from analysis.adopt.values import is_path, number, plain_config
from deepsight.config import UserError
from deepsight.files import open_file, read_file

TABLES = (".csv", ".json", ".jsonl")
MOST_BYTES = 1 << 30
DEEPEST, MOST_FILES = 3, 200_000
STATES = {"failed": "failed", "crashed": "failed", "preempted": "failed", "preempting": "failed",
          "killed": "stopped", "running": "running", "pending": "running"}  # fmt: skip
"""W&B's states; `finished` says nothing on who ended the run."""
ODD = frozenset({"nan", "inf", "-inf", "infinity", "-infinity"})
"""How texts say what is no number."""


def recognises(source: str) -> bool:
    """Whether `source` is a folder of W&B, an export, or the address of a project."""
    if _is_address(source):
        return True
    root, files = _files(source)
    for count, parts in enumerate(files):
        if parts[-1].endswith(".wandb") or _looks_exported(root, parts):
            return True
        if count == 50:
            return False
    return False


def _is_address(source: str) -> bool:
    parts = urlsplit(source)
    return parts.scheme in ("http", "https") and "wandb." in parts.netloc


def _looks_exported(root: Path, parts: Sequence[str]) -> bool:
    """Whether the beginning of a file looks like one of W&B's exports."""
    if not parts[-1].lower().endswith(TABLES):
        return False
    with os.fdopen(open_file(root, parts), "rb") as file:
        head = file.read(1 << 16).decode("utf-8-sig", "replace")
    if parts[-1].lower().endswith(".csv"):
        columns = [name.strip('"') for name in head.partition("\n")[0].strip().split(",")]
        kind = wandb_exports.kind_of(columns)
        return kind is not None and (kind != "runs" or "summary" in columns)
    return '"_step"' in head or ('"config"' in head and '"summary' in head)


def _files(source: str) -> tuple[Path, Iterator[tuple[str, ...]]]:
    """The folder, and the records and tables in it, by name; without links."""
    path = Path(source)
    if not is_path(source):
        return path, iter([])
    if path.is_dir():
        return path, _below(path, ())
    real = path.resolve()
    return real.parent, iter([(real.name,)] if real.is_file() else [])


def _below(root: Path, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    with os.scandir(root.joinpath(*parts)) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            if entry.name.lower().endswith((*TABLES, ".wandb")):
                yield (*parts, entry.name)
        elif entry.is_dir(follow_symlinks=False) and len(parts) < DEEPEST:
            yield from _below(root, (*parts, entry.name))


def read(source: str, wanted: Wanted) -> FoundStudy:
    """The runs of a project, a group or a sweep.

    Raises:
        UserError: If a file is damaged, there is no run, or runs are of several projects and none
            is named.
    """
    if _is_address(source):
        raise UserError(
            f"{source} is on W&B's servers, which DeepSight does not ask.",
            "Export it (docs/adopt.md has the script), and give the file or folder.",
        )
    root, files = _files(source)
    found, notes = _load(root, files, wanted.metric)
    name, runs = _choose(source, found, wanted.study)
    rows = to_rows([_history(run) for run in runs], wanted.metric)
    notes += rows.notes
    bare = sum(not run.history for run in runs)
    if bare:
        notes.append(f"{bare} of {len(runs)} runs have no history: their last values are one row.")
    if any(run.state == "killed" for run in runs):
        notes.append("Runs that were killed count as stopped by their scheduler (inferred).")
    trials = tuple(
        FoundTrial(
            key=run.key,
            config=plain_config(run.config),
            rows=of_run,
            state=STATES.get(run.state.lower()),
            error=_error(run),
            started=run.started,
        )
        for run, of_run in zip(runs, rows.trials, strict=True)
    )
    return FoundStudy(
        tool="wandb", name=name, trials=trials, metric=rows.metric, notes=tuple(notes)
    )


def _error(run: Exported) -> str | None:
    failed = STATES.get(run.state.lower()) == "failed"
    return f"W&B says {run.state.lower()}, and not why" if failed else None


def _load(
    root: Path, files: Iterator[tuple[str, ...]], metric: str | None
) -> tuple[list[Exported], list[str]]:
    """All runs that files tell of, and what is to be said of the files."""
    exports, recorded, notes = Exports(metric), [], []
    listed = []
    for count, parts in enumerate(files):
        if count == MOST_FILES:
            raise UserError(f"{root} holds more than {MOST_FILES:,} files.", "Give one project.")
        listed.append(parts)
    records = [parts for parts in listed if parts[-1].endswith(".wandb")]
    for parts in records:
        where = str(root.joinpath(*parts))
        record = read_record(where, read_file(root, parts, MOST_BYTES))
        state = {None: "running", 0: "finished"}.get(record.exit_code, "failed")
        config = {n: v for n, v in record.config.items() if n != "_wandb"}
        key = f"{record.name} ({record.run_id})" if record.name else record.run_id or parts[-1]
        recorded.append(
            Exported(key, config, record.history, record.summary, state, record.group,
                     record.sweep, record.project, record.started)
        )  # fmt: skip
        if record.torn:
            notes.append(f"The end of {parts[-1]} is torn and was left out.")
    if records:  # the other files of W&B's folders repeat what records say
        return recorded, notes
    ignored = [parts[-1] for parts in listed if not exports.add(parts, read_table(root, parts))]
    if ignored:
        notes.append(f"{len(ignored)} files are no export of W&B, as {ignored[0]}.")
    found = exports.finish()
    return found, [*notes, *exports.notes]


def _choose(
    source: str, found: Sequence[Exported], wanted: str | None
) -> tuple[str, list[Exported]]:
    runs = [run for run in found if run.config or run.history or run.summary]
    if wanted is not None:
        runs = [run for run in runs if wanted in (run.project, run.group, run.sweep)]
        known = sorted({n for r in found for n in (r.project, r.group, r.sweep) if n})
        if not runs:
            raise UserError(
                f"{source} has no project, group or sweep {wanted!r}.",
                f"It has: {', '.join(known[:20]) or 'no names of any'}.",
            )
        return wanted, runs
    if not runs:
        raise UserError(f"{source} holds no run.", "docs/adopt.md says what to export from W&B.")
    projects = sorted({run.project for run in runs if run.project})
    if len(projects) > 1:
        raise UserError(
            f"{source} has runs of {len(projects)} projects: {', '.join(projects[:20])}.",
            "Say which one: --study NAME.",
        )
    return (projects[0] if projects else Path(source).stem), runs


def _history(run: Exported) -> History:
    """The points of a run's metrics; what it reported last, where there is no history."""
    points: dict[str, list[Point]] = {}
    for index, row in enumerate(run.history or [run.summary]):
        step = number(row.get("_step"))
        time = number(row.get("_timestamp"))
        for name, value in _metrics(row):
            at = int(step) if step is not None and step >= 0 else index
            points.setdefault(name, []).append(Point(at, value, time))
    return points


def _metrics(row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The numbers of a row; pictures, tables and texts are no metrics, and W&B's own have a _."""
    tables = {name: value for name, value in row.items() if isinstance(value, dict)}
    numbers = {name: value for name, value in tables.items() if "_type" not in value}
    media = tuple(name[: -len("_type")] for name in row if name.endswith("._type"))
    for name, value in (dict(row) | plain_config(numbers)).items():
        if (
            name.startswith(("_", *media))
            or name in tables
            or value is None
            or isinstance(value, bool)
        ):
            continue
        if isinstance(value, int | float):
            yield name, number(value)
        elif isinstance(value, str) and value.lower() in ODD:
            yield name, None
