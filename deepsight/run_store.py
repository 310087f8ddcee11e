"""The run format: what a study leaves on disk, written and read here and nowhere else.

`docs/run_format.md` describes every field. The writer appends one JSON line an event, flushed to
the disk before it returns; the reader never writes, never guesses and never unpickles.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import time as clock
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from deepsight.config import UserError, Value, unknown
from deepsight.space import Domain, from_json

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
HEADER_FILE = "study.json"
TRIALS_FILE = "trials.jsonl"
RESULTS_FILE = "results.jsonl"
ENDED_STATES = ("completed", "stopped", "diverged", "failed")
STATES = ("running", *ENDED_STATES)
TRIAL_COLUMNS = (
    "trial_id", "state", "explorer", "budget", "num_epochs", "last", "best",
    "started", "ended", "error",
)  # fmt: skip
"""What `Study.trials` holds beside the hyperparameters, which therefore cannot have these names."""

_TRIAL_ID = re.compile(r"t[0-9]{4,}", re.ASCII)


class StudyFormatError(UserError):
    """A file of a study does not say what the run format says; the cause names ``file:line``."""


class StorageError(UserError):
    """The disk refused to take or to give what the study needs."""

    exit_code = 4


def trial_id(number: int) -> str:
    """The name of trial `number`, counted from 0: ``t0000``."""
    return f"t{number:04d}"


def trial_path(directory: Path, trial_id: str) -> Path:
    """Where the files of one trial lie: ``<study>/trials/<id>``.

    Raises:
        ValueError: If `trial_id` is not a ``t`` and at least four digits; it names a folder.
    """
    if not _TRIAL_ID.fullmatch(trial_id):
        raise ValueError(f"a trial id is a t and at least four digits, got {trial_id!r}")
    return directory / "trials" / trial_id


# --- writing ------------------------------------------------------------------------------------


def create_study(directory: Path, header: Mapping[str, Any]) -> StudyWriter:
    """Make the directory of a new study and return its writer.

    Args:
        directory: Must not exist; its parents are made.
        header: The fields of ``study.json``; `schema_version` is added here.

    Raises:
        UserError: If `directory` exists already.
        StudyFormatError: If the header lacks a field that readers need.
        StorageError: If the disk does not let us write there.
    """
    header = {"schema_version": SCHEMA_VERSION} | _plain_object(HEADER_FILE, header)
    _check_header(header, HEADER_FILE)
    try:
        directory.mkdir(parents=True)
        (directory / "trials").mkdir()
        (directory / TRIALS_FILE).touch()
        (directory / RESULTS_FILE).touch()
        _replace(directory / HEADER_FILE, header)  # last: who sees it sees a whole study
    except FileExistsError:
        if not (directory / HEADER_FILE).exists():
            raise UserError(
                f"{directory} exists already and holds no study.",
                "Choose another name with --name, or move it away.",
            ) from None
        raise UserError(
            f"the study {directory} exists already.",
            f"Continue it with --resume {directory}, or choose another name with --name.",
        ) from None
    except OSError as error:
        raise _storage_error(directory, error) from error
    return StudyWriter(directory)


def open_study(directory: Path) -> StudyWriter:
    """Open a study to continue it, cutting off a torn last line of either file.

    Raises:
        UserError: If there is no study, or another process is writing it.
        StudyFormatError: If its files are damaged in any other way.
        StorageError: If the disk does not let us write there.
    """
    _require_study(directory)
    writer = StudyWriter(directory)
    try:
        writer.trim()
        study = load_study(directory)
    except BaseException:
        writer.close()
        raise
    writer.known = {record.trial_id: record.state for record in study.records}
    return writer


class StudyWriter:
    """Appends to the files of one study; the only writer they have (held by a file lock)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.known: dict[str, str] = {}  # state by trial id
        try:
            self._trials = (directory / TRIALS_FILE).open("r+b", buffering=0)
            self._results = (directory / RESULTS_FILE).open("r+b", buffering=0)
            _lock(self._trials.fileno(), directory)
        except OSError as error:
            raise _storage_error(directory, error) from error

    def __enter__(self) -> StudyWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write_header(self, header: Mapping[str, Any]) -> None:
        """Replace ``study.json`` in one step (a resumed study may be asked for more trials)."""
        header = _plain_object(HEADER_FILE, header) | {"schema_version": SCHEMA_VERSION}
        _check_header(header, HEADER_FILE)
        try:
            _replace(self.directory / HEADER_FILE, header)
        except OSError as error:
            raise _storage_error(self.directory, error) from error

    def started(
        self,
        trial_id: str,
        config: Mapping[str, Value],
        explorer: bool,
        budget: int,
        time: float | None = None,
    ) -> None:
        """Record that a trial begins, or goes on after an interruption (a second line then).

        Args:
            trial_id: A ``t`` and at least four digits.
            config: The trial's hyperparameters by dotted name, None where inactive.
            explorer: Whether it was drawn uniformly with its budget fixed beforehand.
            budget: Epochs it may train for.
            time: Seconds since the epoch; None is now.
        """
        trial_path(self.directory, trial_id)
        if self.known.get(trial_id, "running") != "running":
            raise ValueError(f"trial {trial_id} has ended and cannot start again")
        line = {"trial_id": trial_id, "event": "started", "time": _stamp(time), "config": config,
                "explorer": bool(explorer), "budget": int(budget)}  # fmt: skip
        self._append(self._trials, line)
        self.known[trial_id] = "running"

    def result(self, trial_id: str, row: Mapping[str, Any]) -> None:
        """Record one epoch of a trial.

        Args:
            trial_id: A trial that has started.
            row: ``epoch`` (from 1) and metrics by name; ``time`` is now unless given.
        """
        if trial_id not in self.known:
            raise ValueError(f"trial {trial_id} has not started")
        if type(row.get("epoch")) is not int:
            raise ValueError(f"a result needs an int named epoch, got {row.get('epoch')!r}")
        line = {"trial_id": trial_id, "epoch": row["epoch"], "time": _stamp(row.get("time"))}
        self._append(self._results, line | {k: v for k, v in row.items() if k not in line})

    def ended(
        self, trial_id: str, state: str, error: str | None = None, time: float | None = None
    ) -> None:
        """Record how a trial ended: completed, stopped, diverged or failed."""
        if state not in ENDED_STATES:
            raise ValueError(f"a trial ends as {' or '.join(ENDED_STATES)}, got {state!r}")
        if self.known.get(trial_id) != "running":
            raise ValueError(f"trial {trial_id} is not running")
        line = {"trial_id": trial_id, "event": "ended", "time": _stamp(time), "state": state,
                "error": error}  # fmt: skip
        self._append(self._trials, line)
        self.known[trial_id] = state

    def trial_directory(self, trial_id: str) -> Path:
        """The folder of one trial's files, made if absent."""
        path = trial_path(self.directory, trial_id)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def trim(self) -> None:
        """Cut a torn last line off both files, so that the next line does not join it."""
        for file in (self._trials, self._results):
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                logger.warning("%s: cut off a torn last line (%d bytes).",
                               file.name, len(content) - whole)  # fmt: skip
                file.truncate(whole)
                os.fsync(file.fileno())

    def close(self) -> None:
        """Release the files and the lock; what was written is on the disk already."""
        self._trials.close()
        self._results.close()

    def _append(self, file: Any, line: Mapping[str, Any]) -> None:
        """One line, whole and on the disk, or none of it."""
        name = Path(file.name).name
        text = json.dumps(_plain_object(name, line), allow_nan=False, ensure_ascii=False)
        content = text.encode("utf-8", errors="replace") + b"\n"
        end = file.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(content):
                written += file.write(content[written:])
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(end)
            raise _storage_error(self.directory, error) from error


