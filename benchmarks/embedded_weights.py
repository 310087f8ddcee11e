"""Fine-tuning from embedded weights against random ones: ``python benchmarks/embedded_weights.py``.

Trains the same network on `toy_objects` from both starts at equal epochs, over several seeds (of
weights, order and augmentation; the split stays), prints a table and writes JSON. Everything but
the starting weights is `deepsight.config`'s default.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import time
from pathlib import Path

from deepsight.config import trial_config
from deepsight.models.weights import require_weights
from deepsight.training.trial import train_trial

STARTS = ("embedded", "none")


def val_accuracy(model: str, start: str, epochs: int, seed: int) -> float:
    """Validation accuracy after the last epoch."""
    config = trial_config(
        {
            "model.name": model,
            "model.weights": start,
            "train.epochs": epochs,
            "train.seed": seed,
        }
    )
    for result in train_trial(config):
        accuracy = result.metrics["val_accuracy"]
    return float(accuracy)


def spread(values: list[float]) -> float:
    """Standard deviation of a sample; 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--epochs", type=int, nargs="+", default=[3, 9])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("embedded_weights.json"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    began = time.monotonic()
    require_weights(trial_config({"model.name": args.model, "model.weights": "embedded"}))
    made_s = time.monotonic() - began
    accuracies: dict[int, dict[str, list[float]]] = {}
    print(f"{args.model} on toy_objects, val accuracy, {args.seeds} seeds: mean +- deviation")
    print(f"{'epochs':>6}  " + "  ".join(f"{start:>15}" for start in STARTS) + "      gain")
    for epochs in args.epochs:
        found: dict[str, list[float]] = {start: [] for start in STARTS}
        for seed in range(args.seeds):  # alternating, so that both see the same machine
            for start in STARTS:
                found[start].append(val_accuracy(args.model, start, epochs, seed))
        accuracies[epochs] = found
        cells = [f"{statistics.mean(v):.3f} +- {spread(v):.3f}" for v in found.values()]
        gain = statistics.mean(found["embedded"]) - statistics.mean(found["none"])
        print(f"{epochs:>6}  {cells[0]:>15}  {cells[1]:>15}  {gain:+8.3f}", flush=True)

    stored = {"model": args.model, "weights_s": made_s, "val_accuracy": accuracies}
    args.json.write_text(json.dumps(stored, indent=2) + "\n")


if __name__ == "__main__":
    main()
