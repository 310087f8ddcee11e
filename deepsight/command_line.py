"""How every command begins and ends: its streams, its flags, errors in two lines, Ctrl-C.

A command's `main` returns `run_command`; what the command does is the function given to it.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from deepsight.standard_streams import start_command
from deepsight.values import UserError

EXIT_INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are a cause and a remedy."""

    def error(self, message: str) -> NoReturn:
        """Raise what `run_command` prints.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message}.", f"See {self.prog} --help.")


def run_command(
    parser: Parser,
    body: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None = None,
    *,
    level: int = logging.INFO,
    interrupted: str = "",
) -> int:
    """Parse the flags and run a command; returns its exit code.

    Args:
        parser: The command's flags.
        body: What the command does with them; returns the exit code.
        arguments: Instead of the words after the command's name.
        level: From which on messages of DeepSight are shown.
        interrupted: A line that Ctrl-C is answered with.

    Returns:
        What `body` returns; the code of a `UserError`, whose cause and remedy are then on
        standard error; 130 after Ctrl-C. None of them comes with a traceback.

    Raises:
        SystemExit: With code 0 after ``--help``.
    """
    start_command(level)
    try:
        return body(parser.parse_args(arguments))
    except UserError as error:
        sys.stderr.write(f"error: {error.cause}\n{error.remedy}\n")
        return error.exit_code
    except KeyboardInterrupt:
        if interrupted:
            sys.stderr.write(f"{interrupted}\n")
        return EXIT_INTERRUPTED
