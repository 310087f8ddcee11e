"""Trainables that tests plant: a formula instead of a network, faults on demand."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def curve(config: Mapping[str, Any], state: Mapping[str, Any] | None) -> Iterator[Any]:
    """A learning curve towards ``1 - (x - 0.3)^2``, which resumes from its state."""
    epoch = state["epoch"] if state else 0
    while True:
        epoch += 1
        witness(config, epoch)
        yield {"score": 1 - (config["x"] - 0.3) ** 2 - 0.5 / epoch}, {"epoch": epoch}


def faulty(config: Mapping[str, Any], state: Mapping[str, Any] | None) -> Iterator[Any]:
    """`curve` that raises, diverges, runs out of memory or ends early, as ``fault`` says."""
    for metrics, saved in curve(config, state):
        if saved["epoch"] == 2:
            if config["fault"] == "raise":
                raise RuntimeError("planted failure")
            if config["fault"] == "nan":
                metrics["score"] = float("nan")
            if config["fault"] == "memory":
                raise MemoryError("planted")
            if config["fault"] == "end":
                return
        yield metrics, saved


def hopeless(config: Mapping[str, Any], state: Mapping[str, Any] | None) -> Iterator[Any]:
    """Raises before its first epoch."""
    raise RuntimeError("nothing works here")
    yield


def witness(config: Mapping[str, Any], epoch: int) -> None:
    """Append to the file that ``user.witness`` names, outside the study."""
    if config.get("user.witness"):
        with Path(str(config["user.witness"])).open("a") as file:
            file.write(f"{config['x']!r} {epoch}\n")


def slow(config: Mapping[str, Any], state: Mapping[str, Any] | None) -> Iterator[Any]:
    """`curve` with epochs of ``user.seconds``."""
    for answer in curve(config, state):
        time.sleep(float(config["user.seconds"]))
        yield answer


def on_gpu(config: Mapping[str, Any], state: Mapping[str, Any] | None) -> Iterator[Any]:
    """Reports the one GPU that it may see, once ``user.slots`` processes have met."""
    meeting = Path(str(config["user.meeting"]))
    for metrics, saved in curve(config, state):
        (meeting / str(os.getpid())).touch()
        deadline = time.monotonic() + 60
        while len(list(meeting.iterdir())) < int(config["user.slots"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield metrics | {"gpu": int(os.environ["CUDA_VISIBLE_DEVICES"]), "pid": os.getpid()}, saved


def process(config: Mapping[str, Any], state: Mapping[str, Any] | None) -> Iterator[Any]:
    """Tells of the process that it runs in: its birth, its number, PyTorch's threads."""
    import psutil
    import torch

    own = psutil.Process()
    time.sleep(0.3)  # the other worker gets its trial meanwhile
    threads = torch.get_num_threads()
    yield {"score": 0.0, "born": own.create_time(), "pid": own.pid, "threads": threads}
