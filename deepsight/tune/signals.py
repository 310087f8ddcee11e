"""Ctrl-C and SIGTERM: the first ends the search after the running epochs, the second at once.

Epochs may be long and libraries may hang, so each step has a deadline: the running epochs are
abandoned after `GRACE_S`, and a command line exits after `LIMIT_S` (a notebook does not: it would
lose all that it holds). Nothing recorded is lost: it is on the disk already, and
`deepsight.tune.process_cleanup` kills the remaining processes.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from deepsight.config import UserError

if TYPE_CHECKING:
    from deepsight.tune.search.search import Search

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ALSO_TAKEN = (signal.SIGUSR1,)
"""What Ray Tune takes, put back with ours."""
GRACE_S = 6.0
"""For the running epochs to end, after the first signal."""
LIMIT_S = 9.3
"""For all of it, after the first signal."""
HURRY_S = 3.0
"""For cleaning up, after the second signal."""

logger = logging.getLogger(__name__)


@dataclass
class Interrupt:
    """The signal that arrived, or None; the first one stops `search`."""

    search: Search | None = None
    signal: int | None = None
    may_exit: bool = False
    """Whether the process may end where the search does not end in time."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when there is nothing left to interrupt."""

    def install(self) -> None:
        """Take SIGINT and SIGTERM, where that is possible."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Ask the search to stop after the running epochs; at once where that is not possible."""
        again = self.signal is not None
        if again or self.search is None:
            self.signal = self.signal or number
            self._exit_after(HURRY_S)
            raise KeyboardInterrupt
        self.signal = number
        self.search.stop()
        logger.warning("stopping after the running epochs (again: at once)")
        self._exit_after(LIMIT_S)
        threading.Thread(target=self._abandon, daemon=True).start()

    def _abandon(self) -> None:
        if not self.over.wait(GRACE_S):
            logger.warning("the epochs take longer: they are abandoned and will be repeated")
            os.kill(os.getpid(), self.signal or signal.SIGINT)

    def leave(self, error: UserError) -> None:
        """Say `error` and end the process, where it may end and nobody has ended it already.

        For what the main thread cannot be told: it waits in a call that nothing interrupts.
        """
        if self.signal is not None or self.over.is_set():
            return
        sys.stderr.write(f"error: {error.cause}\n{error.remedy}\n")
        sys.stderr.flush()
        if self.may_exit:
            os._exit(error.exit_code)

    def _exit_after(self, seconds: float) -> None:
        if not self.may_exit:
            return

        def leave() -> None:
            if not self.over.wait(seconds):
                if sys.stderr.isatty():
                    sys.stderr.write("\x1b[?25h\n")  # a live display may have hidden the cursor
                    sys.stderr.flush()
                os._exit(128 + (self.signal or signal.SIGINT))

        threading.Thread(target=leave, daemon=True).start()


@contextmanager
def catch_signals(interrupt: Interrupt) -> Iterator[None]:
    """Let SIGINT and SIGTERM reach `interrupt`; elsewhere than in the main thread do nothing."""
    before = {number: signal.getsignal(number) for number in (*SIGNALS, *ALSO_TAKEN)}
    interrupt.install()
    try:
        yield
    finally:
        interrupt.over.set()
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # None: one that Python has not installed
                    signal.signal(number, handler)
