"""The spaces that come with DeepSight: ``from deepsight.search_spaces import finetune``.

Their files are found by `deepsight.installed.folder`; this module is the package that holds them.
"""

from importlib import import_module
from typing import Any

from deepsight.installed import folder, space_names

__path__ = [str(folder("search_spaces"))]


def __getattr__(name: str) -> Any:
    """The space of that name, as a module with ``FIXED`` and ``SPACE``."""
    if name not in space_names():
        raise AttributeError(f"there is no space {name!r}: {', '.join(space_names())}")
    return import_module(f"{__name__}.{name}")
