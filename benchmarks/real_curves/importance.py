"""How near importance comes to the truth on real learning curves.

    python -m benchmarks.real_curves.importance --results FILE [--tables NAME,NAME]
        [--part all|design|final] [--trials 24,60,150,400] [--seeds N] [--from-seed N] [--peers N]
        [--studies search|random] [--explore SHARE] [--only-table]

A study is made by the search on a table (`benchmarks.real_curves.simulator`), two slots, good
defaults on even seeds and bad ones on odd ones. With `--studies random` it is random configs
instead, each trained to the full budget: nobody chose or stopped them, and how near the same fit
comes to the truth then bounds what a search's studies allow. Every finished study appends a line to
the results and is not done again. `--part final` takes the configs that nobody looked at; a table
without such a part is one that nobody looked at, and is taken whole.

*Distance*: total variation distance of normalised total shares to the true ones (a peer's: to the
nearer of true total and true main shares). *Coverage*: true total shares in their 95 % interval,
one standard error of the truth (0.5 % at least) allowed; *strictly*: half a percent allowed.
*False*: verdict "ranked" with a first hyperparameter outside the true first two, or with one said
to matter whose true total share is below 1 %.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from analysis.importance.importance import RANKED, compute_importance
from analysis.importance.surrogate import NoSurrogate, fit_surrogate
from benchmarks.importance_problems import Kept
from benchmarks.importance_truth import ALLOWED, distance, peers
from benchmarks.real_curves.simulator import Ours, Shelf, measure, simulate
from benchmarks.real_curves.table import METRIC, Table, load_table, table_names
from benchmarks.real_curves.truth import load_truth, truth_file
from deepsight.config import StudySettings
from deepsight.run_store import Study, StudyHeader, TrialRecord
from deepsight.tune.search.search import Search

SLOTS = 2
EXPLORE = StudySettings().explore
NULL = 0.01
TRIALS = (24, 60, 150, 400)
Job = tuple[str, str, int, int, str, float]
"""Table, part, trials, seed, who chose (``search`` or ``random``), share of explorers."""


@cache
def _table(name: str, part: str) -> tuple[Table, np.ndarray]:
    """A table's part, and its distances."""
    table = load_table(name, part)
    return table, measure(table)


def make_study(
    table: Table, weights: np.ndarray, trials: int, seed: int, explore: float = EXPLORE
) -> Study:
    """A study of our search on a table, as `load_study` would return it."""
    ours = Ours(Shelf(table, weights), seed, trials=trials, explore=explore)
    kept, plan = Kept(), ours.searcher.plan
    ours.search = Search(plan, ours.searcher, kept)  # type: ignore[arg-type]
    simulate(table, ours, SLOTS, 10**9)
    return _study(table, ours, [TrialRecord(**trial) for trial in kept.trials.values()])


def make_random(table: Table, weights: np.ndarray, trials: int, seed: int) -> Study:
    """A study of random configs of a table, each trained to the full budget."""
    chosen = np.random.default_rng(seed).permutation(len(table.configs))[:trials]
    records = [
        TrialRecord(
            trial_id=f"t{number:04d}",
            config=dict(table.configs[at]),
            explorer=True,
            budget=table.epochs,
            started=float(number),
            state="completed",
            ended=number + 1.0,
            rows=[{"epoch": e, METRIC: s} for e, s in enumerate(table.scores[at], start=1)],
        )
        for number, at in enumerate(chosen)
    ]
    return _study(table, Ours(Shelf(table, weights), seed, trials=trials), records)


def _study(table: Table, ours: Ours, records: list[TrialRecord]) -> Study:
    plan = ours.searcher.plan
    header = StudyHeader(
        name=table.name,
        metric=METRIC,
        mode="max",
        max_epochs=table.epochs,
        rungs=tuple(plan.rungs),
        fixed=dict(plan.fixed),
        space=dict(table.space),
    )
    return Study(directory=Path(table.name), header=header, records=records)


def run(job: Job, with_peers: bool) -> dict[str, Any]:
    """What is said of one study."""
    name, part, trials, seed, who, explore = job
    with threadpool_limits(1):
        if who == "random":
            study = make_random(*_table(name, part), trials, seed)
        else:
            study = make_study(*_table(name, part), trials, seed, explore)
        began = time.process_time()
        surrogate = fit_surrogate(study)
        found = compute_importance(study, surrogate=surrogate)
        took = time.process_time() - began
        others = peers(study, seed) if with_peers else {}
    shares = {
        s.name: {
            "total": s.total.value,
            "low": s.total.low,
            "high": s.total.high,
            "above": s.above_noise,
        }
        for s in found.shares
    }
    quality = found.quality
    return {
        "job": job,
        "shares": shares,
        "verdict": found.verdict,
        "noise_threshold": found.noise_threshold,
        "r2": quality and quality.r2,
        "rank": quality and quality.rank_correlation,
        "left_out": dict(found.left_out),
        "peers": others,
        "cpu_s": round(took, 1),
        "epochs": sum(r.num_epochs for r in study.records),
        "scale": None if isinstance(surrogate, NoSurrogate) else surrogate.data.scale.link,
    }


