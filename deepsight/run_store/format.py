"""What the lines and fields of the run format must be: the rules that writer and reader share.

`docs/run_format.md` describes them for people. Nothing here opens a file; `deepsight.run_store`
does, and other packages import that.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from deepsight.config import UserError

SCHEMA_VERSION = 1
HEADER_FILE = "study.json"
TRIALS_FILE = "trials.jsonl"
RESULTS_FILE = "results.jsonl"
OPENINGS_FILE = "test_openings.jsonl"
CHECKPOINT_FILE = "checkpoint.pt"
"""In the folder of a trial."""
HEADER_BYTES, RECORD_BYTES = 64 << 20, 4 << 30
"""The most that ``study.json`` and a file of lines may hold."""
ENDED_STATES = ("completed", "stopped", "diverged", "failed")
STATES = ("running", *ENDED_STATES)
TRIAL_COLUMNS = (
    "trial_id",
    "state",
    "explorer",
    "budget",
    "num_epochs",
    "last",
    "best",
    "started",
    "ended",
    "error",
)
"""What `Study.trials` holds beside the hyperparameters, which therefore cannot have these names."""

NUMBER_FIELDS = (
    "wall_s",
    "busy_s",
    "train_loss",
    "val_loss",
    "val_accuracy",
    "val_macro_f1",
    "val_ece",
    "lr",
    "images_per_s",
)
"""Fields of results that are numbers or null, where they are there."""
TRIAL_ID = re.compile(r"t[0-9]{4,9}", re.ASCII)


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
    if not TRIAL_ID.fullmatch(trial_id):
        raise ValueError(f"a trial id is a t and at least four digits, got {trial_id!r}")
    return directory / "trials" / trial_id


def _plain(value: Any) -> Any:
    """`value` as JSON holds it: not-a-number and infinities become None, arrays become lists."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) >= 2**63:
            raise ValueError("a whole number has at most 64 bits")
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


