"""All numbers of maps and interventions for one trained model on one split."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.diagnosis.evaluation import Evaluation
from analysis.diagnosis.map_checks.baselines import GRAD_CAM, GUIDED
from analysis.diagnosis.map_checks.interventions import Interventions, compute_interventions
from analysis.diagnosis.map_checks.verdicts import MapChecks, compute_map_checks
from analysis.diagnosis.maps.attention import Attention, compute_attention
from analysis.diagnosis.maps.feature_maps import FeatureMaps, first_layer_maps
from analysis.diagnosis.maps.grad_cam import ClassMaps, class_maps
from analysis.diagnosis.maps.guided_backprop import (
    NeuronGradients,
    neuron_gradients,
    output_gradients,
)
from analysis.diagnosis.maps.layers import choose_layer, deepest_convolution
from analysis.diagnosis.maps.passes import Floats, Labels
from analysis.diagnosis.maps.samples import choose_samples
from analysis.diagnosis.progress import Progress
from deepsight.data.datasets import Split
from deepsight.trained_model import TrainedModel

MAPS, CHECKS, INTERVENTIONS = "maps", "checks", "interventions"

MAX_PIXELS = 2000 * 32 * 32
MIN_IMAGES = 200
"""Images that are changed, whatever their size, where there are so many; see `MAX_PIXELS`."""


@dataclass(frozen=True, eq=False)
class MapResults:
    """Maps of all images, and what is known of them.

    Attributes:
        maps: Grad-CAM of every image.
        attention: In numbers.
        checks: Whether maps are evidence.
        interventions: What the accuracy does on changed images.
        samples: (n,) positions of the images that are shown.
        sample_gradients: (n, 3, S, S) guided, of the predicted class's logit.
        neurons: Single neurons of the deepest convolution.
        features: Of the first convolution, for the first samples.
    """

    maps: ClassMaps
    attention: Attention
    checks: MapChecks
    interventions: Interventions
    samples: Labels
    sample_gradients: Floats = field(repr=False)
    neurons: NeuronGradients
    features: FeatureMaps

    @property
    def grad_cam_verdict(self) -> str:
        """Shown with every Grad-CAM."""
        return self.checks.verdicts[GRAD_CAM].sentence

    @property
    def guided_verdict(self) -> str:
        """Shown with guided backpropagation."""
        return self.checks.verdicts[GUIDED].sentence


def compute_map_results(
    model: TrainedModel, evaluation: Evaluation, images: Split, layer: str, progress: Progress
) -> MapResults:
    """Map, measure and check.

    Args:
        model: Left as found.
        evaluation: Of the same images; one at least.
        images: The split.
        layer: A module's name; empty for the default.
        progress: Is told how far it is.

    Raises:
        UserError: If the model has no layer that can be mapped, or not this one.
    """
    module, size = model.module, model.input_size
    chosen = choose_layer(module, size, layer)
    inputs = model.preprocess(np.asarray(images.images)).cpu()
    masks = None if images.masks is None else fit_masks(images.masks, size)
    labels, predicted = evaluation.labels, evaluation.predicted
    samples = choose_samples(labels, predicted, evaluation.confidence)
    shown = inputs[torch.from_numpy(samples)]
    for step in progress((MAPS, CHECKS, INTERVENTIONS), "looking"):
        if step == MAPS:
            maps = class_maps(module, inputs, labels, chosen, predicted)
            neurons = neuron_gradients(module, inputs, deepest_convolution(module, size))
        elif step == CHECKS:
            checks = compute_map_checks(module, inputs, predicted, chosen)
        else:
            changed = _intervene(module, inputs, labels, masks, len(evaluation.classes))
    return MapResults(
        maps=maps,
        attention=compute_attention(maps, masks, size),
        checks=checks,
        interventions=changed,
        samples=samples,
        sample_gradients=output_gradients(module, shown, predicted[samples]),
        neurons=neurons,
        features=first_layer_maps(module, shown[:3]),
    )


def _intervene(
    module: torch.nn.Module,
    inputs: Tensor,
    labels: Labels,
    masks: NDArray[np.uint8] | None,
    num_classes: int,
) -> Interventions:
    """On all images, or a random choice where they are many."""
    most = max(MIN_IMAGES, MAX_PIXELS // (inputs.shape[2] * inputs.shape[3]))
    rows = np.sort(np.random.default_rng(0).permutation(len(inputs))[:most])
    some = None if masks is None else masks[rows]
    return compute_interventions(
        module, inputs[torch.from_numpy(rows)], labels[rows], some, num_classes
    )


def fit_masks(masks: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Masks (N, H, W) at the side of the model's inputs, by the nearest pixel."""
    rows, columns = ((np.arange(size) * n) // size for n in masks.shape[1:])
    return np.asarray(masks[:, rows][:, :, columns])
