"""Archives of arrays and one JSON text, which a stranger's study may hold: read as such, or not."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from deepsight.files import open_file, replacing, require_stored

ABOUT = "about"
"""The entry that holds the text."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


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
    with replacing(path.parent, [path.name], ".npz") as temporary:
        np.savez(temporary, **entries)


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
        file = os.fdopen(open_file(path.parent, [path.name]), "rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("%s cannot be read and is made again: %s", path, error)
        return None
    try:
        with file:
            require_stored(file, path)
            with np.load(file, allow_pickle=False) as stored:
                return decode(json.loads(str(stored[ABOUT])), stored)
    except Exception as error:  # a torn archive raises many kinds, from zipfile's to KeyError
        logger.warning("%s is damaged and made again: %s", path, error)
        return None
