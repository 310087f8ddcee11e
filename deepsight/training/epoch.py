"""One epoch: training and validation steps, and their results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from deepsight.augment.build import Augment, normalise, resize
from deepsight.augment.mix import mix
from deepsight.config import TrialConfig
from deepsight.hardware import EVALUATION_BATCH
from deepsight.losses import Loss
from deepsight.models.finetune import frozen_stages, set_frozen, stages
from deepsight.training.batches import Samples, plan_updates
from deepsight.training.optim import head_lr, lr_factor, set_lr, update_average
from deepsight.training.seeding import generator, reset_globals

NUM_SHOWN = 16
"""Augmented inputs kept of the first epoch."""

Triple = tuple[float, float, float]
Streams = tuple[torch.Generator, torch.Generator]
"""Random numbers of an epoch for augmentation and for mixing."""


@dataclass(frozen=True)
class Learner:
    """The parts that an epoch trains and reads; built once a trial by `deepsight.training.trial`.

    Attributes:
        config: With the hardware decided.
        classes: Names of the classes.
        image_size: Side in pixels of what the network sees.
        stored_size: Side in pixels of the packed images.
        fingerprint: Of the data set.
        mean: Of the training images, in 0..1.
        std: Of the training images, in 0..1.
        train: What is learnt from.
        val: What is validated on.
        model: On the device.
        averaged: The exponential moving average of `model`, validated in its stead; or None.
        optimiser: Over the groups of `deepsight.models.finetune.param_groups`.
        loss: (logits, hard or soft targets) to a scalar.
        augment: (uint8 images, generator) to network inputs.
        value_range: As in `deepsight.data.packing.Dataset`.
        graphed: `gradients` of this learner as a CUDA graph; None where there is none.
    """

    config: TrialConfig
    classes: tuple[str, ...]
    image_size: int
    stored_size: int
    fingerprint: str
    mean: Triple
    std: Triple
    train: Samples
    val: Samples
    model: nn.Module
    averaged: nn.Module | None
    optimiser: Optimizer
    loss: Loss
    augment: Augment
    value_range: Mapping[str, float] | None = None
    graphed: Callable[[Tensor, Tensor], Tensor] | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.train.labels.device

    def autocast(self) -> torch.autocast:
        """The one path for mixed precision."""
        enabled = self.config.hardware.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def updates(self) -> list[list[slice]]:
        """The batches of an epoch, as positions in its order, update by update."""
        optim = self.config.optim
        # batch norm cannot normalise a single image's 1x1 map
        normed = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.model.modules())
        smallest = 2 if normed else 1
        return plan_updates(len(self.train), optim.batch_size, optim.accumulate, smallest)

    def fit(self, images: Tensor) -> Tensor:
        """Network inputs from normalised images: resized, in the chosen memory format."""
        return self.laid_out(resize(images, self.image_size, self.config.data.interpolation))

    def laid_out(self, images: Tensor) -> Tensor:
        """Images in the chosen memory format; they come channels_last."""
        if self.config.hardware.memory_format == "contiguous":
            return images.contiguous()
        return images


@dataclass(frozen=True)
class Trained:
    """Results of one pass over the training images.

    Attributes:
        loss: Mean of the minimised loss; None if it stopped being finite.
        lr: Of the head, at the last update.
        num_images: Images trained on.
        seconds: Time inside the steps.
        shown: (n, 3, H, W) the first inputs, after augmentation and mixing.
    """

    loss: float | None
    lr: float
    num_images: int
    seconds: float
    shown: Tensor


@dataclass(frozen=True)
class Validated:
    """Predictions for the val split.

    Attributes:
        loss: Mean cross-entropy, whatever loss is minimised, so that trials compare; None if a
            logit is not finite.
        probabilities: (N, C) float32.
        labels: (N,) int64.
        seconds: Time inside the steps.
    """

    loss: float | None
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    seconds: float


def train_epoch(learner: Learner, epoch: int) -> Trained:
    """Train for one pass over the training images, in an order of this epoch's own.

    Stops early when the loss is not finite: at once on a CPU, where looking is free, and after
    the pass on a GPU, which would have to wait at every step.
    """
    start = time.perf_counter()
    config = learner.config
    prepare(learner, epoch)
    streams = draw_streams(config.train.seed, epoch)
    order = learner.train.order(generator(config.train.seed, "order", epoch))
    updates = learner.updates()
    num_before = (epoch - 1) * len(updates)
    total = torch.zeros((), dtype=torch.float64, device=learner.device)
    num_images = 0
    shown = torch.empty(0)
    for number, batches in enumerate(updates, start=num_before):
        # the middle of the update: a schedule's first and last values may be zero
        share = (number + 0.5) / (len(updates) * config.train.epochs)
        set_lr(learner.optimiser, lr_factor(config.optim, share))
        inputs = [training_batch(learner, order[batch], streams) for batch in batches]
        if number == 0:
            shown = inputs[0][0][:NUM_SHOWN]
        loss, count = update(learner, inputs, number)
        total += loss * count
        num_images += count
        if learner.device.type == "cpu" and not bool(torch.isfinite(loss)):
            break
    mean = total.item() / num_images
    return Trained(
        loss=mean if np.isfinite(mean) else None,
        lr=head_lr(learner.optimiser),
        num_images=num_images,
        seconds=time.perf_counter() - start,
        shown=shown,
    )


def prepare(learner: Learner, epoch: int) -> None:
    """Freeze the layers that are frozen in `epoch`, and reseed the random numbers."""
    model = learner.model.train()
    num_stages = len(stages(model)) - 1
    set_frozen(model, frozen_stages(learner.config.model, num_stages, epoch))
    reset_globals(learner.config.train.seed, epoch)


def draw_streams(seed: int, epoch: int) -> Streams:
    """The epoch's generators for augmentation and for mixing."""
    return generator(seed, "augment", epoch), generator(seed, "mix", epoch)


