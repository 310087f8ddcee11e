"""Make the embedded weights: ``python -m deepsight.pretrain [--model resnet18]``.

The network learns classes of drawn objects that no study uses, by the same `train_trial` as any
trial; its backbone stays in the cache directory. Runs once for each model and recipe.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepsight.config import TrialConfig, UserError, flatten, trial_config
from deepsight.data.cache import locked
from deepsight.hardware import choose_hardware
from deepsight.models.weights import RECIPES, embedded_file

logger = logging.getLogger(__name__)

MAX_THREADS = 8
"""More do not help 32x32 images."""


def pretrain(config: TrialConfig, path: Path) -> dict[str, Any]:
    """Train by `config` and write the backbone's weights, with the recipe, to `path`.

    Returns:
        The last epoch's metrics.

    Raises:
        UserError: If the training diverges, or as `train_trial`.
    """
    from deepsight.checkpoint import save  # here, so that wrong arguments are refused at once
    from deepsight.models.build import backbone_names, build_model
    from deepsight.training.trial import train_trial

    start = time.monotonic()
    logger.info("drawing %d images", config.data.size)
    row: dict[str, Any] = {}
    state: dict[str, Any] | None = None
    for result in train_trial(config):
        if result.diverged:
            raise UserError("the pretraining diverged.", "Set model.weights=none, and report it.")
        row, state = result.metrics, result.state
        logger.info(
            "epoch %d of %d: loss %.3f, accuracy %.3f, %.0f s",
            row["epoch"],
            config.train.epochs,
            row["train_loss"],
            row["val_accuracy"],
            time.monotonic() - start,
        )
    assert state is not None, "no epochs"
    model = build_model(config, len(state["classes"]), state["image_size"])
    weights = {name: state["model"][name] for name in backbone_names(model)}
    save(path, {"model": weights}, row | {"recipe": flatten(config)})
    return row


def make_embedded(name: str) -> Path:
    """Make the embedded weights of a model unless they are there; one process at a time.

    Raises:
        UserError: As `pretrain`.
    """
    path = embedded_file(name)
    with locked(path.with_name(f".{path.name}.lock")):
        if path.is_file():
            logger.info("embedded weights for %s are there", name)
        else:
            config = trial_config(RECIPES[name])
            chosen = choose_hardware(config.hardware, cpus_per_trial=available_cpus())
            if chosen.device == "cpu":
                threads = best_threads(config, min(chosen.threads, MAX_THREADS))
                chosen = dataclasses.replace(chosen, threads=threads)
            pretrain(dataclasses.replace(config, hardware=chosen), path)
    return path


def best_threads(config: TrialConfig, available: int) -> int:
    """`available` threads, or one where other processes need the cores.

    All threads of a layer wait for the last one: with four busy processes on two cores, two
    threads trained a tenth of the images that one did. So a few steps are tried.
    """
    import torch

    from deepsight.models.build import build_model

    if available == 1:
        return 1
    model = build_model(config, num_classes=10, image_size=32).train()
    images = torch.zeros(config.optim.batch_size, 3, 32, 32)
    before, seconds = torch.get_num_threads(), {}
    for threads in (1, available):
        torch.set_num_threads(threads)
        for _ in range(2):  # the first one also warms up
            start = time.monotonic()
            torch.autograd.backward(model(images).sum())
            seconds[threads] = time.monotonic() - start
    torch.set_num_threads(before)
    if seconds[available] > seconds[1]:
        logger.info("other processes are busy: training on one thread")
        return 1
    return available


def available_cpus() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints the file's path."""
    parser = argparse.ArgumentParser(prog="python -m deepsight.pretrain", description=__doc__)
    parser.add_argument("--model", choices=sorted(RECIPES), default="resnet18")
    name = parser.parse_args(arguments).model
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        path = make_embedded(name)
    except UserError as error:
        logger.error("%s", error.cause)
        logger.error("%s", error.remedy)
        return error.exit_code
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
