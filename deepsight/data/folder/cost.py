"""Files that would cost far more than their pixels: found in their bytes, before a decoder runs.

A few kilobytes can ask a decoder for minutes or gigabytes. What is not found here ends at the
limits of `deepsight.data.folder.bounded`.
"""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path
from typing import BinaryIO

MAX_PIXELS = 50_000_000
"""Larger images count as broken: read from the header, before any memory is taken for them."""
MAX_FILE_BYTES = 8 * MAX_PIXELS
"""Some decoders read a file as a whole; four channels of 16 bits without compression take this."""
MAX_METADATA_BYTES = 16 * 2**20
"""Before the pixels of a JPEG. Pillow joins its parts one by one: 60 MB take it 40 s."""
MAX_SCANS = 100
"""Of a progressive JPEG, each of which goes over the whole image; usual are 3 to 20."""

_JPEG = b"\xff\xd8\xff"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""With a length, or the end; in coded pixels 0xFF is followed by 0 or a restart's number."""


def refuse_costly(path: Path) -> None:
    """Refuse a file whose first bytes, size or number of scans say that it is costly to open.

    Raises:
        ValueError: With what is too much.
        OSError: If it cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"a file of {size / 1e6:.0f} MB, more than {MAX_FILE_BYTES / 1e6:.0f}")
    with path.open("rb") as file:
        head = file.read(30)
        if head.startswith(_JPEG):
            _refuse_jpeg(file)
        elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            refuse_large(*_webp_size(head))


def refuse_large(width: int, height: int) -> None:
    """Refuse more than `MAX_PIXELS`.

    Raises:
        ValueError: If there are.
    """
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels, more than {MAX_PIXELS // 10**6} million")


def _refuse_jpeg(file: BinaryIO) -> None:
    at, metadata = 2, 0
    while True:  # the segments before the pixels: a marker, its length, its content
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == _START_OF_SCAN:
            break
        if head[1] == 0xFF or head[1] in _WITHOUT_LENGTH:  # padding, or a marker without a length
            at += 1 if head[1] == 0xFF else 2
            continue
        length = int.from_bytes(head[2:])
        metadata += length
        if metadata > MAX_METADATA_BYTES:
            raise ValueError(f"more than {MAX_METADATA_BYTES >> 20} MB before its pixels")
        at += 2 + length
    if at < os.fstat(file.fileno()).st_size:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            _refuse_scans(content, at)


def _refuse_scans(content: mmap.mmap, at: int) -> None:
    """Count scans up to the image's end: phones append films, in which any bytes may stand."""
    scans = 0
    while marker := _MARKER.search(content, at):
        kind = marker[0][1]
        if kind == _END_OF_IMAGE:
            return
        scans += kind == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise ValueError(f"a JPEG of more than {MAX_SCANS} scans")
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])


def _webp_size(head: bytes) -> tuple[int, int]:
    """Width and height as the first chunk has them; its decoder takes memory while it opens."""
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return width, height