def training_batch(learner: Learner, index: Tensor, streams: Streams) -> tuple[Tensor, Tensor]:
    """Network inputs (n, 3, H, W) and targets, (n,) classes or (n, C) shares, at `index`."""
    images, labels = learner.train.take(index)
    inputs = learner.fit(learner.augment(images, streams[0]))
    augment = learner.config.augment
    if augment.mix == "none":
        return inputs, labels
    mixed, targets = mix(inputs, labels, len(learner.classes), augment, streams[1])
    return learner.laid_out(mixed), targets


def update(
    learner: Learner, inputs: list[tuple[Tensor, Tensor]], number: int
) -> tuple[Tensor, int]:
    """Change the weights once, by the mean gradient over all images of `inputs`.

    Args:
        learner: Its model, optimiser and average are changed.
        inputs: One or more batches; their gradients are weighted by their sizes, so that the
            update equals that of one large batch (but for batch norm's statistics).
        number: Updates of the trial before this one.

    Returns:
        The mean loss, on the device, and the number of images.
    """
    optim = learner.config.optim
    count = sum(len(images) for images, _ in inputs)
    total = torch.zeros((), device=learner.device)
    for images, targets in inputs:
        if learner.graphed is not None and len(inputs) == 1:
            total += learner.graphed(images, targets)
        else:
            total += gradients(learner, images, targets, len(images) / count)
    if optim.clip_norm > 0:
        nn.utils.clip_grad_norm_(learner.model.parameters(), optim.clip_norm)
    learner.optimiser.step()
    learner.optimiser.zero_grad()
    if learner.averaged is not None:
        update_average(learner.averaged, learner.model, optim.ema_decay, number)
    return total, count


def gradients(learner: Learner, images: Tensor, targets: Tensor, share: float = 1.0) -> Tensor:
    """Add the gradients of one batch to those of the parameters; waits for nothing on a GPU.

    Args:
        learner: Its model's gradients are changed.
        images: Network inputs, (n, 3, H, W).
        targets: (n,) classes or (n, C) shares.
        share: Factor on the loss.

    Returns:
        The loss times `share`, on the device.
    """
    with learner.autocast():
        logits = learner.model(images)
    loss = learner.loss(logits.float(), targets) * share
    torch.autograd.backward(loss)
    return loss.detach()


@torch.inference_mode()
def evaluate(learner: Learner) -> Validated:
    """Classify the val split with the model, or with its average where there is one."""
    start = time.perf_counter()
    model = (learner.averaged or learner.model).eval()
    order, size = learner.val.order(), EVALUATION_BATCH[learner.device.type]
    logits = []
    with learner.autocast():
        for batch in torch.split(order, size):
            images, _ = learner.val.take(batch)
            logits.append(model(learner.fit(normalise(images, learner.mean, learner.std))))
    scores = torch.cat(logits).float()
    loss = F.cross_entropy(scores, learner.val.labels).item()
    return Validated(
        loss=loss if np.isfinite(loss) else None,
        probabilities=scores.softmax(dim=1).cpu().numpy(),
        labels=learner.val.labels.cpu().numpy(),
        seconds=time.perf_counter() - start,
    )
