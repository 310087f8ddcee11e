"""Results on disk: dataclasses of numbers, texts and arrays, kept while what they came from stays.

A file is an archive of arrays and one JSON text that says where they belong; nothing is unpickled.
What may be read is a table of classes: a file cannot name another.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from analysis.diagnosis.evidence import transplants
from analysis.diagnosis.map_checks import interventions, verdicts
from analysis.diagnosis.maps import attention, feature_maps, grad_cam, guided_backprop, layers
from analysis.diagnosis.stability import seed_findings
from analysis.diagnosis.training import epoch_attention
from analysis.statistics.intervals import Interval
from deepsight.files import FileRefusedError, open_arrays, write_arrays
from deepsight.run_store import storage_error

KNOWN = {
    known.__name__: known
    for known in (
        Interval,
        layers.Layer,
        grad_cam.ClassMaps,
        guided_backprop.NeuronGradients,
        feature_maps.FeatureMaps,
        attention.Attention,
        attention.AttentionRow,
        interventions.InterventionEffect,
        interventions.Interventions,
        verdicts.CheckCurve,
        verdicts.Comparison,
        verdicts.Likeness,
        verdicts.Verdict,
        verdicts.MapChecks,
        transplants.Transplants,
        seed_findings.SeedFinding,
        seed_findings.SeedFindings,
        epoch_attention.EpochAttention,
        epoch_attention.AttentionByEpoch,
    )
}
"""Classes that a file may hold, by name."""

KIND = "kind"
ABOUT = "about"
"""The entry of an archive that holds its text."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


def kept_or_computed(
    path: Path, made_from: Mapping[str, object], declared: Any, compute: Callable[[], T]
) -> T:
    """What `path` holds if it was made from the same; else what `compute` returns, written there.

    Args:
        path: An archive; replaced whole. Its folder exists.
        made_from: All that the result depends on, as JSON holds it.
        declared: The type of what `compute` returns, as an annotation says it. A file that holds
            something else is damaged.
        compute: Returns dataclasses of `KNOWN`, arrays, numbers, texts, and lists, tuples and
            dictionaries of these.

    Raises:
        FileRefusedError: If a link or a special file stands there.
        StorageError: If the disk does not let us write.
    """
    asked = json.loads(json.dumps(made_from))

    def decode(about: dict[str, Any], stored: Mapping[str, Any]) -> tuple[T] | None:
        if about["made_from"] != asked:
            return None
        value = _decode(about["value"], stored)
        if not _is_a(value, declared):
            raise TypeError(f"it holds no {declared}")
        return (value,)

    kept = read_archive(path, decode)
    if kept is not None:
        return kept[0]
    made = compute()
    arrays: dict[str, Any] = {}
    about = {"made_from": asked, "value": _encode(made, arrays)}
    try:
        write_archive(path, about, arrays)
    except OSError as error:
        raise storage_error(path, error) from error
    return made


def _encode(value: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {KIND: "array", "name": name}
    if isinstance(value, Mapping):
        return {KIND: "dict", "items": [[k, _encode(v, arrays)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        items = [_encode(item, arrays) for item in value]
        return {KIND: type(value).__name__, "items": items}
    if type(value).__name__ in KNOWN:
        fields = {
            f.name: _encode(getattr(value, f.name), arrays) for f in dataclasses.fields(value)
        }
        return {KIND: type(value).__name__, "fields": fields}
    return value.item() if isinstance(value, np.generic) else value


def _decode(value: Any, arrays: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    kind = value[KIND]
    if kind == "array":
        return arrays[value["name"]]
    if kind == "dict":
        return {k: _decode(v, arrays) for k, v in value["items"]}
    if kind in ("list", "tuple"):
        items = [_decode(item, arrays) for item in value["items"]]
        return items if kind == "list" else tuple(items)
    fields = {k: _decode(v, arrays) for k, v in value["fields"].items()}
    for name, declared in get_type_hints(KNOWN[kind]).items():
        if not _is_a(fields[name], declared):
            raise TypeError(f"{kind}.{name} is not {declared}")
    return KNOWN[kind](**fields)


def _is_a(value: Any, declared: Any) -> bool:
    """Whether a value is of the type that a field of `KNOWN` declares.

    Of an array only that it holds numbers: how many dimensions it has is not declared.
    """
    origin, parts = get_origin(declared) or declared, get_args(declared)
    if origin in (Union, UnionType):
        return any(_is_a(value, part) for part in parts)
    if origin is Any:
        return True
    if origin is np.ndarray:
        return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    if origin is tuple and ... not in parts:
        return (
            isinstance(value, tuple) and len(value) == len(parts) and all(map(_is_a, value, parts))
        )
    if origin in (Sequence, list, tuple):
        return isinstance(value, list | tuple) and all(_is_a(v, parts[0]) for v in value)
    if origin in (Mapping, dict):
        return isinstance(value, dict) and all(
            _is_a(k, parts[0]) and _is_a(v, parts[1]) for k, v in value.items()
        )
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is origin


def write_archive(path: Path, about: object, arrays: Mapping[str, Any]) -> None:
    """Write it so that `path` is absent, the old file or the new one, never half of one.

    Args:
        path: A file below a folder that exists; no link is followed.
        about: As JSON holds it.
        arrays: By name, none of them `ABOUT`.

    Raises:
        FileRefusedError: If a folder stands at `path`.
        OSError: If the disk does not let us write.
    """
    entries: dict[str, Any] = {ABOUT: np.array(json.dumps(about)), **arrays}
    write_arrays(path.parent, [path.name], entries)


def read_archive(path: Path, decode: Callable[[Any, Mapping[str, Any]], T | None]) -> T | None:
    """What `decode` makes of the text and the arrays; None of an absent file.

    A file that is damaged or cannot be read gives None too, with a warning.

    Args:
        path: What `write_archive` wrote.
        decode: Returns None if it is not what is wanted.

    Raises:
        FileRefusedError: If a link or a special file stands at `path`.
    """
    try:
        with open_arrays(path.parent, [path.name]) as stored:
            return decode(json.loads(str(stored[ABOUT])), stored)
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("%s cannot be read and is made again: %s", path, error)
        return None
    except FileRefusedError:
        raise
    except Exception as error:  # a torn archive raises many kinds, from zipfile's to KeyError
        logger.warning("%s is damaged and made again: %s", path, error)
        return None
