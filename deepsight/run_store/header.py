"""The header of a study, ``study.json``, checked and parsed once.

`docs/run_format.md` describes its fields for people. A required field that is missing or wrong
makes the study unreadable; an optional one that is absent, or of another type than the format
says, is not stated: None, or empty. No reader guesses a value in its place.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from deepsight.config import UserError, Value
from deepsight.run_store.format import (
    MOST_EPOCHS,
    SCHEMA_VERSION,
    TRIAL_COLUMNS,
    StudyFormatError,
    damaged,
)
from deepsight.space import Domain, from_json
from deepsight.space_checks import check_stored

Json = Mapping[str, Any]


_LEFT_OUT = {
    "broken_files": "broken files",
    "conflicting_labels": "images under two labels",
    "duplicates": "copies",
    "hidden_images": "hidden images and thumbnails",
    "no_class": "images of splits without classes",
    "other_files": "files that are no images",
    "outside_classes": "images outside the folders of classes",
    "unread_formats": "images of formats that are not read",
}
"""In words, the reasons for which files are left out; a source of the user's may have others."""


@dataclass(frozen=True)
class StudyHeader:
    """What was asked of a study; the fields of ``study.json`` under their own names."""

    name: str
    metric: str
    mode: str
    """``max`` or ``min``."""
    max_epochs: int
    rungs: tuple[int, ...]
    fixed: Mapping[str, Value]
    space: Mapping[str, Domain]
    schema_version: int = SCHEMA_VERSION
    id: str | None = None
    created: str | None = None
    started_in: str | None = None
    target: float | None = None
    trials: int | None = None
    reduction_factor: int | None = None
    searcher: str | None = None
    scheduler: str | None = None
    explore: float | None = None
    seeds: Json = field(default_factory=dict)
    settings: Json = field(default_factory=dict)
    pinned: tuple[str, ...] | None = None
    space_fixed: Json | None = None
    planned: tuple[Json, ...] = ()
    warm_start: tuple[Json, ...] = ()
    ended_early: Json | None = None
    data: Json = field(default_factory=dict)
    earlier_data: tuple[Json, ...] = ()
    resources: Json = field(default_factory=dict)
    device: str | None = None
    hardware: Json = field(default_factory=dict)
    git: Json = field(default_factory=dict)
    versions: Json = field(default_factory=dict)
    origin: Json = field(default_factory=dict)
    """Where an adopted study comes from, and what of it was inferred; empty for our own."""
    extra: Json = field(default_factory=dict)
    """Fields that this version does not know."""
    stored: Json = field(default_factory=dict, repr=False)
    """All of it as JSON holds it, to be written again."""

    @property
    def fingerprint(self) -> str | None:
        """Of the data; equal fingerprints, equal data."""
        return self.data.get("fingerprint")

    def num_images(self, split: str) -> int | None:
        """Images of a split, over all classes; None where it is not stated."""
        counts = self.data.get("counts")
        classes = counts.get(split) if isinstance(counts, Mapping) else None
        if not isinstance(classes, Mapping):
            return None
        return sum(n for n in classes.values() if isinstance(n, int)) or None


def describe_data(data: Json) -> str:
    """A study's data in a line: classes, images by split, the largest class, what was left out.

    Args:
        data: The field ``data`` of ``study.json``; what it does not state is not said.
    """
    name, counts = str(data.get("name", "")), data.get("counts")
    stated = counts.items() if isinstance(counts, Mapping) else ()
    by_split = {split: Counter(c) for split, c in stated if isinstance(c, Mapping)}
    classes = sum(by_split.values(), Counter[str]())
    if not classes:
        return name
    splits = ", ".join(f"{split.total()} {which}" for which, split in by_split.items())
    largest, num = classes.most_common(1)[0]
    share = num / classes.total()
    line = f"{len(classes)} classes; {splits}; largest class {largest} {share:.0%}"
    line = f"{name}: {line}" if name else line
    left_out = data.get("left_out")
    if not isinstance(left_out, Mapping):
        return line
    reasons = [f"{n} {_LEFT_OUT.get(r, r.replace('_', ' '))}" for r, n in sorted(left_out.items())]
    return f"{line}; left out: {', '.join(reasons) or 'nothing'}"


