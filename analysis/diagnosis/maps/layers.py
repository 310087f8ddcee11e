"""Which layers of a network can be mapped, and how fine their grids are.

A *stage* is a part of the network that holds a convolution and hands on a grid of features. Stages
are listed from the image upwards:

- a block (a residual block, say) is one stage;
- a ``Sequential`` with one convolution in it (convolution, norm, activation) is one stage;
- in a longer ``Sequential`` each convolution is one, taken after the norm and the activation that
  follow it at the same grid;
- a convolution that stands alone is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from analysis.diagnosis.maps.passes import device_of
from deepsight.config import UserError, unknown
from deepsight.models.small_maps import left_as_found

MIN_GRID = 4
"""Rows and columns that the grid of the default layer has where any stage has so many."""


@dataclass(frozen=True)
class Layer:
    """A module that hands on a grid of features.

    Attributes:
        name: Its dotted name in the model.
        channels: Features a cell.
        rows: Of the grid.
        columns: Of the grid.
    """

    name: str
    channels: int
    rows: int
    columns: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    def __str__(self) -> str:
        return f"{self.name}, {self.rows}x{self.columns} cells"


def list_layers(model: nn.Module, image_size: int) -> list[Layer]:
    """Every module that is called once for an image and returns a grid, in the order of calls.

    Args:
        model: Left as found.
        image_size: Side in pixels of what the model sees: grids depend on it.
    """
    calls: dict[nn.Module, list[tuple[int, int, int] | None]] = {}

    def note(module: nn.Module, inputs: object, output: object) -> None:
        is_grid = isinstance(output, Tensor) and output.ndim == 4
        shape = output.shape[1:] if isinstance(output, Tensor) and is_grid else None
        calls.setdefault(module, []).append(None if shape is None else tuple(shape))  # type: ignore[arg-type]

    with ExitStack() as hooks, left_as_found(model), torch.no_grad():
        for module in model.modules():
            if module is not model:
                hooks.enter_context(module.register_forward_hook(note))
        model(torch.zeros(1, 3, image_size, image_size, device=device_of(model)))
    names = {module: name for name, module in model.named_modules()}
    return [
        Layer(names[module], *shapes[0])
        for module, shapes in calls.items()
        if len(shapes) == 1 and shapes[0] is not None
    ]


def list_stages(model: nn.Module, image_size: int) -> list[Layer]:
    """The convolution stages from the image upwards.

    Raises:
        UserError: If the model has no convolution that is called once and returns a grid.
    """
    layers = {layer.name: layer for layer in list_layers(model, image_size)}
    wanted = set(_stage_names(model, "", layers))
    stages = [layer for name, layer in layers.items() if name in wanted]
    if not stages:
        raise UserError(
            f"{type(model).__name__} has no convolution to map.",
            "Maps need a network whose convolutions are modules, each called once for an image.",
        )
    return stages


def choose_layer(model: nn.Module, image_size: int, name: str = "") -> Layer:
    """The layer that `name` means; without one the deepest stage of a useful grid.

    That is the deepest with at least `MIN_GRID` rows and columns, and where none has so many the
    deepest of those with the most cells. It never has a single cell.

    Args:
        model: Left as found.
        image_size: Side in pixels of what the model sees.
        name: A module's dotted name; any of `list_layers`.

    Raises:
        UserError: If there is no such layer, or its grid has one cell.
    """
    if name:
        layers = {layer.name: layer for layer in list_layers(model, image_size)}
        if name not in layers:
            raise unknown("layer", name, layers)
        return _with_cells(layers[name], model, image_size)
    stages = list_stages(model, image_size)
    fine = [s for s in stages if min(s.grid) >= MIN_GRID]
    if fine:
        return fine[-1]
    most = max(s.rows * s.columns for s in stages)
    return _with_cells([s for s in stages if s.rows * s.columns == most][-1], model, image_size)


def first_convolution(model: nn.Module, image_size: int) -> Layer:
    """The convolution next to the image."""
    return _convolutions(model, image_size)[0]


def deepest_convolution(model: nn.Module, image_size: int) -> Layer:
    """The last convolution that is called."""
    return _convolutions(model, image_size)[-1]


def _convolutions(model: nn.Module, image_size: int) -> list[Layer]:
    modules = dict(model.named_modules())
    found = [
        layer
        for layer in list_layers(model, image_size)
        if isinstance(modules[layer.name], nn.Conv2d)
    ]
    if not found:
        raise UserError(
            f"{type(model).__name__} has no convolution to map.",
            "Maps need a network whose convolutions are modules, each called once for an image.",
        )
    return found


def _with_cells(layer: Layer, model: nn.Module, image_size: int) -> Layer:
    if layer.rows * layer.columns > 1:
        return layer
    finer = [s.name for s in list_stages(model, image_size) if s.rows * s.columns > 1]
    raise UserError(
        f"layer {layer.name} has a 1x1 grid at {image_size} pixels: its map says nothing.",
        f"Choose one of {', '.join(finer)}." if finer else "Train at a larger image size.",
    )


def _stage_names(
    module: nn.Module, name: str, layers: dict[str, Layer], only: bool = True
) -> Iterator[str]:
    """Names of the stages in `module`; `only`: no other part of the network holds convolutions."""
    if isinstance(module, nn.Conv2d):
        if name in layers:
            yield name
        return
    inner = [(n, child) for n, child in module.named_children() if _holds_convolution(child)]
    single = len(inner) == 1 and isinstance(inner[0][1], nn.Conv2d)
    is_block = single or not isinstance(module, nn.Sequential | nn.ModuleList)
    if name in layers and is_block and not (only and len(inner) > 1):
        yield name
        return
    for child_name, child in inner:
        full = f"{name}.{child_name}" if name else child_name
        if isinstance(child, nn.Conv2d) and isinstance(module, nn.Sequential):
            yield from _after_activation(module, name, full, layers)
        else:
            yield from _stage_names(child, full, layers, only and len(inner) == 1)


def _after_activation(
    module: nn.Sequential, prefix: str, conv: str, layers: dict[str, Layer]
) -> Iterator[str]:
    """The last module after `conv` before the next convolution whose grid is that of `conv`."""
    if conv not in layers:
        return
    children = [(f"{prefix}.{n}" if prefix else n, child) for n, child in module.named_children()]
    names = [n for n, _ in children]
    chosen = conv
    for name, child in children[names.index(conv) + 1 :]:
        same = name in layers and layers[name].grid == layers[conv].grid
        if not same or _holds_convolution(child):
            break
        chosen = name
    yield chosen


def _holds_convolution(module: nn.Module) -> bool:
    return any(isinstance(inner, nn.Conv2d) for inner in module.modules())
