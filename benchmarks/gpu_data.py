"""Images of CIFAR's shape and number, made of random numbers: nothing is downloaded.

``data.name=benchmarks.gpu_data:cifar_shaped``: ``data.size`` images to train on, a fifth as many to
validate by.
"""

from __future__ import annotations

import numpy as np

from deepsight.config import DataConfig
from deepsight.data.raw import RawData

CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
NUM_TEST = 100
"""Images of the test split, which nothing here opens."""


def cifar_shaped(config: DataConfig) -> RawData:
    """Ten coarse patterns, one a class, under noise: learnable, and no two images alike."""
    rng = np.random.default_rng(config.split_seed)
    counts = {"train": config.size, "val": config.size // 5, "test": NUM_TEST}
    split = np.repeat(list(counts), list(counts.values()))
    labels = np.arange(len(split)) % len(CLASSES)
    coarse = rng.integers(0, 64, (len(CLASSES), 4, 4, 3), dtype=np.uint8)
    patterns = coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)
    images = rng.integers(0, 192, (len(split), SIDE, SIDE, 3), dtype=np.uint8)
    images += patterns[labels]
    return RawData(images, labels, CLASSES, split=split, source="random numbers")
