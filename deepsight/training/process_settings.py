"""Settings of the process that a trial wants: threads, cuDNN, and how memory is kept."""

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
def machine_settings(hardware: HardwareConfig) -> Iterator[None]:
    """Set threads and cuDNN's choice of algorithms for a trial, and put them back afterwards.

    Args:
        hardware: With nothing left to decide.
    """
    if hardware.device == "cpu":
        keep_freed_memory()
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    torch.set_num_threads(hardware.threads)
    torch.backends.cudnn.benchmark = True  # shapes are the same at every step
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark


@functools.lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Have malloc keep what the process frees, for good, instead of handing it back to the system.

    A step frees and allocates the same large blocks again; handed back, each comes with a page
    fault for every 4 KB: an eighth of the processor time of a small network (docs/training.md).
    Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, _LARGE)
