"""Folders of TensorBoard's HParams plugin: event files, read by TensorBoard's own loader.

A session is a folder in which the plugin's start is written. PyTorch's `add_hparams` makes a folder
of its own for it, below the one with the curves, and writes the last values at step 0 there.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.adopt.found import FoundStudy, FoundTrial, Wanted
from analysis.adopt.histories import Point, to_rows
from analysis.adopt.values import is_path, number, plain_value
from deepsight.config import UserError, Value
from deepsight.files import open_file
from deepsight.space import Choice, Domain, Float, Int

EVENTS, PLUGIN = "tfevents", "hparams"
START, END, EXPERIMENT = (
    f"_hparams_/{name}" for name in ("session_start_info", "session_end_info", "experiment")
)
DEEPEST, MOST_FILES, MOST_BYTES = 6, 200_000, 4 << 30
WIDE = 100.0
"""High over low of an interval that is taken for one on a log scale: the plugin does not say."""


@dataclass
class _Folder:
    """What the event files of one folder hold."""

    scalars: dict[str, list[Point]] = field(default_factory=dict)
    start: Any = None
    end: Any = None
    experiments: list[Any] = field(default_factory=list)


def recognises(source: str) -> bool:
    """Whether `source` is a folder with event files of the HParams plugin."""
    root = Path(source)
    if not is_path(source) or not root.is_dir():
        return False
    for count, parts in enumerate(_event_files(root, ())):
        with os.fdopen(open_file(root, parts), "rb") as file:
            if b"_hparams_/" in file.read(1 << 16):
                return True
        if count == 50:
            break
    return False


def _event_files(root: Path, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The event files below a folder, by name; without links."""
    with os.scandir(root.joinpath(*parts)) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_file(follow_symlinks=False) and EVENTS in entry.name:
            yield (*parts, entry.name)
        elif entry.is_dir(follow_symlinks=False) and len(parts) < DEEPEST:
            yield from _event_files(root, (*parts, entry.name))


def read(source: str, wanted: Wanted) -> FoundStudy:
    """All sessions below a folder.

    Raises:
        UserError: If there is none, or a file cannot be read.
    """
    root = Path(source)
    folders, notes = _load(root)
    sessions = {parts: folder for parts, folder in folders.items() if folder.start is not None}
    if wanted.study is not None:
        sessions = {parts: s for parts, s in sessions.items() if wanted.study in parts}
    if not sessions:
        raise UserError(
            f"{source} has no session of the HParams plugin"
            + (f" below a folder {wanted.study!r}." if wanted.study else "."),
            "Give the folder that TensorBoard shows with a tab HParams.",
        )
    histories, history_notes = _histories(folders, sessions)
    declared = _declared(folders.values())
    metrics = sorted({m.name.tag for e in declared for m in e.metric_infos})
    logged = {name for history in histories for name in history}
    known = [name for name in metrics if name in logged]
    metric = wanted.metric or (known[0] if len(known) == 1 else None)
    rows = to_rows(histories, metric)
    configs = _configs(sessions.values())
    space, space_notes = _space(declared, configs)
    trials = tuple(
        _trial(parts, session, config, of)
        for (parts, session), config, of in zip(sessions.items(), configs, rows.trials, strict=True)
    )
    notes += [*history_notes, *rows.notes, *space_notes]
    notes.append(
        "The plugin does not say whether a scheduler stopped a trial: it is told by the epochs "
        "(inferred)."
    )
    return FoundStudy(
        tool="hparams",
        name=root.resolve().name,
        trials=trials,
        metric=rows.metric,
        space=space,
        notes=tuple(notes),
    )


def _load(root: Path) -> tuple[dict[tuple[str, ...], _Folder], list[str]]:
    folders: dict[tuple[str, ...], _Folder] = {}
    torn = 0
    for count, parts in enumerate(_event_files(root, ())):
        if count == MOST_FILES:
            raise UserError(f"{root} has more than {MOST_FILES:,} event files.", "Give a part.")
        torn += not _is_whole(root, parts)
        _read_events(root.joinpath(*parts), folders.setdefault(parts[:-1], _Folder()))
    notes = [f"The ends of {torn} event files are torn and were left out."] if torn else []
    return folders, notes


