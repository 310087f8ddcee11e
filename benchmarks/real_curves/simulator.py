"""Searches that choose among the configs of a table of real learning curves.

A proposal is moved to the nearest config of the table that is not taken yet, and the search is told
that config, whoever it is: `Ours` where a proposal begins, the peers in the sampler (`OnTable`)
that Optuna and Ray ask. An epoch takes one unit of virtual time on every slot. A curve that is
shorter than the full budget ends with a score that is not a number; the trial then ends for
everybody, which is kind to Ray: its scheduler would let it train on.
"""

from __future__ import annotations

import heapq
import math
import random
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from benchmarks.real_curves.table import METRIC, Table
from benchmarks.simulator import UNLIMITED, hear, writer_for
from deepsight.config import Value
from deepsight.optuna_distributions import to_distribution
from deepsight.space import INACTIVE, Entry, decide, sample
from deepsight.tune.earlier.studies import with_earlier
from deepsight.tune.plan import resolve_study
from deepsight.tune.search.optuna_space import suggest_point
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Proposal, Searcher

if TYPE_CHECKING:  # Ray takes seconds to import, and only the peers need it
    from ray.tune.search.optuna import OptunaSearch

MEASURED = 300
"""Configs by which a table's distances are measured."""
DEFAULTS = (80, 5)
"""Percentile of final scores at which our first trial, the defaults, lies: good ones on even seeds,
bad ones on odd seeds."""
Config = Mapping[str, Value]
Order = tuple[str, Config, int]
"""A trial, its config and its epochs so far."""


def measure(table: Table) -> np.ndarray:
    """How much the final score changes along each column of the table's rows, (columns,).

    Some hundred configs in ten dimensions lie far from each other. What stands in for a proposal
    has to score alike; so distances along a column count by the length scale that explains the
    table's final scores, the same for every search.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    rows, finals = table.rows[:MEASURED], table.finals[:MEASURED]
    scales = Matern(np.ones(rows.shape[1]), (0.1, 20.0), nu=2.5)
    model = GaussianProcessRegressor(ConstantKernel() * scales + WhiteKernel(), normalize_y=True)
    with warnings.catch_warnings():  # a scale at its bound says: this one hardly matters
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = model.fit(rows, finals).kernel_
    return np.asarray(fitted.k1.k2.length_scale**-2.0)


class Shelf:
    """The configs of a table, each taken once."""

    def __init__(self, table: Table, weights: np.ndarray) -> None:
        self.table, self.weights = table, weights
        self.taken: set[int] = set()

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return len(self.taken) == len(self.table.configs)

    def take(self, config: Config) -> Config:
        """The nearest config to `config` that is left; it is the same object as the table's."""
        apart = (self.table.rows - self.table.encoder.encode([config])) ** 2 @ self.weights
        apart[list(self.taken)] = np.inf
        number = int(apart.argmin())
        self.taken.add(number)
        return self.table.configs[number]


class Strategy(Protocol):
    """Who decides what a free slot does."""

    def next(self) -> Order | None:
        """What to train; None while there is nothing to do."""
        ...

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """Hear a score, NaN at the end of a diverged trial; whether it trains another epoch."""
        ...


@dataclass(frozen=True)
class Run:
    """What a search found in a table."""

    steps: list[tuple[int, float]]
    """Epochs trained by all slots, and the regret from then on of the best trial at full budget."""
    epochs: int
    trials: int


def simulate(table: Table, strategy: Strategy, slots: int, epochs: int) -> Run:
    """Let `slots` workers train until the search ends or `epochs` are trained."""
    curves = {id(config): curve for config, curve in zip(table.configs, table.scores, strict=True)}
    best, top = float(table.finals.max()), -math.inf
    trained, turn, clock, begun = 0, 0, 0, set()
    steps: list[tuple[int, float]] = []
    busy: list[tuple[int, int, str, Config, int]] = []  # the epoch that ends first comes first
    while trained < epochs:
        while len(busy) < slots and (order := strategy.next()):
            trial, config, done = order
            begun.add(trial)
            heapq.heappush(busy, (clock + 1, turn, trial, config, done + 1))
            turn += 1
        if not busy:
            break
        clock, _, trial, config, epoch = heapq.heappop(busy)
        trained += 1
        curve = curves[id(config)]
        score = curve[epoch - 1] if epoch <= len(curve) else math.nan
        if epoch == table.epochs and score > top:
            top = score
            steps.append((trained, round(best - top, 6)))
        if strategy.result(trial, epoch, score) and epoch < table.epochs:
            heapq.heappush(busy, (clock + 1, turn, trial, config, epoch + 1))
            turn += 1
    return Run(steps, trained, len(begun))


