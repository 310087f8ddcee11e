"""Convolutions that see a single position, cut down to the taps that matter there.

At 32x32 ResNet18's last stage sees 1x1 maps: eight of the nine taps of its 3x3 kernels only ever
meet padding. They are 6.9 of the network's 11.2 million parameters, carried through every step,
update and checkpoint for nothing. Without them the results are the same (docs/training.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _OnePosition(nn.Conv2d):
    """An `nn.Conv2d` whose output is one position, trained without the taps beyond the map.

    ``weight`` holds the taps on the map only. In a state dict it is whole, the other taps as
    they were when they were cut: whoever builds the plain network can load it, and the other way
    round.
    """

    whole: Tensor
    rows: slice
    columns: slice

    def cut(self, rows: slice, columns: slice) -> None:
        """Keep the taps at `rows` and `columns` as the parameter."""
        self.whole = self.weight.detach().clone()
        self.rows, self.columns = rows, columns
        self.weight = nn.Parameter(
            self.weight.detach()[:, :, rows, columns].clone(), self.weight.requires_grad
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), of the size it was cut for, to (N, C', 1, 1): a matrix product."""
        assert x.shape[2:] == self.weight.shape[2:], f"cut for another size than {x.shape}"
        return F.linear(x.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        whole = self.whole.clone()
        whole[:, :, self.rows, self.columns] = self.weight.detach().to(whole.device)
        destination[f"{prefix}weight"] = whole

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        name = f"{prefix}weight"
        if name in state_dict and state_dict[name].shape == self.whole.shape:
            self.whole = state_dict[name].detach().to(self.whole.device, copy=True)
            state_dict[name] = state_dict[name][:, :, self.rows, self.columns]
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def cut_kernels(model: nn.Module, image_size: int) -> None:
    """Cut from the kernels of `model` what only ever meets padding at one image size.

    Results stay what they were, up to rounding; so do names and shapes in state dicts. Call it
    before an optimiser is built: some parameters are new ones, smaller than the old.

    Args:
        model: On the CPU. Its convolutions with one output position are changed in place.
        image_size: Side in pixels of what the network will see, from now on without exception.
    """
    uses = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    for module, sizes in _seen_sizes(model, image_size).items():
        if len(sizes) == 1 and uses[id(module.weight)] == 1 and _is_plain(module):
            height, width = sizes.pop()
            rows, columns = _taps_on_map(module, 0, height), _taps_on_map(module, 1, width)
            if rows is not None and columns is not None and (height, width) != module.kernel_size:
                # in place, so that whoever holds the module (stages, hooks) holds the new one
                module.__class__ = _OnePosition
                module.cut(rows, columns)  # type: ignore[operator]


def _seen_sizes(model: nn.Module, image_size: int) -> dict[nn.Conv2d, set[tuple[int, int]]]:
    """Height and width of all inputs of each convolution for one image."""
    seen: dict[nn.Conv2d, set[tuple[int, int]]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv2d)
        seen.setdefault(module, set()).add((inputs[0].shape[2], inputs[0].shape[3]))

    with ExitStack() as hooks, _evaluating(model), torch.no_grad():
        for module in model.modules():
            # the type itself: a subclass may compute something else
            if type(module) is nn.Conv2d:
                hooks.enter_context(module.register_forward_pre_hook(note))
        model(torch.zeros(1, 3, image_size, image_size))
    return seen


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module has its own mode again."""
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
        and module.kernel_size != (1, 1)
    )


def _taps_on_map(module: nn.Conv2d, axis: int, size: int) -> slice | None:
    """The taps that lie on a map of `size` where one position covers all of it, else None."""
    kernel, padding = module.kernel_size[axis], int(module.padding[axis])
    one_position = size + 2 * padding - kernel < module.stride[axis]
    return slice(padding, padding + size) if one_position and padding + size <= kernel else None
