"""Ray Tune's experiment folders, Ray 2.5 and later, from their JSON and CSV files alone.

A trial is a folder with ``params.json``, ``result.json``, ``progress.csv`` or ``error.txt``. The
experiment's state file adds the metric and which trials ended; the pickles inside it, as everything
named ``.pkl``, are left closed. Links are refused.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from analysis.adopt.found import FoundRow, FoundStudy, FoundTrial, Wanted
from analysis.adopt.sources.ray_tune_configs import CHANGES, TAG, config_in, until_change
from analysis.adopt.values import flatten, is_numeric, number, plain_config, words
from deepsight.config import UserError, Value
from deepsight.files import FileRefusedError, read_file

PARAMS, RESULT, PROGRESS, ERROR = "params.json", "result.json", "progress.csv", "error.txt"
TRIAL_FILES = frozenset({PARAMS, RESULT, PROGRESS, ERROR})
STATE = re.compile(r"experiment_state-.*\.json")
PARAMS_BYTES, RESULT_BYTES, ERROR_BYTES, STATE_BYTES = 16 << 20, 1 << 30, 64 << 20, 2 << 30
"""The most that one of these files may hold."""
MOST_TRIALS = 1_000_000
LOOK = 200
"""Entries of a folder that are looked at to recognise it."""
MOST_METRICS = 64
OWN = words(
    "training_iteration timestamp time_this_iter_s time_total_s time_since_restore pid done "
    "iterations_since_restore timesteps_since_restore timesteps_total timesteps_this_iter "
    "episodes_total episodes_this_iter should_checkpoint warmup_time experiment_id trial_id date "
    "hostname node_ip checkpoint_dir_name experiment_tag __duplicate__ __trial_info__"
)
"""What Ray adds to every result."""
NUMBER = re.compile(r"_(\d{5})(?=_|$)|_[0-9a-f]{8}_(\d+)(?=_|$)")
"""In the name of a trial's folder: which one it was, from 0 or from 1."""


@dataclass
class State:
    """What the experiment's state file says."""

    metric: str | None = None
    trials: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the name of the trial's folder."""
    changes: bool = False
    """Whether configs were changed while trials ran."""


@dataclass
class Seen:
    """What was met in the files, counted for the notes."""

    counts: Counter[str] = field(default_factory=Counter)


SENTENCES = {
    "torn": "{n} damaged lines of results are left out.",
    "repeated": "{n} results were repeated after a restart; the later ones count.",
    "lost": "{n} epochs before the last one of their trial are missing. Ray's logger can lose "
    "results that it has not yet copied to the storage when a paused trial goes on.",
    "tag": "The configs of {n} trials are from experiment_tag, which rounds numbers.",
    "no config": "{n} trials have no config on record.",
    "open": "{n} trials have no end on record: they run, or were interrupted.",
    "changed": "{n} trials were given another config while they ran (population based training): "
    "each ends there as stopped, and what followed, from another trial's checkpoint, is left out. "
    "Results just before the change may be missing too: Ray's logger can lose them.",
    "metrics": f"Of {{n}} results only the first {MOST_METRICS} metrics are kept.",
    "state": "The experiment's state file cannot be read; trials are judged by their own files.",
}


def recognises(source: str) -> bool:
    """Whether it is a folder of trials, or of such folders."""
    root = Path(source)
    if not _is_folder(root):
        return False
    return _is_experiment(root) or any(_is_experiment(p) for p in _folders(root, LOOK))


def read(source: str, wanted: Wanted) -> FoundStudy:
    """The experiment in a folder; of several in it, the one that `wanted` names.

    Raises:
        UserError: If there are several, none has a trial, or a file is a link or too large.
    """
    root = _experiment(Path(source), wanted.study)
    seen, state = Seen(), _state(root)
    if state is None:
        seen.counts["state"] += 1
        state = State()
    state.changes = os.path.lexists(root / CHANGES)
    trials = [_trial(root, name, files, state, seen) for name, files in _trial_folders(root)]
    if not trials:
        raise UserError(
            f"{root} has no trial that has begun.",
            f"A trial is a folder in it with {PARAMS}, {RESULT} or {PROGRESS}.",
        )
    longest = wanted.max_epochs or max((t.rows[-1].epoch for t in trials if t.rows), default=0)
    trials = [_settled(trial, longest, seen) for trial in trials]
    notes = [SENTENCES[kind].format(n=n) for kind, n in seen.counts.items() if n]
    metric = (
        state.metric if any(state.metric in r.metrics for t in trials for r in t.rows) else None
    )
    return FoundStudy(
        tool="ray_tune",
        name=root.name,
        trials=tuple(trials),
        metric=metric,
        notes=tuple(notes),
    )


