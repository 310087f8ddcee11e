"""Files of claims: YAML that a person writes, read and checked. docs/claims.md describes them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepsight.config import UserError, Value, single_value, unknown, without_controls
from deepsight.installed import folder
from deepsight.space import same
from deepsight.yaml_files import find_yaml, read_yaml

BEST, BETTER, MATTERS_MORE = "best", "better", "matters_more"
STUDY_BEATS, STUDY_MORE_STABLE, CLASSES = "study_beats", "study_more_stable", "classes"
FILE_KEYS = ("description", "power", "matters", "most_seeds", "claims")
COMMON = ("name", "claim", "kind", "by", "matters", "needs")
MOST_CLAIMS, MOST_SEEDS, MOST_RIVALS = 200, 1000, 100
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

Values = Mapping[str, Value]


@dataclass(frozen=True)
class Claim:
    """One statement about a study."""

    name: str
    """Short, for ``--only``."""
    text: str
    kind: str
    by: float
    """By how much more than this the first has to be better; negative: it may be worse by so
    much."""
    matters: float
    """The smallest difference from `by` that planned runs are to find."""
    needs: Values = field(default_factory=dict)
    """What the study must have fixed for the claim to be about it."""
    at: Values = field(default_factory=dict)
    """Values of other hyperparameters, on both sides."""
    first: Values = field(default_factory=dict)
    """Of best and better: the values that are claimed to be better."""
    second: Values = field(default_factory=dict)
    """Of better: the others."""
    among: tuple[Value, ...] | None = None
    """Of best: the other values; None stands for all others of the space."""
    names: tuple[str, str] = ("", "")
    """Of matters_more: two hyperparameters."""
    groups: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """Of classes: two groups of them."""
    other: str | None = None
    """Of claims on studies: the directory of the second."""


@dataclass(frozen=True)
class ClaimFile:
    """What a file of claims says."""

    path: Path
    description: str
    power: float
    """Wanted of planned runs, where the true difference from `by` is `Claim.matters`."""
    most_seeds: int
    """Of planned runs, for every config."""
    claims: tuple[Claim, ...]
    """Those that are asked about."""
    every: tuple[Claim, ...]
    """All that the file has: what is planned does not depend on which are asked about."""


def load_claims(name: str, only: Sequence[str] = ()) -> ClaimFile:
    """A file of claims, by path or by its name in ``experiments/claims/``.

    Args:
        name: The file.
        only: Names of the claims that are asked about; empty for all.

    Raises:
        UserError: If it is missing or unreadable, or a claim is none of the kinds.
    """
    path = _find(name)
    read = read_yaml(path, "file of claims")
    if not isinstance(read, dict) or not isinstance(read.get("claims"), list):
        raise UserError(f"{path} holds no list of claims.", "It begins as in docs/claims.md.")
    for key in read:
        if key not in FILE_KEYS:
            raise unknown(f"key in {path}:", str(key), FILE_KEYS)
    if not 0 < len(read["claims"]) <= MOST_CLAIMS:
        raise UserError(
            f"{path} has {len(read['claims'])} claims.", f"It may have 1 to {MOST_CLAIMS}."
        )
    matters = _number(path, read, "matters", 0.01, 0.0)
    claims = [_claim(path, entry, i, matters) for i, entry in enumerate(read["claims"], start=1)]
    names = [claim.name for claim in claims]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise UserError(f"{path}: two claims are called {twice!r}.", "Give each its own name.")
    for wanted in only:
        if wanted not in names:
            raise unknown("claim", wanted, names)
    return ClaimFile(
        path=path,
        description=_sentence(path, read, "description"),
        power=_number(path, read, "power", 0.8, 0.05, 0.999),
        most_seeds=_whole(path, read, "most_seeds", 20, 6, MOST_SEEDS),
        claims=tuple(c for c in claims if not only or c.name in only),
        every=tuple(claims),
    )


def asked_names(only: Sequence[str] | None) -> list[str]:
    """The names that ``--only`` was given, parted by spaces or commas; none without the flag.

    Raises:
        UserError: If it was given no name.
    """
    names = [name for text in only or () for name in text.split(",") if name]
    if only is not None and not names:
        raise UserError("--only names no claim.", "As in --only batch-32.")
    return names


def _find(name: str) -> Path:
    bundled = folder("experiments") / "claims"
    path = find_yaml(name, bundled)
    if path is not None:
        return path
    known = sorted(p.stem for p in bundled.glob("*.yaml"))
    raise UserError(
        f"no file of claims {name}.",
        f"Give a path, or one of: {', '.join(known)}." if known else "Give a path.",
    )


def _sentence(where: object, entry: Mapping[str, Any], key: str) -> str:
    """A text in one line, without what a terminal would obey; empty where there is none."""
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{where}: {key} is no text: {value!r}.", "Quote it: 'Batch 32: best.'.")
    return without_controls(" ".join((value or "").split()))


def _number(
    where: object, entry: Mapping[str, Any], key: str, usual: float, low: float, high: float = 1e9
) -> float:
    value = entry.get(key, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        text = f"YAML reads {value} as text; write " if isinstance(value, str) else "As in "
        raise UserError(
            f"{where}: {key} must be a number from {low:g} to {high:g}, got {value!r}.",
            f"{text}{key}: {_written(value, usual)}.",
        )
    if key == "matters" and value == 0:
        raise UserError(f"{where}: matters is 0.", "No runs find a difference of nothing.")
    return float(value)


def _written(value: object, usual: float) -> str:
    """A number as YAML reads one: that of a text such as 1e-3, if it is one, else the usual."""
    try:
        number = float(value) if isinstance(value, str) else usual
    except ValueError:
        number = usual
    told = repr(number) if math.isfinite(number) else f"{usual:g}"
    return told if "." in told or "e" not in told else told.replace("e", ".0e")


def _whole(
    where: object, entry: Mapping[str, Any], key: str, usual: int, low: int, high: int
) -> int:
    number = _number(where, entry, key, usual, low, high)
    if not number.is_integer():
        raise UserError(f"{where}: {key} is {number:g}, no whole number.", f"As in {key}: {usual}.")
    return int(number)


def _claim(path: Path, entry: object, number: int, matters: float) -> Claim:
    where = f"{path}, claim {number}"
    if not isinstance(entry, dict):
        raise UserError(f"{where} is no table.", "Indent its keys: name, claim, kind.")
    if not isinstance(entry.get("kind"), str) or entry["kind"] not in PARTS:
        raise unknown(f"kind of claim in {where}:", str(entry.get("kind")), PARTS)
    required, optional, read = PARTS[entry["kind"]]
    for key in entry:
        if key not in (*COMMON, *required, *optional):
            raise unknown(f"key in {where}:", str(key), (*COMMON, *required, *optional))
    for key in ("name", *required):
        if entry.get(key) is None:
            raise UserError(f"{where}: {key} is missing.", f"A claim of kind {entry['kind']} has "
                            f"{', '.join(('name', *required))}.")  # fmt: skip
    if not isinstance(entry["name"], str) or not NAME.fullmatch(entry["name"]):
        raise UserError(
            f"{where}: {entry['name']!r} is no name.",
            "Small letters, digits and dashes, as in batch-32; the sentence goes into claim.",
        )
    where = f"{path}, {entry['name']}"
    return Claim(
        name=entry["name"],
        text=_sentence(where, entry, "claim") or entry["name"],
        kind=entry["kind"],
        by=_number(where, entry, "by", 0.0, -1e9),
        matters=_number(where, entry, "matters", matters, 0.0),
        needs=_values(where, entry, "needs"),
        **read(where, entry),
    )


def _values(where: str, entry: Mapping[str, Any], key: str) -> dict[str, Value]:
    found = entry.get(key)
    found = {} if found is None or found == [] else found
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise UserError(
            f"{where}: {key} is no table of values.", f"As in {key}: {{optim.batch_size: 32}}."
        )
    return {name: single_value(f"{where}: {name}", value) for name, value in found.items()}


def _best(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    value, among = _values(where, entry, "value"), entry.get("among")
    if len(value) != 1:
        raise UserError(
            f"{where}: value names {len(value)} hyperparameters.",
            "One: value: {model.dropout: 0.2}.",
        )
    if among is not None:
        if not isinstance(among, list) or not among:
            raise UserError(f"{where}: among is no list.", "The other values: among: [0.0, 0.1].")
        among = _rivals(where, among, next(iter(value.values())))
    return {"first": value, "among": among, "at": _at(where, entry, value)}


def _rivals(where: str, among: Sequence[object], value: Value) -> tuple[Value, ...]:
    """The other values of a best one, each once."""
    found: list[Value] = []
    for one in among:
        rival = single_value(f"{where}: among", one)
        if not any(same(rival, other) for other in (value, *found)):
            found.append(rival)
    if not 0 < len(found) <= MOST_RIVALS:
        raise UserError(
            f"{where}: among names {len(found)} values other than {value!r}.",
            f"It may name 1 to {MOST_RIVALS}: among: [0.0, 0.1].",
        )
    return tuple(found)


def _at(where: str, entry: Mapping[str, Any], *sides: Values) -> dict[str, Value]:
    """Values on both sides, none of which a side states itself."""
    found = _values(where, entry, "at")
    for name in found:
        if any(name in side for side in sides):
            raise UserError(
                f"{where}: at has {name}, which the claim compares itself.",
                "Leave it away there: at holds what both sides share.",
            )
    return found


def _better(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    first, second = _values(where, entry, "first"), _values(where, entry, "second")
    if not first or not second:
        raise UserError(f"{where}: a side has no value.", "As in first: {optim.batch_size: 32}.")
    return {"first": first, "second": second, "at": _at(where, entry, first, second)}


def _matters_more(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    names = (entry["first"], entry["second"])
    if not all(isinstance(name, str) for name in names) or names[0] == names[1]:
        raise UserError(f"{where}: two names are wanted, got {names!r}.", "As in first: optim.lr.")
    return {"names": names}


def _study(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    other = entry.get("other")
    if other is not None and not isinstance(other, str):
        raise UserError(f"{where}: other is no directory.", "As in other: runs/scratch.")
    return {"other": other}


def _classes(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    groups = []
    for key in ("first", "second"):
        group = entry[key]
        if isinstance(group, list) and any(isinstance(c, bool) for c in group):
            raise UserError(f"{where}: {key} has true or false.", "Quote the class: ['yes', 'no'].")
        if not isinstance(group, list) or not all(isinstance(c, str | int) for c in group):
            raise UserError(f"{where}: {key} is no list of classes.", "As in first: [car, ship].")
        groups.append(tuple(dict.fromkeys(map(str, group))))
    if not all(groups) or set(groups[0]) & set(groups[1]):
        raise UserError(f"{where}: a group is empty, or a class is in both.", "Write two groups.")
    return {"groups": tuple(groups)}


Reader = Callable[[str, Mapping[str, Any]], dict[str, Any]]
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], Reader]] = {
    BEST: (("value",), ("among", "at"), _best),
    BETTER: (("first", "second"), ("at",), _better),
    MATTERS_MORE: (("first", "second"), (), _matters_more),
    STUDY_BEATS: ((), ("other",), _study),
    STUDY_MORE_STABLE: ((), ("other",), _study),
    CLASSES: (("first", "second"), (), _classes),
}
"""By kind: the keys that it must have and may have besides `COMMON`, and how they are read."""
