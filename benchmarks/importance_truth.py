"""How near importance comes to the truth, on planted problems with known shares.

    python -m benchmarks.importance_truth --results FILE [--cache DIR] [--arms NAME;NAME]
        [--search NAME] [--seeds N] [--problems NAME,NAME] [--only-table | --no-table]
        [--from-seed N]

An *arm* is a number of trials and a kind of explorers (`ARMS`). Its studies are made by the real
searcher and scheduler in the simulator and kept in the cache; every finished job appends a line to
the results, and a job that has a line is not done again. Then the tables are printed.

*Distance* is the total variation distance between shares normalised to sum 1: of our total shares
to the true total shares; of a peer, whose shares claim to be neither or main ones, to the nearer of
the true total and the true main shares. *Coverage*: how often the true total share lies in the 95 %
interval, half a percent allowed. *False alarms*: null hyperparameters (true total below 0.1 %) that
are said to matter. *Rank*: Spearman's correlation of the true shares above 2 % and ours. *Regret*:
the best possible score less the true one of the trial that the study would choose.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor

from analysis.importance.encoding import make_encoding
from analysis.importance.importance import NUM_DRAWS, RANKED, compute_importance
from analysis.importance.sobol import indices, make_design, sobol_indices
from analysis.importance.surrogate import NoSurrogate, fit_processes, fit_surrogate
from benchmarks.importance_problems import (
    HPO_LIKE,
    SEARCHES,
    TRUTH_PROBLEMS,
    adopted_study,
    cached_study,
)
from deepsight.optuna_distributions import to_distribution
from deepsight.run_store import Study
from deepsight.space import INACTIVE, sample

ALLOWED = 0.005
"""Of a share, for coverage: what the truth is itself uncertain by."""
NULL = 0.001
RANKED_FROM = 0.02


@dataclass(frozen=True)
class Arm:
    """How studies are made, and what is computed of them."""

    trials: int
    explore: float
    budgets: str = "uniform"
    """How explorers' budgets are drawn from the rungs."""
    sequence: str = "uniform"
    """How their configs are."""
    intervals: bool = True
    """Whether intervals are computed, or the shares only."""
    peer_seeds: int = 0
    """Seeds of which the peers are computed too."""
    seeds: int = 5
    known: bool = False
    """Whether the true final score of every trial is given away, to see what stopping hides."""
    adopted: str = ""
    """Whether stock Ray Tune makes the study, which is adopted: its space `STATED` or `INFERRED`;
    by default our own search makes it."""


STATED, INFERRED = "stated", "inferred"

ARMS = {
    "150 trials": Arm(150, 0.2, peer_seeds=5, seeds=20),
    "no explorers": Arm(150, 0.0, intervals=False, peer_seeds=5),
    "1/rung": Arm(150, 0.2, "1/rung", intervals=False),
    "full": Arm(150, 0.2, "full", intervals=False),
    "full, 10 %": Arm(150, 0.1, "full", intervals=False),
    "full, 5 %": Arm(150, 0.05, "full", intervals=False),
    "1/sqrt(rung)": Arm(150, 0.2, "1/sqrt(rung)", intervals=False),
    "finals known": Arm(150, 0.2, intervals=False, known=True, seeds=10),
    "60 trials": Arm(60, 0.2, seeds=10),
    "400 trials": Arm(400, 0.2, seeds=4),
    "10 %": Arm(150, 0.1, intervals=False),
    "30 %": Arm(150, 0.3, intervals=False),
    "sobol": Arm(150, 0.2, sequence="sobol", intervals=False),
    "adopted": Arm(150, 0.0, peer_seeds=5, adopted=INFERRED),
    "adopted, space stated": Arm(150, 0.0, adopted=STATED),
    "adopted, 60 trials": Arm(60, 0.0, adopted=INFERRED),
}


BASE = "150 trials"
"""What the search does; the other arms are compared with it."""


