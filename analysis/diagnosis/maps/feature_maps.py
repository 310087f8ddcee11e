"""What the first convolution makes of an image: one picture a channel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from analysis.diagnosis.maps.layers import Layer, first_convolution
from analysis.diagnosis.maps.passes import Floats, device_of, placed
from deepsight.models.small_maps import left_as_found


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """Outputs of a layer for a few images.

    Attributes:
        layer: Whose outputs.
        maps: (N, channels, rows, columns) float32.
        kernels: (channels, 3, height, width) float32, of a convolution next to the image.
    """

    layer: Layer
    maps: Floats = field(repr=False)
    kernels: Floats = field(repr=False)


def first_layer_maps(model: nn.Module, inputs: Tensor) -> FeatureMaps:
    """The outputs of the first convolution, before norm and activation.

    Args:
        model: Left as found, also on an error.
        inputs: (N, 3, H, W) float, preprocessed: a few, they are passed at once.

    Raises:
        UserError: If the model has no convolution.
    """
    layer = first_convolution(model, inputs.shape[2])
    module = model.get_submodule(layer.name)
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        kept.append(output.detach().clone())  # a later activation may work in place

    with left_as_found(model), torch.no_grad(), module.register_forward_hook(keep):
        model(placed(inputs, device_of(model)))
    kernels = module.state_dict()["weight"].detach().cpu()
    return FeatureMaps(layer, kept[0].cpu().numpy(), np.array(kernels.numpy(), np.float32))