def _stamp(time: float | None) -> float:
    return round(clock.time() if time is None else float(time), 3)


def _plain(value: Any) -> Any:
    """`value` as JSON holds it: not-a-number and infinities become None, arrays become lists."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):  # numpy and torch, without importing either
        return _plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    raise ValueError(f"a {type(value).__name__} is not a number, a text or a list of them")


def _plain_object(where: str, values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {}
    for name, value in values.items():
        try:
            plain[name] = _plain(value)
        except ValueError as error:
            raise ValueError(f"{where}: {name}: {error}") from None
    return plain


def _replace(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)  # the new name lives in the folder: sync it too
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lock(descriptor: int, directory: Path) -> None:
    import fcntl  # only writing needs a POSIX system

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            f"another process is writing the study {directory}.",
            "Wait for it, or stop it with Ctrl-C.",
        ) from None
    except OSError as error:
        logger.warning("%s cannot be locked (%s): start no second writer.", directory, error)


def _storage_error(directory: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write to {directory}: {error.strerror or error}.",
        "Make room or change the permissions; then continue with --resume.",
    )


# --- reading ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrialRecord:
    """One trial as its files tell it."""

    trial_id: str
    config: dict[str, Any]
    """Hyperparameters by dotted name, None where inactive."""
    explorer: bool
    budget: int
    """Epochs it may train for."""
    started: float
    """Seconds since the epoch."""
    state: str = "running"
    """running (also: interrupted), completed, stopped, diverged or failed."""
    ended: float | None = None
    error: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Results in the order of their epochs."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of the trial's events that this version does not know."""

    @property
    def num_epochs(self) -> int:
        """The last epoch that has a result; 0 without any."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0


@dataclass(frozen=True)
class Study:
    """A study as its directory tells it."""

    directory: Path
    header: dict[str, Any]
    space: dict[str, Domain]
    fixed: dict[str, Value]
    metric: str
    mode: str
    max_epochs: int
    rungs: tuple[int, ...]
    records: list[TrialRecord]
    """In the order in which they started."""

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One line a trial: `TRIAL_COLUMNS`, then the hyperparameters by dotted name."""
        import pandas as pd

        rows = [
            {name: getattr(r, name) for name in TRIAL_COLUMNS if name not in ("last", "best")}
            | {"last": self.score(r), "best": self._best_value(r)}
            | r.config
            for r in self.records
        ]
        named = dict.fromkeys([*TRIAL_COLUMNS, *self.space, *(n for row in rows for n in row)])
        return pd.DataFrame(rows, columns=list(named))

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One line a trial and epoch: ``trial_id``, ``epoch``, ``time`` and the metrics."""
        import pandas as pd

        rows = [row for record in self.records for row in record.rows]
        named = dict.fromkeys(["trial_id", "epoch", "time", *(n for row in rows for n in row)])
        return pd.DataFrame(rows, columns=list(named))

    def record(self, trial_id: str) -> TrialRecord:
        """The trial of that name.

        Raises:
            UserError: If there is none.
        """
        found = {r.trial_id: r for r in self.records}
        if trial_id not in found:
            raise unknown("trial", trial_id, found)
        return found[trial_id]

    def score(self, record: TrialRecord) -> float | None:
        """The metric after the trial's last epoch; None where there is no number."""
        value = record.rows[-1].get(self.metric) if record.rows else None
        return float(value) if isinstance(value, int | float) else None

    def has_full_budget(self, record: TrialRecord) -> bool:
        """Whether the trial completed all the epochs that this study gives to any."""
        return record.state == "completed" and record.budget >= self.max_epochs

    def incumbent(self) -> TrialRecord | None:
        """The trial with the best score among those of full budget; the earliest among equals.

        While none has completed the full budget, the best last score of the trials that have
        neither failed nor diverged stands in (`has_full_budget` tells); None without any score.
        """
        scored = [r for r in self.records if self.score(r) is not None]
        full = [r for r in scored if self.has_full_budget(r)]
        healthy = [r for r in scored if r.state not in ("failed", "diverged")]
        sign = 1.0 if self.mode == "max" else -1.0
        return max(full or healthy, key=lambda r: sign * (self.score(r) or 0.0), default=None)

    def _best_value(self, record: TrialRecord) -> float | None:
        values = [row.get(self.metric) for row in record.rows]
        numbers = [float(v) for v in values if isinstance(v, int | float)]
        return (max if self.mode == "max" else min)(numbers, default=None)