@cache
def truth(name: str) -> dict[str, tuple[float, float]]:
    """True main and total share of every hyperparameter at full budget."""
    problem, rng = TRUTH_PROBLEMS[name], random.Random(0)
    encoding = make_encoding(
        problem.space, {}, [sample(problem.space, {}, rng) for _ in range(200)]
    )
    found = sobol_indices(
        lambda units: np.array([problem.final_score(c) for c in encoding.configs(units)]),
        encoding,
        num=8192,
    )
    main, total = np.maximum(found.main[:, 0], 0), found.total[:, 0]
    return {n: (float(main[i]), float(total[i])) for i, n in enumerate(encoding.names)}


def run_job(arm: Arm, problem: str, seed: int, search: str, cache_folder: Path) -> dict[str, Any]:
    """Everything the tables need of one study."""
    asked = (seed, arm.trials, arm.explore, arm.budgets, arm.sequence, search)
    if arm.adopted:
        study, regret = adopted_study(problem, seed, arm.trials, arm.adopted == STATED)
    else:
        study, regret = cached_study(cache_folder, problem, *asked)
    lengths = [(r.num_epochs, r.explorer) for r in study.records]
    began = time.process_time()
    final = TRUTH_PROBLEMS[problem].final_score if arm.known else None
    found = _with_intervals(study) if arm.intervals else _shares_only(study, final)
    found["cpu_s"] = time.process_time() - began
    return found | {
        "problem": problem,
        "seed": seed,
        "regret": regret,
        "epochs": sum(n for n, _ in lengths),
        "explorer_epochs": sum(n for n, explorer in lengths if explorer),
        "peers": peers(study, seed) if seed < arm.peer_seeds else {},
    }


def _with_intervals(study: Study) -> dict[str, Any]:
    surrogate = fit_surrogate(study)
    importance = compute_importance(study, surrogate=surrogate)
    shares = {
        s.name: {
            "main": s.main.value,
            "total": s.total.value,
            "low": s.total.low,
            "high": s.total.high,
            "above": s.above_noise,
        }
        for s in importance.shares
    }
    r2 = importance.quality.r2 if importance.quality else None
    return {
        "shares": shares,
        "verdict": importance.verdict,
        "r2": r2,
        "noise_threshold": importance.noise_threshold,
    }


def _shares_only(study: Study, final: Callable[..., float] | None = None) -> dict[str, Any]:
    """The values that `compute_importance` gives, without what intervals take."""
    known = final and [[(study.max_epochs, final(r.config))] for r in study.records]
    fitted = fit_processes(study, points=known)
    assert not isinstance(fitted, NoSurrogate)
    data, rng = fitted.data, np.random.default_rng(0)
    design = make_design(data.encoding, 1024, 0)
    features = data.encoding.features(design.points)
    drawn = [process.draws(NUM_DRAWS, rng)(features, 1.0) for process in fitted.processes]
    found = indices(data.scale.scores(np.concatenate(drawn, axis=1)), design)
    main, total = found.main.mean(1), found.total.mean(1)
    return {
        "shares": {
            n: {"main": float(main[i]), "total": float(total[i])}
            for i, n in enumerate(data.encoding.names)
        }
    }


# --- peers --------------------------------------------------------------------------------------


