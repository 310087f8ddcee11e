"""How soon a search finds what a peer finds, on tables of real learning curves.

    python -m benchmarks.real_curves.search [--tables NAME,NAME] [--part final] [--trials 24,60,150]
        [--slots 1,4] [--seeds 30] [--searches "NAME;NAME"] [--runs FILE] [--before FILE]
        [--json FILE]

Every run appends a line to `--runs`, and a run that has a line is not done again. `--before` is
such a file of an earlier version of the search, to compare the finished studies with.

Our studies end by themselves after a number of trials. The peers know no such number; they are
looked at after as many epochs as our study of the same table, slots and trials took in the median
over the seeds: *equal epochs*. Regret: the best final score in the table less that of the trial
that a search would choose, among those at full budget; 1 before there is one. A search is *worse*
than another on a table where the 95 % interval of the difference of the median regrets lies above
zero. Speed as in `benchmarks.search_quality`, by epochs. Intervals: percentile bootstrap over the
seeds.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real_curves.table import load_table, table_names
from benchmarks.search_quality import GRID, interval, resampled_medians, speed

OURS, BASE = "ours", "random + asha"
ALL = (
    "ours",
    "ours, no model",
    "ours, tpe",
    "random + asha",
    "ray optuna + asha",
    "optuna tpe + halving",
    "optuna tpe + hyperband",
    "optuna gp, full",
)
Job = tuple[str, str, str, int, int, int]
"""Search, table, part, slots, trials (a peer: those of our longest study), seed."""
Steps = Sequence[tuple[int, float]]
Case = tuple[str, int, int]
"""Table, slots, trials."""


@dataclass(frozen=True)
class Outcome:
    """What one run found."""

    steps: Steps
    """Epochs, and the regret from then on."""
    epochs: int
    seconds: float

    def regret(self, epochs: float) -> float:
        """After so many epochs."""
        reached = [regret for at, regret in self.steps if at <= epochs]
        return reached[-1] if reached else 1.0


def most_epochs(trials: int) -> int:
    """Where a peer ends: above what our study of as many trials takes."""
    return 120 + 4 * trials


def run_job(job: Job) -> tuple[Job, Outcome]:
    """Let one search choose among the configs of a table."""
    from benchmarks.real_curves.simulator import PEERS, STUDIES, Ours, Shelf, simulate

    _quiet()
    name, table_name, part, slots, trials, seed = job
    table = load_table(table_name, part)
    shelf = Shelf(table, _weights(table_name, part))
    began = time.monotonic()
    if name in STUDIES:
        run = simulate(table, Ours(shelf, seed, trials=trials, **STUDIES[name]), slots, 10**9)
    else:
        run = simulate(table, PEERS[name](shelf, seed), slots, most_epochs(trials))
    return job, Outcome(run.steps, run.epochs, round(time.monotonic() - began, 2))


@cache
def _weights(table_name: str, part: str) -> np.ndarray:
    """A table's distances, measured once a process."""
    from benchmarks.real_curves.simulator import measure

    return measure(load_table(table_name, part))


def _quiet() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")


def read_runs(file: Path) -> dict[Job, Outcome]:
    """The runs on file."""
    if not file.exists():
        return {}
    lines = map(json.loads, file.read_text().splitlines())
    return {
        tuple(job): Outcome([(at, regret) for at, regret in steps], epochs, seconds)
        for job, steps, epochs, seconds in lines
    }


def to_line(job: Job, outcome: Outcome) -> str:
    """How a run stands on file."""
    return json.dumps([job, outcome.steps, outcome.epochs, outcome.seconds]) + "\n"


def run_all(jobs: Sequence[Job], processes: int, file: Path | None) -> dict[Job, Outcome]:
    """The outcomes of all jobs; those on file are read from there."""
    done = read_runs(file) if file else {}
    wanted = [job for job in jobs if job not in done]
    with ProcessPoolExecutor(processes) as pool:
        for job, outcome in pool.map(run_job, wanted):
            done[job] = outcome
            if file:
                with file.open("a") as lines:
                    lines.write(to_line(job, outcome))
    return {job: done[job] for job in jobs}


