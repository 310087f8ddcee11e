"""How hard `toy_objects` is: default, known good and random configs, trained to the full budget.

``python benchmarks/toy_difficulty.py [--random N] [--spaces scratch finetune] [--out FILE]``
prints a table and writes JSON; what the file holds already is not trained again. ``--shallow``
measures instead what colours, pixels and outlines alone give away, ``--picture FILE`` draws the
contact sheet of the docs.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepsight.config import DEFAULTS, Value, trial_config
from deepsight.space import INACTIVE, sample

EPOCHS = 9

GOOD: dict[str, dict[str, Value]] = {
    "default": {},
    "lr 4e-3": {"optim.lr": 4e-3},
    "depth 4, width 48, lr 4e-3": {
        "model.depth": 4,
        "model.width": 48,
        "model.dense_layers": 0,
        "optim.lr": 4e-3,
        "augment.strength": 0.3,
    },
    "depth 4, width 64, lr 4e-3, little augmentation": {
        "model.depth": 4,
        "model.width": 64,
        "model.dense_layers": 0,
        "optim.lr": 4e-3,
        "optim.batch_size": 32,
        "augment.strength": 0.1,
        "model.dropout": 0.2,
    },
    "depth 5, width 48, sgd": {
        "model.depth": 5,
        "model.width": 48,
        "model.dense_layers": 0,
        "optim.name": "sgd",
        "optim.lr": 5e-2,
        "optim.batch_size": 32,
        "augment.strength": 0.15,
    },
}
"""Configs of the scratch CNN by what is said of them; the first is the baseline."""


def main() -> None:
    """Parse the flags, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=8, help="random configs of each space")
    parser.add_argument("--spaces", nargs="*", default=["scratch_full", "finetune_full"])
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="full budget")
    parser.add_argument("--out", type=Path, default=Path("toy_difficulty.json"))
    parser.add_argument("--picture", type=Path, help="draw the contact sheet and stop")
    parser.add_argument("--shallow", action="store_true", help="linear classifiers only")
    arguments = parser.parse_args()
    if arguments.picture:
        contact_sheet(arguments.picture)
        return
    if arguments.shallow:
        shallow()
        return
    configs = dict(GOOD)
    for name in arguments.spaces:
        configs |= random_configs(name, arguments.random)
    known = measured(arguments)
    rows: list[dict[str, Any]] = []
    for name, flat in configs.items():
        rows.append(known.get(name) or train(name, flat, arguments.epochs))
        say(f"{rows[-1]['val_accuracy']:.3f}  {rows[-1]['wall_s']:6.1f} s  {name}")
        arguments.out.write_text(json.dumps(summary(rows, arguments), indent=1) + "\n")
    show(summary(rows, arguments))


def fingerprint() -> str:
    """Of the images that the figures belong to."""
    from deepsight.data.datasets import load_dataset

    return load_dataset(trial_config({}).data).fingerprint


def measured(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What an interrupted run has measured already, on the same images and budget."""
    if not arguments.out.exists():
        return {}
    found = json.loads(arguments.out.read_text())
    same = found["fingerprint"] == fingerprint() and found["epochs"] == arguments.epochs
    return {row["name"]: row for row in found["trials"]} if same else {}


def random_configs(space_name: str, count: int) -> dict[str, dict[str, Value]]:
    """`count` configs drawn uniformly from a space of search_spaces."""
    from importlib import import_module

    module = import_module(f"search_spaces.{space_name}")
    rng = random.Random(0)
    return {
        f"{space_name} {k}": module.FIXED
        | {n: v for n, v in sample(module.SPACE, module.FIXED, rng).items() if v is not INACTIVE}
        for k in range(count)
    }


def train(name: str, flat: Mapping[str, Value], epochs: int) -> dict[str, Any]:
    """Train one config to the full budget."""
    from deepsight.models.weights import require_weights
    from deepsight.training.trial import train_trial

    config = trial_config({**flat, "train.epochs": epochs})
    require_weights(config)
    start, curve, result = time.perf_counter(), [], None
    for result in train_trial(config):
        curve.append(result.metrics["val_accuracy"])
    assert result is not None
    confusion = None
    if result.predictions is not None:
        confusion = confusion_matrix(result.predictions).tolist()
    changed = {n: v for n, v in flat.items() if v != DEFAULTS[n]}
    return {
        "name": name,
        "config": changed,
        "curve": curve,
        "val_accuracy": curve[-1] or 0.0,
        "diverged": result.diverged,
        "wall_s": time.perf_counter() - start,
        "confusion": confusion,
    }


def confusion_matrix(predictions: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Rows are the true classes, columns the predicted ones."""
    guessed = predictions["probabilities"].argmax(axis=1)
    labels = predictions["labels"]
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, guessed), 1)
    return counts


