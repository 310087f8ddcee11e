"""Convolutions of maps smaller than their kernels, computed as the matrix products they are.

At 32x32 the last two stages of ResNet18 see maps of 2x2 and 1x1. On a 1x1 map eight of the nine
taps of a 3x3 kernel only ever meet padding; they are 6.9 of the network's 11.2 million parameters,
carried through every step, update and checkpoint for nothing. On a 2x2 map more than half of the
products are with padding. Both are left out: the results are the same, the steps up to twice as
fast (docs/training.md has the figures).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LARGEST_EXPANSION = 2.0
"""Entries of the matrix over weights of the kernel, at most: building it costs time too."""


@dataclass(frozen=True)
class _Axis:
    """One axis of a convolution: sizes, and which taps meet the map.

    Attributes:
        size: Of the map.
        positions: Of the output.
        first: The first tap that ever meets the map.
        taps: Taps from the first to the last that do.
        padding: Before the map, counted from tap `first`.
        stride: From one output position to the next.
    """

    size: int
    positions: int
    first: int
    taps: int
    padding: int
    stride: int

    @classmethod
    def of(cls, size: int, kernel: int, padding: int, stride: int) -> _Axis:
        """The axis of a convolution with these numbers."""
        positions = (size + 2 * padding - kernel) // stride + 1
        met = [i - o * stride + padding for i in range(size) for o in range(positions)]
        met = [tap for tap in met if 0 <= tap < kernel]
        first, last = min(met), max(met)
        return cls(size, positions, first, last - first + 1, padding - first, stride)

    @property
    def kept(self) -> slice:
        """The taps that meet the map."""
        return slice(self.first, self.first + self.taps)

    def overlap(self, position: int) -> tuple[slice, slice]:
        """At one output position: the pixels that are covered, and the kept taps on them."""
        start = position * self.stride - self.padding
        low = max(0, start)
        high = max(low, min(self.size, start + self.taps))
        return slice(low, high), slice(low - start, high - start)


class _Expand(torch.autograd.Function):
    """A kernel (O, kh, kw, I) as the matrix (rows' and columns' positions x O, pixels x I)."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, rows: _Axis, columns: _Axis, dtype: torch.dtype
    ) -> Tensor:
        ctx.axes = rows, columns
        ctx.shape = weight.shape
        out, _, _, channels = weight.shape
        shape = (rows.positions, columns.positions, out, rows.size, columns.size, channels)
        matrix = weight.new_zeros(shape, dtype=dtype)
        for i, j, (pixels, taps) in _positions(rows, columns):
            matrix[i, j][pixels] = weight[taps]
        return matrix.view(rows.positions * columns.positions * out, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        rows, columns = ctx.axes
        out, _, _, channels = ctx.shape
        shape = (rows.positions, columns.positions, out, rows.size, columns.size, channels)
        gradient = gradients[0].view(shape)
        # in float32: positions that share a tap are summed
        weight = gradient.new_zeros(ctx.shape, dtype=torch.float32)
        for i, j, (pixels, taps) in _positions(rows, columns):
            weight[taps] += gradient[i, j][pixels]
        return weight, None, None, None


def _positions(
    rows: _Axis, columns: _Axis
) -> Iterator[tuple[int, int, tuple[tuple[slice, ...], tuple[slice, ...]]]]:
    """Every output position with the index of its pixels and of its taps in (O, h, w, I)."""
    everything = slice(None)
    for i in range(rows.positions):
        for j in range(columns.positions):
            (pixel_rows, tap_rows), (pixel_columns, tap_columns) = (
                rows.overlap(i),
                columns.overlap(j),
            )
            yield (
                i,
                j,
                ((everything, pixel_rows, pixel_columns), (everything, tap_rows, tap_columns)),
            )


class _SmallMap(nn.Conv2d):
    """An `nn.Conv2d` of maps of one small size, as a matrix product.

    ``weight`` is (O, kh, kw, I) and holds only the taps that meet the map: a contiguous layout in
    which the matrix is quick to build. In a state dict it is that of the plain module, whole, the
    other taps as they were; so either can load the other's.
    """

    whole: Tensor
    axes: tuple[_Axis, _Axis]

    def fit(self, rows: _Axis, columns: _Axis) -> None:
        """Turn a plain module into one of maps of this size."""
        self.axes = rows, columns
        self.whole = self.weight.detach().clone()
        self.weight = nn.Parameter(self._kept(self.whole), self.weight.requires_grad)

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W), of the size it was fitted to, to (N, O, H', W'), channels_last."""
        rows, columns = self.axes
        assert x.shape[2:] == (rows.size, columns.size), f"fitted to another size than {x.shape}"
        device, dtype = x.device.type, self.weight.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        if rows.positions * columns.positions == 1:
            matrix, bias = self.weight.flatten(1), self.bias
        else:
            matrix = _Expand.apply(self.weight, rows, columns, dtype)  # type: ignore[no-untyped-call]
            bias = (
                None if self.bias is None else self.bias.repeat(rows.positions * columns.positions)
            )
        y = F.linear(x.permute(0, 2, 3, 1).flatten(1), matrix, bias)
        shape = (len(x), rows.positions, columns.positions, self.out_channels)
        return y.view(shape).permute(0, 3, 1, 2)

    def _kept(self, whole: Tensor) -> Tensor:
        rows, columns = self.axes
        return whole[:, :, rows.kept, columns.kept].permute(0, 2, 3, 1).contiguous()

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        rows, columns = self.axes
        whole = self.whole.clone()
        whole[:, :, rows.kept, columns.kept] = (
            self.weight.detach().permute(0, 3, 1, 2).to(whole.device)
        )
        destination[f"{prefix}weight"] = whole

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        name = f"{prefix}weight"
        if name in state_dict and state_dict[name].shape == self.whole.shape:
            self.whole = state_dict[name].detach().to(self.whole.device, copy=True)
            state_dict[name] = self._kept(self.whole)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def fit_kernels(model: nn.Module, image_size: int, expand: bool) -> None:
    """Compute the convolutions of maps smaller than their kernels as matrix products.

    Results stay what they were, up to rounding; so do names and shapes in state dicts. Call it
    before an optimiser is built: the parameters concerned are new ones.

    Args:
        model: On the CPU. The modules concerned are changed in place.
        image_size: Side in pixels of what the network will see, from now on without exception.
        expand: Whether to treat outputs of several positions too; a gain on a CPU, while a GPU
            would wait for the many small steps of building the matrix.
    """
    uses = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    for module, sizes in _seen_sizes(model, image_size).items():
        if len(sizes) == 1 and uses[id(module.weight)] == 1 and _is_plain(module):
            rows, columns = (
                _Axis.of(size, module.kernel_size[i], int(module.padding[i]), module.stride[i])
                for i, size in enumerate(sizes.pop())
            )
            if _pays(rows, columns, module.kernel_size, expand):
                # in place, so that references to the module (stages, hooks) see the new one
                module.__class__ = _SmallMap
                module.fit(rows, columns)  # type: ignore[operator]


def _pays(rows: _Axis, columns: _Axis, kernel_size: tuple[int, ...], expand: bool) -> bool:
    pixels = rows.size * columns.size
    positions = rows.positions * columns.positions
    taps = kernel_size[0] * kernel_size[1]
    largest = LARGEST_EXPANSION * rows.taps * columns.taps
    return pixels < taps and (positions == 1 or (expand and pixels * positions <= largest))


def _seen_sizes(model: nn.Module, image_size: int) -> dict[nn.Conv2d, set[tuple[int, int]]]:
    """Height and width of all inputs of each convolution for one image."""
    seen: dict[nn.Conv2d, set[tuple[int, int]]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv2d)
        seen.setdefault(module, set()).add((inputs[0].shape[2], inputs[0].shape[3]))

    with ExitStack() as hooks, left_as_found(model), torch.no_grad():
        for module in model.modules():
            # the type itself: a subclass may compute something else
            if type(module) is nn.Conv2d:
                hooks.enter_context(module.register_forward_pre_hook(note))
        model(torch.zeros(1, 3, image_size, image_size))
    return seen


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module has its own mode again, also on an error."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _is_plain(module: nn.Conv2d) -> bool:
    return (
        not isinstance(module.padding, str)
        and module.padding_mode == "zeros"
        and module.groups == 1
        and module.dilation == (1, 1)
        and module.weight.dtype == torch.float32
        # then the first position covers the first pixel
        and all(int(p) < k for p, k in zip(module.padding, module.kernel_size, strict=True))
    )
