"""Does a map depend on what the model has learnt? Cascading randomisation (Adebayo et al. 2018).

Layers are randomised from the output down, one group after the other, and every map is compared
with that of the trained model. A map that stays what it was shows the image, not the model.

A layer's numbers are shuffled among themselves, where the paper draws new ones: their spread stays,
so that deep networks still pass signals without training. Batch norm's statistics are shuffled
too.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.diagnosis.map_checks.baselines import MapMethod
from analysis.diagnosis.maps.layers import list_stages
from analysis.diagnosis.maps.passes import Floats, Labels

SSIM_WINDOW = 7
"""Side of the windows of SSIM in cells; smaller grids are one window."""


@dataclass(frozen=True, eq=False)
class RandomisationStep:
    """Likeness to the trained model's maps once the layers from `group` up are random.

    Attributes:
        group: The layers randomised last.
        spearman: (N,) rank correlation over cells, of maps with their sign; 0 for a map without
            any spread.
        ssim: (N,) structural similarity (Wang et al. 2004) of maps scaled to 0..1.
    """

    group: str
    spearman: NDArray[np.float64] = field(repr=False)
    ssim: NDArray[np.float64] = field(repr=False)


def randomise_cascading(
    model: nn.Module,
    inputs: Tensor,
    targets: Labels,
    method: MapMethod,
    seed: int = 0,
    draws: int = 2,
) -> list[RandomisationStep]:
    """Compare a method's maps with those of ever more random copies of the model.

    Args:
        model: Left as found: copies are randomised.
        inputs: (N, 3, H, W) float, preprocessed.
        targets: (N,) the classes explained, the same throughout.
        method: Makes the maps.
        seed: Of the shuffling.
        draws: Cascades, over which each image's likeness is averaged.

    Returns:
        One entry a group of layers, the head first.
    """
    trained = method(model, inputs, targets)
    groups = layer_groups(model, inputs.shape[2])
    likeness = np.zeros((2, len(groups), len(inputs)))
    for draw in range(draws):
        generator = torch.Generator().manual_seed(seed + draw)
        untrained = copy.deepcopy(model)
        modules = dict(untrained.named_modules())
        for step, names in enumerate(groups.values()):
            for name in names:
                _shuffle(modules[name], generator)
            maps = method(untrained, inputs, targets)
            likeness[0, step] += spearman(trained, maps) / draws
            likeness[1, step] += ssim(trained, maps) / draws
    return [
        RandomisationStep(group, likeness[0, step], likeness[1, step])
        for step, group in enumerate(groups)
    ]


def layer_groups(model: nn.Module, image_size: int) -> dict[str, list[str]]:
    """Modules with numbers of their own by stage (by themselves outside), from the output down."""
    stages = [stage.name for stage in list_stages(model, image_size)]
    groups: dict[str, list[str]] = {}
    for name, module in reversed(list(model.named_modules())):
        if any(True for _ in module.parameters(recurse=False)):
            around = [s for s in stages if name == s or name.startswith(f"{s}.")]
            groups.setdefault(around[0] if around else name, []).append(name)
    return groups


@torch.no_grad()
def _shuffle(module: nn.Module, generator: torch.Generator) -> None:
    for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
        if tensor.is_floating_point():
            order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
            tensor.copy_(tensor.flatten()[order].view(tensor.shape))


def spearman(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Rank correlation over the cells of each pair of maps: (N,); 0 where one has no spread."""
    first, second = (stats.rankdata(m.reshape(len(m), -1), axis=1) for m in (a, b))
    first, second = (r - r.mean(axis=1, keepdims=True) for r in (first, second))
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    product = (first * second).sum(axis=1)
    return np.asarray(np.divide(product, scale, out=np.zeros_like(product), where=scale > 0))


def ssim(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Structural similarity of each pair of maps, scaled to 0..1: (N,)."""
    x, y = (torch.from_numpy(_scaled(m))[:, None] for m in (a, b))
    window = [min(SSIM_WINDOW, n) for n in a.shape[1:]]

    def mean(z: Tensor) -> Tensor:
        return F.avg_pool2d(z, window, stride=1)

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    index = (2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return np.asarray(index.mean((1, 2, 3)).numpy(), np.float64)


def _scaled(maps: Floats) -> NDArray[np.float64]:
    low = maps.min(axis=(1, 2), keepdims=True).astype(np.float64)
    spread = maps.max(axis=(1, 2), keepdims=True) - low
    return np.asarray((maps - low) / np.where(spread > 0, spread, 1))
