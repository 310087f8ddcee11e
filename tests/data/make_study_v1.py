"""Write the small finished study of run format version 1 that is checked in for ever.

    python tests/data/make_study_v1.py DIRECTORY

The copy under tests/data/studies/v1/smoke was made by this script when version 1 was new. It is
never made again: later readers must read what was written then. Scores come from a formula, not
from training; every state, an inactive hyperparameter, explorers and nulls are in it.
"""

import random
import sys
from pathlib import Path

from deepsight.run_store import StudyWriter, create_study, trial_id
from deepsight.space import sample
from deepsight.tune.plan import plan_to_json, resolve_study
from search_spaces.smoke import FIXED, SPACE

CREATED = 1_750_000_000.0  # 2025-06-15T15:06:40Z
NUM_TRIALS = 12
EXPLORERS = {4: 3, 9: 9}  # budget in epochs by trial
STOPPED = {2: 1, 3: 3, 6: 1, 10: 3}  # last epoch by trial
DIVERGED, FAILED, BEST = 7, 8, 5

HARDWARE = {
    "device": "cpu",
    "precision": "fp32",
    "memory_format": "channels_last",
    "threads": 1,
}
WISHES = {"study.trials": NUM_TRIALS, "data.name": "digits"}
PLAN = resolve_study(
    "smoke", SPACE, FIXED, WISHES | {f"hardware.{k}": v for k, v in HARDWARE.items()}
)
HEADER = plan_to_json(PLAN) | {
    "created": "2025-06-15T15:06:40+00:00",
    "data": {
        "name": "digits",
        "classes": [str(digit) for digit in range(10)],
        "counts": {
            "train": {str(digit): 108 for digit in range(10)},
            "val": {str(digit): 36 for digit in range(10)},
            "test": {str(digit): 36 for digit in range(10)},
        },
        "image_size": 16,
        "fingerprint": "0" * 64,
        "source": "scikit-learn",
        "dropped": {},
    },
    "resources": {
        "cpus_per_trial": 1.0,
        "gpus_per_trial": 0.0,
        "cpus": 0,
        "max_parallel": 0,
        "local_cpus": 2,
    },
    "device": "cpu",
    "hardware": HARDWARE,
    "git": None,
    "versions": {"deepsight": "0.1.0", "python": "3.11.0", "torch": "2.15.0", "ray": "2.60.0"},
}


def write_trial(writer: StudyWriter, number: int, config: dict, clock: float) -> float:
    """Record one trial that starts at `clock`; returns when it ended."""
    name, budget = trial_id(number), EXPLORERS.get(number, 9)
    writer.started(name, config, number in EXPLORERS, budget, time=clock)
    best = 0.93 - 0.02 * abs(number - BEST)
    for epoch in range(1, STOPPED.get(number, budget) + 1):
        if number == FAILED and epoch == 3:
            writer.ended(name, "failed", "RuntimeError: out of memory", time=clock)
            return clock
        clock += 1.5
        diverged = number == DIVERGED and epoch == 2
        accuracy = None if diverged else round(best * (1 - 0.6**epoch), 4)
        row = {
            "epoch": epoch,
            "time": clock,
            "wall_s": 1.5,
            "busy_s": 1.4,
            "train_loss": float("nan") if diverged else round(2.3 * 0.7**epoch, 4),
            "val_loss": float("inf") if diverged else round(2.3 * 0.75**epoch, 4),
            "val_accuracy": accuracy,
            "val_macro_f1": accuracy,
            "val_recall": [accuracy] * 10,
            "val_ece": None if diverged else 0.05,
            "lr": round(0.001 / epoch, 6),
            "images_per_s": 720.0,
        }
        writer.result(name, row)
        if diverged:
            writer.ended(name, "diverged", time=clock)
            return clock
    writer.ended(name, "stopped" if number in STOPPED else "completed", time=clock)
    return clock


def main(directory: Path) -> None:
    """Write the study to `directory`, which must not exist."""
    rng = random.Random(0)
    clock = CREATED + 5
    with create_study(directory, HEADER) as writer:
        for number in range(NUM_TRIALS):
            config = sample(SPACE, FIXED, rng) if number else PLAN.default_config()
            clock = write_trial(writer, number, config, clock)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
