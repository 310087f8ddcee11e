"""What 8 bits a weight cost: ``python -m benchmarks.quantised_weights [exact.pt]``.

Compares the embedded ResNet18 of the package with the weights that it was rounded from, which
`deepsight.pretrain` leaves in the cache: the features of the frozen network, and what a classifier
by the nearest class mean makes of them (means from the train split, tried on the val split; nothing
random). Also times how long either file takes to load.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from deepsight.config import trial_config
from deepsight.data.datasets import Dataset, load_dataset
from deepsight.models.build import build_architecture, build_model, load_backbone
from deepsight.models.weights import cached_file, embedded_file


def features(path: Path, dataset: Dataset, split: str) -> Tensor:
    """(N, 512) inputs of the head, in float32."""
    config = trial_config({"model.name": "resnet18"})
    model = build_architecture(config, len(dataset.classes), dataset.image_size)
    load_backbone(model, path)
    model.fc = nn.Identity()  # type: ignore[assignment]
    mean, std = (torch.tensor(m)[:, None, None] for m in (dataset.mean, dataset.std))
    images = torch.tensor(getattr(dataset, split).images).permute(0, 3, 1, 2)
    with torch.inference_mode():
        model.eval()
        return torch.cat([model((b / 255 - mean) / std) for b in images.split(250)])


def nearest_mean(path: Path, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Predicted classes (N,) and features (N, 512) of the val split."""
    train, val = (features(path, dataset, split) for split in ("train", "val"))
    labels = torch.tensor(dataset.train.labels)
    means = torch.stack([train[labels == c].mean(0) for c in range(len(dataset.classes))])
    return torch.cdist(val, means).argmin(1), val


def compare(name: str, exact: Path, rounded: Path) -> None:
    """Print what differs on one data set."""
    dataset = load_dataset(trial_config({"data.name": name}).data)
    (a, exact_features), (b, rounded_features) = (
        nearest_mean(p, dataset) for p in (exact, rounded)
    )
    labels = torch.tensor(dataset.val.labels)
    error = (rounded_features - exact_features).norm() / exact_features.norm()
    right_a, right_b = a == labels, b == labels
    print(
        f"{name}: features differ by {100 * error:.2f} % of their norm; nearest class mean, exact "
        f"{100 * right_a.float().mean():.2f} %, rounded {100 * right_b.float().mean():.2f} % of "
        f"{len(labels)} val images; {int((a != b).sum())} answers differ, of these "
        f"{int((right_a & ~right_b).sum())} only exact right, "
        f"{int((right_b & ~right_a).sum())} only rounded right"
    )


def seconds_to_load(weights: str) -> list[float]:
    """CPU seconds of building the model with its weights, five times after one that warms up."""
    config = trial_config({"model.name": "resnet18", "model.weights": weights})
    times = []
    for _ in range(6):
        start = time.process_time()
        build_model(config, num_classes=10, image_size=32)
        times.append(time.process_time() - start)
    return times[1:]


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("exact", type=Path, nargs="?", default=cached_file("resnet18"))
    parser.add_argument("--data", nargs="*", default=["toy_objects", "digits"])
    args = parser.parse_args()
    rounded = embedded_file("resnet18")
    sizes = [path.stat().st_size / 1e6 for path in (args.exact, rounded)]
    print(f"exact {sizes[0]:.1f} MB, rounded {sizes[1]:.1f} MB")
    for name, weights in (("exact", str(args.exact)), ("rounded", "embedded"), ("none", "none")):
        times = seconds_to_load(weights)
        print(
            f"{name}: model built in {statistics.median(times):.3f} CPU s, median of {len(times)}"
        )
    for name in args.data:
        compare(name, args.exact, rounded)


if __name__ == "__main__":
    main()