def describe_origin(origin: Json) -> str:
    """Where an adopted study is from, and what of it was inferred, in a line; "" for our own.

    Args:
        origin: The field ``origin`` of ``study.json``.
    """
    if not origin:
        return ""
    stated = origin.get("inferred")
    inferred = [n for n in stated if isinstance(n, str)] if isinstance(stated, list) else []
    domains = sum(name.startswith("space.") for name in inferred)
    parts = [name.replace("_", " ") for name in inferred if not name.startswith("space.")]
    parts += [f"{domains} domains of the space"] if domains else []
    tool = origin.get("tool", "another tool")
    if origin.get("by") == "callback":
        partly = ", not all of it (origin.notes in study.json)" if origin.get("notes") else ""
        return f"recorded while {tool} ran{partly}"
    line = f"{origin.get('study', '')}, made by {tool}"
    return f"{line}; inferred: {', '.join(parts) or 'nothing'}"


def describe_end(header: StudyHeader, num_epochs: int) -> str | None:
    """Why a study ended early, and what that saved, in a sentence; None where it did not.

    Args:
        header: The study's.
        num_epochs: That it has trained.
    """
    if header.ended_early is None:
        return None
    begun, gain, patience = (header.ended_early[k] for k in ("trials", "gain", "patience"))
    saved = max((header.trials or begun) - begun, 0)
    return (
        f"ended after {begun} of {begun + saved} trials: going on is expected to gain at most "
        f"{gain:.2g} {header.metric}, less than study.patience={patience:g}; {saved} trials saved, "
        f"some {num_epochs * saved / max(begun, 1):.0f} epochs at the pace so far"
    )


_REQUIRED: dict[str, type] = {
    "schema_version": int,
    "name": str,
    "metric": str,
    "mode": str,
    "max_epochs": int,
    "rungs": list,
    "fixed": dict,
    "space": dict,
}
MOST_CHARACTERS = 1000
_RANGES = {"trials": (0, 10**9), "explore": (0, 1), "reduction_factor": (2, 10**6)}
"""What optional numbers may be; others are not stated."""


def _anything(value: object) -> bool:
    return True


def _text(value: object) -> bool:
    return isinstance(value, str)


def _counts(value: object) -> bool:
    """Numbers by name."""
    return isinstance(value, dict) and all(type(n) is int and n >= 0 for n in value.values())


def _is_end(value: object) -> bool:
    """Trials, gain and patience of a study that ended early."""
    if not isinstance(value, dict):
        return False
    trials, *numbers = (value.get(name) for name in ("trials", "gain", "patience"))
    return type(trials) is int and trials >= 0 and all(type(n) in (int, float) for n in numbers)


def _entries(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


_FORMS: dict[str, Callable[[object], bool]] = {"ended_early": _is_end, "warm_start": _entries}
"""What these optional fields must be; else they are not stated."""
_DATA: dict[str, Callable[[object], bool]] = {
    "name": _text,
    "source": _text,
    "fingerprint": _text,
    "classes": lambda value: isinstance(value, list) and all(map(_text, value)),
    "counts": lambda value: isinstance(value, dict) and all(map(_counts, value.values())),
    "image_size": lambda value: type(value) is int and value > 0,
    "dropped": lambda value: isinstance(value, dict),
    "left_out": _counts,
}
"""What fields of ``data`` must be; others are not stated."""
_OPTIONAL: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "created": str,
    "started_in": str,
    "target": (int, float),
    "trials": int,
    "reduction_factor": int,
    "searcher": str,
    "scheduler": str,
    "explore": (int, float),
    "seeds": dict,
    "settings": dict,
    "pinned": list,
    "space_fixed": dict,
    "planned": list,
    "warm_start": list,
    "ended_early": dict,
    "data": dict,
    "earlier_data": list,
    "resources": dict,
    "device": str,
    "hardware": dict,
    "git": dict,
    "versions": dict,
    "origin": dict,
}


