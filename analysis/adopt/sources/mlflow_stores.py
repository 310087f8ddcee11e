"""The stores of MLflow on a disk: a folder of plain files (``mlruns``), or a database."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.adopt.database import Database
from analysis.adopt.histories import History, Point
from analysis.adopt.sources.mlflow_runs import Run, finite, seconds
from analysis.adopt.values import is_path
from deepsight.config import UserError
from deepsight.files import has_file, read_file

META = "meta.yaml"
META_BYTES, TEXT_BYTES, METRIC_BYTES = 1 << 20, 1 << 16, 256 << 20
MOST_FOLDERS = 10
"""Folders within ``metrics``: a slash in the name of a metric makes one."""
STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
TAGS = ("mlflow.parentRunId", "mlflow.runName", "state")
"""All that is read of the tags of a folder."""


def is_folder(source: str) -> bool:
    """Whether `source` is a store of plain files, or the folder of an experiment in one."""
    return (
        is_path(source) and Path(source).is_dir() and any(True for _ in _experiments(Path(source)))
    )


class FolderStore:
    """A store of plain files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found = dict(_experiments(root))

    def experiments(self) -> Mapping[str, str]:
        """The names of experiments by id."""
        return {
            str(meta["experiment_id"]): str(meta.get("name"))
            for meta in self._found.values()
            if meta.get("lifecycle_stage") != "deleted"
        }

    def runs(self) -> Sequence[Run]:
        """All runs, in the order of their beginning."""
        found = []
        for parts, meta in self._found.items():
            if meta.get("lifecycle_stage") != "deleted":
                found += list(self._runs_of(parts, str(meta["experiment_id"])))
        return sorted(found, key=lambda run: (run.started or 0.0, run.run_id))

    def _runs_of(self, parts: tuple[str, ...], experiment: str) -> Iterator[Run]:
        for name in _entries(self._root, parts)[0]:
            meta = _meta(self._root, (*parts, name))
            if meta.get("run_id", meta.get("run_uuid")) != name:
                continue
            if meta.get("lifecycle_stage") == "deleted":
                continue
            here = (*parts, name)
            status = meta.get("status")
            run = Run(
                name,
                experiment,
                STATUS.get(status, "") if isinstance(status, int) else str(status),
                seconds(meta.get("start_time")),
                seconds(meta.get("end_time")),
                {key: self._text(path) for key, path in _named(self._root, (*here, "params"))},
            )
            if meta.get("run_name"):
                run.tags["mlflow.runName"] = str(meta["run_name"])
            for tag in TAGS:
                if has_file(self._root, (*here, "tags", tag)):
                    run.tags[tag] = self._text((*here, "tags", tag))
            yield run

    def _text(self, parts: Sequence[str]) -> str:
        return read_file(self._root, parts, TEXT_BYTES).decode("utf-8", "replace")

    def histories(self, runs: Sequence[Run]) -> Mapping[str, History]:
        """The metrics of `runs`, by run id."""
        folder_of = {str(meta["experiment_id"]): parts for parts, meta in self._found.items()}
        return {
            run.run_id: {
                key: _points(self._root, path)
                for key, path in _named(
                    self._root, (*folder_of[run.experiment_id], run.run_id, "metrics")
                )
            }
            for run in runs
        }


def _experiments(root: Path) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The experiments in a folder, or the one that it is: the path below `root`, and what it says.

    Folders that are none (the registry of models, ``.trash``) are passed over.
    """
    own = _meta(root, ())
    if "experiment_id" in own and "run_id" not in own:
        yield (), own
        return
    for name in _entries(root, ())[0]:
        meta = _meta(root, (name,))
        if str(meta.get("experiment_id")) == name and "run_id" not in meta:
            yield (name,), meta


def _meta(root: Path, parts: tuple[str, ...]) -> dict[str, Any]:
    """What ``meta.yaml`` in a folder says; nothing where there is none."""
    import yaml

    if not has_file(root, (*parts, META)):
        return {}
    where = root.joinpath(*parts, META)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is
    try:
        text = read_file(root, (*parts, META), META_BYTES)
        if b"*" in text and any(isinstance(e, yaml.AliasEvent) for e in yaml.parse(text, loader)):
            raise ValueError("it has aliases, which MLflow does not write")  # they may multiply
        found = yaml.load(text, loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{where} cannot be read: {reason}.", "Restore it.") from error
    return found if isinstance(found, dict) else {}


def _entries(root: Path, parts: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The plain folders and files in a folder, without links, by name."""
    folders, files = [], []
    try:
        with os.scandir(root.joinpath(*parts)) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    files.append(entry.name)
    except FileNotFoundError:
        return [], []
    return sorted(folders), sorted(files)


