"""Standard output, standard error and the log of a command, set up by `start_command`.

A command may run for hours, and its reader may leave meanwhile: ``2>&1 | head -1``, a closed
terminal and ``>&-`` cost the output, not the study.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from typing import Any

from deepsight.values import PlainFormatter

_READER_GONE = (errno.EPIPE, errno.EIO)
"""A pipe without a reader; a terminal that was closed."""
_ERRORS = {"stdout": "surrogateescape", "stderr": "backslashreplace"}
"""How characters are written that the encoding lacks: names of files may be no UTF-8."""


class _Raw(io.FileIO):
    """A descriptor that leads to nowhere once nobody reads what is written to it."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _READER_GONE:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # also for what libraries write to the descriptor
            os.close(nowhere)
            return super().write(data)


def start_command(level: int = logging.INFO) -> None:
    """What every command does first: `take_streams`, and a log that no name in it can abuse.

    Args:
        level: From which on messages of DeepSight are shown; of libraries it is warnings.
    """
    take_streams()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(PlainFormatter("%(message)s"))
    for name in ("deepsight", "analysis", "__main__"):
        logging.getLogger(name).setLevel(level)


def take_streams() -> None:
    """Let `sys.stdout` and `sys.stderr` hold any name, and write on when their reader has gone.

    Streams that somebody has put in their place, as tests do, may only be told to hold any name.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file would take its number, and what is written to it
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        if name in _ERRORS:
            _take(name, descriptor)


def _take(name: str, descriptor: int) -> None:
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__"):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS[name])
        return
    if stream is not None:
        stream.flush()
    raw = _Raw(descriptor, "wb", closefd=False)
    text = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors=_ERRORS[name],
        line_buffering=stream is None or stream.line_buffering,
    )
    setattr(sys, name, text)
