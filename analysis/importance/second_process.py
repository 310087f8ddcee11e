"""The views of importance that need no surrogate of the score, computed by a second process.

A report computes on one thread, as its matrices are small. These views are nearly half of its work.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from deepsight.data.cores import num_cores
from deepsight.installed import installed_first
from deepsight.run_store import Study

if TYPE_CHECKING:
    from analysis.importance.sensitivity import Views

MIN_TRIALS = 24
"""Fewer were not measured: of 24 it saves 3 of 23 s (docs/decisions/0090), of fewer less."""


def worthwhile(study: Study) -> bool:
    """Whether a second process would save time: enough trials, and a core that is free."""
    return len(study.records) >= MIN_TRIALS and num_cores() > 1


@contextlib.contextmanager
def views_meanwhile(study: Study, seed: int) -> Iterator[Callable[[], Views]]:
    """Start a process that computes the views of a study; a function waits for them.

    For commands only: the process imports the caller's main module, which a script that does not
    guard its main part against that does not survive. It ends with the block. If it dies, for want
    of memory, say, this process computes the views itself.
    """
    context = multiprocessing.get_context("spawn")
    line, far_end = context.Pipe()
    worker = context.Process(target=_answer, args=(far_end,), daemon=True)
    with installed_first():
        worker.start()
    far_end.close()
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died at its start
            line.send((study, seed))
        yield lambda: _received(line, study, seed)
    finally:
        line.close()
        worker.terminate()
        worker.join()


def _received(line: Connection, study: Study, seed: int) -> Views:
    from analysis.importance.sensitivity import compute_views

    try:
        views: Views = line.recv()
    except (EOFError, ConnectionResetError):
        return compute_views(study, seed)
    return views


def _answer(line: Connection) -> None:
    """In the second process: compute the views of the study that it is sent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's to answer
    with contextlib.suppress(EOFError, BrokenPipeError):  # the command ended
        study, seed = line.recv()
        from analysis.importance.sensitivity import compute_views

        line.send(compute_views(study, seed))
