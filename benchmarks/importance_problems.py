"""Planted problems whose importance at full budget is known, and studies of them.

Each has curves whose early epochs are ruled by other hyperparameters than the final score. Six are
like hyperparameter searches, some of them `benchmarks/planted.py`'s; two are the textbook functions
of sensitivity analysis. A study of one is made by the real searcher and scheduler in the simulator.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from scipy.stats import qmc

from analysis.adopt.found import FoundRow, FoundStudy, FoundTrial, Wanted
from analysis.adopt.study import header as study_header
from analysis.adopt.study import prepare
from benchmarks.planted import BEST, CHANCE, METRIC, PROBLEMS, Config, Problem, bowl, rising, unit
from benchmarks.simulator import Ours, RayAsha, simulate
from deepsight.run_store import Study, StudyHeader, TrialRecord, parse_header
from deepsight.space import (
    INACTIVE,
    Choice,
    Domain,
    Int,
    Space,
    choice,
    decide,
    from_stored,
    loguniform,
    uniform,
)
from deepsight.tune.plan import StudyPlan, resolve_study
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Proposal, Searcher, is_explorer

SLOTS = 2
"""Workers of a simulated study."""

HIDDEN: dict[str, Domain] = {
    "lr": loguniform(1e-4, 1.0),
    "momentum": uniform(0.0, 0.99),
    "batch": choice(32, 64, 128, 256),
    "decay": loguniform(1e-6, 1e-2),
    "dropout": uniform(0.0, 0.6),
    "warmup": uniform(0.0, 0.3),
    "smoothing": uniform(0.0, 0.2),
    "augment": uniform(0.0, 1.0),
}


def _hidden(config: Config) -> float:
    return BEST - bowl(
        HIDDEN, config, lr=(0.65, 1.5), decay=(0.4, 0.25), dropout=(0.3, 0.3), augment=(0.6, 0.25)
    )


def _hidden_shape(config: Config, share: float) -> float:
    """How fast: large momentum and small batches; how high in the end: neither."""
    slow = (1 - unit(HIDDEN, config, "momentum")) + math.log2(config["batch"] / 32) / 3
    return rising(share, 0.05 + 0.35 * slow)


SEEDS: dict[str, Domain] = {
    "lr": loguniform(1e-4, 1.0),
    "decay": loguniform(1e-6, 1e-2),
    "activation": choice("relu", "gelu", "mish"),
    "momentum": uniform(0.0, 0.99),
    "dropout": uniform(0.0, 0.6),
    "smoothing": uniform(0.0, 0.2),
}


def _seeds(config: Config) -> float:
    loss = {"relu": 0.10, "gelu": 0.02, "mish": 0.0}[config["activation"]]
    return BEST - loss - bowl(SEEDS, config, lr=(0.6, 0.8), decay=(0.3, 0.35))


def _seeds_shape(config: Config, share: float) -> float:
    """Every config has its luck, which all its epochs share (as a seed gives)."""
    luck = random.Random(json.dumps(dict(config), sort_keys=True)).gauss(0.0, 0.03)
    return rising(share, 0.06 + 0.4 * (1 - unit(SEEDS, config, "momentum"))) * (1 + luck)


ISHIGAMI: dict[str, Domain] = {
    **{f"x{i}": uniform(-math.pi, math.pi) for i in (1, 2, 3)},
    "speed": uniform(0.0, 1.0),
}
ISHIGAMI_RANGE = (-10.75, 17.75)


def ishigami(x1: float, x2: float, x3: float) -> float:
    """Ishigami and Homma (1990), a = 7, b = 0.1."""
    return math.sin(x1) + 7 * math.sin(x2) ** 2 + 0.1 * x3**4 * math.sin(x1)


def _ishigami(config: Config) -> float:
    low, high = ISHIGAMI_RANGE
    raw = ishigami(config["x1"], config["x2"], config["x3"])
    return CHANCE + (BEST - CHANCE) * (raw - low) / (high - low)


G_COEFFICIENTS = (0.0, 1.0, 4.5, 9.0, 99.0, 99.0, 99.0, 99.0)
G_FUNCTION: dict[str, Domain] = {
    f"x{i}": uniform(0.0, 1.0) for i in range(1, len(G_COEFFICIENTS) + 1)
}
G_HIGHEST = math.prod((2 + a) / (1 + a) for a in G_COEFFICIENTS)


def g_function(values: Mapping[str, float]) -> float:
    """Sobol's g-function."""
    return math.prod(
        (abs(4 * values[f"x{i}"] - 2) + a) / (1 + a) for i, a in enumerate(G_COEFFICIENTS, start=1)
    )


