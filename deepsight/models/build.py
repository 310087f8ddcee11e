"""The models by name, and how one is built: architecture, then weights, ready to train."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepsight.config import TrialConfig, UserError, is_import_path
from deepsight.imports import call, load_object
from deepsight.models.finetune import stages
from deepsight.models.quantised import read_weights
from deepsight.models.resnet import RESNETS, fit_stem
from deepsight.models.scratch_cnn import build_scratch_cnn
from deepsight.models.weights import require_weights

logger = logging.getLogger(__name__)

ModelBuilder = Callable[[TrialConfig, int, int], nn.Module]

MODELS: dict[str, ModelBuilder] = {"scratch_cnn": build_scratch_cnn, **RESNETS}
"""Builders ``(config, num_classes, image_size) -> module`` from images to logits, random weights.

A module takes (N, 3, H, W) float images of any size from 8 pixels on.
"""


def build_model(config: TrialConfig, num_classes: int, image_size: int) -> nn.Module:
    """The network of one trial on the CPU: pretrained weights in the backbone, a new head.

    The random weights depend on ``train.seed`` alone; the global generator is left as found.

    Args:
        config: The trial; ``model.name`` may be ``package.module:function``, a `ModelBuilder`.
        num_classes: Logits.
        image_size: Side in pixels of what the network will see.

    Raises:
        UserError: If weights are missing or do not fit, or a function of the user's own is
            missing or builds no module.
    """
    name = config.model.name
    model = build_architecture(config, num_classes, image_size)
    if config.model.freeze_fraction > 0 and len(stages(model)) == 1:
        logger.warning("%s has no stage_modules(): model.freeze_fraction does nothing", name)
    path = require_weights(config)
    if path is not None:
        load_backbone(model, path)
    return model


def build_architecture(config: TrialConfig, num_classes: int, image_size: int) -> nn.Module:
    """The network of one trial with random weights: nothing is read or fetched.

    Args:
        config: As in `build_model`.
        num_classes: As in `build_model`.
        image_size: As in `build_model`.

    Raises:
        UserError: If a function of the user's own is missing or builds no module.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.train.seed)
        return _untrained(config, num_classes, image_size)


def _untrained(config: TrialConfig, num_classes: int, image_size: int) -> nn.Module:
    name = config.model.name
    if not is_import_path(name):
        return MODELS[name](config, num_classes, image_size)
    model: nn.Module = call(name, load_object(name), config, num_classes, image_size)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{name} returned {type(model).__name__}, not a model.",
            "Return a torch.nn.Module that maps images (N, 3, H, W) to logits (N, classes).",
        )
    return model


def load_backbone(model: nn.Module, path: Path) -> None:
    """Load the weights of all but the head (of all, if `model` has no stages) from a file.

    Args:
        model: What is changed.
        path: A state dict of `torch.save`, alone or under "state_dict", "model" or "state", or a
            safetensors file, quantised or not; what it holds for the head is not read.

    Raises:
        UserError: If the file is not readable or does not fit the model.
    """
    state = fit_stem(_state_dict(path), model)
    own = model.state_dict()
    wanted = backbone_names(model)
    # entries of other heads are passed over, whatever their layers are called
    heads = {name.partition(".")[0] for name in own.keys() - set(wanted)}
    missing = [k for k in wanted if k not in state]
    extra = [k for k in state if k not in own and k.partition(".")[0] not in heads]
    wrong = [k for k in wanted if k in state and state[k].shape != own[k].shape]
    for what, names in (("lacks", missing), ("has unknown", extra), ("has other shapes of", wrong)):
        if names:
            raise UserError(
                f"{path} does not fit {type(model).__name__}: it {what} {_some(names)}.",
                "Give model.weights a file of this network, or set model.weights=none.",
            )
    model.load_state_dict({k: state[k] for k in wanted}, strict=False)


def backbone_names(model: nn.Module) -> list[str]:
    """The state-dict entries outside the head; all of them if `model` has no stages."""
    parts = stages(model)
    head = [m.state_dict(keep_vars=True) for m in parts[-1]] if len(parts) > 1 else []
    tensors = {id(t) for state in head for t in state.values()}
    return [k for k, t in model.state_dict(keep_vars=True).items() if id(t) not in tensors]


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _state_dict(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_weights(path)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch.load raises many kinds, down to KeyError, on broken files
        raise UserError(
            f"{path} is no weights file ({type(error).__name__}).",
            "It must be a state dict saved by torch.save, tensors only, or *.safetensors.",
        ) from error
    for _ in range(2):  # a trial's checkpoint: {"state": {"model": {...}}}
        for key in ("state_dict", "state", "model"):
            if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if isinstance(content, Mapping) and content:
        state = {str(k): t for k, t in content.items() if isinstance(t, Tensor)}
        if len(state) == len(content):
            return state
    raise UserError(
        f"{path} holds no state dict.", "Save one with torch.save(model.state_dict(), path)."
    )