def summary(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any]:
    """What the numbers say, with their n."""
    scratch = [r for r in rows if not r["name"].startswith("finetune")]
    best = max(scratch, key=lambda r: r["val_accuracy"])
    spread = {}
    for space in arguments.spaces:
        drawn = sorted(r["val_accuracy"] for r in rows if r["name"].startswith(f"{space} "))
        if drawn:
            spread[space] = {
                "n": len(drawn),
                "min": drawn[0],
                "max": drawn[-1],
                "median": statistics.median(drawn),
                "spread": drawn[-1] - drawn[0],
            }
    return {
        "epochs": arguments.epochs,
        "fingerprint": fingerprint(),
        "default": rows[0]["val_accuracy"],
        "best_scratch": best["val_accuracy"],
        "best_scratch_name": best["name"],
        "gap": best["val_accuracy"] - rows[0]["val_accuracy"],
        "random": spread,
        "best_confusion": best["confusion"],
        "trials": rows,
    }


def show(found: Mapping[str, Any]) -> None:
    """Print the summary."""
    from deepsight.data.toy_objects.dataset import CLASSES

    say(
        f"default {found['default']:.3f}, best scratch CNN {found['best_scratch']:.3f} "
        f"({found['best_scratch_name']}), gap {found['gap']:.3f}"
    )
    for space, drawn in found["random"].items():
        say(
            f"random configs of {space}: n = {drawn['n']}, {drawn['min']:.3f} to "
            f"{drawn['max']:.3f}, median {drawn['median']:.3f}, spread {drawn['spread']:.3f}"
        )
    if found["best_confusion"]:
        say(" " * 8 + "".join(f"{name[:6]:>7}" for name in CLASSES))
        for name, row in zip(CLASSES, found["best_confusion"], strict=True):
            say(f"{name:8}" + "".join(f"{count:7d}" for count in row))


def shallow(num_train: int = 3000, num_val: int = 1000) -> None:
    """What a linear classifier reaches on pixels, colours and outlines."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from deepsight.data.toy_objects.dataset import draw_toy_objects

    start = time.process_time()
    images, labels, masks = draw_toy_objects(num_train + num_val, seed=0)
    per_image = (time.process_time() - start) / len(images)
    say(f"drawn in {1e3 * per_image:.2f} ms of processor time an image")
    bins = (images // 64).astype(int) @ np.array([16, 4, 1])
    features = {
        "pixels": images.reshape(len(images), -1) / 255.0,
        "colour histogram (64 bins)": np.stack(
            [np.bincount(b.ravel(), minlength=64) for b in bins]
        ),
        "the object's mean colour": (images * masks[..., None]).sum((1, 2))
        / masks.sum((1, 2))[:, None],
        "moments of the true mask": np.stack([_moments(mask) for mask in masks]),
    }
    for name, values in features.items():
        best = 0.0
        for strength in (1e-4, 1e-3, 1e-2, 1e-1):  # chosen on val: an upper bound
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
            model.fit(values[:num_train], labels[:num_train])
            best = max(best, model.score(values[num_train:], labels[num_train:]))
        say(f"{best:.3f}  {name}")


def _moments(mask: np.ndarray[Any, Any]) -> list[float]:
    """Area, centre, and the central moments up to the third order, free of size."""
    y, x = np.nonzero(mask)
    area, dx, dy = len(x), x - x.mean(), y - y.mean()
    orders = [(i, j) for i in range(4) for j in range(4) if 2 <= i + j <= 3]
    return [
        area,
        x.mean(),
        y.mean(),
        *((dx**i * dy**j).sum() / area ** (1 + (i + j) / 2) for i, j in orders),
    ]


def contact_sheet(path: Path, per_class: int = 14, enlarge: int = 2) -> None:
    """A PNG with one row a class; 256 colours, so that it stays small."""
    from PIL import Image

    from deepsight.data.toy_objects.dataset import CLASSES, draw_toy_objects

    images, labels, _ = draw_toy_objects(per_class * len(CLASSES), seed=0)
    rows = [np.hstack(list(images[labels == label])) for label in range(len(CLASSES))]
    sheet = Image.fromarray(np.vstack(rows))
    size = (sheet.width * enlarge, sheet.height * enlarge)
    sheet.quantize(256).resize(size, Image.Resampling.NEAREST).save(path, optimize=True)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