class Results:
    """The outcomes of one part of the tables, as the report asks for them."""

    def __init__(self, runs: Mapping[Job, Outcome]) -> None:
        self.runs: dict[tuple[str, str, int, int], list[Outcome]] = {}
        for (name, table, _, slots, trials, _), outcome in sorted(runs.items()):
            self.runs.setdefault((name, table, slots, trials), []).append(outcome)
        self.cases: list[Case] = [key[1:] for key in self.runs if key[0] == OURS]
        self.names = [name for name in ALL if any(key[0] == name for key in self.runs)]

    def of(self, name: str, case: Case) -> list[Outcome]:
        """Runs of a search by seed; a peer's are the same for all numbers of trials."""
        table, slots, trials = case
        longest = max(key[3] for key in self.runs if key[1:3] == (table, slots))
        return self.runs.get((name, *case)) or self.runs.get((name, table, slots, longest)) or []

    def epochs(self, case: Case) -> float:
        """Equal epochs: what our study took, median over seeds."""
        return float(np.median([outcome.epochs for outcome in self.of(OURS, case)]))

    def medians(self, name: str, case: Case) -> np.ndarray:
        """Median regret over the epochs, (1 + RESAMPLES, GRID), the data's own first."""
        moments = self.epochs(case) * (np.arange(GRID) + 1) / GRID
        curves = [[outcome.regret(at) for at in moments] for outcome in self.of(name, case)]
        return resampled_medians(np.array(curves), np.random.default_rng(0))


def summarise(results: Results) -> dict[str, Any]:
    """Everything that the report says."""
    medians = {
        (name, case): results.medians(name, case)
        for name in results.names
        for case in results.cases
        if results.of(name, case)
    }
    cases = [
        {
            "table": case[0],
            "slots": case[1],
            "trials": case[2],
            "epochs": results.epochs(case),
            "seeds": len(results.of(OURS, case)),
            "regret": {name: interval(m[:, -1]) for (name, c), m in medians.items() if c == case},
            "apart": {
                name: interval(medians[OURS, case][:, -1] - m[:, -1])
                for (name, c), m in medians.items()
                if c == case and name != OURS
            },
        }
        for case in results.cases
    ]
    speeds = {
        name: {
            str(key): interval(
                np.exp(
                    np.mean(
                        [np.log(speed(medians[OURS, case], medians[name, case])) for case in group],
                        axis=0,
                    )
                )
            )
            for key, group in _groups(results.cases)
            if all((name, case) in medians for case in group)
        }
        for name in results.names
        if name != OURS
    }
    return {"cases": cases, "speed": speeds}


def _groups(cases: Sequence[Case]) -> Iterator[tuple[str, list[Case]]]:
    """Cases by slots and trials, and all that have one number of slots."""
    for slots in sorted({case[1] for case in cases}):
        for trials in sorted({case[2] for case in cases}):
            group = [case for case in cases if case[1:] == (slots, trials)]
            if group:
                yield f"{slots} slots, {trials} trials", group
        yield f"{slots} slots", [case for case in cases if case[1] == slots]


