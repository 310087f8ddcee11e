"""What earlier studies do to a search: pasts that help, say nothing and mislead.

    python -m benchmarks.warm_start [--seeds 16] [--cases planted|real] [--trials 24]
        [--runs FILE] [--json FILE]

A past is a study that was searched and recorded by the real code (`PAST_TRIALS` trials, other
seeds), read by ``study.warm_start``. On planted problems (`benchmarks/planted.py`) it is a study of

- ``same``: the same problem, with other noise;
- ``alike``: the problem with its optimum moved by a tenth of every domain and scores half as large;
- ``unrelated``: a random smooth function of the same space;
- ``mirrored``: the problem with its optimum at the other end of every number;
- ``negated``: the problem with what is good called bad.

On tables of real curves it is a search of a related table, or of that with its scores negated.
Regret is that of the trial that a study would choose, after half of its epochs and at its end; each
seed is compared with the cold start of the same seed. Intervals: 95 %, percentile bootstrap over
seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import math
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted import BEST, CHANCE, PROBLEMS, Config, Problem
from benchmarks.seeded_runs import add_options, mean_with_interval, publish, run_all
from deepsight.space import INACTIVE, Choice

PAST_TRIALS = 24
PAST_SEED = 1000
"""Added to a seed for its past."""
COLD = "cold"
RELATED = {
    "resnet_fashion": "resnet_digits",
    "resnet_digits": "resnet_fashion",
    "cnn_fashion": "cnn_digits",
    "cnn_digits": "cnn_fashion",
    "cnn_objects": "cnn_fashion",
}
"""Of a real table, the one that its past is a search of."""
Job = tuple[str, str, str, int, int]
"""``planted`` or ``real``, problem or table, past, trials, seed."""


def moved(problem: Problem, shift: Callable[[float], float]) -> Problem:
    """`problem` whose numbers count as if they were `shift` of where they lie, 0 to 1."""

    def other(config: Config) -> dict[str, Any]:
        changed = dict(config)
        for name, domain in problem.space.items():
            if not isinstance(domain, Choice) and isinstance(config[name], int | float):
                changed[name] = domain.from_unit(shift(domain.to_unit(config[name])))
        return changed

    return dataclasses.replace(
        problem,
        final=lambda config: problem.final(other(config)),
        shape=lambda config, share: problem.shape(other(config), share),
    )


def unrelated(problem: Problem, seed: int) -> Problem:
    """`problem` whose final score is a random smooth function of its space."""
    rng = random.Random(f"unrelated {problem.name} {seed}")
    waves = {n: (rng.uniform(1, 6), rng.uniform(0, 6), rng.gauss(0, 1)) for n in problem.space}

    def final(config: Config) -> float:
        total = 0.0
        for name, domain in problem.space.items():
            pace, phase, height = waves[name]
            if config[name] is not INACTIVE:
                total += height * math.cos(pace * domain.to_unit(config[name]) + phase)
        return CHANCE + (BEST - CHANCE) / (1 + math.exp(-total))

    return dataclasses.replace(problem, final=final)


def past_of(problem: Problem, which: str, seed: int) -> Problem:
    """What the earlier study searched."""
    if which == "same":
        return problem
    if which == "alike":
        near = moved(problem, lambda unit: min(max(unit + 0.1, 0.0), 1.0))
        return dataclasses.replace(
            near, final=lambda config: CHANCE + (near.final_score(config) - CHANCE) / 2
        )
    if which == "unrelated":
        return unrelated(problem, seed)
    if which == "mirrored":
        return moved(problem, lambda unit: 1 - unit)
    assert which == "negated"
    return dataclasses.replace(
        problem, final=lambda config: BEST + CHANCE - problem.final_score(config)
    )


PASTS = {
    "planted": ("same", "alike", "unrelated", "mirrored", "negated"),
    "real": ("related", "negated"),
}


def regrets_of(steps: Sequence[tuple[int, float]], epochs: int) -> tuple[float, float]:
    """After half of the epochs and at the end; 1 before there is any.

    Args:
        steps: Epochs, and the regret from then on.
        epochs: Of the study.
    """
    half = [regret for at, regret in steps if at <= epochs / 2]
    return half[-1] if half else 1.0, steps[-1][1] if steps else 1.0


def run_planted(name: str, which: str, trials: int, seed: int) -> tuple[float, float]:
    """Regrets of one study."""
    from benchmarks.simulator import Ours, simulate

    problem, settings = PROBLEMS[name], {}
    with tempfile.TemporaryDirectory() as folder:
        if which != COLD:
            record, before = Path(folder) / "past", past_of(problem, which, seed)
            past = Ours(before, PAST_SEED + seed, record, trials=PAST_TRIALS)
            simulate(before, past, 1, math.inf, PAST_SEED + seed)
            past.search.writer.close()
            settings["warm_start"] = str(record)
        ours = Ours(problem, seed, trials=trials, **settings)
        found, epochs = simulate(problem, ours, 1, math.inf, seed)
    return regrets_of([(f.epochs, f.regret) for f in found], epochs)


def run_real(name: str, which: str, trials: int, seed: int) -> tuple[float, float]:
    """Regrets of one study."""
    from benchmarks.real_curves.simulator import Ours, Shelf, simulate
    from benchmarks.real_curves.table import load_table

    settings = {}
    with tempfile.TemporaryDirectory() as folder:
        if which != COLD:
            table, record = load_table(RELATED[name]), Path(folder) / "past"
            if which == "negated":
                scores = [tuple(1 - score for score in curve) for curve in table.scores]
                table = dataclasses.replace(table, scores=scores)
            shelf = Shelf(table, weights(RELATED[name]))
            past = Ours(shelf, PAST_SEED + seed, record, trials=PAST_TRIALS)
            simulate(table, past, 1, 10**9)
            past.search.writer.close()
            settings["warm_start"] = str(record)
        table = load_table(name)
        ours = Ours(Shelf(table, weights(name)), seed, trials=trials, **settings)
        run = simulate(table, ours, 1, 10**9)
    return regrets_of(run.steps, run.epochs)


@functools.cache
def weights(name: str) -> np.ndarray:
    """A real table's distances, measured once a process."""
    from benchmarks.real_curves.simulator import measure
    from benchmarks.real_curves.table import load_table

    return measure(load_table(name))


