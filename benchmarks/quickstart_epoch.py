"""Processor seconds that an epoch of the quickstart takes, by share frozen, on one thread.

    python -m benchmarks.quickstart_epoch [--precision bf16] [--epochs 2]

Processor time and not wall time: it says little less where other work runs. Hide the units for bf16
by ``ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2``.
"""

from __future__ import annotations

import argparse
import itertools
import time

from deepsight.config import trial_config
from deepsight.training.trial import train_trial

SHARES = (0.0, 0.5, 1.0)


def main() -> None:
    """Train a few epochs for each share frozen; defaults otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    for share in SHARES:
        config = trial_config(
            {
                "model.name": "resnet18",
                "model.freeze_fraction": share,
                "data.size": 2000,
                "train.epochs": max(args.epochs, 3),
                "hardware.precision": args.precision,
                "hardware.device": "cpu",
                "hardware.memory_format": "channels_last",
                "hardware.threads": 1,
            }
        )
        last = time.process_time()
        for result in itertools.islice(train_trial(config), args.epochs):
            now = time.process_time()
            score = result.metrics["val_accuracy"]
            print(f"frozen {share}: {now - last:.2f} s, val_accuracy {score:.3f}", flush=True)
            last = now


if __name__ == "__main__":
    main()