# --- folders ------------------------------------------------------------------------------------


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # longer than a name can be
        return False


def _folders(root: Path, most: int) -> list[Path]:
    """Folders in `root`, links not followed; none where it cannot be read."""
    try:
        with os.scandir(root) as entries:
            return [Path(e.path) for e in islice(entries, most) if e.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in islice(entries, LOOK)}
    except OSError:
        return set()


def _is_experiment(root: Path) -> bool:
    names = _names(root)
    if any(map(STATE.fullmatch, names)):
        return True
    return any(_names(folder) & {PARAMS, RESULT, PROGRESS} for folder in _folders(root, LOOK))


def _experiment(root: Path, name: str | None) -> Path:
    """The folder of the experiment that is meant."""
    if name is None and _is_experiment(root):
        return root
    known = sorted(p.name for p in _folders(root, MOST_TRIALS) if _is_experiment(p))
    if name in known:
        return root / str(name)
    if name is None and len(known) == 1:
        return root / known[0]
    cause = f"{root} holds {len(known)} experiments"
    raise UserError(
        f"{cause}." if name is None else f"{cause}, none of them {name!r}.",
        f"Give one with --study: {', '.join(known) or 'there is none'}.",
    )


def _trial_folders(root: Path) -> list[tuple[str, set[str]]]:
    """The name of each trial's folder and of Ray's files in it, in the order of the trials."""
    found = []
    with os.scandir(root) as entries:
        for entry in islice(entries, MOST_TRIALS):
            if entry.is_symlink():
                raise FileRefusedError(
                    f"{entry.path} is a link: links in an experiment are not followed.",
                    "Put what it leads to in its place, or take it away.",
                )
            if entry.is_dir(follow_symlinks=False):
                with os.scandir(entry.path) as inside:
                    files = {file.name for file in inside if file.name in TRIAL_FILES}
                if files:
                    found.append((entry.name, files))
    return sorted(found, key=lambda trial: (_number_in(trial[0]), trial[0]))


def _number_in(folder: str) -> int:
    match = NUMBER.search(folder)
    return int(match[1] or match[2]) if match else 0


# --- the state of the experiment ----------------------------------------------------------------


def _state(root: Path) -> State | None:
    """The newest state file; empty without any, None where it cannot be read."""
    names = sorted(p.name for p in root.iterdir() if STATE.fullmatch(p.name))
    if not names:
        return State()
    content = read_file(root, [names[-1]], STATE_BYTES)
    try:
        stored = json.loads(content)
        metric = stored.get("runner_data", {}).get("_metric")
        state = State(metric if isinstance(metric, str) else None)
        for entry in stored.get("trial_data", stored.get("checkpoints", [])):
            parts = entry if isinstance(entry, list) else [entry]
            told: dict[str, Any] = {}
            for part in parts:
                told |= json.loads(part) if isinstance(part, str) else part
            folder = told.get("relative_logdir") or told.get("logdir") or ""
            state.trials[Path(str(folder)).name] = {
                key: told.get(key) for key in ("status", "start_time", "error_filename")
            }
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return state


# --- one trial ----------------------------------------------------------------------------------


def _trial(root: Path, name: str, files: set[str], state: State, seen: Seen) -> FoundTrial:
    every = list(_results(root, name, files, seen))
    results = until_change(every) if state.changes else every
    changed = len(results) < len(every)
    seen.counts["changed"] += changed
    told = state.trials.get(name, {})
    rows = _rows(results, seen)
    error = _error(root, name) if ERROR in files else None
    ends = "stopped" if changed else _outcome(results, told.get("status"), error)
    started = number(told.get("start_time"))
    if results and started is None:
        at, before = number(results[0].get("timestamp")), number(results[0].get("time_total_s"))
        started = None if at is None else at - (before or 0.0)
    return FoundTrial(
        key=name,
        config=_config(root, name, files - {PARAMS} if changed else files, results, seen),
        rows=rows,
        state=ends,
        error=error if ends == "failed" else None,
        started=started,
        ended=rows[-1].time if rows and ends != "running" else None,
    )


OPEN = "open"
"""What `_outcome` says of a trial whose files tell of no end; `_settled` replaces it."""


