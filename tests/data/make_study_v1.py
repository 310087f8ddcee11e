"""Write the small finished study of run format version 1 that is checked in for ever.

    python tests/data/make_study_v1.py DIRECTORY

The copy under tests/data/studies/v1/smoke was made by this script when version 1 was new. It is
never made again: later readers must read what was written then. Scores come from a formula, not
from training; every state, an inactive hyperparameter, an explorer and a null are in it.
"""

import random
import sys
from pathlib import Path

from deepsight.config import DEFAULTS
from deepsight.run_store import StudyWriter, create_study, trial_id
from deepsight.space import default_point, sample, to_json
from search_spaces.smoke import FIXED, SPACE

CREATED = 1_750_000_000.0
RUNGS = (1, 3, 9)
NUM_TRIALS = 12
EXPLORERS = {3: 3, 7: 9}  # budget in epochs by trial
STOPPED = {2: 1, 5: 3, 6: 1, 10: 3}  # last epoch by trial
DIVERGED, FAILED = 8, 9

HEADER = {
    "name": "smoke",
    "created": CREATED,
    "metric": "val_accuracy",
    "mode": "max",
    "target": 0.65,
    "trials": NUM_TRIALS,
    "max_epochs": 9,
    "rungs": RUNGS,
    "reduction_factor": 3,
    "searcher": "tpe",
    "scheduler": "asha_stop",
    "explore": 0.2,
    "fixed": {name: v for name, v in (DEFAULTS | FIXED).items() if name not in SPACE},
    "space": to_json(SPACE),
    "data": {
        "name": "digits",
        "source": "scikit-learn",
        "classes": [str(digit) for digit in range(10)],
        "counts": {"train": 1079, "val": 359, "test": 359},
        "fingerprint": "0" * 64,
    },
    "seeds": {"study": 0},
    "resources": {"cpus": 2, "gpus": 0, "cpus_per_trial": 1.0, "max_parallel": 2},
    "device": "cpu",
    "hardware": {
        "device": "cpu", "precision": "fp32", "memory_format": "channels_last", "threads": 1,
    },
    "git": {"commit": None, "dirty": None},
    "versions": {"deepsight": "0.1.0", "python": "3.11"},
}  # fmt: skip


def write_trial(writer: StudyWriter, number: int, config: dict, clock: float) -> float:
    """Record one trial that starts at `clock`; returns when it ended."""
    name, budget = trial_id(number), EXPLORERS.get(number, 9)
    writer.started(name, config, number in EXPLORERS, budget, time=clock)
    best = 0.93 - 0.02 * abs(number - 4)
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
            drawn = sample(SPACE, FIXED, rng)
            config = drawn if number else default_point(SPACE, FIXED, DEFAULTS)
            clock = write_trial(writer, number, config, clock)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