class OnTable(Searcher):
    """DeepSight's searcher; every proposal becomes a config of the table where it begins."""

    def __init__(self, shelf: Shelf, seed: int, **settings: Any) -> None:
        table = shelf.table
        values = {
            "trainable": "benchmarks.planted:BEST",
            "metric": METRIC,
            "trials": UNLIMITED,
            "max_epochs": table.epochs,
            "seed": 100_000 * seed,
        } | settings
        study = {f"study.{name}": value for name, value in values.items()}
        fixed = {name: value for name, value in table.fixed.items() if name not in table.space}
        super().__init__(with_earlier(resolve_study(table.name, table.space, fixed, study)))
        self.shelf = shelf
        self.begun: dict[str, Config] = {}
        goal = np.percentile(table.finals, DEFAULTS[seed % 2])
        near = np.argsort(abs(table.finals - goal), kind="stable")[:20]
        self.defaults = table.configs[random.Random(f"defaults {seed}").choice(near.tolist())]
        self._sampler.propose = self._nearest(self._sampler.propose)  # type: ignore

    def _nearest(self, propose: Callable[..., Config]) -> Callable[..., Config]:
        """`propose`, whose answer is the nearest config that is left on the shelf."""

        def proposal(*arguments: Any) -> Config:
            self.taken = self.shelf.take(propose(*arguments))
            return self.taken

        return proposal

    def propose(self, number: int) -> Proposal:
        """As the searcher does; the table's own config is kept."""
        proposal = super().propose(number)
        self.begun[proposal.trial_id] = self.taken
        return proposal

    def _begin(self, proposal: Proposal) -> Proposal:
        """Take the nearest config from the shelf; the first trial is the defaults."""
        self.taken = self.shelf.take(proposal.config if proposal.number else self.defaults)
        return super()._begin(
            Proposal(proposal.number, self.taken, proposal.explorer, proposal.budget)
        )


class Ours:
    """DeepSight's own search; `settings` are ``study.*``, `record` its directory if it has one."""

    def __init__(
        self, shelf: Shelf, seed: int, record: Path | None = None, **settings: Any
    ) -> None:
        self.searcher = OnTable(shelf, seed, **settings)
        plan = self.searcher.plan
        self.search = Search(plan, self.searcher, writer_for(plan, record))

    def next(self) -> Order | None:
        """What Ray's searcher would hand out."""
        proposal = self.search.next()
        if proposal is None:
            return None
        trial = proposal.trial_id
        return trial, self.searcher.begun[trial], self.search.epochs_of(trial)

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """What Ray's scheduler would answer."""
        return self.search.result(trial, {"epoch": epoch, METRIC: score})


class Snapped(BaseSampler):
    """Another sampler's proposals, each moved to a config of the table before its trial begins."""

    def __init__(self, inner: BaseSampler, shelf: Shelf) -> None:
        self.inner, self.shelf = inner, shelf
        self.config: Config = {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Draw a whole config as Optuna would, value by value, and take its neighbour."""
        table = self.shelf.table
        self.inner.before_trial(study, trial)
        joint = self.inner.infer_relative_search_space(study, trial)
        drawn: dict[str, Any] = dict(self.inner.sample_relative(study, trial, joint))
        point: dict[str, Entry] = dict.fromkeys(table.space, INACTIVE)
        for name, domain, config in decide(table.space, table.fixed):
            if name not in drawn:
                kind = to_distribution(domain)
                drawn[name] = self.inner.sample_independent(study, trial, name, kind)
            config[name] = point[name] = drawn[name]
        self.config = self.shelf.take(point)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: all is drawn already."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Nothing: all is drawn already."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, _: BaseDistribution
    ) -> Any:
        """The table's value."""
        return self.config[param_name]

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, *end: Any) -> None:
        """As the other sampler wants it."""
        self.inner.after_trial(study, trial, *end)


