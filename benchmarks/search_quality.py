"""How soon a search finds what a peer finds, on planted problems and in virtual time.

    python -m benchmarks.search_quality [--seeds 30] [--slots 1,2,4,8] [--quick] [--budget 15]
        [--strategies NAME;NAME] [--runs FILE] [--json FILE] [--plot FILE] [--table FILE]

Every run appends a line to `--runs`, and a run that has a line is not done again. `--plot
quality.png` writes a picture for each number of slots, `quality_1.png` and so on.

Every strategy (`benchmarks/simulator.py`) gets the same seconds on every problem
(`benchmarks/planted.py`): `--budget` times what training one config to the end takes, over the
slots. A strategy's quality at a moment is the regret (true, at the full budget) of the trial that
its measured scores would choose then among those trained to the end; 1 before there is one. The
*speed* of A against B on a problem is the time that B takes until its median regret over the
seeds reaches the worse of both final medians, divided by the time that A takes; over problems the
geometric mean. Intervals: percentile bootstrap over the seeds, 95 %.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted import PROBLEMS
from benchmarks.simulator import STRATEGIES, simulate
from deepsight.space import sample

BUDGET = 15
"""Trainings of one config to the end that a study's budget pays for, unless told."""
GRID = 200
"""Moments at which regret is looked at."""
RESAMPLES = 400
OURS = ("ours, asha", "ours, asha_stop")
Job = tuple[str, str, int, int, int]
"""Strategy, problem, slots, seed, budget in trainings."""


def budget_s(problem_name: str, slots: int, budget: int) -> float:
    """Seconds of virtual time of a study."""
    import random

    problem, rng = PROBLEMS[problem_name], random.Random(0)
    costs = [problem.cost(sample(problem.space, {}, rng)) for _ in range(500)]
    return budget * problem.max_epochs * statistics.mean(costs) / slots


def run_job(job: Job) -> tuple[Job, list[float], list[float], int]:
    """Regret over time and over epochs, on grids; and the epochs in all."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    name, problem_name, slots, seed, budget = job
    problem, limit = PROBLEMS[problem_name], budget_s(problem_name, slots, budget)
    strategy = STRATEGIES[name](problem, seed, limit, slots)
    found, epochs = simulate(problem, strategy, slots, limit, seed)
    by_time = [(f.time_s / limit, f.regret) for f in found]
    most = budget * problem.max_epochs
    by_epochs = [(f.epochs / most, f.regret) for f in found]
    return job, _on_grid(by_time), _on_grid(by_epochs), epochs


def run_all(
    jobs: Sequence[Job], processes: int, runs: Path | None
) -> dict[Job, tuple[list[float], list[float]]]:
    """Regret over time and over epochs of all jobs; those on file are read from there."""
    done: dict[Job, tuple[list[float], list[float]]] = {}
    if runs and runs.exists():
        for line in runs.read_text().splitlines():
            job, by_time, by_epochs = json.loads(line)
            done[tuple(job)] = by_time, by_epochs
    wanted = [job for job in jobs if job not in done]
    with multiprocessing.Pool(processes) as pool:
        for job, by_time, by_epochs, _ in pool.imap_unordered(run_job, wanted, chunksize=4):
            done[job] = by_time, by_epochs
            if runs:
                with runs.open("a") as file:
                    file.write(json.dumps([job, by_time, by_epochs]) + "\n")
    return {job: done[job] for job in jobs}


def _on_grid(steps: Sequence[tuple[float, float]]) -> list[float]:
    """A step function that begins at 1, at the grid's moments."""
    values, at, current = [], 0, 1.0
    for moment in (np.arange(GRID) + 1) / GRID:
        while at < len(steps) and steps[at][0] <= moment + 1e-9:
            current = round(max(steps[at][1], 0.0), 6)
            at += 1
        values.append(current)
    return values


def speed(ours: np.ndarray, peer: np.ndarray) -> np.ndarray:
    """How many times as fast `ours` is: medians (..., GRID) over time in, ratios (...) out."""
    goal = np.maximum(ours[..., -1], peer[..., -1])[..., None] + 1e-9
    first = [(curve <= goal).argmax(-1) + 1 for curve in (ours, peer)]
    return np.asarray(first[1] / first[0])


