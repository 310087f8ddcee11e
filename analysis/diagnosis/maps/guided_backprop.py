"""Guided backpropagation (Springenberg et al. 2015): which pixels excite an output or a neuron.

It is the gradient by the image, except that every activation hands back positive gradients alone.
The paper has it for ReLU; other activations are treated alike here: their own derivative, times
the positive part of what comes back.

The rule is applied to activation *functions* while a pass runs, not to modules: it reaches
``F.relu`` as well as ``nn.ReLU``, and there is nothing in the model to restore (decision 0055).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.maps.passes import (
    Floats,
    Labels,
    batch_slices,
    device_of,
    placed,
)
from deepsight.models.small_maps import left_as_found

ACTIVATIONS = frozenset(
    {
        F.relu,
        F.relu_,
        torch.relu,
        torch.relu_,
        Tensor.relu,
        Tensor.relu_,
        F.relu6,
        F.leaky_relu,
        F.leaky_relu_,
        F.elu,
        F.elu_,
        F.gelu,
        F.silu,
        F.mish,
        F.hardswish,
    }
)
"""Functions to whose results the rule is applied; activation modules call them."""


class _Guided(TorchFunctionMode):
    """Hands back positive gradients alone through every activation inside."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in ACTIVATIONS and isinstance(result, Tensor) and result.requires_grad:
            # torch.relu inside F.relu would get the same hook: clamping twice changes nothing
            result.register_hook(_positive)  # type: ignore[no-untyped-call]
        return result


def _positive(gradient: Tensor) -> Tensor:
    return gradient.clamp(min=0)


@dataclass(frozen=True, eq=False)
class NeuronGradients:
    """Single neurons of a layer, each with the image that excites it most.

    Attributes:
        layer: Where they are.
        channels: (K,) which features.
        images: (K,) positions in the inputs.
        rows: (K,) the cell.
        columns: (K,) the cell.
        activations: (K,) float32, of the neuron there.
        gradients: (K, 3, H, W) float32, guided.
    """

    layer: Layer
    channels: Labels
    images: Labels
    rows: Labels
    columns: Labels
    activations: Floats
    gradients: Floats = field(repr=False)


def output_gradients(model: nn.Module, inputs: Tensor, targets: Labels) -> Floats:
    """Guided backpropagation of the logit of a class.

    Args:
        model: Maps (n, 3, H, W) to logits (n, C). Left as found, also on an error.
        inputs: (N, 3, H, W) float, preprocessed.
        targets: (N,) classes.

    Returns:
        (N, 3, H, W) float32, logits by input unit.
    """
    device, parts = device_of(model), []
    wanted = torch.from_numpy(np.array(targets, np.int64))
    with left_as_found(model), torch.enable_grad():
        for part in batch_slices(inputs):
            images = _leaf(inputs[part], device)
            with _Guided():
                logits = model(images)
            chosen = logits.gather(1, wanted[part].to(device)[:, None]).sum()
            parts.append(torch.autograd.grad(chosen, images)[0].cpu())
    return torch.cat(parts).numpy() if parts else np.zeros(inputs.shape, np.float32)


def neuron_gradients(
    model: nn.Module,
    inputs: Tensor,
    layer: Layer,
    channels: Sequence[int] = (),
    num: int = 6,
) -> NeuronGradients:
    """Guided backpropagation of single neurons, each for the image that excites it most.

    Args:
        model: Left as found, also on an error.
        inputs: (N, 3, H, W) float, preprocessed.
        layer: For example `analysis.diagnosis.maps.layers.deepest_convolution`.
        channels: Which features; without any, the `num` whose strongest activation differs most
            between images.
        num: See `channels`.
    """
    peaks, cells = _peaks(model, inputs, layer)
    if not channels:
        channels = np.argsort(-peaks.std(axis=0), kind="stable")[:num].tolist()
    chosen = np.array(channels, np.int64)
    images = peaks[:, chosen].argmax(axis=0)
    cell = cells[images, chosen]
    gradients = np.empty((len(chosen), *inputs.shape[1:]), np.float32)
    device = device_of(model)
    with left_as_found(model), torch.enable_grad():
        for k, (channel, image) in enumerate(zip(chosen.tolist(), images.tolist(), strict=True)):
            leaf = _leaf(inputs[image : image + 1], device)
            with _Guided():
                features = _features(model, leaf, layer)
            neuron = features[0, channel].flatten()[int(cell[k])]
            gradients[k] = torch.autograd.grad(neuron, leaf)[0][0].cpu().numpy()
    return NeuronGradients(
        layer=layer,
        channels=chosen,
        images=images.astype(np.int64),
        rows=cell // layer.columns,
        columns=cell % layer.columns,
        activations=peaks[images, chosen],
        gradients=gradients,
    )


def _peaks(model: nn.Module, inputs: Tensor, layer: Layer) -> tuple[Floats, Labels]:
    """(N, channels) each feature's largest activation, and the number of its cell."""
    device = device_of(model)
    values, cells = [], []
    with left_as_found(model), torch.no_grad():
        for part in batch_slices(inputs):
            features = _features(model, placed(inputs[part], device), layer)
            value, cell = features.flatten(2).max(dim=2)
            values.append(value.cpu())
            cells.append(cell.cpu())
    return torch.cat(values).numpy(), torch.cat(cells).numpy()


def _features(model: nn.Module, images: Tensor, layer: Layer) -> Tensor:
    """(n, channels, rows, columns): what the layer hands on."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        kept.append(output.clone())  # a later activation may work in place

    with model.get_submodule(layer.name).register_forward_hook(keep):
        model(images)
    return kept[0]


def _leaf(images: Tensor, device: torch.device) -> Tensor:
    return placed(images, device).clone().requires_grad_()
