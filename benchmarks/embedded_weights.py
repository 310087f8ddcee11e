"""Fine-tuning from embedded weights and other starts: ``python benchmarks/embedded_weights.py``.

Trains the same network from each start at equal epochs, over several seeds (of head, order and
augmentation; the split stays). Everything but the starting weights is `deepsight.config`'s default.
Prints a table of accuracies and of differences from the first start, paired by seed, and after how
many epochs the first start is as good as the others at their end. Every run goes to the JSON file
at once; what is there already is not run again.

    python benchmarks/embedded_weights.py --starts embedded none some/weights.pt --seeds 5
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import sys
import time
from pathlib import Path

from scipy import stats

from deepsight.config import trial_config
from deepsight.models.weights import require_weights
from deepsight.training.trial import train_trial

Runs = dict[str, list[float]]
"""Validation accuracy after each epoch, by ``data/epochs/start/seed``."""


def key(data: str, epochs: int, start: str, seed: int) -> str:
    """The name of one run in the JSON file."""
    return f"{data}/{epochs}/{Path(start).stem}/{seed}"


def val_accuracies(model: str, data: str, epochs: int, start: str, seed: int) -> list[float]:
    """Validation accuracy after each epoch."""
    config = trial_config(
        {
            "model.name": model,
            "model.weights": start,
            "data.name": data,
            "train.epochs": epochs,
            "train.seed": seed,
        }
    )
    return [float(result.metrics["val_accuracy"]) for result in train_trial(config)]


def mean_and_deviation(values: list[float]) -> str:
    """In per cent; no deviation of a single value."""
    text = f"{100 * statistics.mean(values):.1f}"
    return text + (f" +- {100 * statistics.stdev(values):.1f}" if len(values) > 1 else "")


def difference(first: list[float], other: list[float]) -> str:
    """Mean of ``first - other`` over seeds in points, with its 95 % interval by Student's t."""
    gains = [100 * (a - b) for a, b in zip(first, other, strict=True)]
    mean, n = statistics.mean(gains), len(gains)
    if n == 1:
        return f"{mean:+.1f}"
    half = float(stats.t.ppf(0.975, n - 1)) * statistics.stdev(gains) / math.sqrt(n)
    return f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]"


def epochs_to_equal(curves: list[list[float]], ends: list[float]) -> str:
    """Of each seed, the first epoch of `curves` with at least the accuracy in `ends`, if any."""
    firsts = [
        next((str(k) for k, accuracy in enumerate(curve, 1) if accuracy >= end), "never")
        for curve, end in zip(curves, ends, strict=True)
    ]
    return ", ".join(firsts)


def table(runs: Runs, starts: list[str], data: str, epochs: int, seeds: int) -> list[str]:
    """One line a start: accuracy, and what the first start gains over it on the seeds of both."""

    def found(start: str, among: range | list[int]) -> list[int]:
        return [seed for seed in among if key(data, epochs, start, seed) in runs]

    def values(start: str, among: list[int]) -> list[float]:
        return [runs[key(data, epochs, start, seed)][-1] for seed in among]

    lines = []
    for start in starts:
        own = found(start, range(seeds))
        paired = found(starts[0], own)
        if not own:
            continue
        line = f"{data:>12} {epochs:>6}  {Path(start).stem:>16}  n={len(own)}"
        line += f"  {mean_and_deviation(values(start, own)):>14}"
        if start != starts[0] and paired:
            gain = difference(values(starts[0], paired), values(start, paired))
            curves = [runs[key(data, epochs, starts[0], seed)] for seed in paired]
            line += f"  {Path(starts[0]).stem} gains {gain}, n={len(paired)} pairs"
            line += f"; as good after epoch {epochs_to_equal(curves, values(start, paired))}"
        lines.append(line)
    return lines


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--data", nargs="+", default=["toy_objects", "digits"])
    parser.add_argument("--starts", nargs="+", default=["embedded", "none"])
    parser.add_argument("--epochs", type=int, nargs="+", default=[3, 9])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("embedded_weights.json"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    runs: Runs = json.loads(args.json.read_text()) if args.json.exists() else {}
    began = time.monotonic()
    for start in args.starts:
        require_weights(trial_config({"model.name": args.model, "model.weights": start}))
    logging.info("the weights were there after %.1f s", time.monotonic() - began)
    for seed in range(args.seeds):  # seed by seed, so that a run cut short compares all starts
        for data in args.data:
            for epochs in args.epochs:
                for start in args.starts:
                    name = key(data, epochs, start, seed)
                    if name not in runs:
                        runs[name] = val_accuracies(args.model, data, epochs, start, seed)
                        args.json.write_text(json.dumps(runs, indent=1) + "\n")
                        logging.info("%s: %.3f", name, runs[name][-1])
    print(f"{args.model}, val accuracy in %: mean +- deviation over seeds")
    for data in args.data:
        for epochs in args.epochs:
            print("\n".join(table(runs, args.starts, data, epochs, args.seeds)))


if __name__ == "__main__":
    main()
