"""Small studies with real checkpoints, trained in seconds and without Ray's scheduling."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np

from deepsight.config import DEFAULTS, DataConfig, trial_config
from deepsight.data.raw import RawData
from deepsight.run_store import CHECKPOINT_FILE, create_study
from deepsight.space import choice, to_json
from deepsight.training.prerequisites import prepare
from deepsight.tune.ray_backend.trial_spec import TrialSpec
from deepsight.tune.ray_backend.worker import run_trial
from tests.training.tiny import SMALL, stripes

SPACE = {"optim.lr": choice(0.01, 0.003)}


def train_study(directory: Path, trials: list[dict], fixed: dict, epochs: int = 3) -> Path:
    """Write a study whose trials are trained by the worker's own code.

    Args:
        directory: Of the study; made.
        trials: What each trial changes, by dotted name. "epochs" stops it after so many.
        fixed: What all have.
        epochs: The full budget.
    """
    shared = DEFAULTS | fixed | {"train.epochs": epochs}
    header = {
        "name": directory.name,
        "metric": "val_accuracy",
        "mode": "max",
        "max_epochs": epochs,
        "rungs": [1, epochs],
        "fixed": shared,
        "space": to_json(SPACE),
        "settings": {"study.trainable": ""},
        "data": prepare([trial_config(shared)]),
    }
    with create_study(directory, header) as writer:
        for number, changes in enumerate(trials):
            budget = changes.get("epochs", epochs)
            config = shared | {k: v for k, v in changes.items() if k != "epochs"}
            name = f"t{number:04d}"
            folder = writer.trial_directory(name)
            writer.started(name, {"optim.lr": config["optim.lr"]}, False, budget)
            pack = header["data"]["packs"][config["data.name"]]
            spec = TrialSpec(name, str(folder), config, "", 0, budget, **pack)
            for step in itertools.islice(run_trial(spec), budget):
                writer.result(name, json.loads(step["row"]))
            writer.ended(name, "completed" if budget == epochs else "stopped")
            for file in folder.glob(f"{CHECKPOINT_FILE}*"):
                if budget < epochs or file.name != CHECKPOINT_FILE:
                    file.unlink()
    return directory


def stripes_study(directory: Path) -> Path:
    """Three trials on stripes: plain, with averaged weights, and one that was stopped."""
    trials = [
        {"epochs": 3},
        {"optim.ema_decay": 0.9, "data.image_size": 12, "data.interpolation": "bicubic"},
        {"epochs": 1},
    ]
    return train_study(directory, trials, SMALL)


ODD_NAMES = (
    "<img src=x onerror=alert(1)>",
    "../x",
    "long " * 60,
    "قطة صغيرة",
    "小猫",
    "cost $5_{a}$ & more",
    "=1+1",
)


def odd_stripes(config: DataConfig) -> RawData:
    """The stripes, in seven classes whose names are no words."""
    raw = stripes(config)
    rng = np.random.default_rng(1)
    labels = np.where(raw.labels < 3, raw.labels, rng.integers(3, 7, len(raw.labels)))
    return dataclasses.replace(raw, labels=labels, classes=ODD_NAMES)


def odd_study(directory: Path) -> Path:
    """One trial on `odd_stripes`."""
    fixed = SMALL | {"data.name": "tests.trained:odd_stripes"}
    return train_study(directory, [{}], fixed, epochs=2)


def rare_stripes(config: DataConfig) -> RawData:
    """The stripes, the last class with a tenth of its images: a defect that every model shows."""
    raw = stripes(config)
    mine = np.flatnonzero(np.asarray(raw.labels) == 3)
    kept = np.setdiff1d(np.arange(len(raw.labels)), mine[len(mine) // 10 :])
    return dataclasses.replace(raw, images=raw.images[kept], labels=raw.labels[kept])
