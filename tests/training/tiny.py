"""A data set that is learnt in seconds: stripes in four directions, 16x16, with noise."""

import numpy as np

from deepsight.config import DataConfig, TrialConfig, trial_config
from deepsight.data.raw import RawData


def stripes(config: DataConfig) -> RawData:
    rng = np.random.default_rng(0)
    count, classes = 500, ("flat", "rising", "upright", "falling")
    labels = np.arange(count) % len(classes)
    angle = labels * np.pi / 4 + rng.normal(0, 0.1, count)
    rows, columns = np.mgrid[:16, :16]
    across = np.cos(angle)[:, None, None] * rows + np.sin(angle)[:, None, None] * columns
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    wave = 0.5 + 0.3 * np.sin(across * 1.5 + phase)
    images = wave[..., None] * rng.uniform(0.6, 1, (count, 1, 1, 3))
    images = images + rng.normal(0, 0.05, images.shape)
    return RawData((images.clip(0, 1) * 255).astype(np.uint8), labels, classes)


SMALL = {
    "data.name": "tests.training.tiny:stripes",
    "model.name": "scratch_cnn",
    "model.depth": 2,
    "model.width": 8,
    "model.dense_layers": 0,
    "model.weights": "none",
    "augment.flip": False,  # mirroring would turn rising into falling
    "augment.rotate": 0.0,
    "optim.batch_size": 32,
    "optim.lr": 0.01,
    "train.epochs": 3,
    "hardware.device": "cpu",
    "hardware.precision": "fp32",
}


def config(**sections: dict[str, object]) -> TrialConfig:
    """The small trial with changes, ``config(optim={"lr": 0.1})``."""
    changes = {f"{s}.{k}": v for s, values in sections.items() for k, v in values.items()}
    return trial_config(SMALL | changes)
