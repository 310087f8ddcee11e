"""Reads commands of the documentation from standard input and says which would be refused.

A process of its own, run by tests/test_docs_commands.py: it imports what the commands import, lets
their real parsers parse, and stops there. In and out is a JSON list: ``[module or file, words]``,
and for each what is wrong, or null.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import runpy
import sys
from pathlib import Path

from deepsight.config import PARAMS, STUDY_PARAMS, UserError
from deepsight.installed import experiment_names, space_names
from deepsight.overrides import parse_set


class Parsed(BaseException):
    """Ends a command once its flags were read."""


def stop_after_parsing() -> None:
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, args=None, namespace=None):
        raise Parsed(parse(self, args, namespace))

    argparse.ArgumentParser.parse_args = parse_and_stop


def wrong_values(flags: argparse.Namespace) -> str | None:
    """What is wrong with settings, space or experiment, though a parser takes any text."""
    for text in getattr(flags, "sets", None) or getattr(flags, "set", None) or ():
        name, _ = parse_set(text)
        if name not in PARAMS and name not in STUDY_PARAMS and not name.startswith("user."):
            return f"--set {text}: there is no setting {name}"
    for flag, known in (("space", space_names()), ("experiment", experiment_names())):
        name = getattr(flags, flag, None)
        if isinstance(name, str) and not name.endswith((".py", ".yaml")) and name not in known:
            return f"--{flag} {name}: known are {', '.join(known)}"
    data = getattr(flags, "data", None)
    if isinstance(data, str) and ("--set" in sys.argv or hasattr(flags, "sets")):
        parse_set(f"data.name={data}")
    return None


def wrong(target: str, words: list[str]) -> str | None:
    """What is wrong with ``python -m target words``, or with ``python target words``."""
    said = io.StringIO()
    sys.argv = [target, *words]
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            if target.endswith(".py"):
                runpy.run_path(target, run_name="__main__")
            else:
                runpy.run_module(target, run_name="__main__", alter_sys=True)
    except Parsed as parsed:
        try:
            return wrong_values(parsed.args[0])
        except UserError as error:
            return str(error)
    except SystemExit as ended:
        return None if ended.code == 0 else said.getvalue().strip() or f"exit code {ended.code}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "it read no flags"


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    stop_after_parsing()
    answers = [wrong(target, words) for target, words in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)
