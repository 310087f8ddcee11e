"""The record of a run that W&B keeps on the disk (``run-ID.wandb``), read without W&B.

The file is a log in blocks of 32 KiB, as LevelDB's, of messages of Protocol Buffers. Only the few
fields that say what a run was and reported are taken; their numbers are W&B's public interface.
https://github.com/google/leveldb/blob/main/doc/log_format.md
https://github.com/wandb/wandb/blob/main/wandb/proto/wandb_internal.proto
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deepsight.config import UserError

MAGIC = b":W&B"
BLOCK, HEAD = 32_768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
HISTORY, SUMMARY, CONFIG, RUN, EXIT = 2, 3, 5, 17, 18
"""Fields of a record."""
ITEM_KEY, ITEM_NESTED, ITEM_JSON = 1, 2, 16
ITEM_BOOLEAN, ITEM_INTEGER, ITEM_NUMBER = 4, 5, 6
"""Fields of an item; the typed ones are of W&B since 0.22."""

Fields = dict[int, list[Any]]


@dataclass
class Recorded:
    """What one record says."""

    run_id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    sweep: str = ""
    started: float | None = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    """None where the run did not say how it ended."""
    torn: bool = False
    """Whether the end of the file is damaged; what stands before it was read."""


def read_record(where: str, raw: bytes) -> Recorded:
    """The run that a file holds.

    Args:
        where: Its name, for errors.
        raw: Its bytes.

    Raises:
        UserError: If it is no such file.
    """
    if not raw.startswith(MAGIC):
        raise UserError(f"{where} is no record of W&B.", "Give a file run-ID.wandb.")
    found = Recorded()
    try:
        for message in _messages(raw):
            _take(found, _fields(message))
    except (ValueError, IndexError, struct.error, RecursionError):
        found.torn = True
    return found


def _messages(raw: bytes) -> Iterator[bytes]:
    """The messages of a log, put together from their pieces."""
    at, pieces = HEAD, b""
    while at < len(raw):
        left = BLOCK - at % BLOCK
        if left < HEAD:
            at += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", raw, at)
        data = raw[at + HEAD : at + HEAD + length]
        if kind == 0 and not length and not checksum:  # room that was not written yet
            return
        if len(data) < length or zlib.crc32(bytes([kind]) + data) != checksum:
            raise ValueError("torn")
        at += HEAD + length
        pieces = data if kind in (FULL, FIRST) else pieces + data
        if kind in (FULL, LAST):
            yield pieces


def _fields(message: bytes) -> Fields:
    """The fields of a message by number: integers, 8 or 4 raw bytes, or bytes."""
    found: Fields = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value: Any
        if key & 7 == 0:
            value, at = _varint(message, at)
        elif key & 7 in (1, 5):
            size = 8 if key & 7 == 1 else 4
            value, at = message[at : at + size], at + size
        elif key & 7 == 2:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        else:
            raise ValueError("no field")
        if at > len(message):
            raise ValueError("torn")
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("no number")


def _take(found: Recorded, record: Fields) -> None:
    for raw in record.get(RUN, ()):
        run = _fields(raw)
        texts = {"run_id": 1, "project": 3, "group": 6, "name": 8, "sweep": 12}
        for name, number in texts.items():
            setattr(found, name, _text(run, number) or getattr(found, name))
        for config in run.get(4, ()):
            found.config |= dict(_items(_fields(config).get(1, [])))
        for start in run.get(17, ()):
            times = _fields(start)
            found.started = times.get(1, [0])[0] + times.get(2, [0])[0] / 1e9
    for raw in record.get(CONFIG, ()):
        found.config |= dict(_items(_fields(raw).get(1, [])))
    for raw in record.get(SUMMARY, ()):
        found.summary |= dict(_items(_fields(raw).get(1, [])))
    for raw in record.get(HISTORY, ()):
        row = _fields(raw)
        values = dict(_items(row.get(1, [])))
        for step in row.get(2, ()):
            values.setdefault("_step", _fields(step).get(1, [0])[0])
        found.history.append(values)
    for raw in record.get(EXIT, ()):
        found.exit_code = _fields(raw).get(1, [0])[0]


def _text(fields: Fields, number: int) -> str:
    raw = fields.get(number, [b""])[-1]
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""


def _items(raws: list[bytes]) -> Iterator[tuple[str, Any]]:
    """The names, dotted where nested, and values of items."""
    for raw in raws:
        item = _fields(raw)
        nested = [part.decode("utf-8", "replace") for part in item.get(ITEM_NESTED, [])]
        name = ".".join(nested) or _text(item, ITEM_KEY)
        if ITEM_JSON in item:
            yield name, json.loads(item[ITEM_JSON][-1])
        elif ITEM_NUMBER in item:
            yield name, struct.unpack("<d", item[ITEM_NUMBER][-1])[0]
        elif ITEM_INTEGER in item:
            zigzag = item[ITEM_INTEGER][-1]
            yield name, (zigzag >> 1) ^ -(zigzag & 1)
        elif ITEM_BOOLEAN in item:
            yield name, bool(item[ITEM_BOOLEAN][-1])
        elif 7 in item:
            yield name, _text(item, 7)
        elif 8 in item:
            yield name, json.loads(item[8][-1])
