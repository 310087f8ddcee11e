"""How well the best trials of studies do on images that no search has seen.

    python -m benchmarks.fresh_accuracy STUDY... [--images 2000]

The best of many trials on a few hundred validation images looks better than it is. Here it
classifies fresh ones: `toy_objects` drawn from another seed, or the test images of Fashion-MNIST
for a study on ``benchmarks.real_curves.train:fashion``. One line a study: its validation accuracy
and the fresh one. Standard error of the latter: 0.011 at most with 2,000 images.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

from benchmarks.real_curves.train import read_fashion
from deepsight.data.toy_objects.dataset import draw_toy_objects
from deepsight.trained_model import TrainedModel, load_trained_model

SEED = 987_654
"""Of the drawn images; studies use `data.split_seed`, 0 unless told."""


@functools.cache
def drawn(num: int, size: int) -> tuple[Any, Any]:
    """The same for every study."""
    return draw_toy_objects(num, SEED, size)[:2]


def fresh_images(model: TrainedModel, num: int) -> tuple[Any, Any]:
    """Images (N, H, W, 3) uint8 and labels (N,) of the model's kind of data."""
    name = model.config.data.name
    if name == "toy_objects":
        return drawn(num, model.stored_size)
    if name != "benchmarks.real_curves.train:fashion":
        raise SystemExit(f"no fresh images of {name}")
    return read_fashion("t10k", num)


def main() -> None:
    """A line a study."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY")
    parser.add_argument("--images", type=int, default=2000)
    args = parser.parse_args()
    for path in args.studies:
        model = load_trained_model(path, device="cpu")
        images, labels = fresh_images(model, args.images)
        fresh = float((model.probabilities(images).argmax(1) == labels).mean())
        seen = model.row[model.study.header.metric]
        print(f"{path}: {model.trial_id}, validation {seen:.3f}, fresh {fresh:.3f}", flush=True)


if __name__ == "__main__":
    main()
