"""A simulator of workers: virtual time, planted curves, and the real code that decides.

`Ours` drives `deepsight.tune.search.Search` with its own searcher and scheduler, exactly as the
Ray adapters do, and a record that is kept nowhere. The peers drive the classes of their libraries:
Ray's `OptunaSearch` and `AsyncHyperBandScheduler`, Optuna's `TPESampler` and
`SuccessiveHalvingPruner`.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import optuna

from benchmarks.planted import METRIC, Problem
from deepsight.run_store import StudyWriter, create_study
from deepsight.space import sample
from deepsight.tune.earlier.studies import with_earlier
from deepsight.tune.plan import StudyPlan, plan_to_json, resolve_study
from deepsight.tune.search.optuna_space import suggest_point
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Searcher

if TYPE_CHECKING:  # Ray takes seconds to import, and only the peers need it
    from ray.tune.schedulers import AsyncHyperBandScheduler
    from ray.tune.search.optuna import OptunaSearch

START_S = 0.1
"""Seconds to begin a trial, or to go on with a paused one, warm; an epoch takes about 1."""
UNLIMITED = 100_000
"""Trials of a study that only time ends."""


class Strategy(Protocol):
    """Who decides what a free worker does."""

    def next(self) -> tuple[str, Mapping[str, Any], int] | None:
        """A trial, its config and its epochs so far; None while there is nothing to do."""
        ...

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """Hear a score; whether the trial trains another epoch at once."""
        ...


@dataclass(frozen=True)
class Found:
    """The best trial at the full budget, as a study's reader would choose it, from a moment on."""

    time_s: float
    epochs: int
    """Epochs trained by all workers up to then."""
    regret: float
    """Of its true final score; its measured score chose it."""


def simulate(
    problem: Problem, strategy: Strategy, slots: int, budget_s: float, seed: int
) -> tuple[list[Found], int]:
    """Let `slots` workers run for `budget_s` seconds of virtual time.

    Returns:
        Every new best, and the epochs trained in all.
    """
    from benchmarks.planted import BEST

    rng = random.Random(f"noise {problem.name} {seed}")
    clock, turn, epochs, best = 0.0, 0, 0, -1.0
    found: list[Found] = []
    busy: list[tuple[float, int, str, Mapping[str, Any], int]] = []  # end of an epoch first
    while True:
        while len(busy) < slots and (order := strategy.next()):
            trial, config, done = order
            end = clock + START_S + problem.cost(config)
            heapq.heappush(busy, (end, turn, trial, config, done + 1))
            turn += 1
        if not busy:
            return found, epochs
        clock, _, trial, config, epoch = heapq.heappop(busy)
        if clock > budget_s:
            return found, epochs
        epochs += 1
        score = problem.score(config, epoch) + rng.gauss(0.0, problem.noise)
        if epoch == problem.max_epochs and score > best:
            best = score
            found.append(Found(clock, epochs, BEST - problem.final_score(config)))
        if strategy.result(trial, epoch, score) and epoch < problem.max_epochs:
            heapq.heappush(busy, (clock + problem.cost(config), turn, trial, config, epoch + 1))
            turn += 1


class NoRecord:
    """Takes a study's record and keeps nothing."""

    def started(self, *event: object) -> None:
        """Nothing."""

    def result(self, *event: object) -> None:
        """Nothing."""

    def ended(self, *event: object) -> None:
        """Nothing."""


def writer_for(plan: StudyPlan, record: Path | None) -> StudyWriter:
    """Of a new study in the directory `record`; of one that is kept nowhere without it."""
    if record is None:
        return NoRecord()  # type: ignore[return-value]
    return create_study(record, plan_to_json(plan))


class Ours:
    """DeepSight's own search; `settings` are ``study.*``, `record` its directory if it has one."""

    def __init__(
        self, problem: Problem, seed: int, record: Path | None = None, **settings: Any
    ) -> None:
        values = {
            "trainable": "benchmarks.planted:BEST",
            "metric": METRIC,
            "trials": UNLIMITED,
            "max_epochs": problem.max_epochs,
            "seed": 100_000 * seed,
        } | settings
        plan = with_earlier(
            resolve_study(problem.name, problem.space, {f"study.{k}": v for k, v in values.items()})
        )
        self.search = Search(plan, Searcher(plan), writer_for(plan, record))

    def next(self) -> tuple[str, Mapping[str, Any], int] | None:
        """What Ray's searcher would hand out."""
        proposal = self.search.next()
        if proposal is None:
            return None
        return proposal.trial_id, proposal.config, self.search.epochs_of(proposal.trial_id)

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """What Ray's scheduler would answer."""
        return self.search.result(trial, {"epoch": epoch, METRIC: score})