class RayAsha:
    """Ray's ASHAScheduler as shipped, over its OptunaSearch or over random configs."""

    def __init__(self, shelf: Shelf, seed: int, searcher: str) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler
        from ray.tune.search.optuna import OptunaSearch

        table, self.shelf = shelf.table, shelf
        self.rng = random.Random(f"ray {seed}")
        self.number = 0
        self.sampler = Snapped(TPESampler(seed=seed), self.shelf)
        self.optuna: OptunaSearch | None = None
        if searcher == "optuna":

            def define(trial: Any) -> None:
                suggest_point(trial, table.space, table.fixed)

            self.optuna = OptunaSearch(define, metric=METRIC, mode="max", sampler=self.sampler)
        self.asha = AsyncHyperBandScheduler(metric=METRIC, mode="max", max_t=table.epochs)

    def next(self) -> Order | None:
        """A new trial: this scheduler never takes one up again."""
        if self.shelf.empty:
            return None
        trial, self.number = f"r{self.number}", self.number + 1
        if self.optuna:
            self.optuna.suggest(trial)
            config = self.sampler.config
        else:
            table = self.shelf.table
            config = self.shelf.take(sample(table.space, table.fixed, self.rng))
        self.asha.on_trial_add(None, SimpleNamespace(trial_id=trial))
        return trial, config, 0

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """As Tune's controller calls them: the searcher hears a stopped trial as complete."""
        if math.isnan(score):
            self.asha.on_trial_remove(None, SimpleNamespace(trial_id=trial))
            if self.optuna:
                self.optuna.on_trial_complete(trial, error=True)
            return False
        return hear(self.asha, self.optuna, trial, epoch, score)


class OptunaAlone:
    """A sampler and a pruner of Optuna's."""

    def __init__(self, shelf: Shelf, sampler: BaseSampler, pruner: BasePruner) -> None:
        self.table, self.shelf = shelf.table, shelf
        self.sampler = Snapped(sampler, self.shelf)
        self.study = optuna.create_study(
            direction="maximize", sampler=self.sampler, pruner=pruner, study_name=self.table.name
        )
        self.trials: dict[str, optuna.Trial] = {}

    def next(self) -> Order | None:
        """A new trial."""
        if self.shelf.empty:
            return None
        trial = self.study.ask()
        suggest_point(trial, self.table.space, self.table.fixed)
        self.trials[str(trial.number)] = trial
        return str(trial.number), self.sampler.config, 0

    def result(self, trial: str, epoch: int, score: float) -> bool:
        """As a worker that asks `should_prune` after every epoch."""
        told = self.trials[trial]
        if math.isnan(score):
            self.study.tell(told, state=TrialState.FAIL)
            return False
        told.report(score, epoch)
        if epoch == self.table.epochs:
            self.study.tell(told, score)
        elif told.should_prune():
            self.study.tell(told, state=TrialState.PRUNED)
        else:
            return True
        return False


def _hyperband(shelf: Shelf, seed: int) -> Strategy:
    pruner = HyperbandPruner(max_resource=shelf.table.epochs)
    return OptunaAlone(shelf, TPESampler(seed=seed), pruner)


STUDIES: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours, no model": {"searcher": "random"},
    "ours, tpe": {"searcher": "tpe"},
}
"""Our searches: settings of a study that has a number of trials."""
PEERS: dict[str, Callable[[Shelf, int], Strategy]] = {
    "random + asha": lambda shelf, seed: RayAsha(shelf, seed, "random"),
    "ray optuna + asha": lambda shelf, seed: RayAsha(shelf, seed, "optuna"),
    "optuna tpe + halving": lambda shelf, seed: OptunaAlone(
        shelf, TPESampler(seed=seed), SuccessiveHalvingPruner()
    ),
    "optuna tpe + hyperband": _hyperband,
    "optuna gp, full": lambda shelf, seed: OptunaAlone(shelf, GPSampler(seed=seed), NopPruner()),
}
"""Searches that go on for as long as there are epochs."""
