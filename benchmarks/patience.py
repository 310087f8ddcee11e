"""What ``study.patience`` saves of a plan and what it costs, on planted problems and real tables.

    python -m benchmarks.patience [--seeds 10] [--names NAME,NAME] [--trials 60]
        [--patience 0.005,0.02] [--runs FILE] [--json FILE]

Each seed's study (`deepsight.tune.search.search.Search`, one slot) is run to its end without
patience and once with each. Saved: the share of the epochs that it did not train. Lost: regret with
patience less that without, of the trial that the study would choose. A name is a planted problem
(`benchmarks/planted.py`), ``flat`` (one where no hyperparameter matters) or a table of real curves.
Intervals: 95 %, percentile bootstrap over the seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.planted import BEST, PROBLEMS, Problem
from benchmarks.seeded_runs import add_options, mean_with_interval, publish, run_all

NAMES = ("flat", "smooth", "noisy", "conditional", "misled", "resnet_fashion", "cnn_fashion")
Job = tuple[str, float, int, int]
"""Problem or table, patience, trials, seed."""


def problem_of(name: str) -> Problem:
    """The planted problem of this name."""
    if name != "flat":
        return PROBLEMS[name]
    return dataclasses.replace(PROBLEMS["smooth"], name="flat", final=lambda config: BEST)


def run_job(job: Job) -> tuple[Job, float, int]:
    """Regret and epochs of one study."""
    import optuna

    from deepsight.tune.observers.patience import Patience

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    name, patience, trials, seed = job
    settings: dict[str, Any] = {"trials": trials, "patience": patience}
    if name == "flat" or name in PROBLEMS:
        from benchmarks.simulator import Ours, simulate

        problem = problem_of(name)
        ours = Ours(problem, seed, **settings)
        ours.search.add_observer(Patience(ours.search))
        found, epochs = simulate(problem, ours, 1, math.inf, seed)
        return job, found[-1].regret if found else 1.0, epochs
    from benchmarks.real_curves.simulator import Ours as OnTable
    from benchmarks.real_curves.simulator import Shelf
    from benchmarks.real_curves.simulator import simulate as simulate_table
    from benchmarks.real_curves.table import load_table
    from benchmarks.warm_start import weights

    table = load_table(name)
    study = OnTable(Shelf(table, weights(name)), seed, **settings)
    study.search.add_observer(Patience(study.search))
    run = simulate_table(table, study, 1, 10**9)
    return job, run.steps[-1][1] if run.steps else 1.0, run.epochs


def summarise(runs: Mapping[Job, tuple[float, int]]) -> list[dict[str, Any]]:
    """Of every problem, number of trials and patience: what was saved and what lost."""
    lines = []
    for name, patience, trials in dict.fromkeys(job[:3] for job in runs):
        if not patience:
            continue
        seeds = [job[3] for job in runs if job[:3] == (name, patience, trials)]
        full = np.array([runs[name, 0.0, trials, seed] for seed in seeds])
        early = np.array([runs[name, patience, trials, seed] for seed in seeds])
        lines.append(
            {
                "name": name,
                "trials": trials,
                "patience": patience,
                "seeds": len(seeds),
                "ended_early": int((early[:, 1] < full[:, 1]).sum()),
                "saved": mean_with_interval(1 - early[:, 1] / full[:, 1]),
                "lost": mean_with_interval(early[:, 0] - full[:, 0]),
                "regret": mean_with_interval(full[:, 0]),
            }
        )
    return lines


def report(lines: Sequence[Mapping[str, Any]]) -> str:
    """Markdown; regrets in points of 100."""
    rows = [
        "| | trials | patience | ended early | epochs saved, % | regret lost | regret without |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        cells = [
            _cell(line[what], digits) for what, digits in (("saved", 0), ("lost", 2), ("regret", 2))
        ]
        head = f"{line['name']} | {line['trials']} | {line['patience']:g}"
        rows.append(f"| {head} | {line['ended_early']} of {line['seeds']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(values: Sequence[float], digits: int) -> str:
    middle, low, high = (f"{100 * value:.{digits}f}" for value in values)
    return f"{middle} [{low}, {high}]"


def main() -> None:
    """Run, print, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, seeds=10)
    parser.add_argument("--names", default=",".join(NAMES))
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--patience", default="0.005,0.02")
    args = parser.parse_args()
    amounts = [0.0, *map(float, args.patience.split(","))]
    jobs: list[Job] = [
        (name, patience, args.trials, seed)
        for seed in range(args.seeds)
        for name in args.names.split(",")
        for patience in amounts
    ]
    began = time.monotonic()
    lines = summarise(run_all(run_job, jobs, args.processes, args.runs))
    publish(began, report(lines), lines, args.json)


if __name__ == "__main__":
    main()
