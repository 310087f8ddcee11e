"""Where a step's time goes on one CPU core, against what the core can compute.

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python -m benchmarks.step_profile

The bound is the fastest of some products of large fp32 matrices in the same setting. Operations of
a step are counted as they run (`torch.utils.flop_counter`): backward passes of frozen stages and
weights that only meet padding are not in them. Images are those of ``benchmarks/gpu_data.py``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from deepsight.config import Value, trial_config
from deepsight.hardware import EVALUATION_BATCH, choose_hardware
from deepsight.training.epoch import (
    Learner,
    draw_streams,
    evaluate,
    prepare,
    training_batch,
    update,
)
from deepsight.training.process_settings import process_settings
from deepsight.training.trial import build_learner

FIXED: dict[str, Value] = {
    "data.name": "benchmarks.gpu_data:cifar_shaped",
    "data.size": 5000,
    "model.weights": "none",
    "hardware.device": "cpu",
}
TRIALS: dict[str, dict[str, Value]] = {
    "scratch CNN, batch 64": {"model.name": "scratch_cnn"},
    "ResNet18, batch 64": {"model.name": "resnet18"},
    "ResNet18, half frozen, batch 64": {"model.name": "resnet18", "model.freeze_fraction": 0.5},
}
SIDE = 1536
"""Of the matrices: three of them are 28 MB, more than the caches of a core."""
UPDATES = 20
"""Timed together."""
LARGEST = 7
"""Operations that are named."""
EVALUATION = (64, 128, 256, 512, 1024)
"""Batch sizes of validation that are tried."""


def best_gflops(rounds: int) -> float:
    """The bound: GFLOP/s of a product of matrices."""
    left, right = torch.randn(2, SIDE, SIDE)
    out = torch.empty(SIDE, SIDE)
    torch.mm(left, right, out=out)
    times = [timed(lambda: torch.mm(left, right, out=out)) for _ in range(3 * rounds)]
    return 2 * SIDE**3 / min(times) / 1e9


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def profile(flat: Mapping[str, Value], precision: str, rounds: int) -> dict[str, list[float]]:
    """Figures of one trial by name, a number a round."""
    config = trial_config(FIXED | {"hardware.precision": precision} | flat)
    config = dataclasses.replace(config, hardware=choose_hardware(config.hardware, 1))
    with process_settings(config.hardware):
        learner = build_learner(config)
        prepare(learner, 1)
        size, streams = config.optim.batch_size, draw_streams(0, 1)
        batches = torch.arange(size * UPDATES).split(size)
        inputs = [training_batch(learner, batch, streams) for batch in batches]
        with FlopCounterMode(display=False) as counter:
            update(learner, inputs[:1], 0)
        flops = counter.get_total_flops() / size
        found: dict[str, list[float]] = {"images_per_s": [], "batch_share": [], "gflops": []}
        for _ in range(rounds):
            making = timed(lambda: [training_batch(learner, b, streams) for b in batches])
            training = timed(lambda: [update(learner, [one], 1) for one in inputs])
            found["images_per_s"].append(size * UPDATES / (making + training))
            found["batch_share"].append(making / (making + training))
            found["gflops"].append(flops * size * UPDATES / training / 1e9)
        shares = operations(lambda: [update(learner, [one], 1) for one in inputs[:5]])
        return found | {"mflop": [flops / 1e6]} | shares | evaluation(learner, rounds)


def operations(work: Callable[[], object]) -> dict[str, list[float]]:
    """Shares of the time of the operations that take most of it, as torch's profiler counts."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        work()
    times = {e.key: e.self_cpu_time_total for e in profiler.key_averages()}
    total = sum(times.values())
    largest = sorted(times, key=lambda name: -times[name])[:LARGEST]
    return {f"share of {name}": [times[name] / total] for name in largest}


def evaluation(learner: Learner, rounds: int) -> dict[str, list[float]]:
    """Validated images per second, by the size of a step."""
    found: dict[str, list[float]] = {f"validation at {size}": [] for size in EVALUATION}
    usual = EVALUATION_BATCH["cpu"]
    for _ in range(rounds):
        for size in EVALUATION:
            EVALUATION_BATCH["cpu"] = size
            seconds = timed(lambda: evaluate(learner))
            found[f"validation at {size}"].append(len(learner.val) / seconds)
    EVALUATION_BATCH["cpu"] = usual
    return found


def spread(values: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    torch.set_num_threads(1)
    bound = best_gflops(flags.rounds)
    result: dict[str, object] = {"cpu": torch.backends.cpu.get_cpu_capability(), "gflops": bound}
    sys.stdout.write(f"{result['cpu']}: {bound:.1f} GFLOP/s in a product of matrices\n")
    for name, flat in TRIALS.items():
        found = profile(flat, flags.precision, flags.rounds)
        found["share_of_bound"] = [value / bound for value in found["gflops"]]
        result[name] = found
        figures = "".join(f"  {what}: {spread(values)}\n" for what, values in found.items())
        sys.stdout.write(f"{name}, n = {flags.rounds}\n{figures}")
    if flags.json is not None:
        flags.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
