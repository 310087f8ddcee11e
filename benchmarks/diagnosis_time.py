"""How long `python -m analysis.diagnose` takes: wall and CPU seconds of whole runs.

``python -m benchmarks.diagnosis_time [CASE...] --to FOLDER`` trains a model a case (one epoch; ten
for ``toy``), diagnoses it in a process of its own and prints a row a case, with what the limit is.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepsight.config import DataConfig
from deepsight.data.raw import RawData

HERE = "benchmarks.diagnosis_time"


@dataclass(frozen=True)
class Case:
    """A data set and a network; `limit_s` is what a run may take on two cores without a GPU."""

    what: str
    limit_s: int
    settings: dict[str, str]
    epochs: int = 1


CASES = {
    "toy": Case(
        "10 classes, 1,000 test images, 32x32, masks, scratch CNN",
        180,
        {"data.name": "toy_objects"},
        epochs=10,
    ),
    "hundred": Case(
        "100 classes, 10,000 test images, 32x32, scratch CNN",
        900,
        {"data.name": f"{HERE}:hundred"},
    ),
    "photos": Case(
        "10 classes, 500 test images, 224x224, masks, ResNet18",
        600,
        {"data.name": f"{HERE}:photos", "model.name": "resnet18"},
    ),
}


def hundred(config: DataConfig) -> RawData:
    """Gratings in 100 directions and widths, 32x32, without masks."""
    return _gratings(100, (3000, 1000, 10_000), 32, masks=False)


def photos(config: DataConfig) -> RawData:
    """Discs with ten kinds of gratings, 224x224, with masks."""
    return _gratings(10, (200, 100, 500), 224, masks=True)


def _gratings(num_classes: int, counts: tuple[int, int, int], side: int, masks: bool) -> RawData:
    rng, num = np.random.default_rng(0), sum(counts)
    labels = np.arange(num) % num_classes
    rows, columns = np.mgrid[:side, :side] / side
    images = np.empty((num, side, side, 3), np.uint8)
    discs = np.empty((num, side, side), np.uint8)
    for k, label in enumerate(labels):
        angle, waves = np.pi * (label % 10) / 10, 3 + label // 10
        across = np.cos(angle) * rows + np.sin(angle) * columns
        y, x, radius = (*rng.uniform(0.35, 0.65, 2), rng.uniform(0.2, 0.4))
        discs[k] = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        wave = np.sin(2 * np.pi * (waves * across + rng.uniform()))
        shade = np.where(discs[k] > 0, 128 + 90 * wave, rng.uniform(60, 200))[..., None]
        grain = rng.normal(0, 12, (side, side, 3))
        images[k] = (shade * rng.uniform(0.7, 1, 3) + grain).clip(0, 255)
    split = np.repeat(["train", "val", "test"], counts)
    names = [f"class {k}" for k in range(num_classes)]
    return RawData(images, labels, names, discs if masks else None, split)


def train(case: Case, study: Path) -> None:
    """One trial of the case, with the defaults of every hyperparameter it does not name."""
    from tests.trained import train_study  # the worker's code, without Ray

    fixed = {"model.weights": "none", "optim.lr": 0.003, "hardware.device": "cpu"}
    train_study(study, [{"epochs": case.epochs}], fixed | case.settings, case.epochs)


def measure(study: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a diagnosis from nothing: an earlier one goes."""
    shutil.rmtree(study / "diagnosis", ignore_errors=True)
    used, start = _cpu_s(), time.monotonic()
    # --trust: the data sets are made by code of this file
    command = [sys.executable, "-m", "analysis.diagnose", str(study), "--trust"]
    subprocess.run(command, check=True)
    return time.monotonic() - start, _cpu_s() - used


def _cpu_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {HERE}", description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("--to", type=Path, default=Path(), metavar="FOLDER")
    options = parser.parse_args()
    for name in options.cases:
        case = CASES[name]
        study = options.to.absolute() / f"diagnosis_time_{name}"
        if not study.exists():
            train(case, study)
        wall, cpu = measure(study)
        sys.stdout.write(
            f"{name}: {case.what}: {wall:.0f} s wall, {cpu:.0f} s CPU, limit {case.limit_s} s\n"
        )


if __name__ == "__main__":
    main()
