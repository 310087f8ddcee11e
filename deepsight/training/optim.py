"""Optimisers by name, and learning rates as pure functions of the share of the budget done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from deepsight.config import OptimConfig

START = 1 / 25
"""OneCycle's first learning rate over its peak (as in torch.optim.lr_scheduler.OneCycleLR)."""
END = START / 1e4
"""OneCycle's last learning rate over its peak."""

Groups = list[dict[str, Any]]
Schedule = Callable[[float, float], float]
"""(share of the budget done, share that warms up) to the factor on the peak learning rate."""


def _sgd(groups: Groups, config: OptimConfig) -> Optimizer:
    momentum = config.momentum
    return SGD(groups, config.lr, momentum=momentum, nesterov=momentum > 0, fused=True)


def _adam(groups: Groups, config: OptimConfig) -> Optimizer:
    return Adam(groups, config.lr, fused=True)


def _adamw(groups: Groups, config: OptimConfig) -> Optimizer:
    return AdamW(groups, config.lr, fused=True)


def _rmsprop(groups: Groups, config: OptimConfig) -> Optimizer:
    return RMSprop(groups, config.lr, momentum=config.momentum)  # has no fused version


OPTIMISERS: dict[str, Callable[[Groups, OptimConfig], Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "rmsprop": _rmsprop,
}
"""By ``optim.name``. Fused: ResNet18's AdamW takes 8 ms a step on one core, else 46 to 60."""


def build_optimiser(groups: Groups, config: OptimConfig) -> Optimizer:
    """The optimiser of `config` over groups that state their own ``lr`` and ``weight_decay``.

    Every group keeps its peak learning rate as ``peak_lr``, to which `set_lr` applies a factor.
    """
    return OPTIMISERS[config.name]([g | {"peak_lr": g["lr"]} for g in groups], config)


def _onecycle(share: float, warmup: float) -> float:
    if share < warmup:
        return _cosine_between(START, 1.0, share / warmup)
    return _cosine_between(1.0, END, (share - warmup) / (1 - warmup))


def _cosine(share: float, warmup: float) -> float:
    if share < warmup:
        return share / warmup
    return _cosine_between(1.0, 0.0, (share - warmup) / (1 - warmup))


def _constant(share: float, warmup: float) -> float:
    return 1.0


def _cosine_between(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Schedule] = {
    "onecycle": _onecycle,
    "cosine": _cosine,
    "constant": _constant,
}
"""By ``optim.lr_schedule``.

- ``onecycle``: half a cosine up from 1/25, half a cosine down to almost nothing (Smith & Topin
  2018, in PyTorch's form; the momentum stays what it is: it is a hyperparameter).
- ``cosine``: linear warm-up from 0, half a cosine down to 0 (Loshchilov & Hutter 2017).
- ``constant``: 1, without warm-up.
"""


def lr_factor(config: OptimConfig, share: float) -> float:
    """The factor on every peak learning rate when `share` of the budget, 0 to 1, is done."""
    return SCHEDULES[config.lr_schedule](share, config.warmup_fraction)


def set_lr(optimiser: Optimizer, factor: float) -> None:
    """Set each group's learning rate to `factor` times its peak."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak_lr"] * factor


def head_lr(optimiser: Optimizer) -> float:
    """The learning rate of the head: of the group nearest to the logits."""
    return float(optimiser.param_groups[-1]["lr"])


@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, decay: float, num_updates: int) -> None:
    """Move the averaged parameters and buffers towards those of `model`.

    The decay grows with the updates, (1 + t) / (10 + t) up to `decay`: without that a short run
    would average its random start (as TensorFlow's ExponentialMovingAverage does). Counters
    (integers) are copied.

    Args:
        averaged: A copy of the model; changed.
        model: As it is after the update.
        decay: Share that is kept, in the long run.
        num_updates: Updates before this one.
    """
    decay = min(decay, (1 + num_updates) / (10 + num_updates))
    averages, currents = [], []
    for average, current in zip(_tensors(averaged), _tensors(model), strict=True):
        if average.is_floating_point():
            averages.append(average)
            currents.append(current)
        else:
            average.copy_(current)
    torch._foreach_lerp_(averages, currents, 1 - decay)


def _tensors(model: nn.Module) -> Iterable[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()
