"""Moves images to the device, and cuts an epoch into batches and updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

RESIDENT_SHARE = 0.25
"""Share of a GPU's free memory that a split may take up for good; other trials want some too."""
PIECE_BYTES = 256 * 2**20
"""Of images that are copied to a GPU at a time."""


@dataclass(frozen=True)
class Samples:
    """One split, ready to be indexed.

    Attributes:
        images: (N, H, W, 3) uint8: on the device, or a (memory-mapped) array on the host.
        labels: (N,) int64, on the device.
    """

    images: Tensor | npt.NDArray[np.uint8]
    labels: Tensor

    def __len__(self) -> int:
        """Images in all."""
        return len(self.labels)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Copies of the images, uint8 (n, H, W, 3), and labels at `index`, on the device.

        Args:
            index: (n,) int64, from `order`.
        """
        if isinstance(self.images, Tensor):
            return self.images[index], self.labels[index]
        images = torch.from_numpy(self.images[index.numpy()])
        device = self.labels.device
        if device.type != "cpu":
            images = images.pin_memory().to(device, non_blocking=True)
        return images, self.labels[index.to(device, non_blocking=True)]

    def order(self, generator: torch.Generator | None = None) -> Tensor:
        """All positions, shuffled if there is a generator, where `take` wants them."""
        if generator is None:
            index = torch.arange(len(self))
        else:
            index = torch.randperm(len(self), generator=generator)
        return index.to(self.images.device) if isinstance(self.images, Tensor) else index


def load_samples(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.integer[Any]], device: torch.device
) -> Samples:
    """Prepare a split: as a whole on a GPU with room for it, else a batch at a time.

    Args:
        images: (N, H, W, 3); never copied on a CPU.
        labels: (N,)
        device: Where the batches are wanted.
    """
    targets = torch.from_numpy(np.array(labels, dtype=np.int64)).to(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if images.nbytes <= RESIDENT_SHARE * free:
            return Samples(copied(images, device), targets)
    # a plain view of the mapped pages: indexing a np.memmap costs more for its bookkeeping
    return Samples(np.asarray(images).view(np.ndarray), targets)


def copied(
    images: npt.NDArray[np.uint8], device: torch.device, piece_bytes: int = PIECE_BYTES
) -> Tensor:
    """A copy of the images on `device`, through at most `piece_bytes` of the host's memory.

    A quarter of a large GPU's memory is more than a host with several trials can hold as well.
    """
    whole = torch.empty(images.shape, dtype=torch.uint8, device=device)
    step = max(1, piece_bytes * len(images) // max(1, images.nbytes))
    for start in range(0, len(images), step):
        piece = np.array(images[start : start + step])  # torch wants memory that may be written
        whole[start : start + step].copy_(torch.from_numpy(piece))
    return whole


def plan_updates(
    num: int, batch_size: int, accumulate: int, smallest: int = 1
) -> list[list[slice]]:
    """Cut `num` images into batches, and these into updates of `accumulate` batches.

    The last batch and the last update may be smaller.

    Args:
        num: Images.
        batch_size: Images a batch.
        accumulate: Batches an update.
        smallest: A last, incomplete batch of fewer images is left out.
    """
    batches = [slice(i, min(i + batch_size, num)) for i in range(0, num, batch_size)]
    rest = num % batch_size
    if 0 < rest < smallest and len(batches) > 1:
        batches.pop()
    return [batches[i : i + accumulate] for i in range(0, len(batches), accumulate)]
