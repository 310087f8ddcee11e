"""A process that decodes images, one after the other, within limits of time and memory.

It is started by `deepsight.data.folder.bounded`, reads a line of JSON for each file from standard
input and answers on standard output. A file that takes more processor time than allowed ends it.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from deepsight.data.folder.decode import decode, formats, wide_range
from deepsight.data.folder.wide import ValueRange

HEAD = struct.Struct("<cI")
"""Of an answer: its kind and the length of what follows."""
PIXELS, VALUE, REASON = b"p", b"v", b"r"
"""Kinds of answers: an array's bytes, JSON, why a file is broken."""


def serve() -> None:
    """Answer requests until standard input ends. Arguments: seconds and bytes that are allowed."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    warnings.simplefilter("ignore")  # odd metadata
    Image.init()  # once, and not in the time of the first file
    formats()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]  # of the shell or the batch system
    allowed = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, seconds)  # processor time: a busy machine breaks none
        kind, content = _answer(json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(HEAD.pack(kind, len(content)) + content)
        sys.stdout.buffer.flush()


def _answer(request: Mapping[str, Any]) -> tuple[bytes, bytes]:
    path = Path(request["path"])
    try:
        if "size" not in request:
            return VALUE, json.dumps(wide_range(path)).encode()
        value_range = ValueRange(*request["range"])
        pixels = decode(path, request["size"], request["interpolation"], value_range)
        return PIXELS, pixels.tobytes()
    except MemoryError:
        return REASON, b"it takes more memory than an image may"
    except Exception as error:  # decoders raise anything on bad bytes; the reason is kept
        reason = " ".join(str(error).split()) or type(error).__name__
        return REASON, reason.encode(errors="backslashreplace")
