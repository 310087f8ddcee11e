"""What comes with DeepSight beside its modules: spaces, experiments and the package `analysis`.

In a checkout all three stand beside this package; installed, spaces and experiments lie in it. They
are found from here, and never through the current directory: a folder of the user's there may have
the same name.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
ANALYSIS = "analysis"
SAFE_PATH = "PYTHONSAFEPATH"
"""Variable of the environment that stands for ``-P``."""


def folder(name: str) -> Path:
    """Where ``search_spaces`` or ``experiments`` lie."""
    installed = HERE / "bundled" / name
    return installed if installed.is_dir() else HERE.parent / name


def space_names() -> list[str]:
    """The spaces that come with DeepSight."""
    files = folder("search_spaces").glob("*.py")
    return sorted(p.stem for p in files if not p.stem.startswith("_"))


def experiment_names() -> list[str]:
    """The experiments that come with DeepSight."""
    return sorted(p.stem for p in folder("experiments").glob("*.yaml"))


class _Finder(MetaPathFinder):
    """Finds our `analysis`, and nothing else."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(HERE.parent)]) if name == ANALYSIS else None


_imported: dict[str, ModuleType] = {}
"""Our `analysis` and its modules, while another package has their names."""


@contextmanager
def own_analysis() -> Iterator[None]:
    """While this lasts, `analysis` is ours.

    Where the caller's own package has that name, as a folder in the current directory, theirs is
    back afterwards, so that a notebook can use both.
    """
    if _is_ours():
        yield
        return
    theirs, finder = _taken(), _Finder()
    sys.modules.update(_imported)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _imported.update(_taken())
        sys.modules.update(theirs)


@contextmanager
def installed_first() -> Iterator[None]:
    """While this lasts, a Python that starts does not add the current directory to its path.

    Otherwise modules there, which may be a stranger's, come before those that are installed.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def _is_ours() -> bool:
    """Whether ``import analysis`` gives ours."""
    try:
        spec = importlib.util.find_spec(ANALYSIS)
    except ValueError:  # a module that was made by hand
        return False
    places = (spec and spec.submodule_search_locations) or []
    return [Path(place).resolve() for place in places] == [HERE.parent / ANALYSIS]


def _taken() -> dict[str, ModuleType]:
    """`analysis` and its modules, taken out of the table of imported ones."""
    names = [n for n in sys.modules if n == ANALYSIS or n.startswith(f"{ANALYSIS}.")]
    return {name: sys.modules.pop(name) for name in names}