def report(summary: Mapping[str, Any], names: Sequence[str]) -> str:
    """Markdown: speeds over the tables, then regret and who is worse, table by table."""
    peers = [name for name in names if name != OURS]
    lines = [
        "Speed of `ours` against, geometric mean over the tables:",
        "",
        f"| | {' | '.join(peers)} |",
        "|---|" + "---|" * len(peers),
    ]
    for key in next(iter(summary["speed"].values()), {}):
        cells = [_cell(summary["speed"][name].get(key), 2) for name in peers]
        lines.append(f"| {key} | {' | '.join(cells)} |")
    lines += [
        "",
        "Median regret at equal epochs, points of 100; `!` where ours is worse, "
        "`+` where it is better, beyond the error:",
        "",
        f"| table | slots | trials | epochs | {' | '.join(names)} |",
        "|---|" + "---|" * (3 + len(names)),
    ]
    for case in summary["cases"]:
        cells = [_cell(case["regret"].get(n), 1, 100) + _mark(case["apart"].get(n)) for n in names]
        head = f"{case['table']} | {case['slots']} | {case['trials']} | {case['epochs']:.0f}"
        lines.append(f"| {head} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float] | None, digits: int, unit: float = 1) -> str:
    if values is None:
        return ""
    middle, low, high = (f"{unit * value:.{digits}f}" for value in values)
    return f"{middle} [{low}, {high}]"


def _mark(apart: Sequence[float] | None) -> str:
    if apart is None:
        return ""
    return " !" if apart[1] > 0 else " +" if apart[2] < 0 else ""


def compare(now: Results, before: Results) -> str:
    """Markdown: finished studies against those of an earlier version of the search."""
    rng = np.random.default_rng(0)
    lines = [
        "Regret at the end of a study, median, before and now:",
        "",
        "| table | slots | trials | before | now | ratio | epochs before | epochs now |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ratios: dict[tuple[int, int], list[np.ndarray]] = {}
    for case in now.cases:
        if not before.of(OURS, case):
            continue
        ends = [[o.regret(o.epochs) for o in r.of(OURS, case)] for r in (before, now)]
        medians = [resampled_medians(np.array(e)[:, None], rng)[:, 0] for e in ends]
        ratio = (medians[1] + 1e-3) / (medians[0] + 1e-3)
        ratios.setdefault(case[1:], []).append(ratio)
        cells = [_cell(interval(m), 1, 100) for m in medians] + [_cell(interval(ratio), 2)]
        epochs = f"{before.epochs(case):.0f} | {now.epochs(case):.0f}"
        head = f"{case[0]} | {case[1]} | {case[2]}"
        lines.append(f"| {head} | {' | '.join(cells)} | {epochs} |")
    for (slots, trials), values in ratios.items():
        mean = interval(np.exp(np.mean(np.log(values), axis=0)))
        lines += ["", f"{slots} slots, {trials} trials: geometric mean {_cell(mean, 2)}"]
    return "\n".join(lines)


def parse_args() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default=",".join(table_names()))
    parser.add_argument("--part", default="final")
    parser.add_argument("--trials", default="24,60,150")
    parser.add_argument("--slots", default="1,4")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--searches", default=";".join(ALL))
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def make_jobs(args: argparse.Namespace) -> list[Job]:
    """All runs that the flags ask for, all searches on a seed before the next seed."""
    trials = [int(n) for n in args.trials.split(",")]
    slots = [int(n) for n in args.slots.split(",")]
    return [
        (name, table, args.part, slot, number, seed)
        for seed in range(args.seeds)
        for table in args.tables.split(",")
        for slot in slots
        for name in args.searches.split(";")
        for number in (trials if name.startswith("ours") else [max(trials)])
    ]


def main() -> None:
    """Run, print, write what was asked for."""
    args = parse_args()
    jobs = make_jobs(args)
    began = time.monotonic()
    done = run_all(jobs, args.processes, args.runs)
    results = Results(done)
    summary = summarise(results)
    print(f"{args.seeds} seeds, {args.part} parts, {time.monotonic() - began:.0f} s\n")
    print(report(summary, results.names))
    if args.before:
        earlier = {job: o for job, o in read_runs(args.before).items() if job in done}
        print("\n" + compare(results, Results(earlier)))
    if args.json:
        args.json.write_text(json.dumps({"seeds": args.seeds, "part": args.part} | summary) + "\n")


if __name__ == "__main__":
    main()
