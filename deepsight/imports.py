"""Finds what the user names as ``package.module:function``."""

from __future__ import annotations

import importlib
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


def _failed(module_name: str, error: Exception) -> UserError:
    text = " ".join(str(error).split()) or "no message"
    return UserError(
        f"importing {module_name} raised {type(error).__name__}: {text.rstrip('.')}.",
        f"Mend it until python -c 'import {module_name}' works.",
    )
