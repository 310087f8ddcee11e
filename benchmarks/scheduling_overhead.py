"""What scheduling costs: trials that only sleep, ours against Ray Tune as shipped.

    python benchmarks/scheduling_overhead.py [--trials 100 --seconds 1 --slots 2 --rounds 3]
    python benchmarks/scheduling_overhead.py --flat 1000

Both sides run in fresh processes, one after the other, and are timed from the start of the process
to its end. A trial is one epoch of sleep; the work is ``trials * seconds / slots`` and all else is
overhead. The peer is Ray's Tuner with OptunaSearch and ASHAScheduler, defaults otherwise; its
trainable imports torch, as ours does to save checkpoints. ``--flat`` runs trivial trials and
watches memory and open files of the driver.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def sleeps(config: Mapping[str, Any], state: Mapping[str, Any] | None) -> Iterator[Any]:
    """A trainable of one epoch, which sleeps."""
    if config["user.seconds"]:
        time.sleep(config["user.seconds"])
    yield {"score": config["x"]}, {"epoch": 1}


def ours(trials: int, seconds: float, slots: int, folder: str) -> None:
    """A study of `sleeps`."""
    from deepsight.space import uniform
    from deepsight.tune.driver import run_study
    from deepsight.tune.study import resolve_study

    plan = resolve_study("overhead", {"x": uniform(0.0, 1.0)}, {
        "study.trainable": "benchmarks.scheduling_overhead:sleeps", "study.metric": "score",
        "study.max_epochs": 1, "study.trials": trials, "resources.cpus": slots,
        "user.seconds": seconds,
    })  # fmt: skip
    outcome = run_study(plan, Path(folder) / "study")
    assert outcome.progress is not None
    assert outcome.progress.ended["completed"] == trials


def peer(trials: int, seconds: float, slots: int, folder: str) -> None:
    """The same with Ray's own searcher and scheduler."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def train(config: dict[str, float]) -> None:
        import torch

        assert torch
        time.sleep(seconds)
        tune.report({"score": config["x"]})

    ray.init(num_cpus=slots)
    tuner = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0.0, 1.0)},
        tune_config=tune.TuneConfig(
            metric="score", mode="max", num_samples=trials,
            search_alg=OptunaSearch(), scheduler=ASHAScheduler(),
        ),
        run_config=tune.RunConfig(storage_path=folder, name="peer"),
    )  # fmt: skip
    assert len(tuner.fit()) == trials


SIDES = {"ours": ours, "peer": peer}


def timed(side: str, trials: int, seconds: float, slots: int) -> float:
    """Seconds of a fresh process of one side."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "benchmarks.scheduling_overhead", "--side", side, "--trials",
             str(trials), "--seconds", str(seconds), "--slots", str(slots), "--folder", folder],
            check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return time.monotonic() - began


def compare(trials: int, seconds: float, slots: int, rounds: int) -> dict[str, Any]:
    """Overhead of both sides, taking turns."""
    work = trials * seconds / slots
    walls: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(rounds):
        for side in list(SIDES)[:: 1 if number % 2 == 0 else -1]:
            walls[side].append(timed(side, trials, seconds, slots))
    result: dict[str, Any] = {"work_s": work, "trials": trials, "slots": slots, "rounds": rounds}
    for side, seconds_each in walls.items():
        over = [wall - work for wall in seconds_each]
        shares = [o / wall for o, wall in zip(over, seconds_each, strict=True)]
        result[side] = {"wall_s": seconds_each, "overhead_s": statistics.median(over),
                        "overhead_share": statistics.median(shares)}  # fmt: skip
    pairs = zip(walls["ours"], walls["peer"], strict=True)
    result["ratio"] = statistics.median((a - work) / (b - work) for a, b in pairs)
    return result


def flat(trials: int, slots: int) -> dict[str, Any]:
    """Memory and open files of the driver while it runs trivial trials."""
    import psutil

    samples: list[tuple[int, float, int]] = []
    done = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study" / "results.jsonl"

        def watch() -> None:
            own = psutil.Process()
            while not done.wait(0.5):
                ended = path.read_bytes().count(b"\n") if path.exists() else 0
                if not samples or ended >= samples[-1][0] + trials // 20:
                    samples.append((ended, own.memory_info().rss / 2**20, own.num_fds()))

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.monotonic()
        try:
            ours(trials, 0.0, slots, folder)
        finally:
            done.set()
            watcher.join()
        wall = time.monotonic() - began
    later = [s for s in samples if s[0] >= trials // 5]
    return {
        "trials": trials, "wall_s": wall, "samples": samples,
        "mib_per_1000_trials": statistics.linear_regression(*zip(*[s[:2] for s in later],
                                                                 strict=True)).slope * 1000,
        "open_files": [min(s[2] for s in later), max(s[2] for s in later)],
    }  # fmt: skip


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flat", type=int, default=0, metavar="TRIALS")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--folder", default="")
    parser.add_argument("--out", type=Path)
    flags = parser.parse_args()
    if flags.side:
        SIDES[flags.side](flags.trials, flags.seconds, flags.slots, flags.folder)
        return
    if flags.flat:
        os.environ["PYTHONPATH"] = str(ROOT)
        result = flat(flags.flat, flags.slots)
        for ended, mib, files in result["samples"]:
            print(f"{ended:6} trials {mib:8.1f} MiB {files:4} open files")
        print(f"{result['mib_per_1000_trials']:.1f} MiB per 1,000 trials")
    else:
        result = compare(flags.trials, flags.seconds, flags.slots, flags.rounds)
        for side in SIDES:
            r = result[side]
            print(f"{side:5} wall {', '.join(f'{w:.1f}' for w in r['wall_s'])} s, overhead "
                  f"{r['overhead_s']:.1f} s = {r['overhead_share']:.1%}")  # fmt: skip
        print(f"ours / peer, overhead seconds: {result['ratio']:.2f}")
    if flags.out:
        flags.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
