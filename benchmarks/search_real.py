"""How soon a search finds a good network, on drawn photographs and through Ray.

    python -m benchmarks.search_real [--spaces scratch_full,finetune_full] [--seeds 3]
        [--seconds 90] [--max-epochs 9] [--searches "ours;ours, tpe;ray optuna"]
        [--json FILE] [--tell FILE]

Ours and Ray's `OptunaSearch` with `ASHAScheduler`, both as shipped, train the same configs' space
by the same `train_trial`, one trial a core, each in a process of its own, in turn, for the same
seconds from the first trial's start on. What counts is the best validation accuracy among trials at
the full budget, over time and over epochs trained. Explorers are included. Every run's line is
printed as it ends, and kept in the file.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepsight.run_store import load_study

Point = tuple[float, int, float]
"""Seconds since the first trial's start, epochs trained by then, and best accuracy so far."""


def run_ours(searcher: str, space: str, seed: int, seconds: float, max_epochs: int) -> list[Point]:
    """One study of ours."""
    with tempfile.TemporaryDirectory(prefix="real-") as folder:
        _run(
            folder,
            "-m",
            "deepsight.tune",
            "--space",
            space,
            "--name",
            "real",
            "--trials",
            "100000",
            "--time-limit",
            f"{seconds:g}s",
            "--set",
            f"study.max_epochs={max_epochs}",
            "--set",
            f"study.seed={seed}",
            "--set",
            f"study.searcher={searcher}",
        )
        study = load_study(Path(folder) / "runs" / "real")
    rows = [row for record in study.records for row in record.rows]
    return trajectory(rows, min(r.started for r in study.records), seconds, max_epochs)


def run_peer(space: str, seed: int, seconds: float, max_epochs: int) -> list[Point]:
    """One search of the peer."""
    with tempfile.TemporaryDirectory(prefix="real-") as folder:
        out = Path(folder) / "rows.jsonl"
        _run(
            folder,
            "-m",
            "benchmarks.search_real",
            "--peer",
            space,
            "--json",
            str(out),
            "--seeds",
            str(seed),
            "--seconds",
            str(seconds),
            "--max-epochs",
            str(max_epochs),
        )
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    started = min(row["time"] - row["wall_s"] for row in rows)
    return trajectory(rows, started, seconds, max_epochs)


SEARCHES: dict[str, Callable[[str, int, float, int], list[Point]]] = {
    "ours": functools.partial(run_ours, "gp"),
    "ours, tpe": functools.partial(run_ours, "tpe"),
    "ray optuna": run_peer,
}
"""By name: a run by space, seed, seconds and full budget."""


def _run(folder: str, *arguments: str) -> None:
    root = str(Path(__file__).resolve().parent.parent)
    environment = os.environ | {"PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")


def trajectory(
    rows: Sequence[Mapping[str, Any]], started: float, seconds: float, max_epochs: int
) -> list[Point]:
    """Every moment at which an epoch ended, with the best accuracy at the full budget by then."""
    points: list[Point] = []
    best = 0.0
    for number, row in enumerate(sorted(rows, key=lambda r: r["time"]), start=1):
        if row["epoch"] == max_epochs:
            best = max(best, row["val_accuracy"] or 0.0)
        if row["time"] - started <= seconds:
            points.append((row["time"] - started, number, best))
    return points


def peer_trainable(values: dict[str, Any], out: str) -> None:
    """A function trainable over the same training; every epoch appends a line to `out`."""
    import time

    from ray import tune

    from deepsight.config import trial_config
    from deepsight.training.trial import train_trial

    began = time.time()
    for result in train_trial(trial_config(values)):
        row = {key: result.metrics[key] for key in ("epoch", "val_accuracy")}
        row |= {"time": time.time(), "wall_s": time.time() - began}
        with Path(out).open("a") as file:
            file.write(json.dumps(row) + "\n")
        tune.report({"val_accuracy": row["val_accuracy"] or 0.0})


def peer(space_name: str, seed: int, seconds: float, max_epochs: int, out: Path) -> None:
    """Ray's own search, in a process of its own."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    from benchmarks.peer_ray_tutorial import define
    from deepsight.tune.plan import resolve_study
    from deepsight.tune.plan_files import load_space

    plan = resolve_study("peer", *load_space(space_name), {"study.max_epochs": max_epochs})
    space = functools.partial(define, fixed=plan.fixed, space=plan.space)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    tune.Tuner(
        tune.with_parameters(peer_trainable, out=str(out)),
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=-1,
            time_budget_s=seconds + 10,
            search_alg=OptunaSearch(space, metric="val_accuracy", mode="max", seed=seed),
            scheduler=ASHAScheduler(max_t=max_epochs),
        ),
        run_config=tune.RunConfig(storage_path=str(out.parent / "ray"), name="peer", verbose=0),
    ).fit()


def reaches(points: Sequence[Point], goal: float) -> tuple[float, int]:
    """Seconds and epochs until `goal` is reached; those of the whole run if it is not."""
    time, epochs, _ = next((p for p in points if p[2] >= goal), points[-1])
    return time, epochs


def summarise(ours: Sequence[list[Point]], theirs: Sequence[list[Point]]) -> str:
    """How much sooner ours reaches the lower of both median final accuracies."""
    goal = min(statistics.median(run[-1][2] for run in side) for side in (ours, theirs))
    told = [f"to {goal:.3f}"]
    for unit, index in (("s", 0), ("epochs", 1)):
        a, b = (statistics.median(reaches(r, goal)[index] for r in side) for side in (ours, theirs))
        told.append(f"{a:.0f} {unit} against {b:.0f}, a ratio of {b / a:.2f}")
    return "; ".join(told) + f" (medians, n = {len(ours)} each)"


def describe(runs: Sequence[list[Point]]) -> str:
    """Final accuracies and epochs trained of one search."""
    finals = sorted(run[-1][2] for run in runs)
    epochs = statistics.median(run[-1][1] for run in runs)
    return (
        f"best accuracy {statistics.median(finals):.3f} "
        f"({', '.join(f'{value:.3f}' for value in finals)}), {epochs:.0f} epochs"
    )


def main() -> None:
    """Alternate the searches, then compare the first with the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", default="scratch_full,finetune_full")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--max-epochs", type=int, default=9)
    parser.add_argument("--searches", default=";".join(SEARCHES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tell", type=Path, metavar="FILE", help="of earlier runs, run nothing")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peer(args.peer, args.seeds, args.seconds, args.max_epochs, args.json)
        return
    if args.tell:
        for space, runs in json.loads(args.tell.read_text())["runs"].items():
            tell(space, runs)
        return
    kept: dict[str, dict[str, list[list[Point]]]] = {}
    for space in args.spaces.split(","):
        runs = kept[space] = {name: [] for name in args.searches.split(";")}
        for seed in range(args.seeds):
            for name, done in runs.items():
                done.append(SEARCHES[name](space, seed, args.seconds, args.max_epochs))
                print(f"{space} seed {seed} {name}: {done[-1][-1]}", flush=True)
                if args.json:
                    args.json.write_text(json.dumps(vars(args) | {"json": None, "runs": kept}))
        tell(space, runs)


def tell(space: str, runs: Mapping[str, Sequence[list[Point]]]) -> None:
    """Print every search of a space, then the first against the others."""
    for name, done in runs.items():
        print(f"{space}, {name}: {describe(done)}")
    first, *others = runs
    for name in others:
        against = summarise(runs[first], runs[name])
        print(f"{space}, {first} against {name}: {against}", flush=True)


if __name__ == "__main__":
    main()
