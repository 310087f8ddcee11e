"""How long large studies take to load and to report, and how much memory that needs.

    python -m benchmarks.report_scale [--trials 1000 10000 --epochs 20 --rounds 3 --out FILE]
                                      [--names 50] [--values 500]

Studies are written by a formula over ten hyperparameters, one conditional, two of them without
effect; every trial but those that a rung stopped (``--stopped``, a share) trains all epochs. Each
step runs in a process of its own, which says its time, the processor's time, which others on the
machine do not lengthen, and the most memory it held; a process that it starts counts, too.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from deepsight.space import (
    INACTIVE,
    Domain,
    choice,
    loguniform,
    randint,
    sample,
    to_json,
    uniform,
    when,
)

SPACE: dict[str, Domain] = {
    "optim.name": choice("adamw", "sgd"),
    "optim.lr": loguniform(1e-4, 1.0),
    "optim.momentum": when("optim.name", "sgd", uniform(0.5, 0.99)),
    "optim.weight_decay": loguniform(1e-6, 1e-1),
    "optim.batch_size": choice(32, 64, 128, 256),
    "model.depth": randint(2, 8),
    "model.dropout": uniform(0.0, 0.6),
    "augment.strength": uniform(0.0, 1.0),
    "user.idle": uniform(0.0, 1.0),
    "user.name": choice("red", "green", "blue"),
}
STEPS = {
    "load": "from deepsight.run_store import load_study; load_study(path)",
    "load and tables": "from deepsight.run_store import load_study; s = load_study(path); "
    "s.trials; s.epochs",
    "report": "from analysis.report.cli import main; assert main([path]) == 0",
}
PROBE = """
import json, resource, sys, time
path = sys.argv[1]
began = time.perf_counter()
{step}
wall = time.perf_counter() - began
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({{"seconds": wall, "cpu_s": sum(u.ru_utime + u.ru_stime for u in used),
                   "mib": sum(u.ru_maxrss for u in used) / 1024}}))
"""


def score(config: dict[str, Any], share: float, rng: random.Random) -> float:
    """An accuracy after this share of the budget."""
    off = math.log10(config["optim.lr"]) + 2.2 + 0.4 * (config["optim.name"] == "sgd")
    final = 0.92 - 0.06 * off**2 - 0.1 * (config["model.dropout"] - 0.2) ** 2
    final -= 0.002 * (config["model.depth"] - 5) ** 2
    risen = 1 - math.exp(-share / (0.1 + 0.2 * config["augment.strength"]))
    return min(1.0, max(0.1, final) * risen + rng.gauss(0.0, 0.004))


def space_of(names: int, values: int) -> dict[str, Domain]:
    """`SPACE` with more hyperparameters without effect, and with a choice of so many values."""
    more: dict[str, Domain] = {f"user.x{i:03d}": uniform(0.0, 1.0) for i in range(names)}
    return SPACE | more | ({"user.values": choice(*range(values))} if values else {})


def write(
    directory: Path, trials: int, epochs: int, stopped: float, names: int = 0, values: int = 0
) -> None:
    """A study's three files, without the writer's fsync a line."""
    space = space_of(names, values)
    rng = random.Random(0)
    rungs = [r for r in (1, 3, 9, 27) if r < epochs] + [epochs]
    header = {
        "schema_version": 1,
        "name": f"{trials} trials",
        "metric": "val_accuracy",
        "mode": "max",
        "max_epochs": epochs,
        "rungs": rungs,
        "reduction_factor": 3,
        "scheduler": "asha_stop",
        "fixed": {},
        "space": to_json(space),
        "trials": trials,
        "data": {"counts": {"val": {"a": 2500, "b": 2500}}},
    }
    directory.mkdir(parents=True)
    (directory / "study.json").write_text(json.dumps(header))
    clock = 1.75e9
    with (
        (directory / "trials.jsonl").open("w") as events,
        (directory / "results.jsonl").open("w") as results,
    ):
        for number in range(trials):
            name, explorer = f"t{number:04d}", number % 5 == 4
            drawn = sample(space, {}, rng)
            config = {name: value for name, value in drawn.items() if value is not INACTIVE}
            cut = not explorer and rng.random() < stopped
            last = rng.choice(rungs[:-1]) if cut else epochs
            started = {
                "trial_id": name,
                "event": "started",
                "time": clock,
                "config": config,
                "explorer": explorer,
                "budget": epochs,
            }
            events.write(json.dumps(started) + "\n")
            for epoch in range(1, last + 1):
                clock += 1.0
                row = _row(name, epoch, clock, round(score(config, epoch / epochs, rng), 4))
                results.write(json.dumps(row) + "\n")
            state = "stopped" if cut else "completed"
            ended = {"trial_id": name, "event": "ended", "time": clock, "state": state}
            events.write(json.dumps(ended) + "\n")


def _row(name: str, epoch: int, clock: float, accuracy: float) -> dict[str, object]:
    """A line of ``results.jsonl``."""
    return {
        "trial_id": name,
        "epoch": epoch,
        "time": clock,
        "wall_s": 1.0,
        "busy_s": 0.9,
        "train_loss": 2 - accuracy,
        "val_loss": 2 - accuracy,
        "val_accuracy": accuracy,
        "val_macro_f1": accuracy,
        "val_recall": [accuracy] * 10,
        "val_ece": 0.05,
        "lr": 0.01,
        "images_per_s": 700.0,
    }


def measure(step: str, directory: Path) -> dict[str, float]:
    """Seconds and memory of one step in a fresh process, imports included."""
    command = [sys.executable, "-c", PROBE.format(step=STEPS[step]), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    """Parse the flags, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--stopped", type=float, default=0.0, help="share of trials stopped early")
    parser.add_argument("--names", type=int, default=0, help="hyperparameters beside the ten")
    parser.add_argument("--values", type=int, default=0, help="values of a choice beside them")
    parser.add_argument("--most", type=int, default=1000, help="trials of the largest report")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write JSON here")
    arguments = parser.parse_args()
    found = []
    print(f"{'trials':>7} {'rows':>8}  {'step':<16} {'seconds':>8} {'CPU s':>7} {'MiB':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for trials in arguments.trials:
            directory = Path(folder) / str(trials)
            extra = arguments.names, arguments.values
            write(directory, trials, arguments.epochs, arguments.stopped, *extra)
            rows = (directory / "results.jsonl").read_bytes().count(b"\n")
            for step in [s for s in STEPS if s != "report" or trials <= arguments.most]:
                for _ in range(arguments.rounds):
                    used = measure(step, directory)
                    found.append({"trials": trials, "rows": rows, "step": step} | used)
                    print(
                        f"{trials:7} {rows:8}  {step:<16} {used['seconds']:8.2f} "
                        f"{used['cpu_s']:7.2f} {used['mib']:6.0f}",
                        flush=True,
                    )
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