class RayAsha:
    """Ray's ASHAScheduler as shipped, over its OptunaSearch (seeded) or over random configs."""

    def __init__(self, problem: Problem, seed: int, searcher: str = "optuna") -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler
        from ray.tune.search.optuna import OptunaSearch

        self.problem = problem
        self.rng = random.Random(f"ray {seed}")
        self.number = 0
        self.optuna: OptunaSearch | None = None
        if searcher == "optuna":

            def define(trial: Any) -> None:
                suggest_point(trial, problem.space, {})

            self.optuna = OptunaSearch(define, metric=METRIC, mode="max", seed=seed)
        self.asha = AsyncHyperBandScheduler(metric=METRIC, mode="max", max_t=problem.max_epochs)

    def next(self) -> tuple[str, Mapping[str, Any], int] | None:
        """A new trial: this scheduler never takes one up again."""
        trial, self.number = f"r{self.number}", self.number + 1
        if self.optuna:
            config = self.optuna.suggest(trial)
        else:
            config = sample(self.problem.space, {}, self.rng)
        self.asha.on_trial_add(None, SimpleNamespace(trial_id=trial))
        return trial, config, 0

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """As Tune's controller calls them: the searcher hears a stopped trial as complete."""
        return hear(self.asha, self.optuna, trial, epoch, score)


def hear(
    asha: AsyncHyperBandScheduler,
    optuna_search: OptunaSearch | None,
    trial: str,
    epoch: int,
    score: float,
) -> bool:
    """A result as Tune's controller passes it on; returns whether the trial continues."""
    from ray.tune.schedulers import TrialScheduler

    result = {"training_iteration": epoch, METRIC: score}
    light = SimpleNamespace(trial_id=trial)
    if asha.on_trial_result(None, light, result) == TrialScheduler.STOP:
        asha.on_trial_complete(None, light, result)
        if optuna_search:
            optuna_search.on_trial_complete(trial, result)
        return False
    if optuna_search:
        optuna_search.on_trial_result(trial, result)
    return True


class OptunaAlone:
    """Optuna's TPE and its successive-halving pruner, both as shipped."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.SuccessiveHalvingPruner(),
        )
        self.trials: dict[str, optuna.Trial] = {}

    def next(self) -> tuple[str, Mapping[str, Any], int] | None:
        """A new trial."""
        trial = self.study.ask()
        self.trials[str(trial.number)] = trial
        return str(trial.number), suggest_point(trial, self.problem.space, {}), 0

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """As a worker that asks `should_prune` after every epoch."""
        told = self.trials[trial]
        told.report(score, epoch)
        if epoch == self.problem.max_epochs:
            self.study.tell(told, score)
        elif told.should_prune():
            self.study.tell(told, state=optuna.trial.TrialState.PRUNED)
        else:
            return True
        return False


class OneEpochThenBest:
    """One epoch for everybody, then the best of them to the end, half of the budget each."""

    def __init__(self, problem: Problem, seed: int, budget_s: float, slots: int) -> None:
        self.problem = problem
        self.rng = random.Random(f"halves {seed}")
        costs = [problem.cost(sample(problem.space, {}, self.rng)) for _ in range(200)]
        epochs = 0.5 * budget_s * slots / (sum(costs) / len(costs))
        self.first = int(epochs / (1 + START_S))
        self.begun = self.left = 0
        self.configs: dict[str, Mapping[str, Any]] = {}
        self.scores: dict[str, float] = {}
        self.waiting: list[str] = []

    def next(self) -> tuple[str, Mapping[str, Any], int] | None:
        """Everybody first; when all have reported, the best that are left."""
        if self.begun < self.first:
            trial, self.begun = f"h{self.begun}", self.begun + 1
            self.configs[trial] = sample(self.problem.space, {}, self.rng)
            return trial, self.configs[trial], 0
        if len(self.scores) < self.first or not self.waiting:
            return None
        trial = self.waiting.pop(0)
        return trial, self.configs[trial], 1

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """Stop after the first epoch; afterwards never."""
        if epoch > 1:
            return True
        self.scores[trial] = score
        if len(self.scores) == self.first:
            self.waiting = sorted(self.scores, key=lambda t: -self.scores[t])
        return False


class RandomFull:
    """Random configs, each to the end."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.rng = random.Random(f"full {seed}")
        self.number = 0

    def next(self) -> tuple[str, Mapping[str, Any], int] | None:
        """A new trial."""
        self.number += 1
        return f"e{self.number}", sample(self.problem.space, {}, self.rng), 0

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """Never stop."""
        return True


Builder = Callable[[Problem, int, float, int], Strategy]

STRATEGIES: dict[str, Builder] = {
    "ours, asha": lambda problem, seed, budget_s, slots: Ours(problem, seed, scheduler="asha"),
    "ours, asha_stop": lambda problem, seed, budget_s, slots: Ours(
        problem, seed, scheduler="asha_stop"
    ),
    "ours, fifo": lambda problem, seed, budget_s, slots: Ours(problem, seed, scheduler="fifo"),
    "ours, tpe": lambda problem, seed, budget_s, slots: Ours(
        problem, seed, scheduler="asha", searcher="tpe"
    ),
    "ours, no explorers": lambda problem, seed, budget_s, slots: Ours(
        problem, seed, scheduler="asha", explore=0.0
    ),
    "ray optuna": lambda problem, seed, budget_s, slots: RayAsha(problem, seed),
    "ray random": lambda problem, seed, budget_s, slots: RayAsha(problem, seed, "random"),
    "optuna": lambda problem, seed, budget_s, slots: OptunaAlone(problem, seed),
    "one epoch, best": lambda problem, seed, budget_s, slots: OneEpochThenBest(
        problem, seed, budget_s, slots
    ),
    "random, full": lambda problem, seed, budget_s, slots: RandomFull(problem, seed),
}
"""Who is compared, built for a problem, a seed, a budget in seconds and a number of slots."""
