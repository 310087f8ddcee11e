"""Keeps PyTorch's compiler unloaded until somebody compiles.

``torch._dynamo`` takes nearly as long to import as PyTorch itself (with it come sympy, Inductor and
distributed tensors), and every process that trains would pay: torchvision's operators ask whether
a device can compile, and optimisers mark their steps as not to be compiled. Modules that answer
these questions stand in its place; whatever else is asked of them loads the real ones.

PyTorch documents nothing of this. Where a version asks for something new, the compiler is loaded,
as without this module (docs/decisions/0087-postpone-the-compiler.md).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
UTILS = f"{COMPILER}.utils"


class PostponedModule(ModuleType):
    """Stands in ``sys.modules`` for a module of the compiler, until it is asked what it lacks."""

    def __getattr__(self, name: str) -> Any:
        imports_a_part = name == "__path__" and self.__name__ == COMPILER
        if name.startswith("__") and not imports_a_part:  # anybody who lists modules asks these
            raise AttributeError(name)
        return getattr(real(self.__name__), name)


def real(name: str) -> ModuleType:
    """A module of the compiler; loads it, from now on for everybody."""
    for postponed in ANSWERS:
        if isinstance(sys.modules.get(postponed), PostponedModule):
            sys.modules.pop(postponed, None)  # another thread may have been faster
    return importlib.import_module(name)


def disable(*args: Any, wrapping: bool = True, **options: Any) -> Any:
    """``torch._dynamo.disable``: what PyTorch itself would wrap runs as it is; nothing compiles it.

    Only PyTorch says ``wrapping=False``, of the methods of its optimisers. What others take out of
    compilation stays out of it.
    """
    return real(COMPILER).disable(*args, **options) if wrapping else args[0]


def graph_break() -> None:
    """``torch._dynamo.graph_break``: there is no graph."""


def is_compile_supported(device: str) -> bool:
    """``torch._dynamo.utils.is_compile_supported``, asked of the real one."""
    return bool(real(UTILS).is_compile_supported(device))


ANSWERS: dict[str, dict[str, Callable[..., Any]]] = {
    COMPILER: {"disable": disable, "graph_break": graph_break},
    UTILS: {"is_compile_supported": is_compile_supported},
}
"""What the modules answer without being loaded: what torchvision and optimisers ask."""


@contextmanager
def compiler_postponed() -> Iterator[None]:
    """Import torchvision in this context: the compiler stays unloaded, then and later.

    Nothing happens where it is loaded already.
    """
    spec = None if COMPILER in sys.modules else importlib.util.find_spec(COMPILER)
    if spec is not None:
        for name, answers in ANSWERS.items():
            module = sys.modules[name] = PostponedModule(name)
            module.__dict__.update(answers)
        sys.modules[COMPILER].__spec__ = spec
    try:
        yield
    finally:
        if isinstance(sys.modules.get(UTILS), PostponedModule):
            del sys.modules[UTILS]  # from now on an import of it loads the real one