def _outcome(results: Sequence[Mapping[str, Any]], status: Any, error: str | None) -> str | None:
    """How the trial ended, None where its length tells."""
    done = bool(results) and results[-1].get("done") in (True, "True", "true")
    if status == "ERROR":
        return "failed"
    if done:  # by the scheduler, a criterion, or at the full budget
        return None
    if status == "TERMINATED":  # its function returned; or it was told to end before a result
        return "completed" if results else "stopped"
    if error is not None and status is None:
        return "failed"
    return "running" if status is not None else OPEN


def _settled(trial: FoundTrial, longest: int, seen: Seen) -> FoundTrial:
    if trial.state != OPEN:
        return trial
    if trial.rows and trial.rows[-1].epoch >= longest:
        return _with_state(trial, None)
    seen.counts["open"] += 1
    return _with_state(trial, "running")


def _with_state(trial: FoundTrial, state: str | None) -> FoundTrial:
    ended = None if state == "running" else trial.ended
    return FoundTrial(trial.key, trial.config, trial.rows, state, trial.error, trial.started, ended)


def _error(root: Path, name: str) -> str:
    """The last line that says something in ``error.txt``: the exception."""
    content = read_file(root, [name, ERROR], ERROR_BYTES).decode("utf-8", "replace")
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "failed without a word"


def _results(root: Path, name: str, files: set[str], seen: Seen) -> Iterator[Mapping[str, Any]]:
    """Results in the order of the file; lines that are damaged are counted."""
    if RESULT in files:
        content = read_file(root, [name, RESULT], RESULT_BYTES)
        if content.strip() or PROGRESS not in files:
            yield from _json_lines(content, seen)
            return
    if PROGRESS in files:
        text = read_file(root, [name, PROGRESS], RESULT_BYTES).decode("utf-8", "replace")
        for row in csv.DictReader(io.StringIO(text.replace("\0", ""))):
            whole = None not in row and None not in row.values()
            if whole and number(row.get("training_iteration")) is not None:
                yield {key: value for key, value in row.items() if value != ""}
            else:
                seen.counts["torn"] += 1


def _json_lines(content: bytes, seen: Seen) -> Iterator[Mapping[str, Any]]:
    for raw in content.split(b"\n"):
        if not raw.strip(b"\0 \r\t"):
            continue
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict) and number(line.get("training_iteration")) is not None:
            yield line
        else:
            seen.counts["torn"] += 1


def _rows(results: Sequence[Mapping[str, Any]], seen: Seen) -> tuple[FoundRow, ...]:
    """An epoch that comes again replaces the earlier one and all after it."""
    rows: list[FoundRow] = []
    for result in results:
        epoch = int(number(result["training_iteration"]) or 0)
        if not 1 <= epoch <= 10_000_000:
            seen.counts["torn"] += 1
            continue
        while rows and rows[-1].epoch >= epoch:
            rows.pop()
            seen.counts["repeated"] += 1
        metrics = _metrics(result, seen)
        spent = number(result.get("time_this_iter_s"))
        rows.append(FoundRow(epoch, metrics, number(result.get("timestamp")), spent))
    seen.counts["lost"] += sum(b.epoch - a.epoch - 1 for a, b in pairwise(rows))
    return tuple(rows)


def _metrics(result: Mapping[str, Any], seen: Seen) -> dict[str, float | None]:
    """What the trainable reported: numbers, under the names that Ray gives nested ones."""
    own = {k: v for k, v in result.items() if k not in OWN and k != "config"}
    flat = flatten(own, "/") if any(isinstance(v, Mapping) for v in own.values()) else own
    numbers = {
        name: number(value)
        for name, value in flat.items()
        if is_numeric(value) and not name.startswith(("config/", "config."))
    }
    if len(numbers) > MOST_METRICS:
        seen.counts["metrics"] += 1
        return dict(islice(numbers.items(), MOST_METRICS))
    return numbers


def _config(
    root: Path,
    name: str,
    files: set[str],
    results: Sequence[Mapping[str, Any]],
    seen: Seen,
) -> dict[str, Value]:
    """From ``params.json``, else from the results."""
    if PARAMS in files:
        content = read_file(root, [name, PARAMS], PARAMS_BYTES)
        try:
            stored = json.loads(content)
        except (ValueError, RecursionError):
            stored = None
        if isinstance(stored, dict):
            return plain_config(stored)
    for result in results[-1:]:
        if stated := config_in(result):
            return stated
    tag = next((str(r[TAG]) for r in results[-1:] if r.get(TAG)), "")
    pairs = [part.split("=", 1) for part in tag.partition("_")[2].split(",") if "=" in part]
    seen.counts["tag" if pairs else "no config"] += 1
    return plain_config(dict(pairs))  # type: ignore[arg-type]
