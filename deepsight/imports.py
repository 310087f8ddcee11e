"""Imports objects that the user names as ``package.module:function``."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from typing import Any

from deepsight.config import UserError, is_import_path, unknown


def load_object(path: str) -> Any:
    """Import what ``package.module:function`` names.

    Args:
        path: For example ``my_project.nets:build``.

    Raises:
        UserError: If the text has another form, the module cannot be imported or does not have
            the function.
    """
    if not is_import_path(path):
        raise UserError(f"{path!r} is not an import path.", "Write package.module:function.")
    module_name, _, name = path.partition(":")
    importlib.invalidate_caches()  # a file written a moment ago counts
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(missing + "."):
            raise UserError(
                f"no module {missing!r}, wanted for {path!r}.",
                "Run from the directory that holds it, or install it.",
            ) from error
        raise _failed(module_name, error) from error
    except Exception as error:  # importing runs the user's code: whatever it raises is the cause
        raise _failed(module_name, error) from error
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise unknown(f"name in module {module_name}", name, public)
    return getattr(module, name)


def call(path: str, function: Any, *args: Any) -> Any:
    """Call what `load_object` found at `path`; an error in it becomes one line of cause.

    Raises:
        UserError: If the user's code raises; the traceback stays on ``__cause__``.
    """
    if not callable(function):
        raise UserError(f"{path} is not a function.", "Name something that can be called.")
    try:
        return function(*args)
    except UserError:
        raise
    except Exception as error:  # the user's code: whatever it raises is the cause
        raise UserError(f"{path} raised {_described(error)}.", "Fix the function.") from error


def _failed(module_name: str, error: Exception) -> UserError:
    return UserError(
        f"importing {module_name} raised {_described(error)}.",
        f"Fix it until python -c 'import {module_name}' works.",
    )


def _described(error: Exception) -> str:
    """Type, message and place of the innermost line, on one line."""
    text = " ".join(str(error).split()).rstrip(".") or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
