"""Readers of what other tools wrote, one module a tool.

Each has ``recognises(source) -> bool``, which is cheap and changes nothing, and ``read(source,
wanted) -> FoundStudy``. A module imports the library of its tool inside `read`, if at all: finding
out which tool a source is of needs none.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from analysis.adopt.found import FoundStudy, Wanted
from deepsight.config import UserError

SOURCES: dict[str, str] = {
    "ray_tune": "analysis.adopt.sources.ray_tune",
    "optuna": "analysis.adopt.sources.optuna",
    "mlflow": "analysis.adopt.sources.mlflow",
    "wandb": "analysis.adopt.sources.wandb",
    "table": "analysis.adopt.sources.table",  # any .csv: the last one that is asked
}
"""The module that reads each tool's files, in the order in which they are asked."""


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
