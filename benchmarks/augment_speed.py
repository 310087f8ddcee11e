"""How fast the augmentation backends are, side by side in one process on one thread.

    python benchmarks/augment_speed.py [--side 32] [--rounds 7] [--device cpu] [--json FILE]

Each round times both backends on every pipeline, one after the other, on the same images, and
training steps of two networks beside them; ratios are taken within a round. On a CPU the clock
counts this process's own seconds, so that other processes do not. The reference is the pipeline of
`deepsight/augment/cpu.py`: albumentations, image by image, to the same normalised float32 batch.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from deepsight.augment.build import build_augment
from deepsight.config import AugmentConfig, trial_config
from deepsight.models.build import build_model

DEFAULT = AugmentConfig()
PLAIN = dataclasses.replace(DEFAULT, colour=0.0, rotate=0.0, scale=0.0)
PIPELINES: dict[str, AugmentConfig] = {
    "crop, flip, cutout": PLAIN,
    "all, default strength": DEFAULT,
    "all, full strength": dataclasses.replace(DEFAULT, strength=1.0),
}
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)

BACKENDS = ("batched", "albumentations")
NETWORKS = ("resnet18", "scratch_cnn")


def images_per_second(step: Callable[[], Any], images: torch.Tensor, least_s: float) -> float:
    """Repeat a step on one batch for at least `least_s` seconds."""
    on_gpu = images.is_cuda
    clock = time.perf_counter if on_gpu else time.process_time
    wait: Callable[[], Any] = torch.cuda.synchronize if on_gpu else (lambda: None)
    step()
    wait()
    steps, start = 0, clock()
    while (elapsed := clock() - start) < least_s:
        step()
        wait()
        steps += 1
    return steps * len(images) / elapsed


def augment_step(config: AugmentConfig, images: torch.Tensor) -> Callable[[], Any]:
    """One call of an augmentation."""
    augment = build_augment(config, MEAN, STD)
    generator = torch.Generator().manual_seed(0)
    return lambda: augment(images, generator)


def training_step(name: str, images: torch.Tensor) -> Callable[[], Any]:
    """A forward and backward pass and an update in bf16, channels_last."""
    config = trial_config({"model.name": name, "model.weights": "none"})
    device, side = images.device, images.shape[1]
    model = build_model(config, 10, side).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    inputs = torch.randn(len(images), 3, side, side, device=device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(len(images), dtype=torch.int64, device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def measure(images: torch.Tensor, rounds: int, least_s: float) -> dict[str, list[float]]:
    """Images per second of every round: of each pipeline and backend, and of each network."""
    steps = {
        f"{name}: {backend}": augment_step(dataclasses.replace(config, backend=backend), images)
        for name, config in PIPELINES.items()
        for backend in BACKENDS
    } | {name: training_step(name, images) for name in NETWORKS}
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(rounds):
        for name in list(steps) if index % 2 else reversed(list(steps)):
            speeds[name].append(images_per_second(steps[name], images, least_s))
    return speeds


def summary(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(above: list[float], below: list[float]) -> dict[str, float]:
    """Median and range of the quotients within a round."""
    return summary([a / b for a, b in zip(above, below, strict=True)])


def report(speeds: dict[str, list[float]]) -> dict[str, dict[str, dict[str, float]]]:
    """By pipeline: images per second, and what they come to beside the peer and beside training."""
    result = {}
    for name in PIPELINES:
        batched, peer = (speeds[f"{name}: {backend}"] for backend in BACKENDS)
        result[name] = {
            "batched, images/s": summary(batched),
            "albumentations, images/s": summary(peer),
            "batched over albumentations": ratios(batched, peer),
        }
        for network in NETWORKS:
            shares = ratios(speeds[network], batched)
            result[name][f"% of a {network} step"] = {k: 100 * v for k, v in shares.items()}
    result["training"] = {f"{network}, images/s": summary(speeds[network]) for network in NETWORKS}
    return result


def main() -> None:
    """Measure, print a table and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=32, help="image side in pixels")
    parser.add_argument("--batch", type=int, default=128, help="images in a batch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a timing, at least")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shape = (arguments.batch, arguments.side, arguments.side, 3)
    images = torch.randint(0, 256, shape, dtype=torch.uint8).to(arguments.device)

    result = report(measure(images, arguments.rounds, arguments.seconds))
    print(
        f"{arguments.side}x{arguments.side}, batches of {arguments.batch}, one thread, "
        f"{arguments.device}, {arguments.rounds} rounds: median [min, max]"
    )
    for name, figures in result.items():
        print(name)
        for key, values in figures.items():
            print(f"  {key:28}" + "{median:12,.1f} [{min:,.1f}, {max:,.1f}]".format(**values))
    text = json.dumps({"settings": vars(arguments) | {"json": None}, "pipelines": result})
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