def load_study(path: Path | str) -> Study:
    """Read a study, finished or not, also while it is being written.

    A torn last line is left out with a warning. A trial that went back to an earlier checkpoint
    repeats epochs: from a row whose epoch does not exceed the last one on, the later lines count.

    Raises:
        UserError: If there is no study at `path`.
        StudyFormatError: If a file is damaged or of a newer version; the cause says where.
    """
    directory = Path(path)
    header = _read_header(directory)
    events, results = _snapshot(directory)
    trials: dict[str, dict[str, Any]] = {}
    for where, line in _lines(directory / TRIALS_FILE, events):
        _apply_event(where, line, trials)
    for where, line in _lines(directory / RESULTS_FILE, results):
        _apply_result(where, line, trials)
    return Study(
        directory=directory,
        header=header,
        space=from_json(header["space"]),
        fixed=header["fixed"],
        metric=header["metric"],
        mode=header["mode"],
        max_epochs=header["max_epochs"],
        rungs=tuple(header["rungs"]),
        records=[TrialRecord(**trial) for trial in trials.values()],
    )


def _require_study(directory: Path) -> None:
    if not directory.is_dir():
        raise UserError(f"{directory} is no directory.", "Give the directory of a study.")
    if not (directory / HEADER_FILE).is_file():
        raise UserError(
            f"{directory} holds no study: there is no {HEADER_FILE}.",
            "Give the directory that deepsight.tune printed last.",
        )


def _damaged(where: str, what: str) -> NoReturn:
    raise StudyFormatError(
        f"{where}: {what}.", "Restore the file from a copy; docs/run_format.md says how it looks."
    )


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _read_header(directory: Path) -> dict[str, Any]:
    _require_study(directory)
    path = directory / HEADER_FILE
    try:
        header = _DECODER.decode(path.read_text("utf-8"))
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        _damaged(f"{path}:{line}", f"not JSON ({error})")
    if not isinstance(header, dict):
        _damaged(f"{path}:1", "not a JSON object")
    _check_header(header, str(path))
    return header


_HEADER_TYPES: dict[str, type] = {
    "schema_version": int, "name": str, "metric": str, "mode": str, "max_epochs": int,
    "rungs": list, "fixed": dict, "space": dict,
}  # fmt: skip


