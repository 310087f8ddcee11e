"""Train a trial again and keep its weights at some epochs: the search keeps those of the last only.

On a CPU training depends on the config alone, so that the weights are those that the trial had.
Interrupted, it goes on after the last epoch that was done.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepsight import checkpoint
from deepsight.config import TrialConfig, UserError, flatten, trial_config
from deepsight.data.datasets import Dataset
from deepsight.files import make_folder, remove_files
from deepsight.models.finetune import frozen_stages, stages
from deepsight.run_store import storage_error
from deepsight.trained_model import TrainedModel
from deepsight.training.trial import train_trial

FOLDER = "snapshots"
LATEST = "latest.pt"
AUTO = "auto"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """The weights after an epoch.

    Attributes:
        epoch: Counted from 1.
        path: Its file.
        sha256: Of the file.
        row: The results row of that epoch, of the retraining.
        weights: What was validated: the moving average, where there is one.
    """

    epoch: int
    path: Path
    sha256: str
    row: Mapping[str, Any]
    weights: Mapping[str, Any] = dataclasses.field(repr=False)


def chosen_epochs(asked: str, model: TrainedModel) -> tuple[int, ...]:
    """The epochs that are meant.

    Args:
        asked: ``1,2,9``, or ``auto``: the powers of two, the last epoch of every phase, and the
            last of all.
        model: The trial's.

    Raises:
        UserError: If they are no epochs of the trial.
    """
    if asked == AUTO:
        doubled = {2**k for k in range(model.epoch.bit_length()) if 2**k <= model.epoch}
        return tuple(sorted(doubled | set(_ends_of_phases(model)) | {model.epoch}))
    parts = [part.strip() for part in asked.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= model.epoch for part in parts):
        raise UserError(
            f"epochs of attention must be from 1 to {model.epoch}, those of {model.trial_id}, "
            f"got {asked!r}.",
            f"Give some of them, as in --epochs-of-attention 1,{model.epoch}, or {AUTO}.",
        )
    return tuple(sorted({int(part) for part in parts}))


def _ends_of_phases(model: TrainedModel) -> list[int]:
    num = len(stages(model.module)) - 1
    frozen = [frozen_stages(model.config.model, num, e) for e in range(1, model.epoch + 1)]
    return [e for e in range(1, model.epoch) if frozen[e - 1] != frozen[e]]


def expected_seconds(model: TrainedModel, num_epochs: int) -> float | None:
    """What the first epochs took in the search; None where that is not on record."""
    rows = model.study.record(model.trial_id).rows[:num_epochs]
    walls = [row.get("wall_s") for row in rows]
    known = [float(w) for w in walls if isinstance(w, int | float)]
    return sum(known) if len(known) == len(walls) else None


def train_again(
    model: TrainedModel,
    dataset: Dataset,
    epochs: Sequence[int],
    directory: Path,
    progress: Callable[[Sequence[Any], str], Iterable[Any]],
) -> list[Snapshot]:
    """The snapshots of a trial; what is there already is used, the rest is trained.

    Args:
        model: The trial's.
        dataset: What it was trained on.
        epochs: Which are wanted, rising.
        directory: Of the diagnosis; the snapshots are in a folder below it.
        progress: Is told how far it is.

    Returns:
        One an epoch; fewer if the training diverged this time.

    Raises:
        StorageError: If the disk does not let us write.
    """
    config = training_config(model)
    own = model.study.header.id
    identity = checkpoint.identify(own, model.trial_id, flatten(config)) if own else None
    try:
        folder = make_folder(directory, [FOLDER])
        known = {e: _load(folder, e, identity, dataset) for e in epochs}
        missing = [e for e, snapshot in known.items() if snapshot is None]
        if missing:
            _tell(model, missing)
            _train(config, dataset, missing, folder, identity, progress, model.trial_id)
            known = {e: _load(folder, e, identity, dataset) for e in epochs}
        remove_files(directory, [FOLDER], re.compile(re.escape(LATEST) + r"(\.previous)?"))
    except OSError as error:
        raise storage_error(directory, error) from error
    return [snapshot for snapshot in known.values() if snapshot is not None]


def training_config(model: TrainedModel) -> TrialConfig:
    """The trial's config with as many threads as it had, on which rounding depends."""
    state, _ = checkpoint.load(model.checkpoint_path)
    threads = trial_config(state["config"]).hardware.threads
    hardware = dataclasses.replace(model.config.hardware, threads=threads)
    return dataclasses.replace(model.config, hardware=hardware)


def _tell(model: TrainedModel, missing: Sequence[int]) -> None:
    seconds = expected_seconds(model, missing[-1])
    cost = "" if seconds is None else f", {seconds:.0f} s by the seconds that they took"
    logger.info(
        "training %s again for its weights at epoch %s: %d epochs%s; Ctrl-C keeps what is done",
        model.trial_id,
        ", ".join(map(str, missing)),
        missing[-1],
        cost,
    )


def _train(
    config: TrialConfig,
    dataset: Dataset,
    missing: Sequence[int],
    folder: Path,
    identity: checkpoint.Identity | None,
    progress: Callable[[Sequence[Any], str], Iterable[Any]],
    trial_id: str,
) -> None:
    state = _latest(folder, identity, dataset, missing[0])
    done = 0 if state is None else int(state["epoch"])
    results = train_trial(config, state, dataset)
    try:
        for epoch in progress(range(done + 1, missing[-1] + 1), f"training {trial_id} again"):
            result = next(results)
            if result.state is None:
                logger.warning("%s diverged this time, in epoch %d", trial_id, epoch)
                return
            if epoch in missing:
                kept = {k: v for k, v in result.state.items() if k != "optimiser"}
                checkpoint.save(folder / _file(epoch), kept, result.metrics, identity, wait=True)
            checkpoint.save(folder / LATEST, result.state, result.metrics, identity)
    finally:
        results.close()  # type: ignore[attr-defined]


def _file(epoch: int) -> str:
    return f"epoch_{epoch:04d}.pt"


def _latest(
    folder: Path, identity: checkpoint.Identity | None, dataset: Dataset, wanted: int
) -> dict[str, Any] | None:
    """The state to resume from, if it is of an epoch before the first one that is wanted."""
    try:
        state, _ = checkpoint.load(folder / LATEST, identity)
    except checkpoint.CheckpointError:
        return None
    fits = state.get("fingerprint") == dataset.fingerprint and int(state["epoch"]) < wanted
    return state if fits else None


def _load(
    folder: Path, epoch: int, identity: checkpoint.Identity | None, dataset: Dataset
) -> Snapshot | None:
    path = folder / _file(epoch)
    try:
        state, row = checkpoint.load(path, identity)
    except checkpoint.CheckpointError:
        return None
    if state.get("fingerprint") != dataset.fingerprint or int(state["epoch"]) != epoch:
        return None
    weights = state["averaged"] if "averaged" in state else state["model"]
    return Snapshot(epoch, path, checkpoint.sha256_of(path), row, weights)