def resampled_medians(curves: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Medians over seeds: (seeds, GRID) in, (1 + RESAMPLES, GRID) out, the data's own first."""
    drawn = rng.integers(len(curves), size=(RESAMPLES, len(curves)))
    return np.concatenate([np.median(curves, 0)[None], np.median(curves[drawn], 1)])


def interval(values: np.ndarray) -> list[float]:
    """Estimate and 95 % bounds of (1 + RESAMPLES) values."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return [float(values[0]), float(low), float(high)]


def compare(medians: Mapping[tuple[str, str], np.ndarray], ours: str, peer: str) -> dict[str, Any]:
    """Speed and final regret of `ours` over `peer`, by problem and over all problems."""
    problems = [problem for name, problem in medians if name == ours]
    speeds = {p: speed(medians[ours, p], medians[peer, p]) for p in problems}
    finals = {
        p: (medians[ours, p][:, -1] + 1e-4) / (medians[peer, p][:, -1] + 1e-4) for p in problems
    }
    mean = {
        what: interval(np.exp(np.mean([np.log(v) for v in ratios.values()], axis=0)))
        for what, ratios in (("speed", speeds), ("final_regret", finals))
    }
    return mean | {
        "problems": {
            p: {"speed": interval(speeds[p]), "final_regret": interval(finals[p])} for p in problems
        }
    }


def summarise(curves: Mapping[Job, list[float]], names: Sequence[str]) -> dict[str, Any]:
    """Everything that the report says, by slots."""
    rng = np.random.default_rng(0)
    slots_run = sorted({job[2] for job in curves})
    summary: dict[str, Any] = {}
    for slots in slots_run:
        medians = {}
        for name in names:
            for problem in PROBLEMS:
                wanted = (name, problem, slots)
                runs = [curve for job, curve in curves.items() if job[:3] == wanted]
                if runs:
                    medians[name, problem] = resampled_medians(np.array(runs), rng)
        summary[str(slots)] = {
            "against": {
                ours: {peer: compare(medians, ours, peer) for peer in names if peer != ours}
                for ours in OURS
                if ours in names
            },
            "regret": {
                f"{name} | {problem}": [
                    [round(float(x), 5) for x in line]
                    for line in (m[0], *np.percentile(m[1:], [2.5, 97.5], axis=0))
                ]
                for (name, problem), m in medians.items()
            },
        }
    return summary


def table(summary: Mapping[str, Any], names: Sequence[str]) -> str:
    """Markdown: speeds over all problems by slots, then final regrets by problem."""
    lines = []
    for ours in (name for name in OURS if name in names):
        peers = [name for name in names if name != ours]
        for title, what in (("Speed", "speed"), ("Final median regret", "final_regret")):
            lines += [
                f"{title} of `{ours}` over that of:",
                "",
                f"| slots | {' | '.join(peers)} |",
                "|---|" + "---|" * len(peers),
            ]
            for slots, entry in summary.items():
                cells = [_cell(entry["against"][ours][peer][what]) for peer in peers]
                lines.append(f"| {slots} | {' | '.join(cells)} |")
            lines.append("")
    for slots, entry in summary.items():
        lines += [
            f"Final median regret at {slots} slot(s), in points of 100:",
            "",
            f"| problem | {' | '.join(names)} |",
            "|---|" + "---|" * len(names),
        ]
        for problem in PROBLEMS:
            finals = [entry["regret"].get(f"{name} | {problem}") for name in names]
            if any(finals):
                cells = [f"{100 * f[0][-1]:.2f}" if f else "" for f in finals]
                lines.append(f"| {problem} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    return f"{values[0]:.2f} [{values[1]:.2f}, {values[2]:.2f}]"


def plot(entry: Mapping[str, Any], names: Sequence[str], slots: str, path: Path) -> None:
    """Median regret over time with its interval, a panel a problem, for one number of slots."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    problems = [p for p in PROBLEMS if any(key.endswith(f"| {p}") for key in entry["regret"])]
    rows = math.ceil(len(problems) / 5)
    figure, axes = plt.subplots(
        rows, 5, squeeze=False, sharex=True, sharey=True, figsize=(13, 2.7 * rows + 0.5)
    )
    moments = (np.arange(GRID) + 1) / GRID
    for axis in axes.flat[len(problems) :]:
        axis.set_visible(False)
    for axis, problem in zip(axes.flat, problems, strict=False):
        for number, name in enumerate(names):
            middle, low, high = (100 * np.array(x) for x in entry["regret"][f"{name} | {problem}"])
            mine = name in OURS
            axis.plot(
                moments,
                middle,
                color=f"C{number}",
                lw=2.0 if mine else 1.1,
                ls="-" if mine else "--",
                label=name,
                zorder=3 if mine else 2,
            )
            axis.fill_between(moments, low, high, color=f"C{number}", alpha=0.12, lw=0)
        axis.set_yscale("log")
        axis.set_ylim(0.2, 100)
        axis.set_title(problem, fontsize=10)
        axis.grid(alpha=0.25)
    figure.supxlabel(f"share of the budget spent, {slots} slot{'s' * (slots != '1')}", y=0.07)
    figure.supylabel("median regret, points of 100")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(names), fontsize=9, frameon=False)
    figure.tight_layout(rect=(0.01, 0.06, 1, 1))
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    """Run, print the tables, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--slots", default="1,2,4,8")
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--strategies", default=";".join(STRATEGIES))
    parser.add_argument("--budget", type=int, default=BUDGET, help="trainings in all")
    parser.add_argument("--quick", action="store_true", help="3 seeds, 3 problems, 1 and 4 slots")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    names, problems = args.strategies.split(";"), args.problems.split(",")
    slots, seeds = [int(n) for n in args.slots.split(",")], args.seeds
    if args.quick:
        slots, seeds, problems = [1, 4], 3, ["smooth", "conditional", "crossing"]
    jobs = [
        (n, p, s, k, args.budget)
        for n in names
        for p in problems
        for s in slots
        for k in range(seeds)
    ]
    began = time.monotonic()
    done = run_all(jobs, args.processes, args.runs)
    by_time = summarise({job: curves[0] for job, curves in done.items()}, names)
    by_epochs = summarise({job: curves[1] for job, curves in done.items()}, names)
    text = f"{seeds} seeds, {len(problems)} problems, {time.monotonic() - began:.0f} s\n\n" + table(
        by_time, names
    )
    print(text)
    print("By epochs instead of time:\n")
    print(table(by_epochs, names).split("Final median regret at")[0])
    if args.table:
        args.table.write_text(text)
    if args.json:
        args.json.write_text(
            json.dumps(
                {"seeds": seeds, "budget": args.budget, "time": by_time, "epochs": by_epochs}
            )
            + "\n"
        )
    for number, entry in by_time.items() if args.plot else ():
        plot(entry, names, number, args.plot.with_stem(f"{args.plot.stem}_{number}"))


if __name__ == "__main__":
    main()
