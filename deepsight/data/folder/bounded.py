"""Decoding in processes with limits: a hostile image ends its process, not the search.

Files come from strangers, and decoders are large. Each file may take `SECONDS` of processor time
and its process `MEMORY_BYTES`; beyond that the file is broken, with the reason, and the next one
gets a new process.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from deepsight.data.cores import num_cores
from deepsight.data.folder.decoding_worker import HEAD, REASON

SECONDS = 20.0
"""Of processor time for a file; 50 million pixels take 1 to 2."""
MEMORY_BYTES = 2 * 2**30
"""Addresses of a process; 50 million pixels with transparency take half of it."""
FILES_A_PROCESS = 100
"""Fewer are decoded sooner than another process has started."""

_START = (
    "import sys; n = int(sys.argv[1]); sys.path[:] = sys.argv[2 : 2 + n]; del sys.argv[1 : 2 + n]; "
    "from deepsight.data.folder.decoding_worker import serve; serve()"
)

Answer = tuple[bytes, bytes]
"""Kind, as in `deepsight.data.folder.decoding_worker`, and content."""


class Workers:
    """Processes that decode. Threads ask; each has a process of its own meanwhile."""

    def __init__(self, count: int, seconds: float, memory: int) -> None:
        self._limits = (str(seconds), str(memory))
        self._threads = ThreadPoolExecutor(count)
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        for _ in range(count):
            self._idle.put(self._start())

    def map(self, requests: Sequence[Mapping[str, Any]]) -> Iterator[Answer]:
        """The answers to requests, in their order."""
        return self._threads.map(self._ask, requests)

    def close(self) -> None:
        """End the processes."""
        self._threads.shutdown(cancel_futures=True)
        while not self._idle.empty():
            _end(self._idle.get())

    def _start(self) -> subprocess.Popen[bytes]:
        paths = [str(len(sys.path)), *sys.path]
        return subprocess.Popen(
            [sys.executable, "-c", _START, *paths, *self._limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is not for it; it ends with its input
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def _ask(self, request: Mapping[str, Any]) -> Answer:
        worker = self._idle.get()
        try:
            answer = _exchange(worker, json.dumps(request).encode() + b"\n")
            if answer is not None:
                return answer
            _end(worker)
            worker = self._start()
            if _exchange(worker, b'{"path": ""}\n') is None:
                raise RuntimeError("processes that decode images end at once")
            reason = f"its decoder ended: an image may take {self._limits[0]} s of processor time"
            return REASON, reason.encode()
        finally:
            self._idle.put(worker)  # also one that ended: other threads wait for it


@contextmanager
def workers(
    num_files: int, seconds: float = SECONDS, memory: int = MEMORY_BYTES
) -> Iterator[Workers]:
    """Processes for `num_files`, at most one for each core; ended afterwards."""
    made = Workers(max(1, min(num_cores(), num_files // FILES_A_PROCESS)), seconds, memory)
    try:
        yield made
    finally:
        made.close()


def _exchange(worker: subprocess.Popen[bytes], request: bytes) -> Answer | None:
    """The answer of a process; None if it has ended."""
    assert worker.stdin
    assert worker.stdout
    try:
        worker.stdin.write(request)
        worker.stdin.flush()
    except BrokenPipeError:
        return None
    head = worker.stdout.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, length = HEAD.unpack(head)
    content = worker.stdout.read(length)
    return (kind, content) if len(content) == length else None


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    with contextlib.suppress(BrokenPipeError):
        worker.communicate()