def _g_function(config: Config) -> float:
    return CHANCE + (BEST - CHANCE) * g_function(config) / G_HIGHEST


HPO_LIKE = {
    "hidden": Problem(
        "hidden",
        "early epochs show momentum and batch size, the end neither",
        HIDDEN,
        27,
        _hidden,
        _hidden_shape,
    ),
    "misled": PROBLEMS["misled"],
    "conditional": PROBLEMS["conditional"],
    "many": PROBLEMS["many"],
    "noisy": PROBLEMS["noisy"],
    "seeds": Problem(
        "seeds", "each trial has its own luck in all its epochs", SEEDS, 27, _seeds, _seeds_shape
    ),
    "ridge": PROBLEMS["ridge"],
}
TEXTBOOK = {
    "g-function": Problem(
        "g-function",
        "Sobol's g-function, a kink in every dimension",
        G_FUNCTION,
        27,
        _g_function,
        lambda c, s: rising(s, 0.05 + c["x8"]),
    ),
    "ishigami": Problem(
        "ishigami",
        "periodic, and x3 only through an interaction",
        ISHIGAMI,
        27,
        _ishigami,
        lambda c, s: rising(s, 0.05 + c["speed"]),
    ),
}
TRUTH_PROBLEMS = HPO_LIKE | TEXTBOOK
"""By name; hyperparameters without effect on the final score are in most of them."""


# --- studies ------------------------------------------------------------------------------------


class ExplorersOf(Searcher):
    """The searcher, with explorers' budgets and sequence as the benchmark varies them."""

    def __init__(self, plan: StudyPlan, budgets: str, sequence: str) -> None:
        super().__init__(plan)
        self.budgets, self.sequence = budgets, sequence
        self.sobol = qmc.Sobol(len(plan.space), rng=plan.settings.seed + 1)

    def propose(self, number: int) -> Proposal:
        """As the searcher does, but for explorers."""
        plan = self.plan
        if not is_explorer(number, plan.settings.explore):
            return super().propose(number)
        rng = random.Random(f"explorer {plan.settings.seed} {number}")
        uniforms = [rng.random() for _ in plan.space]
        if self.sequence == "sobol":
            uniforms = list(self.sobol.random(1)[0])
        point = _point(plan.space, uniforms)
        weights = {
            "uniform": [1.0 for _ in plan.rungs],
            "1/rung": [1 / rung for rung in plan.rungs],
            "1/sqrt(rung)": [rung**-0.5 for rung in plan.rungs],
            "full": [float(rung == plan.settings.max_epochs) for rung in plan.rungs],
        }[self.budgets]
        budget = rng.choices(plan.rungs, weights)[0]
        return self._begin(Proposal(number, point, True, budget))


def _point(space: Space, uniforms: list[float]) -> dict[str, Any]:
    """The config at a point of the unit cube, `INACTIVE` where inactive."""
    at = dict(zip(space, uniforms, strict=True))
    point: dict[str, Any] = dict.fromkeys(space, INACTIVE)
    for name, domain, config in decide(space, {}):
        config[name] = point[name] = _value(domain, at[name])
    return point


def _value(domain: Domain, share: float) -> Any:
    if isinstance(domain, Choice):
        return domain.values[min(int(share * len(domain.values)), len(domain.values) - 1)]
    half = 0.5 if isinstance(domain, Int) else 0.0
    low, high = domain.low - half, domain.high + half
    raw = low * (high / low) ** share if domain.log else low + share * (high - low)
    raw = min(max(raw, domain.low), domain.high)
    return round(raw) if isinstance(domain, Int) else raw


class Kept:
    """Takes a study's record and keeps it in memory."""

    def __init__(self) -> None:
        self.trials: dict[str, dict[str, Any]] = {}
        self.clock = 0.0

    def started(self, trial_id: str, config: Config, explorer: bool, budget: int) -> None:
        """A trial begins."""
        self.clock += 1
        self.trials[trial_id] = {
            "trial_id": trial_id,
            "config": dict(config),
            "explorer": explorer,
            "budget": budget,
            "started": self.clock,
            "rows": [],
        }

    def result(self, trial_id: str, row: Mapping[str, Any]) -> None:
        """One epoch."""
        self.clock += 1
        self.trials[trial_id]["rows"].append(dict(row) | {"time": self.clock})

    def ended(self, trial_id: str, state: str, error: str | None) -> None:
        """A trial ends."""
        self.clock += 1
        self.trials[trial_id] |= {"state": state, "ended": self.clock, "error": error}


SEARCHES: dict[str, dict[str, Any]] = {
    "default": {},
    "tpe by 3": {"searcher": "tpe", "reduction_factor": 3, "scheduler": "asha_stop"},
}
"""Settings of the search by name."""


