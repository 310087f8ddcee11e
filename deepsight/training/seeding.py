"""One seed, many independent streams of random numbers: by purpose and epoch.

Nothing random outlives an epoch, so that a trial resumed at epoch k draws what the uninterrupted
one would have drawn, without any generator's state in its checkpoint.
"""

from __future__ import annotations

import random
import zlib

import numpy as np
import torch


def derive(seed: int, purpose: str, epoch: int) -> int:
    """A seed of 32 bits (all that torch's CPU generator takes) for one purpose in one epoch."""
    entropy = (seed, zlib.crc32(purpose.encode()), epoch)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def generator(seed: int, purpose: str, epoch: int) -> torch.Generator:
    """A CPU generator of its own for one purpose in one epoch."""
    return torch.Generator().manual_seed(derive(seed, purpose, epoch))


def reset_globals(seed: int, epoch: int) -> None:
    """Set the global generators, on which dropout and the user's own code draw, for an epoch."""
    torch.manual_seed(derive(seed, "torch", epoch))
    random.seed(derive(seed, "random", epoch))
    np.random.seed(derive(seed, "numpy", epoch))  # noqa: NPY002  the user's code may draw on it