def _check_header(header: Mapping[str, Any], where: str) -> None:
    """Refuse a header without the fields that reading leans on; all others are optional."""
    version = header.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise StudyFormatError(
            f"{where}: schema_version {version} is newer than {SCHEMA_VERSION}, "
            "the newest that this deepsight reads.",
            "Read it with the version of deepsight that wrote it (in its field versions), or a "
            "newer one.",
        )
    for name, kind in _HEADER_TYPES.items():
        if type(header.get(name)) is not kind:
            _damaged(where, f"{name} must be of type {kind.__name__}, got {header.get(name)!r}")
    if header["mode"] not in ("max", "min"):
        _damaged(where, f"mode must be max or min, got {header['mode']!r}")
    try:
        space = from_json(header["space"])
    except UserError as error:
        _damaged(where, error.cause.rstrip("."))
    taken = sorted(set(space) & set(TRIAL_COLUMNS))
    if taken:
        raise StudyFormatError(
            f"{where}: a hyperparameter cannot be named {' or '.join(taken)}.",
            "Name it otherwise, as in user.state.",
        )


def _snapshot(directory: Path) -> tuple[bytes, bytes]:
    """Both files as of one moment: no event falls between the two reads."""
    trials, results = directory / TRIALS_FILE, directory / RESULTS_FILE
    try:
        while True:
            events, rows = trials.read_bytes(), results.read_bytes()
            if trials.stat().st_size == len(events):
                return events, rows
    except OSError as error:
        _damaged(str(error.filename), f"cannot be read ({error.strerror})")


def _lines(path: Path, content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``("file:line", object)`` for every whole line."""
    *whole, torn = content.split(b"\n")
    for number, raw in enumerate(whole, start=1):
        where = f"{path}:{number}"
        try:
            line = _DECODER.decode(raw.decode())
        except ValueError as error:
            _damaged(where, f"not JSON ({error})")
        if not isinstance(line, dict) or not _TRIAL_ID.fullmatch(str(line.get("trial_id"))):
            _damaged(where, "not an object with a trial_id")
        yield where, line
    if torn:
        warnings.warn(f"{path}:{len(whole) + 1}: the last line is torn and left out.", stacklevel=4)


def _is(value: object, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _apply_event(where: str, line: dict[str, Any], trials: dict[str, dict[str, Any]]) -> None:
    name, event = line["trial_id"], line.pop("event", None)
    if not _is(line.get("time"), (int, float)):
        _damaged(where, "time must be a number")
    time, trial = line.pop("time"), trials.get(name)
    if event == "started":
        _check_started(where, line, trial)
        if trial is None:
            known = {k: line.pop(k) for k in ("trial_id", "config", "explorer", "budget")}
            trials[name] = known | {"started": time, "rows": [], "extra": line}
    elif event == "ended":
        if trial is None or "state" in trial:
            _damaged(where, f"trial {name} ends but is not running")
        if line.get("state") not in ENDED_STATES:
            _damaged(where, f"state must be {' or '.join(ENDED_STATES)}, got {line.get('state')!r}")
        trial |= {"ended": time, "state": line.pop("state"), "error": line.pop("error", None)}
        trial["extra"] |= {k: v for k, v in line.items() if k != "trial_id"}
    else:
        _damaged(where, f"event must be started or ended, got {event!r}")


def _check_started(where: str, line: Mapping[str, Any], trial: Mapping[str, Any] | None) -> None:
    if not isinstance(line.get("config"), dict) or not isinstance(line.get("explorer"), bool):
        _damaged(where, "config must be an object and explorer true or false")
    if not _is(line.get("budget"), int):
        _damaged(where, "budget must be a whole number of epochs")
    if trial is not None and ("state" in trial or trial["config"] != line["config"]):
        _damaged(where, f"trial {line['trial_id']} starts again after its end or otherwise")


def _apply_result(where: str, line: dict[str, Any], trials: dict[str, dict[str, Any]]) -> None:
    trial = trials.get(line["trial_id"])
    if trial is None:
        _damaged(where, f"a result of trial {line['trial_id']}, which never started")
    if not _is(line.get("epoch"), int) or line["epoch"] < 1:
        _damaged(where, f"epoch must be a whole number from 1, got {line.get('epoch')!r}")
    if not _is(line.get("time"), (int, float)):
        _damaged(where, "time must be a number")
    rows = trial["rows"]
    while rows and rows[-1]["epoch"] >= line["epoch"]:
        rows.pop()
    rows.append(line)


def best_first(study: Study, records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """`records` that have a score, best first, the earlier first among equals."""
    sign = -1.0 if study.mode == "max" else 1.0
    scored = [r for r in records if study.score(r) is not None]
    return sorted(scored, key=lambda r: sign * (study.score(r) or 0.0))
