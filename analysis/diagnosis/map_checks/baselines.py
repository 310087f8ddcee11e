"""Maps that know nothing of the model: what an explanation has to beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.diagnosis.maps.grad_cam import grad_cam
from analysis.diagnosis.maps.guided_backprop import output_gradients
from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.maps.passes import Floats, Labels

MapMethod = Callable[[nn.Module, Tensor, Labels], Floats]
"""From a model, inputs (N, 3, H, W) and target classes (N,) to maps (N, rows, columns)."""

GRAD_CAM, GUIDED = "Grad-CAM", "guided backpropagation"
RANDOM, BLOB, EDGES = "a random map", "a centred blob", "an edge map"

_BLOB_WIDTH = 1 / 4  # standard deviation, as a share of the side


def explaining_methods(layer: Layer) -> dict[str, MapMethod]:
    """The maps that diagnosis shows, all on the cells of one layer."""
    return {
        GRAD_CAM: lambda model, inputs, targets: grad_cam(model, inputs, targets, layer),
        GUIDED: lambda model, inputs, targets: pooled(
            np.abs(output_gradients(model, inputs, targets)).sum(axis=1), layer
        ),
    }


def baseline_methods(layer: Layer, seed: int = 0) -> dict[str, MapMethod]:
    """Maps without a model on the same cells: so they have no better resolution either."""
    return {
        RANDOM: lambda model, inputs, targets: random_maps(len(inputs), layer, seed),
        BLOB: lambda model, inputs, targets: blob_maps(len(inputs), layer),
        EDGES: lambda model, inputs, targets: edge_maps(inputs, layer),
    }


def random_maps(num: int, layer: Layer, seed: int) -> Floats:
    """Uniform numbers, another map for each image."""
    return np.random.default_rng(seed).random((num, *layer.grid), np.float32)


def blob_maps(num: int, layer: Layer) -> Floats:
    """A Gaussian around the centre: where photographers put their objects."""
    y, x = ((np.arange(n) + 0.5) / n - 0.5 for n in layer.grid)
    blob = np.exp(-0.5 * (y[:, None] ** 2 + x[None, :] ** 2) / _BLOB_WIDTH**2)
    return np.repeat(blob[None].astype(np.float32), num, axis=0)


def edge_maps(inputs: Tensor, layer: Layer) -> Floats:
    """Mean length of Sobel's gradient of the grey image in each cell."""
    grey = inputs.detach().cpu().float().mean(1, keepdim=True)
    sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
    kernels = torch.stack([sobel, sobel.T])[:, None]
    gradient = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels)
    return pooled(gradient.norm(dim=1).numpy(), layer)


def pooled(maps: Floats, layer: Layer) -> Floats:
    """Means over the cells of a layer: (N, H, W) to (N, rows, columns)."""
    return np.asarray(F.adaptive_avg_pool2d(torch.from_numpy(maps), layer.grid).numpy())
