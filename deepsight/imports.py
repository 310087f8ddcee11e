"""Imports objects that are named as ``package.module:function``, and decides whether they may run.

Importing runs code. Code that the caller of this process named may run; code that only a file names
(a study, an experiment, a checkpoint: it may be a stranger's) runs where `Permission` lets it.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepsight.config import (
    PARAMS,
    STUDY_PARAMS,
    UserError,
    is_import_path,
    unknown,
    without_controls,
)

IMPORTED = tuple(
    name for name, field in (PARAMS | STUDY_PARAMS).items() if field.metadata["importable"]
)
"""Hyperparameters and settings that may name code."""
PLAIN_SAMPLER = re.compile(r"optuna\.samplers:[A-Z][A-Za-z]*Sampler", re.ASCII)
"""Optuna's own samplers, which may be named by anybody."""
SHOWN = 5
"""Names in one question."""


def imports_in(values: Iterable[tuple[str, object]]) -> dict[str, str]:
    """The code that hyperparameters and settings name.

    Args:
        values: Pairs of a dotted name and its value; a name may come several times.

    Returns:
        Which name asks for it, by import path; without what comes with DeepSight and Optuna.
    """
    found = {}
    for name, value in values:
        if name not in IMPORTED or not isinstance(value, str) or not is_import_path(value):
            continue
        rule = (PARAMS | STUDY_PARAMS)[name].metadata
        if value.startswith(rule["prefixes"]) or PLAIN_SAMPLER.fullmatch(value):
            continue
        found[value] = name
    return found


def ask_on_terminal(sentence: str) -> bool:
    """Whether a person at a terminal answers yes; without a terminal nobody does."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"{without_controls(sentence)}\nRun it? Type yes, or anything else to stop: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@dataclass(frozen=True)
class Permission:
    """Which code that files name may run here. The one place that decides it.

    Attributes:
        given: Import paths and files that the caller of this process named.
        trust: Whether the caller vouches for all that the files name.
        ask: Asks a person; None asks nobody, and what is not given is refused.
        remedy: How to vouch, as the caller would write it.
    """

    given: frozenset[str] = frozenset()
    trust: bool = False
    ask: Callable[[str], bool] | None = None
    remedy: str = "pass trust=True"

    def also(self, given: Iterable[str]) -> Permission:
        """This permission, and what else the caller has named."""
        return replace(self, given=self.given.union(given))

    def require(self, wanted: Mapping[str, str], where: object) -> None:
        """Refuse code that nobody but a file asks for; nothing is imported before this returns.

        Args:
            wanted: From `imports_in`: what asks for it, by import path or file.
            where: The study, experiment or checkpoint that names it.

        Raises:
            UserError: If some of it is neither given nor trusted nor confirmed.
        """
        strange = {path: name for path, name in wanted.items() if path not in self.given}
        if not strange or self.trust:
            return
        named = ", ".join(f"{path} ({name})" for path, name in list(strange.items())[:SHOWN])
        if len(strange) > SHOWN:
            named += f" and {len(strange) - SHOWN} more"
        sentence = (
            f"{where} wants to run the Python code {named}, which can do anything on this "
            "computer that you can: read, change and delete your files."
        )
        if self.ask is not None and self.ask(sentence):
            return
        raise UserError(sentence, f"If you know who wrote it and trust them, {self.remedy}.")


def add_trust_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust`` to a command that reads what others may have written."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run Python code that only the study or the experiment names (its network, its data "
        "set); it can do all that you can, so only where you know who wrote it",
    )


def permission_of(flags: argparse.Namespace) -> Permission:
    """What the flags of `add_trust_flag` allow; asked on a terminal where they say nothing."""
    return Permission(trust=flags.trust, ask=ask_on_terminal, remedy="add --trust")


REFUSE = Permission()
"""Nothing that only a file names may run."""


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
