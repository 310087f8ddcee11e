"""What scheduling costs: trials that only sleep, ours against Ray Tune as shipped.

    python benchmarks/scheduling_overhead.py [--trials 100 --seconds 1 --slots 2 --pairs 3]
    python benchmarks/scheduling_overhead.py --flat 1000 --flat-peer 100

Both sides run in fresh processes, one after the other, and are timed from the start of the process
to its end. A trial is one epoch of sleep; the work is ``trials * seconds / slots`` and all else is
overhead: of the whole process, and of the time between the first sleep's start and the last one's
end. The peer is Ray's Tuner with OptunaSearch and ASHAScheduler, defaults otherwise; its trainable
imports torch, as ours does to save checkpoints. ``--flat`` runs trivial trials and watches memory
and open files of the driver.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SLEEPS, ERRORS = "sleeps.txt", "output.txt"
SAMPLE_S = 0.5
"""Between two looks at the driver's memory."""
SETTLED = 0.2
"""Share of the trials after which a driver's memory is expected to be flat."""


@dataclass(frozen=True)
class Task:
    """What either side has to do."""

    trials: int
    seconds: float
    slots: int
    folder: str

    @property
    def work_s(self) -> float:
        """Wall time if scheduling cost nothing."""
        return self.trials * self.seconds / self.slots


def nap(seconds: float, folder: str) -> None:
    """Sleep and leave a note of when, for both sides alike."""
    began = time.time()
    if seconds:
        time.sleep(seconds)
    with (Path(folder) / SLEEPS).open("a") as file:
        file.write(f"{began} {time.time()}\n")


def sleeps(config: Mapping[str, Any], state: Mapping[str, Any] | None) -> Iterator[Any]:
    """A trainable of one epoch, which sleeps."""
    nap(config["user.seconds"], config["user.folder"])
    yield {"score": config["x"]}, {"epoch": 1}


def ours(task: Task) -> None:
    """A study of `sleeps`."""
    from deepsight.space import uniform
    from deepsight.tune.driver import run_study
    from deepsight.tune.plan import resolve_study

    plan = resolve_study(
        "overhead",
        {"x": uniform(0.0, 1.0)},
        {
            "study.trainable": "benchmarks.scheduling_overhead:sleeps",
            "study.metric": "score",
            "study.max_epochs": 1,
            "study.trials": task.trials,
            "resources.cpus": task.slots,
            "user.seconds": task.seconds,
            "user.folder": task.folder,
        },
    )
    outcome = run_study(plan, Path(task.folder) / "study")
    assert outcome.progress is not None
    assert outcome.progress.ended["completed"] == task.trials


def peer(task: Task) -> None:
    """The same with Ray's own searcher and scheduler."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def train(config: dict[str, float]) -> None:
        import torch

        assert torch
        nap(task.seconds, task.folder)
        tune.report({"score": config["x"]})

    ray.init(address="local", num_cpus=task.slots)  # never somebody else's that runs already
    tuner = tune.Tuner(
        train,
        param_space={"x": tune.uniform(0.0, 1.0)},
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=task.trials,
            search_alg=OptunaSearch(),
            scheduler=ASHAScheduler(),
        ),
        run_config=tune.RunConfig(storage_path=task.folder, name="peer"),
    )
    assert len(tuner.fit()) == task.trials


SIDES = {"ours": ours, "peer": peer}


def start(side: str, task: Task) -> subprocess.Popen[bytes]:
    """A fresh process of one side."""
    errors = (Path(task.folder) / ERRORS).open("wb")
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "benchmarks.scheduling_overhead",
            "--side",
            side,
            "--trials",
            str(task.trials),
            "--seconds",
            str(task.seconds),
            "--slots",
            str(task.slots),
            "--folder",
            task.folder,
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=errors,
        stderr=errors,
    )


def noted(folder: str) -> list[tuple[float, float]]:
    """When the trials slept that are through."""
    path = Path(folder) / SLEEPS
    lines = path.read_text().splitlines() if path.exists() else []
    return [(float(began), float(ended)) for began, ended in map(str.split, lines)]


def require_success(process: subprocess.Popen[bytes], folder: str) -> None:
    """Refuse figures of a run that failed."""
    if process.wait():
        said = (Path(folder) / ERRORS).read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{process.args} ended with {process.returncode}: {said}")


def timed(side: str, trials: int, seconds: float, slots: int) -> dict[str, float]:
    """Seconds of a fresh process of one side, and where they went."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        require_success(start(side, Task(trials, seconds, slots, folder)), folder)
        ended, naps = time.time(), noted(folder)
        assert len(naps) == trials, f"{len(naps)} of {trials} trials slept"
        first, last = min(n[0] for n in naps), max(n[1] for n in naps)
    return {
        "wall_s": ended - began,
        "start_s": first - began,
        "search_s": last - first,
        "end_s": ended - last,
    }


def pair(task: Task, number: int) -> dict[str, dict[str, float]]:
    """Both sides once; with every pair they take turns at going first."""
    sides = list(SIDES)[:: 1 if number % 2 == 0 else -1]
    return {side: timed(side, task.trials, task.seconds, task.slots) for side in sides}