def peers(study: Study, seed: int) -> dict[str, dict[str, float]]:
    """What others would say of the same study."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    complete = optuna_study(study, [r for r in study.records if study.has_full_budget(r)])
    last = optuna_study(study, [r for r in study.records if r.rows])
    fanova, ped = FanovaImportanceEvaluator(seed=seed), PedAnovaImportanceEvaluator()
    found = {
        "fANOVA, complete": fanova.evaluate(complete),
        "fANOVA, last values": fanova.evaluate(last),
        "PED-ANOVA, complete": ped.evaluate(complete),
        "PED-ANOVA, last values": ped.evaluate(last),
        "random forest": forest(study, seed),
    }
    return {who: {n: float(v) for n, v in shares.items()} for who, shares in found.items()}


def optuna_study(study: Study, records: Sequence[Any]) -> optuna.Study:
    """Trials as complete ones with their last score, which Optuna minimises."""
    distributions = {n: to_distribution(domain) for n, domain in study.space.items()}
    told = optuna.create_study()
    for record in records:
        params = {n: v for n, v in record.config.items() if v is not INACTIVE}
        told.add_trial(
            optuna.create_trial(
                value=-(study.score(record) or 0.0),
                params=params,
                distributions={n: distributions[n] for n in params},
            )
        )
    return told


def forest(study: Study, seed: int) -> dict[str, float]:
    """Impurity importance of a random forest on last scores."""
    records = [r for r in study.records if r.rows]
    encoding = make_encoding(study.space, {}, [r.config for r in records])
    units = np.nan_to_num(encoding.units([r.config for r in records]), nan=-1.0)
    scores = np.array([study.score(r) for r in records])
    model = RandomForestRegressor(100, random_state=seed).fit(units, scores)
    return dict(zip(encoding.names, model.feature_importances_, strict=True))


# --- tables -------------------------------------------------------------------------------------


def distance(shares: dict[str, float], true: dict[str, float]) -> float:
    """Total variation distance of two sets of shares, normalised."""
    given = {n: max(shares.get(n, 0.0), 0.0) for n in true}
    sums = sum(given.values()) or 1.0, sum(true.values())
    return 0.5 * sum(abs(given[n] / sums[0] - true[n] / sums[1]) for n in true)


def score_job(job: dict[str, Any]) -> dict[str, Any]:
    """A job's figures."""
    mains, totals = ({n: v[i] for n, v in truth(job["problem"]).items()} for i in (0, 1))
    shares = job["shares"]
    scored = {
        "distance": distance({n: s["total"] for n, s in shares.items()}, totals),
        "peers": {
            who: min(distance(s, mains), distance(s, totals)) for who, s in job["peers"].items()
        },
    }
    ours = {n: shares.get(n, {"total": 0.0})["total"] for n in totals}
    large = [n for n, share in totals.items() if share > RANKED_FROM]
    if len(large) > 1:
        rank = spearmanr([totals[n] for n in large], [ours[n] for n in large]).statistic
        scored["rank"] = float(rank)
    known = [(s, totals[n]) for n, s in shares.items() if "low" in s]
    scored["covered"] = [s["low"] - ALLOWED <= t <= s["high"] + ALLOWED for s, t in known]
    scored["alarms"] = [s["above"] for s, t in known if t < NULL]
    scored["found"] = [s["above"] for s, t in known if t > RANKED_FROM]
    scored["ranked"] = job.get("verdict") == RANKED
    return scored


def table(jobs: Sequence[dict[str, Any]]) -> str:
    """Markdown: our figures by arm and problem, explorers by arm, peers."""
    lines = []
    for arm in [a for a in ARMS if any(j["arm"] == a for j in jobs)]:
        mine = [job for job in jobs if job["arm"] == arm]
        lines += ["", f"{arm}:", "", *_arm_table(mine)]
    lines += [
        "",
        f"Explorers; after the bar against `{BASE}` on the same problems and seeds:",
        "",
        "| arm | n | distance, HPO-like | g-function | ishigami | explorers' share of "
        "epochs | epochs | regret, HPO-like | distance, HPO-like | epochs | regret |",
        "|" + "---|" * 11,
    ]
    for arm in ARMS:
        mine = [job for job in jobs if job["arm"] == arm]
        if mine:
            base = [job for job in jobs if job["arm"] == BASE]
            lines.append(f"| {arm} | {_explorer_row(mine)} | {_paired(mine, base)} |")
    return "\n".join(lines)


def _explorer_row(jobs: Sequence[dict[str, Any]]) -> str:
    groups = [
        [j for j in jobs if j["problem"] in names]
        for names in (HPO_LIKE, ("g-function",), ("ishigami",))
    ]
    cells = [_cell([score_job(j)["distance"] for j in group]) for group in groups]
    share = sum(j["explorer_epochs"] for j in jobs) / sum(j["epochs"] for j in jobs)
    epochs = np.mean([j["epochs"] for j in jobs])
    regret = _cell([100 * j["regret"] for j in groups[0]], 2)
    return " | ".join([str(len(jobs)), *cells, f"{100 * share:.0f} %", f"{epochs:.0f}", regret])


