"""Parts of a model from the bottom up: which are frozen in an epoch, how fast each one learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from deepsight.config import ModelConfig, TrialConfig, UserError
from deepsight.models.resnet import ResNet, residual_stages


def stages(model: nn.Module) -> list[list[nn.Module]]:
    """The backbone's stages from the stem up, and the head as the last entry.

    ResNets have four backbone stages of equal numbers of blocks, the scratch CNN one a block. A
    model of the user's own says its stages by a method ``stage_modules() -> list[list[Module]]``;
    without one it is all head: trained at one rate and never frozen.

    Raises:
        UserError: If ``stage_modules`` leaves out a parameter or names one twice.
    """
    if isinstance(model, ResNet):
        return residual_stages(model)
    stage_modules: Callable[[], list[list[nn.Module]]] | None = getattr(
        model, "stage_modules", None
    )
    if stage_modules is None:
        return [[model]]
    parts = stage_modules()
    named = [id(p) for stage in parts for module in stage for p in module.parameters()]
    if sorted(named) != sorted(id(p) for p in model.parameters()):
        raise UserError(
            f"{type(model).__name__}.stage_modules() must name every parameter exactly once.",
            "List the modules from the stem up, the head last, and none inside another.",
        )
    return parts


def frozen_stages(config: ModelConfig, num_stages: int, epoch: int) -> int:
    """How many of the lowest backbone stages are frozen in `epoch`.

    Args:
        config: ``freeze_fraction`` (to the nearest stage, halves upwards), ``unfreeze`` and
            ``unfreeze_epoch``.
        num_stages: Stages of the backbone: ``len(stages(model)) - 1``, the head not counted.
        epoch: Counted from 1.
    """
    frozen = math.floor(config.freeze_fraction * num_stages + 0.5)
    if config.unfreeze == "never" or epoch < config.unfreeze_epoch:
        return frozen
    if config.unfreeze == "at_once":
        return 0
    return max(0, frozen - (epoch - config.unfreeze_epoch + 1))


def set_frozen(model: nn.Module, count: int) -> None:
    """Freeze the lowest `count` backbone stages and free all others.

    A frozen stage has no gradients (nor a graph, from the stem up), and its batch norms use and
    keep their stored statistics, whatever ``model.train()`` says afterwards.
    """
    parts = stages(model)
    assert 0 <= count < len(parts), f"{count} of {len(parts)} stages: the head is never frozen"
    for index, stage in enumerate(parts):
        for module in stage:
            module.requires_grad_(index >= count)
            module.train(model.training and index >= count)
    if not hasattr(model, "num_frozen"):
        model.register_forward_pre_hook(_keep_frozen)
    model.num_frozen = count  # type: ignore[assignment]


def _keep_frozen(model: nn.Module, _inputs: object) -> None:
    """Undo for the frozen stages what ``model.train()`` did; before every forward pass."""
    count: int = getattr(model, "num_frozen", 0)
    if count and model.training:
        for stage in stages(model)[:count]:
            for module in stage:
                if module.training:
                    module.eval()


def param_groups(model: nn.Module, config: TrialConfig) -> list[dict[str, Any]]:
    """Optimiser groups: per stage one for weights and one for norms and biases.

    Every parameter is in exactly one group, frozen ones too, so that neither the groups nor the
    optimiser's state change when stages are freed. The head learns at ``optim.lr``, the highest
    backbone stage at ``backbone_lr_ratio`` of it, each stage below at ``layer_decay`` of the one
    above. Norms and biases (tensors of one dimension) have no weight decay.

    Returns:
        Dictionaries with ``params``, ``lr``, ``weight_decay``, ``name`` ("stage0.weights",
        "head.rest") and ``lr_ratio`` (the group's learning rate over the head's).
    """
    parts = stages(model)
    groups = []
    for index, stage in enumerate(parts):
        is_head = index == len(parts) - 1
        ratio = 1.0 if is_head else _lr_ratio(config, len(parts) - 2 - index)
        stage_name = "head" if is_head else f"stage{index}"
        params = [p for module in stage for p in module.parameters()]
        for kind, chosen in (
            ("weights", [p for p in params if p.ndim > 1]),
            ("rest", [p for p in params if p.ndim <= 1]),
        ):
            if chosen:
                group = {
                    "params": chosen,
                    "lr": config.optim.lr * ratio,
                    "weight_decay": config.optim.weight_decay if kind == "weights" else 0.0,
                    "name": f"{stage_name}.{kind}",
                    "lr_ratio": ratio,
                }
                groups.append(group)
    return groups


def _lr_ratio(config: TrialConfig, stages_above: int) -> float:
    return config.optim.backbone_lr_ratio * config.optim.layer_decay**stages_above