def score(line: dict[str, Any]) -> dict[str, Any]:
    """A study's figures."""
    truth, shares = load_truth(line["job"][0]), line["shares"]
    known = [(s, truth.total[n], truth.error[n]) for n, s in shares.items()]
    first = max(shares, key=lambda n: shares[n]["total"], default="")
    leaders = sorted(truth.total, key=lambda n: -truth.total[n])[:2]
    nulls = [n for n, s in shares.items() if s["above"] and truth.total[n] < NULL]
    ranked = line["verdict"] == RANKED
    return {
        "distance": distance({n: s["total"] for n, s in shares.items()}, truth.total),
        "covered": [_inside(s, t, max(e, ALLOWED)) for s, t, e in known],
        "strictly": [_inside(s, t, ALLOWED) for s, t, _ in known],
        "width": [s["high"] - s["low"] for s, _, _ in known],
        "ranked": ranked,
        "false": ranked and (first not in leaders or bool(nulls)),
        "peers": {
            who: min(distance(s, truth.main), distance(s, truth.total))
            for who, s in line["peers"].items()
        },
    }


def _inside(share: dict[str, float], true: float, allowed: float) -> bool:
    return share["low"] - allowed <= true <= share["high"] + allowed


def table_of(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Markdown: figures by number of trials and table."""
    whos = list(dict.fromkeys(who for line in lines for who in line["peers"]))
    yield (
        "| trials | table | n | distance | coverage | strictly | width | ranked | false | "
        + "".join(f"{who} | " for who in whos)
    )
    yield "|" + "---|" * (9 + len(whos))
    for trials in sorted({line["job"][2] for line in lines}):
        mine = [line for line in lines if line["job"][2] == trials]
        names = sorted({line["job"][0] for line in mine})
        for name in [*names, "all"]:
            scored = [score(line) for line in mine if name in ("all", line["job"][0])]
            yield _row(f"{trials} | {name}", scored, whos)


def _row(begin: str, scored: Sequence[dict[str, Any]], whos: Sequence[str]) -> str:
    """One line: means with standard errors, and shares of how many."""
    flat = {what: [x for s in scored for x in s[what]] for what in ("covered", "strictly", "width")}
    cells = [
        str(len(scored)),
        _mean([s["distance"] for s in scored]),
        f"{100 * np.mean(flat['covered']):.0f} % of {len(flat['covered'])}",
        f"{100 * np.mean(flat['strictly']):.0f} %",
        f"{np.mean(flat['width']):.2f}",
        str(sum(s["ranked"] for s in scored)),
        str(sum(s["false"] for s in scored)),
        *(_mean([s["peers"][who] for s in scored if who in s["peers"]]) for who in whos),
    ]
    return f"| {begin} | " + " | ".join(cells) + " |"


def _mean(values: Sequence[float]) -> str:
    if not values:
        return ""
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{np.mean(values):.2f} ± {error:.2f}"


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument(
        "--tables", default=",".join(n for n in table_names() if truth_file(n).exists())
    )
    parser.add_argument(
        "--part",
        choices=("all", "design", "final"),
        default="final",
        help="final: the whole of a table that has no part to design on",
    )
    parser.add_argument("--trials", default=",".join(map(str, TRIALS)))
    parser.add_argument("--seeds", type=int, default=20, help="half as many with 400 trials")
    parser.add_argument("--from-seed", type=int, default=0, help="the first seed")
    parser.add_argument("--peers", type=int, default=0, help="seeds of which peers are asked too")
    parser.add_argument("--studies", choices=("search", "random"), default="search")
    parser.add_argument("--explore", type=float, default=EXPLORE, help="share of explorers")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only-table", action="store_true")
    args = parser.parse_args()
    lines = (
        [json.loads(text) for text in args.results.read_text().splitlines()]
        if args.results.exists()
        else []
    )
    done = {tuple(line["job"]) for line in lines}
    jobs: list[Job] = [
        (name, args.part, trials, seed, args.studies, args.explore)
        for trials in map(int, args.trials.split(","))
        for seed in range(args.from_seed, args.from_seed + args.seeds // (1 + (trials >= 400)))
        for name in args.tables.split(",")
        if len(load_table(name, args.part).configs) > 1.2 * trials  # else nothing is chosen
    ]
    missing = [] if args.only_table else [job for job in jobs if job not in done]
    with ProcessPoolExecutor(args.processes) as pool, args.results.open("a") as file:
        asked = args.from_seed + args.peers
        for future in as_completed([pool.submit(run, job, job[3] < asked) for job in missing]):
            lines.append(future.result())
            file.write(json.dumps(lines[-1]) + "\n")
            file.flush()
    print("\n".join(table_of([line for line in lines if tuple(line["job"]) in jobs])))


if __name__ == "__main__":
    main()
