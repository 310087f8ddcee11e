"""Which reader a source is for."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from analysis.adopt.database import shown
from analysis.adopt.found import FoundStudy, Wanted
from analysis.adopt.sources import SOURCES
from deepsight.config import UserError


class Reader(Protocol):
    """What a module of `SOURCES` offers."""

    def recognises(self, source: str) -> bool:
        """Whether `source`, a path or an address, is of this tool."""

    def read(self, source: str, wanted: Wanted) -> FoundStudy:
        """All that `source` says.

        Raises:
            UserError: If it says too little, or more than one thing.
        """


def recognised(source: str) -> bool:
    """Whether some tool recognises `source`."""
    return any(_reader(module).recognises(source) for module in SOURCES.values())


def _reader(module: str) -> Reader:
    return cast(Reader, importlib.import_module(module))


def find_reader(source: str) -> Reader:
    """The reader of the first tool that recognises `source`.

    Raises:
        UserError: If none does.
    """
    for module in SOURCES.values():
        reader = _reader(module)
        if reader.recognises(source):
            return reader
    raise UserError(
        f"{shown(source)} is nothing that can be adopted: none of {', '.join(SOURCES)} knows it.",
        "Give the folder, file or address that docs/adopt.md names for your tool.",
    )
