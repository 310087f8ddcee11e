"""Passes of images through a trained model that leave the model as it was found."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepsight.models.small_maps import left_as_found

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Bools = NDArray[np.bool_]

BATCH_PIXELS = 1 << 18
"""Pixels of one channel that go through a model at a time: 256 images of 32x32, 5 of 224x224."""


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are; the CPU for a model without any."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def placed(images: Tensor, device: torch.device) -> Tensor:
    """Images (n, 3, H, W) as models take them: float32, without gradients.

    The memory format is channels_last, which halves the time of small networks on a CPU.
    """
    return images.detach().to(device, torch.float32, memory_format=torch.channels_last)


def batch_slices(inputs: Tensor) -> Iterator[slice]:
    """Consecutive parts of `inputs` (N, 3, H, W) of at most `BATCH_PIXELS` pixels a channel."""
    step = max(1, BATCH_PIXELS // (inputs.shape[2] * inputs.shape[3]))
    for start in range(0, len(inputs), step):
        yield slice(start, start + step)


def class_probabilities(model: nn.Module, inputs: Tensor) -> Floats:
    """Softmax of the logits.

    Args:
        model: Maps (n, 3, H, W) to logits (n, C).
        inputs: (N, 3, H, W) float, preprocessed.

    Returns:
        (N, C) float32, rows sum to 1.
    """
    device, parts = device_of(model), []
    with left_as_found(model), torch.no_grad():
        for part in batch_slices(inputs):
            logits = model(placed(inputs[part], device))
            parts.append(logits.softmax(1).cpu())
    return torch.cat(parts).numpy() if parts else np.zeros((0, 0), np.float32)


def predicted_classes(model: nn.Module, inputs: Tensor) -> Labels:
    """The most probable class of each image: (N,) int64."""
    return np.asarray(class_probabilities(model, inputs).argmax(1), np.int64)
