"""All numbers of maps and interventions for one trained model on one split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
from analysis.diagnosis.maps.layers import Layer, choose_layer, deepest_convolution
from analysis.diagnosis.maps.passes import Floats, Labels
from analysis.diagnosis.maps.samples import choose_samples
from analysis.diagnosis.object_masks import masks_digest
from analysis.diagnosis.progress import Progress
from analysis.diagnosis.stored import kept_or_computed
from deepsight.data.datasets import Split
from deepsight.trained_model import TrainedModel

MAPS, CHECKS, INTERVENTIONS = "maps", "map_checks", "interventions"
"""Names of the files that hold them."""

T = TypeVar("T")
Maps: TypeAlias = tuple[ClassMaps, Floats, NeuronGradients, FeatureMaps]
"""Grad-CAM of all images, input gradients of the samples, single neurons, the first layer."""

PRESENTS = ("figures", "check_figures", "tables")
"""Modules that show numbers and make none."""

MAX_PIXELS = 2000 * 32 * 32
MIN_IMAGES = 120
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
    model: TrainedModel,
    evaluation: Evaluation,
    images: Split,
    layer: str,
    progress: Progress,
    directory: Path | None = None,
) -> MapResults:
    """Map, measure and check; each part is kept as soon as it is there, and used again.

    Args:
        model: Left as found.
        evaluation: Of the same images; one at least.
        images: The split.
        layer: A module's name; empty for the default.
        progress: Is told how far it is.
        directory: Where ``maps.npz``, ``map_checks.npz`` and ``interventions.npz`` are or will be;
            None keeps nothing.

    Raises:
        UserError: If the model has no layer that can be mapped, or not this one.
    """
    module, size = model.module, model.input_size
    chosen = choose_layer(module, size, layer)
    masks = None if images.masks is None else fit_masks(images.masks, size)
    labels, predicted = evaluation.labels, evaluation.predicted
    samples = choose_samples(labels, predicted, evaluation.confidence)
    inputs = _Inputs(model, images)
    made_from = _made_from(evaluation, str(chosen), masks)

    def part(name: str, declared: Any, compute: Callable[[], T]) -> T:
        if directory is None:
            return compute()
        return kept_or_computed(directory / f"{name}.npz", made_from, declared, compute)

    maps, gradients, neurons, features = part(
        MAPS, Maps, lambda: _maps(module, inputs.tensor, evaluation, chosen, samples, progress)
    )
    return MapResults(
        maps=maps,
        attention=compute_attention(maps, masks, size),
        checks=part(
            CHECKS,
            MapChecks,
            lambda: compute_map_checks(module, inputs.tensor, predicted, chosen, progress=progress),
        ),
        interventions=part(
            INTERVENTIONS,
            Interventions,
            lambda: _intervene(module, inputs.tensor, evaluation, masks, progress),
        ),
        samples=samples,
        sample_gradients=gradients,
        neurons=neurons,
        features=features,
    )


class _Inputs:
    """The split as the network sees it, made when somebody asks: kept results need none."""

    def __init__(self, model: TrainedModel, images: Split) -> None:
        self._model, self._images = model, images

    @cached_property
    def tensor(self) -> Tensor:
        return self._model.preprocess(np.asarray(self._images.images)).cpu()


def _made_from(
    evaluation: Evaluation, layer: str, masks: NDArray[np.uint8] | None
) -> dict[str, object]:
    """All that maps, checks and interventions depend on."""
    code = hashlib.sha256()
    here = Path(__file__).parent
    for file in sorted([*here.glob("maps/*.py"), *here.glob("map_checks/*.py"), Path(__file__)]):
        if file.stem not in PRESENTS:
            code.update(file.read_bytes())
    return {
        "checkpoint": evaluation.sha256,
        "data": evaluation.fingerprint,
        "split": evaluation.split,
        "layer": layer,
        "masks": masks_digest(masks),
        "code": code.hexdigest(),
    }


def _maps(
    module: nn.Module,
    inputs: Tensor,
    evaluation: Evaluation,
    layer: Layer,
    samples: Labels,
    progress: Progress,
) -> Maps:
    labels, predicted = evaluation.labels, evaluation.predicted
    shown = inputs[torch.from_numpy(samples)]
    maps = class_maps(module, inputs, labels, layer, predicted, progress)
    neurons = neuron_gradients(module, inputs, deepest_convolution(module, inputs.shape[2]))
    gradients = output_gradients(module, shown, predicted[samples])
    return maps, gradients, neurons, first_layer_maps(module, shown[:3])


def _intervene(
    module: nn.Module,
    inputs: Tensor,
    evaluation: Evaluation,
    masks: NDArray[np.uint8] | None,
    progress: Progress,
) -> Interventions:
    """On all images, or a random choice where they are many."""
    most = max(MIN_IMAGES, MAX_PIXELS // (inputs.shape[2] * inputs.shape[3]))
    rows = np.sort(np.random.default_rng(0).permutation(len(inputs))[:most])
    some = None if masks is None else masks[rows]
    return compute_interventions(
        module,
        inputs[torch.from_numpy(rows)],
        evaluation.labels[rows],
        some,
        len(evaluation.classes),
        progress=progress,
    )


def fit_masks(masks: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Masks (N, H, W) at the side of the model's inputs, by the nearest pixel."""
    rows, columns = ((np.arange(size) * n) // size for n in masks.shape[1:])
    return np.asarray(masks[:, rows][:, :, columns])