class Recorded(Ours):
    """DeepSight's own search, its record kept."""

    def __init__(
        self,
        problem: Problem,
        seed: int,
        trials: int,
        explore: float,
        budgets: str,
        sequence: str,
        search: str,
    ) -> None:
        settings = {
            "trainable": "benchmarks.planted:BEST",
            "metric": METRIC,
            "trials": trials,
            "max_epochs": problem.max_epochs,
            "seed": 100_000 * seed,
            "explore": explore,
        } | SEARCHES[search]
        plan = resolve_study(
            problem.name, problem.space, {f"study.{k}": v for k, v in settings.items()}
        )
        self.kept = Kept()
        searcher = ExplorersOf(plan, budgets, sequence)
        self.search = Search(plan, searcher, self.kept)  # type: ignore[arg-type]


def make_study(
    problem: Problem,
    seed: int,
    trials: int,
    explore: float,
    budgets: str = "uniform",
    sequence: str = "uniform",
    search: str = "default",
) -> tuple[Study, float]:
    """A study of `trials` trials, and the regret of the trial that it would choose."""
    strategy = Recorded(problem, seed, trials, explore, budgets, sequence, search)
    found, _ = simulate(problem, strategy, SLOTS, math.inf, seed)
    records = [TrialRecord(**trial) for trial in strategy.kept.trials.values()]
    plan = strategy.search.plan
    return as_study(problem, records, plan.rungs), found[-1].regret if found else math.nan


def as_study(problem: Problem, records: list[TrialRecord], rungs: tuple[int, ...]) -> Study:
    """The study that `load_study` would return."""
    header = StudyHeader(
        name=problem.name,
        metric=METRIC,
        mode="max",
        max_epochs=problem.max_epochs,
        rungs=tuple(rungs),
        fixed={},
        space=dict(problem.space),
    )
    return Study(directory=Path(problem.name), header=header, records=records)


class Watched(RayAsha):
    """Stock Ray Tune: its ASHAScheduler over its OptunaSearch; what trials report is kept."""

    def __init__(self, problem: Problem, seed: int, trials: int) -> None:
        super().__init__(problem, seed)
        self.trials = trials
        self.configs: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, list[FoundRow]] = {}

    def next(self) -> tuple[str, Mapping[str, Any], int] | None:
        """A new trial, until there are enough."""
        if len(self.configs) == self.trials:
            return None
        trial, config, epochs = super().next() or ("", {}, 0)
        self.configs[trial] = {n: v for n, v in config.items() if v is not INACTIVE}
        self.rows[trial] = []
        return trial, config, epochs

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """Keeps the score."""
        self.rows[trial].append(FoundRow(epoch, {METRIC: score}))
        return super().result(trial, epoch, score)


def adopted_study(name: str, seed: int, trials: int, stated: bool) -> tuple[Study, float]:
    """A study of stock Ray Tune as `analysis.adopt` reads it, and its regret.

    Args:
        name: Of the problem.
        seed: Of searcher and noise.
        trials: How many.
        stated: Whether its space is stated, or inferred from what was tried.
    """
    problem = TRUTH_PROBLEMS[name]
    strategy = Watched(problem, seed, trials)
    found, _ = simulate(problem, strategy, SLOTS, math.inf, seed)
    made = tuple(FoundTrial(t, c, tuple(strategy.rows[t])) for t, c in strategy.configs.items())
    source = FoundStudy("ray_tune", name, made, METRIC, "max")
    adopted = prepare(source, Wanted(), problem.space if stated else {})
    header = parse_header({"schema_version": 1, **study_header(adopted, name, name)}, name)
    records = [
        replace(r, config=from_stored(dict(r.config), header.space, header.fixed))
        for r in adopted.records
    ]
    study = Study(directory=Path(name), header=header, records=records)
    return study, found[-1].regret if found else math.nan


def cached_study(cache: Path, name: str, *asked: Any) -> tuple[Study, float]:
    """`make_study` of the problem `name`, read from `cache` where it was made before."""
    path = cache / ("_".join(str(a).replace("/", "-") for a in (name, *asked)) + ".json")
    problem = TRUTH_PROBLEMS[name]
    if not path.exists():
        study, regret = make_study(problem, *asked)
        stored = {
            "regret": regret,
            "rungs": study.rungs,
            "records": [asdict(record) for record in study.records],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        aside.write_text(json.dumps(stored))
        aside.replace(path)
    stored = json.loads(path.read_text())
    records = [TrialRecord(**record) for record in stored["records"]]
    return as_study(problem, records, tuple(stored["rungs"])), stored["regret"]
