"""All image files of a folder: each decoded once, by all cores, broken ones named."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from deepsight.data.cores import num_cores
from deepsight.data.folder.bounded import workers
from deepsight.data.folder.decoding_worker import REASON, VALUE
from deepsight.data.folder.wide import FULL, ValueRange, may_be_wide

logger = logging.getLogger(__name__)

_BLOCK = 256  # files whose decoded images wait in memory at a time
_REPORT_S = 5.0  # between two lines of progress


def scan(
    paths: Sequence[Path],
    size: int,
    interpolation: str,
    out: BinaryIO,
    value_range: ValueRange | None = None,
) -> dict[int, str]:
    """Decode all files and append their pixels to `out` in order; say which are broken.

    Returns:
        By position in `paths`, why a file is broken; nothing was written for it.
    """
    broken: dict[int, str] = {}
    reported = time.monotonic()
    used = value_range or FULL
    how = {"size": size, "interpolation": interpolation}
    how |= {"range": [float(used.low), float(used.high), used.num_files]}
    with workers(len(paths)) as decoders:
        for start in range(0, len(paths), _BLOCK):
            requests = [{"path": str(path), **how} for path in paths[start : start + _BLOCK]]
            for position, (kind, content) in enumerate(decoders.map(requests), start):
                if kind == REASON:
                    broken[position] = content.decode()
                else:
                    out.write(content)
            if time.monotonic() - reported > _REPORT_S:
                reported = time.monotonic()
                logger.info("decoded %d of %d files", start + _BLOCK, len(paths))
    return broken


def measure_range(paths: Sequence[Path]) -> ValueRange | None:
    """The range of all images with more than 8 bits a channel; None if there are none.

    Files that cannot be decoded do not count; `scan` names them.
    """
    with ThreadPoolExecutor(num_cores()) as pool:
        maybe = [p for p, wide in zip(paths, pool.map(_may_be_wide, paths), strict=True) if wide]
    if not maybe:
        return None
    with workers(len(maybe)) as decoders:
        answers = list(decoders.map([{"path": str(path)} for path in maybe]))
    found = [json.loads(content) for kind, content in answers if kind == VALUE]
    found = [each for each in found if each is not None]
    if not found:
        return None
    low, high = min(low for low, _ in found), max(high for _, high in found)
    if low > high:  # nothing but transparent pixels
        low, high = FULL.low, FULL.high
    logger.info(
        "%d images have more than 8 bits a channel: values %g to %g become 0 to 255",
        len(found),
        low,
        high,
    )
    return ValueRange(low, high, len(found))


def _may_be_wide(path: Path) -> bool:
    try:
        return may_be_wide(path)
    except OSError:  # `scan` keeps the reason
        return False