def _paired(jobs: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]]) -> str:
    """Mean differences to `base` over the HPO-like problems (epochs: all), and standard errors."""
    known = {(j["problem"], j["seed"]): j for j in base}
    pairs = [(j, known[at]) for j in jobs if (at := (j["problem"], j["seed"])) in known]
    alike = [(a, b) for a, b in pairs if a["problem"] in HPO_LIKE]
    distance = [score_job(a)["distance"] - score_job(b)["distance"] for a, b in alike]
    epochs = sum(a["epochs"] for a, _ in pairs) / max(1, sum(b["epochs"] for _, b in pairs))
    regret = _cell([100 * (a["regret"] - b["regret"]) for a, b in alike], 2)
    return f"{_cell(distance)} | {100 * epochs - 100:+.0f} % | {regret}"


def _arm_table(jobs: Sequence[dict[str, Any]]) -> Iterator[str]:
    whos = list(dict.fromkeys(who for job in jobs for who in job["peers"]))
    yield (
        "| problem | n | distance | rank | coverage | false alarms | found | ranked | "
        + "".join(f"{who} | " for who in whos)
    )
    yield "|" + "---|" * (8 + len(whos))
    groups = {"HPO-like": list(HPO_LIKE)} | {name: [name] for name in TRUTH_PROBLEMS}
    for group, names in groups.items():
        mine = [score_job(job) for job in jobs if job["problem"] in names]
        if not mine:
            continue
        cells = [
            group,
            str(len(mine)),
            _cell([s["distance"] for s in mine]),
            _cell([s["rank"] for s in mine if "rank" in s], 2),
            *(
                _share([x for s in mine for x in s[what]])
                for what in ("covered", "alarms", "found")
            ),
            _share([s["ranked"] for s in mine]),
        ]
        cells += [_cell([s["peers"][who] for s in mine if who in s["peers"]], 2) for who in whos]
        yield "| " + " | ".join(cells) + " |"


def _cell(values: Sequence[float], digits: int = 3) -> str:
    """The mean and its standard error."""
    known = np.array([v for v in values if v is not None and np.isfinite(v)])
    if len(known) == 0:
        return ""
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else float("nan")
    return f"{known.mean():.{digits}f} ± {error:.{digits}f}"


def _share(values: Sequence[bool]) -> str:
    return f"{100 * sum(values) / len(values):.0f} % of {len(values)}" if values else ""


def read(path: Path) -> list[dict[str, Any]]:
    """All lines so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("importance_studies"))
    parser.add_argument("--arms", default=";".join(ARMS))
    parser.add_argument("--seeds", type=int, default=1000, help="at most")
    parser.add_argument("--search", choices=SEARCHES, default="default")
    parser.add_argument("--problems", default=",".join(TRUTH_PROBLEMS))
    parser.add_argument("--only-table", action="store_true")
    parser.add_argument("--from-seed", type=int, default=0, help="of the tables")
    parser.add_argument("--no-table", action="store_true", help="it takes all truths")
    args = parser.parse_args()
    done = {(job["search"], job["arm"], job["problem"], job["seed"]) for job in read(args.results)}
    for name in [] if args.only_table else args.arms.split(";"):
        for seed in range(min(args.seeds, ARMS[name].seeds)):
            for problem in args.problems.split(","):
                if (args.search, name, problem, seed) in done:
                    continue
                found = run_job(ARMS[name], problem, seed, args.search, args.cache)
                job = {"search": args.search, "arm": name} | found
                with args.results.open("a") as file:
                    file.write(json.dumps(job) + "\n")
    if not args.no_table:
        told = [j for j in read(args.results) if j["search"] == args.search]
        print(table([j for j in told if j["seed"] >= args.from_seed]))


if __name__ == "__main__":
    main()
