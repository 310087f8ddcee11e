"""Weights in 8 bits each, as safetensors: a quarter of float32's size, and no code in the file.

Each output channel of a weight has one scale, so that the channel's largest magnitude is 127. The
scales, and all that has one number a channel (biases, batch norms), stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from deepsight.config import UserError

SCALE = ".scale"
"""What the name of a weight's scales ends with, after the weight's own name."""
LEVELS = 127
"""Largest magnitude of a quantised weight; -128 is not used, so that the range is symmetric."""


def quantise(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round the weights of `state` to 8 bits, symmetrically, by output channel.

    Args:
        state: A state dict. Floating-point tensors (C, ...) of at least two dimensions become
            int8 with a float32 tensor (C,) of scales beside them; the others are kept.

    Returns:
        A state dict for `dequantise`: every weight is within half a scale of what it was.
    """
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim < 2 or not tensor.is_floating_point():
            result[name] = tensor.contiguous()
            continue
        rows = tensor.float().flatten(1)
        scale = rows.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / LEVELS
        result[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(tensor.shape)
        result[name + SCALE] = scale
    return result


def dequantise(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `quantise` but for the rounding: int8 tensors become float32."""
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in state:
            continue
        scale = state.get(name + SCALE)
        if scale is not None:
            tensor = tensor * scale.reshape(-1, *[1] * (tensor.ndim - 1))
        result[name] = tensor
    return result


def write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write `state`, quantised, to a safetensors file."""
    path.write_bytes(save(quantise(state)))  # `save_file` would hide it from other users


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors file, on the CPU; of `write_weights` or of anyone else.

    Raises:
        UserError: If it is no such file.
    """
    try:
        return dequantise(load_file(path))
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path} is no weights file ({error}).", "It must be a whole safetensors file."
        ) from error
