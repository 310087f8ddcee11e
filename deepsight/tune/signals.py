"""Ctrl-C and SIGTERM: the first ends the search after the running epochs, the second at once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepsight.tune.search import Search

logger = logging.getLogger(__name__)


@dataclass
class Interrupt:
    """A signal that arrived, or None; `search` is told to stop by the first one."""

    search: Search | None = None
    signal: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Ask the search to stop after the running epochs; at once where that is not possible."""
        again = self.signal is not None
        self.signal = number
        if again or self.search is None:
            raise KeyboardInterrupt
        self.search.stopping = True
        logger.warning("stopping after the running epochs (again: at once)")


@contextmanager
def catch_signals(interrupt: Interrupt) -> Iterator[None]:
    """Let SIGINT and SIGTERM reach `interrupt`; elsewhere than in the main thread do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, interrupt.handle) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