def plain_object(where: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` as JSON holds them: no not-a-number, no infinity, no arrays.

    Raises:
        ValueError: If a value has no JSON form, or one that `decode` would refuse: it would make
            the file unreadable. Says where and which.
    """
    plain = {}
    for name, value in values.items():
        try:
            plain[name] = _plain(value)
            _check_depth_and_texts({name: plain[name]})
        except ValueError as error:
            raise ValueError(f"{where}: {name}: {error}") from None
    return plain


SHOWN = 300
"""Characters of what is wrong."""


def damaged(where: str, what: str) -> NoReturn:
    """Raise the error for a damaged file: `where` is ``file:line``."""
    raise StudyFormatError(
        f"{where}: {what[:SHOWN]}.",
        "Restore the file from a copy; docs/run_format.md says how it looks.",
    )


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is beyond what a number can be")
    return number


def _whole(text: str) -> int:
    if len(text) > DIGITS or abs(number := int(text)) >= 2**63:
        raise ValueError(f"{text[:20]} has more than 64 bits")
    return number


DIGITS, DEPTH, LINE_BYTES = 20, 32, 64 << 20
"""The longest whole number, the deepest nesting and the longest line that a record may hold."""
LATEST = 253_402_300_799
"""The last second of the year 9999, in seconds since 1970: later times have no date."""
MOST_EPOCHS = 10_000_000
_UNUSUAL = re.compile(r"[eE]\+?\d{3}|\d{19}")
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_plain_json = json.JSONDecoder(parse_constant=_refuse_constant).decode
_exact_json = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_number, parse_int=_whole
).decode


def decode(text: str) -> Any:
    """Strict JSON, bounded in numbers, depth and characters.

    Raises:
        ValueError: If it is none, has a bare NaN or Infinity, a number that is infinite or beyond
            64 bits, nesting deeper than `DEPTH`, or half a surrogate pair (but for the bytes of
            file names that are no UTF-8).
    """
    try:
        value = (_exact_json if _UNUSUAL.search(text) else _plain_json)(text)
    except RecursionError:
        raise ValueError(f"nested deeper than {DEPTH}") from None
    if text.count("[") + text.count("{") > DEPTH or "\\ud" in text or "\\uD" in text:
        _check_depth_and_texts(value)
    return value


def _check_depth_and_texts(value: Any) -> None:
    waiting = [(value, 1)]
    while waiting:
        part, depth = waiting.pop()
        if depth > DEPTH + 1:
            raise ValueError(f"nested deeper than {DEPTH}")
        if isinstance(part, dict):
            waiting += [(each, depth + 1) for pair in part.items() for each in pair]
        elif isinstance(part, list):
            waiting += [(each, depth + 1) for each in part]
        elif isinstance(part, str) and _LONE.search(part):
            raise ValueError("a text holds half a character")


def decode_line(where: str, raw: bytes) -> dict[str, Any]:
    """The object of one line of a ``.jsonl`` file."""
    if len(raw) > LINE_BYTES:
        damaged(where, f"a line of {len(raw):,} bytes")
    try:
        line = decode(raw.decode())
    except ValueError as error:
        damaged(where, f"not JSON ({error})")
    if not isinstance(line, dict) or not TRIAL_ID.fullmatch(str(line.get("trial_id"))):
        damaged(where, "not an object with a trial_id")
    return line


def _is(value: object, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def apply_event(where: str, line: dict[str, Any], trials: dict[str, dict[str, Any]]) -> None:
    """Take one line of ``trials.jsonl`` into `trials`, the fields of `TrialRecord` by trial id."""
    name, event = line["trial_id"], line.pop("event", None)
    check_time(where, line)
    time, trial = line.pop("time"), trials.get(name)
    if event == "started":
        _check_started(where, line, trial)
        if trial is None:
            known = {k: line.pop(k) for k in ("trial_id", "config", "explorer", "budget")}
            trials[name] = known | {"started": time, "restarts": [], "rows": [], "extra": line}
        else:
            trial["restarts"].append(time)
    elif event == "ended":
        if trial is None or "state" in trial:
            damaged(where, f"trial {name} ends but is not running")
        if line.get("state") not in ENDED_STATES:
            damaged(where, f"state must be {' or '.join(ENDED_STATES)}, got {line.get('state')!r}")
        if not isinstance(line.get("error"), str | None):
            damaged(where, f"error must be a text or null, got {line['error']!r}")
        trial |= {"ended": time, "state": line.pop("state"), "error": line.pop("error", None)}
        trial["extra"] |= {k: v for k, v in line.items() if k != "trial_id"}
    else:
        damaged(where, f"event must be started or ended, got {event!r}")


def check_time(where: str, line: Mapping[str, Any]) -> None:
    """Refuse a line whose ``time`` is no date in seconds."""
    if not _is(line.get("time"), (int, float)) or not 0 <= line["time"] <= LATEST:
        damaged(where, f"time must be a number of seconds, got {line.get('time')!r}")


def _check_started(where: str, line: Mapping[str, Any], trial: Mapping[str, Any] | None) -> None:
    if not isinstance(line.get("config"), dict) or not isinstance(line.get("explorer"), bool):
        damaged(where, "config must be an object and explorer true or false")
    if not _is(line.get("budget"), int) or not 1 <= line["budget"] <= MOST_EPOCHS:
        damaged(where, f"budget must be a whole number of epochs, got {line.get('budget')!r}")
    for name, value in line["config"].items():
        if not isinstance(value, str | int | float | None):
            damaged(where, f"{name} must be a number, a text, true, false or null")
    if trial is not None and ("state" in trial or trial["config"] != line["config"]):
        damaged(where, f"trial {line['trial_id']} starts again after its end or otherwise")


def apply_result(where: str, line: dict[str, Any], trials: dict[str, dict[str, Any]]) -> None:
    """Take one line of ``results.jsonl`` into the `rows` of its trial.

    A row whose epoch was there already says that the trial went back to an earlier checkpoint:
    it replaces that row and all later ones.
    """
    trial = trials.get(line["trial_id"])
    if trial is None:
        damaged(where, f"a result of trial {line['trial_id']}, which never started")
    if not _is(line.get("epoch"), int) or not 1 <= line["epoch"] <= MOST_EPOCHS:
        damaged(where, f"epoch must be a whole number from 1, got {line.get('epoch')!r}")
    check_time(where, line)
    for name in NUMBER_FIELDS:
        if line.get(name) is not None and not _is(line[name], (int, float)):
            damaged(where, f"{name} must be a number or null, got {line[name]!r}")
    rows = trial["rows"]
    while rows and rows[-1]["epoch"] >= line["epoch"]:
        rows.pop()
    rows.append(line)