def _is_whole(root: Path, parts: Sequence[str]) -> bool:
    """Whether an event file ends with a whole record: length, its checksum, data, theirs."""
    with os.fdopen(open_file(root, parts), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise UserError(
                f"{root.joinpath(*parts)} has more than {MOST_BYTES:,} bytes.",
                "Give a copy without it.",
            )
        at = 0
        while at + 12 <= size:
            file.seek(at)
            (length,) = struct.unpack("<Q", file.read(8))
            at += 16 + length
        return at == size


def _read_events(path: Path, folder: _Folder) -> None:
    """Take all that an event file holds up to where it is torn."""
    from google.protobuf.message import DecodeError
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.plugins.hparams import plugin_data_pb2

    try:
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == PLUGIN:
                    data = plugin_data_pb2.HParamsPluginData.FromString(
                        value.metadata.plugin_data.content
                    )
                    _take(folder, value.tag, data)
                elif (scalar := _scalar(value)) is not _NO_SCALAR:
                    point = Point(max(event.step, 0), number(scalar), event.wall_time)
                    folder.scalars.setdefault(value.tag, []).append(point)
    except DecodeError as error:
        raise UserError(
            f"{path} is no event file of TensorBoard ({error}).", "Give a copy without it."
        ) from error


def _take(folder: _Folder, tag: str, data: Any) -> None:
    if tag == START:
        folder.start = data.session_start_info
    elif tag == END:
        folder.end = data.session_end_info
    elif tag == EXPERIMENT:
        folder.experiments.append(data.experiment)


_NO_SCALAR = object()


def _scalar(value: Any) -> Any:
    """The number of a summary, as both releases of TensorBoard write it; `_NO_SCALAR` if none."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return value.simple_value
    if kind != "tensor" or value.metadata.plugin_data.plugin_name != "scalars":
        return _NO_SCALAR
    from tensorboard.util import tensor_util

    found = tensor_util.make_ndarray(value.tensor)
    return float(found) if found.size == 1 and found.dtype.kind in "fiu" else _NO_SCALAR


def _histories(
    folders: Mapping[tuple[str, ...], _Folder], sessions: Mapping[tuple[str, ...], _Folder]
) -> tuple[list[dict[str, list[Point]]], list[str]]:
    """The scalars of each session, with those of the folder above where it is the only one."""
    below: dict[tuple[str, ...], int] = {}
    for parts in sessions:
        below[parts[:-1]] = below.get(parts[:-1], 0) + 1
    found, moved, shared = [], 0, 0
    for parts, session in sessions.items():
        above = folders.get(parts[:-1]) if parts else None
        curves = above.scalars if above is not None and above.start is None else {}
        if curves and below[parts[:-1]] > 1:
            shared, curves = shared + 1, {}
        last = max((point.step for points in curves.values() for point in points), default=0)
        own = dict(session.scalars)
        if last and all(point.step == 0 for points in own.values() for point in points):
            own = {n: [Point(last, p.value, p.time) for p in ps] for n, ps in own.items()}
            moved += bool(own)
        found.append({**curves, **own})
    notes = []
    if moved:
        notes.append(
            f"The values that add_hparams wrote at step 0 stand at the last step of {moved} trials."
        )
    if shared:
        notes.append(
            f"Curves that {shared} sessions share belong to none of them and are left out."
        )
    return found, notes


def _declared(folders: Any) -> list[Any]:
    return [experiment for folder in folders for experiment in folder.experiments]


def _configs(sessions: Any) -> list[dict[str, Value]]:
    """The hyperparameters of each session; numbers that are whole everywhere are integers."""
    configs = [{name: _value(v) for name, v in s.start.hparams.items()} for s in sessions]
    split = {
        name for config in configs for name, value in config.items()
        if isinstance(value, float) and not value.is_integer()
    }  # fmt: skip
    return [
        {
            name: int(value)
            if isinstance(value, float) and name not in split
            else plain_value(value)
            for name, value in sorted(config.items())
        }
        for config in configs
    ]


def _value(stored: Any) -> Value:
    kind = stored.WhichOneof("kind")
    if kind == "number_value":
        return number(stored.number_value)
    return getattr(stored, kind) if kind in ("string_value", "bool_value") else None


def _space(
    declared: Sequence[Any], configs: Sequence[Mapping[str, Value]]
) -> tuple[dict[str, Domain], list[str]]:
    """The domains that an experiment states, and what had to be worked out of them."""
    space: dict[str, Domain] = {}
    logs = []
    for info in (info for experiment in declared for info in experiment.hparam_infos):
        values = [config[info.name] for config in configs if info.name in config]
        if info.WhichOneof("domain") == "domain_discrete":
            listed = [_value(value) for value in info.domain_discrete.values]
            whole = all(isinstance(v, float) and v.is_integer() for v in listed)
            chosen = [int(v) if whole and isinstance(v, float) else plain_value(v) for v in listed]
            if chosen:
                space[info.name] = Choice(tuple(dict.fromkeys(chosen)))
        elif info.WhichOneof("domain") == "domain_interval":
            low, high = info.domain_interval.min_value, info.domain_interval.max_value
            log = low > 0 and low * WIDE <= high
            logs += [info.name] if log else []
            if all(isinstance(v, int) for v in values) and low.is_integer() and high.is_integer():
                space[info.name] = Int(int(low), int(high), log)
            else:
                space[info.name] = Float(low, high, log)
    if not logs:
        return space, []
    named = ", ".join(sorted(set(logs)))
    return space, [f"The plugin states no scale; log was taken for wide {named} (inferred)."]


def _trial(
    parts: tuple[str, ...], session: _Folder, config: dict[str, Value], rows: Any
) -> FoundTrial:
    failed = session.end is not None and session.end.status == 2  # api_pb2.STATUS_FAILURE
    times = [row.time for row in rows if row.time is not None]
    ended = session.end.end_time_secs if session.end is not None else 0
    return FoundTrial(
        key="/".join(parts) or ".",
        config=config,
        rows=rows,
        state="failed" if failed else None,
        error="TensorBoard says failure, and not why" if failed else None,
        started=session.start.start_time_secs or None,
        ended=max(times, default=None) if ended < max(times, default=0) else ended or None,
    )