def compare(pairs: Sequence[Mapping[str, Mapping[str, float]]], work_s: float) -> dict[str, Any]:
    """Overhead of both sides, pair by pair."""
    result: dict[str, Any] = {
        side: summed([runs[side] for runs in pairs], work_s) for side in SIDES
    }
    both = zip(result["ours"]["overhead_s"], result["peer"]["overhead_s"], strict=True)
    return result | {"work_s": work_s, "ratio": [a / b for a, b in both]}


def summed(runs: Sequence[Mapping[str, float]], work_s: float) -> dict[str, list[float]]:
    """Overheads of one side's runs."""
    columns = {name: [run[name] for run in runs] for name in runs[0]}
    return columns | {
        "overhead_s": [run["wall_s"] - work_s for run in runs],
        "overhead_share": [1 - work_s / run["wall_s"] for run in runs],
        "search_overhead_share": [1 - work_s / run["search_s"] for run in runs],
    }


def flat(side: str, trials: int, slots: int) -> dict[str, Any]:
    """Memory and open files of a driver while it runs trivial trials."""
    import psutil

    samples: list[tuple[int, float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = start(side, Task(trials, 0.0, slots, folder))
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(SAMPLE_S)
            done = len(noted(folder))
            try:
                seen = driver.memory_info().rss / 2**20, driver.num_fds()
            except psutil.Error:
                break
            if seen[0]:  # nothing is left of a process that has ended
                samples.append((done, *seen))
        require_success(process, folder)
        wall = time.monotonic() - began
    later = [s for s in samples if trials * SETTLED <= s[0] < trials]
    return {
        "side": side,
        "trials": trials,
        "wall_s": wall,
        "samples": samples,
        "mib_per_1000_trials": [1000 * v for v in slope([(s[0], s[1]) for s in later])],
        "files_per_1000_trials": [1000 * v for v in slope([(s[0], s[2]) for s in later])],
    }


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Least squares through `points`: the slope, and the half width of its 95 % interval."""
    x, y = zip(*points, strict=True)
    fit = statistics.linear_regression(x, y)
    rest = sum((b - fit.intercept - fit.slope * a) ** 2 for a, b in points)
    middle = statistics.fmean(x)
    spread = sum((a - middle) ** 2 for a in x)
    return fit.slope, 1.96 * math.sqrt(rest / (len(points) - 2) / spread)


def spread(values: Sequence[float], form: str) -> str:
    """Median and range."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):{form}} ({low:{form}} to {high:{form}})"


def show(result: Mapping[str, Any]) -> None:
    """Print what `compare` found."""
    print(f"work {result['work_s']:g} s, n = {len(result['ratio'])} pairs: median (range)")
    for name, form in (
        ("wall_s", ".1f"),
        ("start_s", ".1f"),
        ("search_s", ".1f"),
        ("end_s", ".1f"),
        ("overhead_s", ".1f"),
        ("overhead_share", ".1%"),
        ("search_overhead_share", ".1%"),
    ):
        print(f"{name:22}", *(f"{side} {spread(result[side][name], form):28}" for side in SIDES))
    print("ours / peer, overhead seconds:", spread(result["ratio"], ".3f"))


def show_flat(result: Mapping[str, Any]) -> None:
    """Print what `flat` found."""
    samples = result["samples"]
    for ended, mib, files in samples[:: max(1, len(samples) // 20)]:
        print(f"{ended:6} trials {mib:8.1f} MiB {files:4} open files")
    memory, files = result["mib_per_1000_trials"], result["files_per_1000_trials"]
    print(
        f"{result['side']}: {result['trials']} trials in {result['wall_s']:.0f} s; "
        f"{memory[0]:.1f} +- {memory[1]:.1f} MiB and {files[0]:.1f} +- {files[1]:.1f} open files "
        f"per 1,000 trials"
    )


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--flat", type=int, default=0, metavar="TRIALS")
    parser.add_argument("--flat-peer", type=int, default=0, metavar="TRIALS")
    parser.add_argument("--side", choices=SIDES, help="be one side, once")
    parser.add_argument("--folder", default="", help="where that side writes")
    parser.add_argument("--out", type=Path, help="file of figures; pairs in it count too")
    flags = parser.parse_args()
    if flags.side:
        SIDES[flags.side](Task(flags.trials, flags.seconds, flags.slots, flags.folder))
        return
    if flags.flat or flags.flat_peer:
        wanted = {"ours": flags.flat, "peer": flags.flat_peer}
        for side, trials in wanted.items():
            if trials:
                result = flat(side, trials, flags.slots)
                show_flat(result)
                keep(flags.out, result)
        return
    task = Task(flags.trials, flags.seconds, flags.slots, "")
    pairs = [json.loads(line) for line in read(flags.out)]
    for _ in range(flags.pairs):
        pairs.append(pair(task, len(pairs)))
        keep(flags.out, pairs[-1])
    show(compare(pairs, task.work_s))


def read(path: Path | None) -> list[str]:
    """Lines that an earlier call kept."""
    return path.read_text().splitlines() if path and path.exists() else []


def keep(path: Path | None, result: Mapping[str, Any]) -> None:
    """Append a line of JSON."""
    if path:
        with path.open("a") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
