"""What is recorded of an error in a trial, in one line. Imports neither Ray nor torch."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path

from deepsight.config import UserError, Value
from deepsight.tune.ray_backend.trial_spec import sizes

REMEDIES = {
    "Expected more than 1 value per channel": "Batch normalisation cannot normalise the 1x1 map of "
    "one image: set optim.batch_size to 2 or more.",
}
"""What to do about errors of libraries that do not say it."""

OUT_OF_MEMORY = re.compile(
    r"OutOfMemory|out of memory|ALLOC_FAILED|can't allocate memory|Unable to allocate",
)
"""How torch, CUDA and its libraries say that memory ran out; only torch's own type is an error of
its own: CUDA says it where a context finds no room, cuBLAS and cuDNN where their workspaces do."""


def describe_error(error: BaseException, config: Mapping[str, Value]) -> str:
    """An error in one line, with its location; with the trial's sizes if memory ran out."""
    if isinstance(error, UserError):
        text = f"{error.cause} {error.remedy}"
    else:
        text = _error_with_place(error, config)
    text += "".join(f". {remedy}" for said, remedy in REMEDIES.items() if said in text)
    return text.encode("utf-8", "backslashreplace").decode()  # names of files may be no UTF-8


def _error_with_place(error: BaseException, config: Mapping[str, Value]) -> str:
    # CUDA's errors go on with lines of advice on debugging
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
    if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(f"{type(error).__name__} {error}"):
        text = f"out of memory at {sizes(config)}: {text}"
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        text += f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})"
    return text
