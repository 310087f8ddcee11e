"""What taking away, or giving back, the cells that a map calls important does to the prediction.

- Deletion and insertion (Petsiuk et al. 2018): the probability of the predicted class while cells
  are set to the mean colour, the most important first, and while they are given back to a blurred
  image. The score is the area under the curve.
- ROAD (Rong et al. 2022): the same cells are filled from around (`fill_from_around`), so that the
  shape of the hole says nothing; the score is the share of predictions that stay.

Departures: cells instead of pixels, because that is what the maps resolve; the blur is wider, as
images are small; ROAD counts against the model's own prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.diagnosis.map_checks.imputation import blurred, fill_from_around
from analysis.diagnosis.maps.passes import Floats, Labels, batch_slices, class_probabilities

DELETION, INSERTION, ROAD = "deletion", "insertion", "ROAD"
TESTS = (DELETION, INSERTION, ROAD)
MORE_IS_BETTER = {DELETION: False, INSERTION: True, ROAD: False}
"""Whether a higher score of the test means a better map."""

NUM_STEPS = 8
"""Steps of the deletion and insertion curves."""

ROAD_FRACTIONS = (1 / 8, 1 / 4, 1 / 2, 3 / 4)


Change = Callable[[Tensor], Tensor]
"""From where (n, H, W) images are changed to the changed images."""


@dataclass(frozen=True, eq=False)
class PerturbationCurves:
    """One test of one map of each image.

    Attributes:
        fractions: (S,) share of the cells that were taken away or given back.
        values: (N, S): probability of the predicted class (deletion, insertion), or whether the
            prediction stays (ROAD).
    """

    fractions: NDArray[np.float64]
    values: Floats = field(repr=False)

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,), 0..1: the mean height of each curve over its fractions."""
        span = self.fractions[-1] - self.fractions[0]
        area = np.trapezoid(self.values.astype(np.float64), self.fractions, axis=1)
        return np.asarray(area / span)


def perturb(
    model: nn.Module, inputs: Tensor, targets: Labels, maps: Floats, seed: int = 0
) -> dict[str, PerturbationCurves]:
    """All three tests of one kind of map.

    Args:
        model: Left as found.
        inputs: (N, 3, H, W) float, preprocessed.
        targets: (N,) the model's predictions.
        maps: (N, rows, columns); cells with equal values go in an order drawn from `seed`.
        seed: Of ROAD's noise and of the order of equal cells.
    """
    order = removal_order(maps, seed)
    mean = inputs.mean((0, 2, 3), keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    steps = np.linspace(0, 1, NUM_STEPS + 1)

    def delete(images: Tensor) -> Change:
        return lambda gone: torch.where(gone[:, None], mean, images)

    def insert(images: Tensor) -> Change:
        smooth = blurred(images)  # once for all steps: of large images it takes long
        return lambda back: torch.where(back[:, None], images, smooth)

    def impute(images: Tensor) -> Change:
        return lambda gone: fill_from_around(images, gone, generator)

    found = {
        name: _curve(model, inputs, order, steps, changing)
        for name, changing in ((DELETION, delete), (INSERTION, insert))
    }
    road = _curve(model, inputs, order, np.array(ROAD_FRACTIONS), impute)
    rows = np.arange(len(inputs))
    curves = {
        name: PerturbationCurves(steps, values[rows, :, targets]) for name, values in found.items()
    }
    stays = (road.argmax(axis=2) == targets[:, None]).astype(np.float32)
    return curves | {ROAD: PerturbationCurves(np.array(ROAD_FRACTIONS), stays)}


def removal_order(maps: Floats, seed: int) -> Labels:
    """(N, rows, columns) int64: 0 for the most important cell of each map, 1 for the next one."""
    flat = maps.reshape(len(maps), -1)
    chance = np.random.default_rng(seed).random(flat.shape)
    ranked = np.lexsort((chance, -flat), axis=1)
    order = np.empty_like(ranked)
    np.put_along_axis(order, ranked, np.arange(flat.shape[1])[None], axis=1)
    return np.asarray(order.reshape(maps.shape), np.int64)


def _curve(
    model: nn.Module,
    inputs: Tensor,
    order: Labels,
    fractions: NDArray[np.float64],
    changing: Callable[[Tensor], Change],
) -> Floats:
    """(N, S, C) probabilities with the first cells of `order` changed."""
    cells = order[0].size
    parts = []
    for part in batch_slices(inputs):
        change = changing(inputs[part].float())
        ranks = torch.from_numpy(order[part]).float()[:, None]
        size = (inputs.shape[2], inputs.shape[3])
        pixels = F.interpolate(ranks, size=size, mode="nearest")[:, 0]
        steps = [
            class_probabilities(model, change(pixels < round(fraction * cells)))
            for fraction in fractions.tolist()
        ]
        parts.append(np.stack(steps, axis=1))
    return np.concatenate(parts)
