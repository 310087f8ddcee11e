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

SIGNALS = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


@dataclass
class Interrupt:
    """A signal that arrived, or None; `search` is told to stop by the first one."""

    search: Search | None = None
    signal: int | None = None

    def install(self) -> None:
        """Take SIGINT and SIGTERM (Ray takes SIGTERM when it starts; this takes it back)."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.handle)

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
    before = {number: signal.getsignal(number) for number in SIGNALS}
    interrupt.install()
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
