"""Planted trainables whose epochs leave a line outside the study."""

import hashlib
import json
import os
import resource
import signal
import time
from pathlib import Path


def digest(config):
    """What the witness calls a trial: the hash of its hyperparameters."""
    return hashlib.sha256(json.dumps({"x": config["x"]}).encode()).hexdigest()[:12]


def planted(config, state):
    """A learning curve whose epochs last ``user.seconds``; trials of large x kill their process."""
    epoch = state["epoch"] if state else 0
    while True:
        epoch += 1
        if config["x"] > config["user.deadly"] and epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        with Path(config["user.witness"]).open("a") as file:
            file.write(f"{digest(config)} {epoch} {os.getpid()}\n")
        time.sleep(config["user.seconds"])
        yield {"score": 1 - (config["x"] - 0.3) ** 2 - 0.5 / epoch}, {"epoch": epoch}


def bomb(config, state):
    """`planted` whose process dies when the trial is let go: while the next one waits for it."""
    try:
        yield from planted(config, state)
    finally:
        os.kill(os.getpid(), signal.SIGKILL)


def hungry(config, state):
    """`planted` in which large x want more memory than there is, small x more than a GPU has."""
    for metrics, saved in planted(config, state):
        if config["x"] < 0.25:
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        if config["x"] > 0.75:
            allocate_until_the_limit()
        yield metrics, saved


def allocate_until_the_limit(room=256 << 20):
    """Take memory under a limit of `room` bytes more than this process has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, before[1]))
    taken = []
    try:
        while True:
            taken.append(bytearray(16 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def greedy(config, state):
    """`planted` in which large x take ``user.bytes`` of memory and hold them."""
    for metrics, saved in planted(config, state):
        if config["x"] > 0.75:
            taken = b"\1" * int(config["user.bytes"])
            time.sleep(30)  # Ray looks at the memory now and then
            assert len(taken)
        yield metrics, saved