def run_job(job: Job) -> tuple[Job, tuple[float, float]]:
    """One study after its past."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    kind, name, which, trials, seed = job
    run = run_planted if kind == "planted" else run_real
    return job, run(name, which, trials, seed)


def summarise(regrets: Mapping[Job, tuple[float, float]]) -> dict[str, Any]:
    """Regret by kind, moment and past: of each case, and of all together against the cold start."""
    summary: dict[str, Any] = {}
    kinds = dict.fromkeys((job[0], job[3]) for job in regrets)
    for (kind, trials), (when, moment) in itertools.product(kinds, enumerate(("half-way", "end"))):
        jobs = [job for job in regrets if (job[0], job[3]) == (kind, trials)]
        names, pasts, seeds = (list(dict.fromkeys(j[i] for j in jobs)) for i in (1, 2, 4))
        of = {
            past: np.array(
                [[regrets[kind, n, past, trials, s][when] for n in names] for s in seeds]
            )
            for past in pasts
        }
        summary[f"{kind}, {trials} trials, {moment}"] = {
            "seeds": len(seeds),
            "cases": {
                name: {p: mean_with_interval(of[p][:, [i]]) for p in pasts}
                for i, name in enumerate(names)
            },
            "regret": {p: mean_with_interval(of[p]) for p in pasts},
            "apart": {
                name: {p: mean_with_interval((of[p] - of[COLD])[:, [i]]) for p in pasts}
                for i, name in enumerate(names)
            },
            "against_cold": {p: mean_with_interval(of[p] - of[COLD]) for p in pasts if p != COLD},
        }
    return summary


def report(summary: Mapping[str, Any]) -> str:
    """Markdown, in points of 100."""
    lines = []
    for title, entry in summary.items():
        pasts = list(entry["regret"])
        lines += [
            f"{title}, {entry['seeds']} seeds: mean regret, points of 100; `!` worse, `+` better "
            "than cold beyond the error",
            "",
            f"| | {' | '.join(pasts)} |",
            "|---|" + "---|" * len(pasts),
        ]
        for name, regret in entry["cases"].items():
            cells = [_cell(regret[p]) + _mark(entry["apart"][name][p]) for p in pasts]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append(f"| all | {' | '.join(_cell(entry['regret'][p]) for p in pasts)} |")
        apart = [_cell(entry["against_cold"][p]) for p in pasts if p != COLD]
        lines += [f"| all, less cold | | {' | '.join(apart)} |", ""]
    return "\n".join(lines)


def _mark(apart: Sequence[float]) -> str:
    return " !" if apart[1] > 0 else " +" if apart[2] < 0 else ""


def _cell(values: Sequence[float]) -> str:
    middle, low, high = (100 * value for value in values)
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    """Run, print, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, seeds=16)
    parser.add_argument("--cases", default="planted,real")
    parser.add_argument("--names", default="", help="problems and tables; default: all")
    parser.add_argument("--pasts", default="", help="default: all")
    parser.add_argument("--trials", default="24")
    args = parser.parse_args()
    names = {"planted": list(PROBLEMS), "real": list(RELATED)}
    wanted = args.names.split(",") if args.names else sum(names.values(), [])
    pasts = args.pasts.split(",") if args.pasts else sum(PASTS.values(), ())
    jobs: list[Job] = [
        (kind, name, past, trials, seed)
        for seed in range(args.seeds)
        for kind in args.cases.split(",")
        for trials in map(int, args.trials.split(","))
        for name in names[kind]
        if name in wanted
        for past in (COLD, *PASTS[kind])
        if past == COLD or past in pasts
    ]
    began = time.monotonic()
    runs = run_all(run_job, jobs, args.processes, args.runs)
    summary = summarise({job: regrets for job, (regrets,) in runs.items()})
    publish(began, report(summary), summary, args.json)


if __name__ == "__main__":
    main()