def parse_header(stored: Json, where: str) -> StudyHeader:
    """The header that `stored`, the object of ``study.json``, states.

    Raises:
        StudyFormatError: If a required field is missing or wrong; the cause begins with `where`.
    """
    space = _check(stored, where)
    stated: dict[str, Any] = {name: stored[name] for name in _REQUIRED}
    stated |= {"rungs": tuple(stored["rungs"]), "space": space}
    for name, kinds in _OPTIONAL.items():
        value = stored.get(name)
        low, high = _RANGES.get(name, (-math.inf, math.inf))
        if isinstance(value, int | float) and not low <= value <= high:
            continue
        if name in _FORMS and not _FORMS[name](value):
            continue
        if name == "data" and isinstance(value, dict):
            value = {k: v for k, v in value.items() if _DATA.get(k, _anything)(v)}
        if isinstance(value, kinds) and not isinstance(value, bool):
            stated[name] = tuple(value) if isinstance(value, list) else value
    extra = {name: stored[name] for name in stored if name not in {*_REQUIRED, *_OPTIONAL}}
    return StudyHeader(**stated, extra=extra, stored=stored)


def _check_values(stored: Json, where: str) -> None:
    """Refuse required fields whose values reading could not bear."""
    for name in ("name", "metric"):
        if not 0 < len(stored[name]) <= MOST_CHARACTERS:
            damaged(where, f"{name} must have 1 to {MOST_CHARACTERS} characters")
    if not 1 <= stored["max_epochs"] <= MOST_EPOCHS:
        damaged(where, f"max_epochs must lie in [1, {MOST_EPOCHS}], got {stored['max_epochs']}")
    rungs = stored["rungs"]
    if not rungs or not all(type(rung) is int and 1 <= rung <= MOST_EPOCHS for rung in rungs):
        damaged(where, f"rungs must be whole numbers of epochs, got {rungs!r}")
    if any(later < earlier for earlier, later in pairwise(rungs)):
        damaged(where, f"rungs must not decrease, got {rungs!r}")
    for name, value in stored["fixed"].items():
        if not isinstance(value, str | int | float | None):
            damaged(where, f"{name} in fixed must be a number, a text, true, false or null")


def header_fields() -> list[str]:
    """Names of the fields of ``study.json`` that are known."""
    own = {"extra", "stored"}
    return [f.name for f in dataclasses.fields(StudyHeader) if f.name not in own]


def _check(stored: Json, where: str) -> dict[str, Domain]:
    """Refuse a header without the fields that reading depends on; returns the space."""
    version = stored.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise StudyFormatError(
            f"{where}: schema_version {version} is newer than {SCHEMA_VERSION}, "
            "the newest that this deepsight reads.",
            "Read it with the version of deepsight that wrote it (in its field versions), or a "
            "newer one.",
        )
    for name, kind in _REQUIRED.items():
        if type(stored.get(name)) is not kind:
            damaged(where, f"{name} must be of type {kind.__name__}, got {stored.get(name)!r}")
    _check_values(stored, where)
    planned = stored.get("planned", [])
    if not isinstance(planned, list) or not all(isinstance(config, dict) for config in planned):
        damaged(where, "planned must be a list of configs")
    if stored["mode"] not in ("max", "min"):
        damaged(where, f"mode must be max or min, got {stored['mode']!r}")
    try:
        space = from_json(stored["space"])
        check_stored(space)
    except UserError as error:
        damaged(where, error.cause.rstrip("."))
    taken = sorted(set(space) & set(TRIAL_COLUMNS))
    if taken:
        raise StudyFormatError(
            f"{where}: a hyperparameter cannot be named {' or '.join(taken)}.",
            "Name it otherwise, as in user.state.",
        )
    return space
