"""A trial: one config trained epoch by epoch. Training yields; the caller decides to go on."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deepsight import metrics
from deepsight.augment.batched import BatchedAugment
from deepsight.augment.build import build_augment
from deepsight.config import (
    ResourceSettings,
    TrialConfig,
    UserError,
    flatten,
)
from deepsight.data.datasets import Dataset, load_dataset
from deepsight.hardware import choose_hardware
from deepsight.losses import build_loss, focus_on_pairs
from deepsight.models.build import build_model
from deepsight.models.finetune import param_groups
from deepsight.models.small_maps import fit_kernels
from deepsight.training.batches import load_samples
from deepsight.training.cuda_graphs import Graphed, fits_graphs
from deepsight.training.epoch import (
    Learner,
    Trained,
    Validated,
    evaluate,
    gradients,
    train_epoch,
)
from deepsight.training.epoch_result import EpochResult
from deepsight.training.focus_pairs import parse_pairs
from deepsight.training.optim import build_optimiser
from deepsight.training.process_settings import process_settings


def train_trial(
    config: TrialConfig,
    resume: Mapping[str, Any] | None = None,
    dataset: Dataset | None = None,
) -> Iterator[EpochResult]:
    """Train one config and yield a result after every epoch.

    ``config.train.epochs`` is the horizon of the learning rate's schedule; to train fewer
    epochs, close the generator. On a CPU the results depend on the config alone, and a trial
    resumed at epoch k goes on bit for bit like one that was never interrupted.

    Args:
        config: What to train; what is "auto" in its hardware is decided for one CPU core.
        resume: The `EpochResult.state` to resume from.
        dataset: The data of ``config.data``, already open; None opens them.

    Yields:
        One result an epoch; none if `resume` has done them all. A loss or a logit that is not
        finite ends the trial with a result that says `diverged`.

    Raises:
        UserError: If the data, the weights or the device that are asked for are not there.
    """
    cpus = ResourceSettings().cpus_per_trial
    hardware = choose_hardware(config.hardware, cpus)
    config = dataclasses.replace(config, hardware=hardware)
    with process_settings(hardware):
        done = 0 if resume is None else int(resume["epoch"])
        if done >= config.train.epochs:
            return
        learner = build_learner(config, dataset)
        if resume is not None:
            restore(learner, resume)
        for epoch in range(done + 1, config.train.epochs + 1):
            result = run_epoch(learner, epoch)
            yield result
            if result.diverged:
                return


def build_learner(config: TrialConfig, dataset: Dataset | None = None) -> Learner:
    """Load the data and build all parts of the trial that `config` describes.

    Args:
        config: With its hardware decided.
        dataset: As in `train_trial`.

    Raises:
        UserError: If the data, the weights or the device that are asked for are not there.
    """
    device = torch.device(config.hardware.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "hardware.device is cuda, but torch finds no GPU.",
            "Set hardware.device=cpu, or install a torch with CUDA and a driver for it.",
        )
    dataset = dataset or load_dataset(config.data)
    image_size = config.data.image_size or dataset.image_size
    num_classes = len(dataset.classes)
    model = build_model(config, num_classes, image_size)
    fit_kernels(model, image_size, expand=device.type == "cpu")
    model = model.to(device)
    if device.type == "cuda" and config.hardware.memory_format == "channels_last":
        # on a CPU only the images are: the fused optimisers copy weights that are, too
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pairs = parse_pairs(config.train.focus_pairs, dataset.classes)
    counts = torch.bincount(torch.tensor(dataset.train.labels), minlength=num_classes)
    learner = Learner(
        config=config,
        classes=dataset.classes,
        image_size=image_size,
        stored_size=dataset.image_size,
        fingerprint=dataset.fingerprint,
        mean=dataset.mean,
        std=dataset.std,
        train=load_samples(dataset.train.images, dataset.train.labels, device),
        val=load_samples(dataset.val.images, dataset.val.labels, device),
        model=model,
        averaged=copy.deepcopy(model).requires_grad_(False) if config.optim.ema_decay else None,
        optimiser=build_optimiser(param_groups(model, config), config.optim),
        loss=focus_on_pairs(build_loss(config.loss, counts.to(device)), pairs),
        augment=build_augment(config.augment, dataset.mean, dataset.std),
        value_range=dataset.value_range,
    )
    return with_graphs(learner) if fits_graphs(config) else learner


def with_graphs(learner: Learner) -> Learner:
    """`learner` with the parts of its step that can be captured as CUDA graphs."""
    augment = learner.augment
    if isinstance(augment, BatchedAugment):
        augment = BatchedAugment(Graphed(augment.vary))
    graphed = Graphed(partial(gradients, learner), learner.model.parameters())
    return dataclasses.replace(learner, augment=augment, graphed=graphed)


def restore(learner: Learner, state: Mapping[str, Any]) -> None:
    """Load `state` (of an `EpochResult`) into the learner."""
    learner.model.load_state_dict(state["model"])
    learner.optimiser.load_state_dict(state["optimiser"])
    if learner.averaged is not None:
        learner.averaged.load_state_dict(state["averaged"])


def run_epoch(learner: Learner, epoch: int) -> EpochResult:
    """Train and validate once."""
    start = time.perf_counter()
    trained = train_epoch(learner, epoch)
    validated = None if trained.loss is None else evaluate(learner)
    if validated is None or validated.loss is None:
        row = make_row(epoch, start, trained, None, len(learner.classes))
        return EpochResult(row, diverged=True)
    return EpochResult(
        metrics=make_row(epoch, start, trained, validated, len(learner.classes)),
        state=make_state(learner, epoch),
        predictions={
            "probabilities": validated.probabilities.astype(np.float16),
            "labels": validated.labels,
        },
        images=_as_pictures(learner, trained) if epoch == 1 else None,
    )


def make_row(
    epoch: int, start: float, trained: Trained, validated: Validated | None, num_classes: int
) -> dict[str, Any]:
    """The results row; None for all that was not measured.

    Args:
        epoch: Counted from 1.
        start: When the epoch began, by `time.perf_counter`.
        trained: Of the epoch.
        validated: Of the model after the epoch; None if it diverged.
        num_classes: For the length of the list of recalls.
    """
    scores: dict[str, Any] = {"recall": [None] * num_classes}
    if validated is not None:
        scores = metrics.evaluate(validated.probabilities, validated.labels)
    return {
        "epoch": epoch,
        "wall_s": time.perf_counter() - start,
        "busy_s": trained.seconds + (validated.seconds if validated else 0.0),
        "train_loss": trained.loss,
        "val_loss": validated.loss if validated else None,
        "val_accuracy": scores.get("accuracy"),
        "val_macro_f1": scores.get("macro_f1"),
        "val_recall": scores["recall"],
        "val_ece": scores.get("ece"),
        "lr": trained.lr,
        "images_per_s": trained.num_images / trained.seconds,
    }


def make_state(learner: Learner, epoch: int) -> dict[str, Any]:
    """What resuming needs and what inference preprocessing needs; no copies.

    ``averaged`` exists only with an averaged model, which is then the validated one;
    ``value_range`` only where images had more than 8 bits a channel.
    """
    state = {
        "epoch": epoch,
        "config": flatten(learner.config),
        "classes": list(learner.classes),
        "image_size": learner.image_size,
        "stored_size": learner.stored_size,
        "fingerprint": learner.fingerprint,
        "mean": list(learner.mean),
        "std": list(learner.std),
        "model": learner.model.state_dict(),
        "optimiser": learner.optimiser.state_dict(),
    }
    if learner.averaged is not None:
        state["averaged"] = learner.averaged.state_dict()
    if learner.value_range is not None:
        state["value_range"] = dict(learner.value_range)
    return state


def _as_pictures(learner: Learner, trained: Trained) -> npt.NDArray[np.uint8]:
    """(n, H, W, 3) uint8 from normalised inputs."""
    images = trained.shown.float().permute(0, 2, 3, 1)
    mean, std = (torch.tensor(m, device=images.device) for m in (learner.mean, learner.std))
    levels = ((images * std + mean) * 255).round().clamp(0, 255)
    return np.asarray(levels.to(torch.uint8).cpu().numpy())
