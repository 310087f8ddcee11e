"""Which reader a source is for."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

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


def find_reader(source: str) -> Reader:
    """The reader of the first tool that recognises `source`.

    Raises:
        UserError: If none does.
    """
    for module in SOURCES.values():
        reader = cast(Reader, importlib.import_module(module))
        if reader.recognises(source):
            return reader
    raise UserError(
        f"{source} is nothing that can be adopted: none of {', '.join(SOURCES)} knows it.",
        "Give the folder, file or address that docs/adopt.md names for your tool.",
    )
