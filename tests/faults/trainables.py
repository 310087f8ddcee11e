"""Planted trainables whose epochs leave a line outside the study."""

import hashlib
import json
import os
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
