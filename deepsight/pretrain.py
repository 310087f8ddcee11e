"""Make the embedded weights: ``python -m deepsight.pretrain [--model resnet18] [--package]``.

The network learns classes of drawn objects that no study uses, by the same `train_trial` as any
trial; its backbone stays in the cache directory. Runs once for each model and recipe; interrupted,
it goes on where it was. ``--package`` also writes it, in 8 bits a weight, to where the package
keeps the weights that it comes with.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepsight.command_line import Parser, run_command
from deepsight.config import DataConfig, TrialConfig, UserError, flatten, trial_config
from deepsight.data.cache import locked
from deepsight.data.cores import num_cores
from deepsight.data.datasets import source_of
from deepsight.data.download import sha256_of
from deepsight.hardware import choose_hardware
from deepsight.models.weights import RECIPES, cached_file, packaged_file

logger = logging.getLogger(__name__)

MAX_THREADS = 8
"""More do not help 32x32 images."""
COMPARED = 100
"""Pictures whose means are kept with the weights: two of each class."""
LICENCE = (
    "MIT, as DeepSight. Learnt from pictures that DeepSight draws by code, and from nothing else: "
    "no photographs, no data set and no weights of others."
)


def pretrain(config: TrialConfig, path: Path, available: int = 1) -> dict[str, Any]:
    """Train by `config` and write the backbone's weights, with the recipe, to `path`.

    After every epoch the whole state goes to `progress_file`, from which a later call goes on.

    Args:
        config: With its hardware decided, for the first epoch.
        path: In a folder that exists.
        available: Threads on a CPU, at most; how many are of use is looked at after every epoch.

    Returns:
        The last epoch's metrics.

    Raises:
        UserError: If the training diverges, or as `train_trial`.
    """
    import torch  # here, so that wrong arguments are refused at once

    from deepsight import checkpoint
    from deepsight.models.build import backbone_names, build_model
    from deepsight.training.trial import train_trial

    start = time.monotonic()
    progress = progress_file(path)
    state, row = checkpoint.load(progress) if checkpoint.verify(progress) else (None, {})
    if state is None:
        logger.info("drawing %d images", config.data.size)
    else:
        logger.info("going on after epoch %d", state["epoch"])
    for result in train_trial(config, resume=state):
        if result.diverged:
            raise UserError("the pretraining diverged.", "Set model.weights=none, and report it.")
        row, state = result.metrics, result.state
        assert state is not None, "only a diverged epoch has no state"
        logger.info(
            "epoch %d of %d: loss %.3f, accuracy %.3f, %.0f s",
            row["epoch"],
            config.train.epochs,
            row["train_loss"],
            row["val_accuracy"],
            time.monotonic() - start,
        )
        if row["epoch"] < config.train.epochs:
            checkpoint.save(progress, state, row)
            torch.set_num_threads(best_threads(config, available))  # `train_trial` restores it
    assert state is not None, "no epochs"
    model = build_model(config, len(state["classes"]), state["image_size"])
    weights = {name: state["model"][name] for name in backbone_names(model)}
    checkpoint.save(path, {"model": weights}, row | {"recipe": flatten(config)})
    for leftover in (progress, checkpoint.previous(progress)):
        leftover.unlink(missing_ok=True)
    return row


def progress_file(path: Path) -> Path:
    """Where the training of what becomes `path` keeps its state until it ends."""
    return path.with_name(f".{path.stem}.progress.pt")


def make_embedded(name: str) -> Path:
    """Make a model's weights in the cache unless they are there; one process at a time.

    Raises:
        UserError: As `pretrain`.
    """
    path = cached_file(name)
    with locked(path.with_name(f".{path.name}.lock")):
        if path.is_file():
            logger.info("embedded weights for %s are there", name)
        else:
            config = trial_config(RECIPES[name])
            chosen = choose_hardware(config.hardware, cpus_per_trial=num_cores())
            most = min(chosen.threads, MAX_THREADS) if chosen.device == "cpu" else 1
            chosen = dataclasses.replace(chosen, threads=best_threads(config, most))
            pretrain(dataclasses.replace(config, hardware=chosen), path, most)
    return path


def package(name: str, source: Path) -> Path:
    """Write the weights in `source`, a file of `pretrain`, as a file of the package.

    Beside the safetensors file stands a JSON file of the same name: its SHA-256, the recipe, what
    the first pictures of the recipe look like, accuracy, versions and licence.

    Raises:
        UserError: If the package cannot be written to.
    """
    import torch

    from deepsight import checkpoint
    from deepsight.models.quantised import write_weights

    state, row = checkpoint.load(source)
    recipe = row.pop("recipe")
    path = packaged_file(name)
    try:
        path.parent.mkdir(exist_ok=True)
        write_weights(path, state["model"])
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}.", "Run it in a clone of DeepSight."
        ) from error
    facts = {
        "sha256": sha256_of(path),
        "licence": LICENCE,
        "made_by": f"python -m deepsight.pretrain --model {name} --package",
        "recipe": {k: v for k, v in recipe.items() if not k.startswith("hardware.")},
        "first_pictures": picture_means(trial_config(RECIPES[name]).data),
        "val_accuracy": row["val_accuracy"],
        "hardware": {k: v for k, v in recipe.items() if k.startswith("hardware.")},
        "torch": torch.__version__,
    }
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    return path


def picture_means(config: DataConfig) -> list[float]:
    """Mean level (0 to 255) of each of the first pictures of a recipe, to a hundredth.

    They tell whether the drawing code still draws what the weights have learnt from; unlike a
    digest they survive another processor's last bit.
    """
    with tempfile.TemporaryDirectory() as scratch:
        few = dataclasses.replace(config, size=COMPARED)
        raw = source_of(config.name).build(few, Path(scratch))
    return [round(float(image.mean()), 2) for image in raw.images[:COMPARED]]


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
        logger.info("other processes are busy: training on one thread for now")
        return 1
    return available


def make_parser() -> Parser:
    """What the command takes."""
    made = Parser(prog="python -m deepsight.pretrain", description=__doc__)
    made.add_argument("--model", choices=sorted(RECIPES), default="resnet18")
    made.add_argument("--package", action="store_true", help="write it into the package too")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints the file's path."""
    return run_command(make_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> int:
    path = make_embedded(options.model)
    if options.package:
        path = package(options.model, path)
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
