"""How long adopting takes, and how much memory: experiment folders of Ray Tune of many trials.

    python -m benchmarks.adopt_speed [--trials 1000 10000] [--epochs 27]

Folders as Ray Tune writes them (``params.json``, ``result.json``, a state file) are made first; of
the trials a quarter goes on at each of the rungs 1, 4 and 16. Each is adopted in a process of its
own, whose CPU time, wall time and largest memory are printed, and read again.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from analysis.adopt.command import adopt_source, write_adopted
from analysis.adopt.found import Wanted
from deepsight.run_store import load_study

RUNGS = (1, 4, 16)


def write_experiment(root: Path, trials: int, epochs: int) -> int:
    """Write a folder of `trials` trials; returns the number of results."""
    rng, results, told = random.Random(0), 0, []
    for number in range(trials):
        name = f"train_ab12c_{number:05d}_{number}_lr=0.1_2026-11-26_10-00-00"
        folder = root / name
        folder.mkdir(parents=True)
        config = {
            "optim": {"lr": 10 ** rng.uniform(-4, 0), "weight_decay": 10 ** rng.uniform(-6, -2)},
            "width": rng.choice([32, 64, 128]),
            "dropout": rng.random(),
            "kind": rng.choice(["a", "b"]),
        }
        (folder / "params.json").write_text(json.dumps(config))
        last = next((rung for rung in RUNGS if rung < epochs and rng.random() > 0.25), epochs)
        lines = [_line(number, e, e == last, config, rng) for e in range(1, last + 1)]
        (folder / "result.json").write_text("".join(lines))
        results += last
        told.append([json.dumps({"status": "TERMINATED", "relative_logdir": name}), "{}"])
    state = {"trial_data": told, "runner_data": {"_metric": "accuracy"}}
    (root / "experiment_state-2026-11-26_10-00-00.json").write_text(json.dumps(state))
    return results


def _line(
    number: int, epoch: int, done: bool, config: dict[str, object], rng: random.Random
) -> str:
    """A result with everything that Ray adds to it."""
    own = {
        "accuracy": 0.9 - 0.5 / epoch + 0.05 * rng.random(),
        "loss": 1 / epoch,
        "val_loss": 1.2 / epoch,
        "timestamp": 1_700_000_000 + number + epoch,
        "checkpoint_dir_name": None,
        "done": done,
        "training_iteration": epoch,
        "trial_id": f"ab12c_{number:05d}",
        "date": "2026-11-26_10-00-00",
        "time_this_iter_s": 1.0,
        "time_total_s": float(epoch),
        "pid": 1,
        "hostname": "here",
        "node_ip": "127.0.0.1",
        "config": config,
        "time_since_restore": float(epoch),
        "iterations_since_restore": epoch,
    }
    return json.dumps(own) + "\n"


def adopt(source: Path, directory: Path) -> None:
    """Adopt and print the figures of this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    adopted = adopt_source(str(source), Wanted(mode="max"))
    read = time.process_time() - cpu
    write_adopted(adopted, str(source), directory)
    print(
        f"{len(adopted.records):,} trials | {sum(len(r.rows) for r in adopted.records):,} results "
        f"| {time.process_time() - cpu:.1f} s of CPU ({read:.1f} s to read and work out) "
        f"| {time.perf_counter() - wall:.1f} s "
        f"| {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most "
        f"({before / 1024:.0f} before)",
        flush=True,
    )


def main() -> None:
    """Make the folders, and adopt each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.source:
        adopt(args.source, args.source.with_name("study"))
        return
    for trials in args.trials:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "experiment"
            results = write_experiment(source, trials, args.epochs)
            command = [sys.executable, "-m", "benchmarks.adopt_speed", "--source", str(source)]
            subprocess.run(command, check=True)
            study = load_study(Path(folder) / "study")
            assert sum(len(r.rows) for r in study.records) == results


if __name__ == "__main__":
    main()