def _named(root: Path, parts: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The files below a folder: the name that a slash may divide, and the path."""
    waiting = [parts]
    if root.joinpath(*parts).is_symlink():
        return
    while waiting:
        here = waiting.pop()
        folders, files = _entries(root, here)
        for name in files:
            yield "/".join((*here[len(parts) :], name)), (*here, name)
        if len(here) - len(parts) < MOST_FOLDERS:
            waiting += [(*here, name) for name in folders]


def _points(root: Path, parts: tuple[str, ...]) -> list[Point]:
    """The lines of a metric: ``timestamp value step``, without a torn last one."""
    lines = read_file(root, parts, METRIC_BYTES).decode("utf-8", "replace").split("\n")
    points = []
    for count, line in enumerate(lines[:-1], start=1):
        fields = line.split()
        try:
            step = int(fields[2]) if len(fields) > 2 else 0
            points.append(Point(step, finite(float(fields[1])), seconds(int(fields[0]))))
        except (ValueError, IndexError) as error:
            raise UserError(
                f"{root.joinpath(*parts)}:{count}: no value of a metric: {line[:60]!r}.",
                "A line is: time in milliseconds, value, step. Restore the file.",
            ) from error
    return points


class DatabaseStore:
    """A store in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def experiments(self) -> Mapping[str, str]:
        """The names of experiments by id."""
        columns = ("experiment_id", "name", "lifecycle_stage")
        rows = self._database.rows("experiments", columns)
        return {str(key): str(name) for key, name, stage in rows if stage != "deleted"}

    def runs(self) -> Sequence[Run]:
        """All runs, in the order of their beginning."""
        known = self.experiments()
        columns = ("run_uuid", "experiment_id", "status", "start_time", "end_time", "name")
        runs: dict[str, Run] = {}
        rows = self._database.rows("runs", (*columns, "lifecycle_stage"))
        for key, experiment, status, start, end, name, stage in rows:
            if stage != "deleted" and str(experiment) in known:
                run = Run(key, str(experiment), str(status), seconds(start), seconds(end))
                run.tags |= {"mlflow.runName": name} if name else {}
                runs[key] = run
        for table, of in (("params", "params"), ("tags", "tags")):
            for key, name, value in self._database.rows(table, ("run_uuid", "key", "value")):
                if key in runs and (of == "params" or name in TAGS):
                    getattr(runs[key], of)[str(name)] = str(value)
        return sorted(runs.values(), key=lambda run: (run.started or 0.0, run.run_id))

    def histories(self, runs: Sequence[Run]) -> Mapping[str, History]:
        """The metrics of `runs`, by run id."""
        found: dict[str, dict[str, list[tuple[int, Point]]]] = {run.run_id: {} for run in runs}
        columns = ("run_uuid", "key", "value", "timestamp", "step", "is_nan")
        where = "run_uuid IN (SELECT run_uuid FROM runs WHERE experiment_id = :experiment)"
        for experiment in {run.experiment_id for run in runs}:
            rows = self._database.rows("metrics", columns, where, experiment=int(experiment))
            for key, name, value, time, step, is_nan in rows:
                if key in found:
                    point = Point(int(step), None if is_nan else finite(value), seconds(time))
                    found[key].setdefault(str(name), []).append((int(time), point))
        return {
            key: {
                name: [point for _, point in sorted(points, key=lambda pair: pair[0])]
                for name, points in metrics.items()
            }
            for key, metrics in found.items()
        }
