"""Grad-CAM (Selvaraju et al. 2017): which cells of a layer speak for a class.

The map of class c is sum_k a_k A_k with A_k the layer's k-th feature and a_k the mean over cells
of the gradient of c's logit by A_k. It is kept with its sign; the paper's rectified map is
`positive`. Values are in logits: to first order, what a cell adds to the class's logit (exactly so
where a linear head follows the mean over cells). It has one number a cell of the layer's grid:
whoever shows it larger does so for display only.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.maps.passes import (
    Bools,
    Floats,
    Labels,
    batch_slices,
    device_of,
    placed,
    predicted_classes,
)
from analysis.diagnosis.progress import Progress, silent
from deepsight.models.small_maps import left_as_found


@dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class ClassMaps:
    """Grad-CAM of images for their true and their predicted class.

    Attributes:
        layer: Whose cells the maps have.
        labels: (N,) int64, the true classes.
        predictions: (N,) int64, the predicted ones.
        true: (N, rows, columns) float32, logits: for the true class.
        predicted: The same for the predicted class; equal to `true` where the prediction is right.
    """

    layer: Layer
    labels: Labels
    predictions: Labels
    true: Floats = field(repr=False)
    predicted: Floats = field(repr=False)

    @property
    def difference(self) -> Floats:
        """What speaks for the predicted rather than the true class: the map of their logits' gap.

        (N, rows, columns) float32; zero where the prediction is right.
        """
        return self.predicted - self.true

    @property
    def is_right(self) -> Bools:
        """(N,) whether the prediction is right."""
        return np.equal(self.labels, self.predictions)


@dataclass(frozen=True, eq=False)
class MeanMaps:
    """The mean map of each class.

    Attributes:
        layer: Whose cells the maps have.
        maps: (C, rows, columns) float32: shares of the positive map, 1 in all; NaN for a class
            without an image whose map has a positive cell.
        counts: (C,) int64: images behind each of them.
    """

    layer: Layer
    maps: Floats = field(repr=False)
    counts: Labels


def grad_cam(
    model: nn.Module,
    inputs: Tensor,
    targets: Labels,
    layer: Layer,
    progress: Progress = silent,
) -> Floats:
    """Grad-CAM with its sign.

    Args:
        model: Maps (n, 3, H, W) to logits (n, C). Left as found, also on an error.
        inputs: (N, 3, H, W) float, preprocessed.
        targets: (N,) classes whose logits are explained.
        layer: From `analysis.diagnosis.maps.layers.choose_layer`, at this image size.
        progress: Is told how far it is.

    Returns:
        (N, rows, columns) float32, in logits.
    """
    module = model.get_submodule(layer.name)
    device, parts = device_of(model), []
    wanted = torch.from_numpy(np.array(targets, np.int64))
    explain = LayerGradCam(model, module)
    with left_as_found(model), torch.enable_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="captum")
        for part in progress(list(batch_slices(inputs)), f"maps of {len(inputs):,} images"):
            images = placed(inputs[part], device)
            maps = explain.attribute(images, target=wanted[part].to(device))
            parts.append(maps[:, 0].detach().cpu())
    return torch.cat(parts).numpy() if parts else np.zeros((0, *layer.grid), np.float32)


def class_maps(
    model: nn.Module,
    inputs: Tensor,
    labels: Labels,
    layer: Layer,
    predictions: Labels | None = None,
    progress: Progress = silent,
) -> ClassMaps:
    """Grad-CAM for the true and the predicted class of each image.

    Args:
        model: Left as found, also on an error.
        inputs: (N, 3, H, W) float, preprocessed.
        labels: (N,) true classes.
        layer: Whose cells are wanted.
        predictions: (N,) predicted classes where they are known; else they are computed.
        progress: Is told how far it is.
    """
    labels = np.asarray(labels, np.int64)
    if predictions is None:
        predictions = predicted_classes(model, inputs)
    predicted = grad_cam(model, inputs, predictions, layer, progress)
    true = predicted.copy()
    wrong = np.flatnonzero(labels != predictions)
    if len(wrong):
        errors = inputs[torch.from_numpy(wrong)]
        true[wrong] = grad_cam(model, errors, labels[wrong], layer, progress)
    return ClassMaps(layer, labels, predictions, true, predicted)


def positive(maps: Floats) -> Floats:
    """The rectified maps of the paper."""
    return np.maximum(maps, 0)


def shares(maps: Floats) -> Floats:
    """Each map's positive part as shares of its sum: (N, rows, columns).

    NaN where no cell is positive: such a map attends to nothing.
    """
    kept = positive(maps).astype(np.float64)
    total = kept.sum(axis=(1, 2), keepdims=True)
    result = np.divide(kept, total, out=np.full_like(kept, np.nan), where=total > 0)
    return np.asarray(result, np.float32)


def mean_maps(maps: ClassMaps, num_classes: int) -> MeanMaps:
    """The mean over a class's images of the map for it, each image counting alike."""
    parts = shares(maps.true)
    seen = np.isfinite(parts).all(axis=(1, 2))
    means = np.full((num_classes, *maps.layer.grid), np.nan, np.float32)
    counts = np.zeros(num_classes, np.int64)
    for label in range(num_classes):
        chosen = seen & (maps.labels == label)
        counts[label] = chosen.sum()
        if counts[label]:
            means[label] = parts[chosen].mean(axis=0)
    return MeanMaps(maps.layer, means, counts)
