"""Settings of a training process: threads, cuDNN, and how freed memory is kept."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from deepsight.config import HardwareConfig

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of the options in glibc's malloc.h."""
_LARGE = 2**31 - 1


@contextmanager
def process_settings(hardware: HardwareConfig) -> Iterator[None]:
    """Set threads and cuDNN's benchmark mode for a trial, and restore them afterwards.

    Args:
        hardware: With nothing left to decide.
    """
    if hardware.device == "cpu":
        keep_freed_memory()
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    torch.set_num_threads(hardware.threads)
    # trying algorithms takes seconds a trial, and other trials on the GPU distort the timings
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark


@functools.lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Have malloc keep freed memory instead of returning it to the system; for good.

    A step frees and allocates the same large blocks again; once returned, each costs a page
    fault for every 4 KB: an eighth of the processor time of a small network (docs/training.md).
    Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, _LARGE)
