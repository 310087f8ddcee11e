"""The worker process: one trial at a time, epoch by epoch, checkpointed before it is reported.

A `TrialSpec` travels as a JSON text, which Ray neither interprets nor copies. Every step returns
little: the epoch's row as JSON, or an error message. An error of a trial is a result, not an
exception; only a dead process is an error for Ray.
"""

from __future__ import annotations

import gc
import json
import logging
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ray.tune import Trainable

from deepsight.files import remove_files, replacing
from deepsight.run_store import CHECKPOINT_FILE, DISK_ERRORS, StorageError
from deepsight.run_store.predictions import write_predictions
from deepsight.training.epoch_result import EpochResult
from deepsight.tune.ray_backend.trainable_rows import taken_results, taken_row
from deepsight.tune.ray_backend.trial_errors import describe_error
from deepsight.tune.ray_backend.trial_spec import TrialSpec

if TYPE_CHECKING:
    from deepsight.checkpoint import Identity

TORN = re.compile(
    r"\.(checkpoint\.pt\.\d+\.tmp|predictions\.(npz\.)?\d+\.npz|augmented\.png\.\d+\.png)"
)
"""Temporary files of a killed worker."""

logger = logging.getLogger(__name__)


class TrialActor(Trainable):  # type: ignore[misc]
    """Ray's actor for trials; a process runs many of them, one after the other."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first spec."""
        self._steps: Iterator[dict[str, Any]] | None = None
        self._spec = TrialSpec(**json.loads(config["spec"]))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next spec in the same process."""
        self.cleanup()
        _free_memory()
        self._spec = TrialSpec(**json.loads(new_config["spec"]))
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        try:
            if self._steps is None:
                self._steps = run_trial(self._spec)
            return next(self._steps)
        except Exception as error:  # recorded with the trial: it costs only itself
            logger.debug("trial %s failed", self._spec.trial_id, exc_info=True)
            self.cleanup()
            text = describe_error(error, self._spec.config)
            full = isinstance(error, StorageError) or (
                isinstance(error, OSError) and error.errno in DISK_ERRORS
            )
            return {"storage" if full else "error": text}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Do nothing: `run_trial` has saved the epoch already."""
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Do nothing: `run_trial` looks for the newest checkpoint itself."""

    def cleanup(self) -> None:
        """Close the trial's generator."""
        if self._steps is not None:
            self._steps.close()  # type: ignore[attr-defined]
            self._steps = None


def _free_memory() -> None:
    """Give a GPU's memory back: after an error the trial's may still be in the allocator."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def run_trial(spec: TrialSpec) -> Iterator[dict[str, Any]]:
    """Run a trial from its newest checkpoint, yielding ``{"row": JSON, "finished": bool}``.

    Every epoch is on disk before it is yielded. If the driver died after a checkpoint and before
    its row was recorded, that row is yielded first. A trainable that ends before its budget is
    spent yields a last result without a row.
    """
    from deepsight import checkpoint  # imports torch

    folder = Path(spec.folder)
    if not folder.is_dir():  # the driver made it: this node joined after the nodes were checked
        raise StorageError(
            f"{socket.gethostname()} does not see {folder}.",
            "Mount the study's storage on every node at the same path.",
        )
    remove_files(folder, [], TORN)
    state: dict[str, Any] | None = None
    row: dict[str, Any] | None = None
    newest = checkpoint.load_newest(folder, _identity(spec))
    if newest is not None:
        state, row = newest
        if int(row["epoch"]) > spec.known_epochs:
            kept = taken_row(row) | {"epoch": int(row["epoch"])} if spec.trainable else row
            yield {"row": json.dumps(kept), "finished": False}
    for result in _epochs(spec, state, row):
        _save(spec, folder, result)
        yield {"row": json.dumps(result.metrics), "finished": False}
    yield {"finished": True}


def _epochs(
    spec: TrialSpec, state: dict[str, Any] | None, row: dict[str, Any] | None
) -> Iterator[EpochResult]:
    if not spec.trainable:
        from deepsight.config import trial_config
        from deepsight.training.prerequisites import open_named
        from deepsight.training.trial import train_trial

        config = trial_config(spec.config)
        dataset = open_named(config.data, spec.pack, spec.fingerprint)
        yield from train_trial(config, state, dataset)
        return
    from deepsight.imports import load_object

    answers = load_object(spec.trainable)(dict(spec.config), state)
    yield from taken_results(answers, row, spec.known_epochs)


def _identity(spec: TrialSpec) -> Identity | None:
    """What the trial's checkpoints say that they are of."""
    from deepsight.checkpoint import identify

    return identify(spec.study, spec.trial_id, spec.config) if spec.study else None


def _save(spec: TrialSpec, folder: Path, result: EpochResult) -> None:
    """Save an epoch's checkpoint and predictions, and once the augmented inputs."""
    from deepsight import checkpoint

    if result.state is not None:
        state = dict(result.state)
        if result.metrics["epoch"] >= spec.budget:
            state.pop("optimiser", None)  # not resumed again, and half of the file
        checkpoint.save(folder / CHECKPOINT_FILE, state, result.metrics, _identity(spec))
    if result.predictions is not None:
        write_predictions(folder, result.predictions)
    if result.images is not None:
        from PIL import Image

        rows = [result.images[i : i + 8] for i in range(0, len(result.images) // 8 * 8, 8)]
        sheet = [[*row] for row in rows] or [[*result.images]]
        with replacing(folder, ["augmented.png"], ".png") as temporary:
            Image.fromarray(np.vstack([np.hstack(row) for row in sheet])).save(temporary)
