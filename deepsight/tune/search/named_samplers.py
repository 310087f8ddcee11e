"""From the text in ``study.searcher`` to a sampler of Optuna: one of ours, or anybody's by path."""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from deepsight.config import UserError
from deepsight.imports import call, load_object
from deepsight.space import Entry
from deepsight.tune.plan import StudyPlan
from deepsight.tune.search.optuna_space import suggest_point
from deepsight.tune.search.samplers import (
    LearningCurveSampler,
    RankedTPESampler,
    StudySampler,
    UniformSampler,
)

SAMPLERS: dict[str, type[StudySampler]] = {
    "gp": LearningCurveSampler,
    "tpe": RankedTPESampler,
    "random": UniformSampler,
}
"""DeepSight's own, by the name in ``study.searcher``."""
PROBES = 12
"""Proposals that a foreign sampler is asked for before a study: past Optuna's random start-ups."""


class RecordedSampler(BaseSampler):
    """A sampler that is not ours, whose state a resumed study rebuilds by asking it again.

    While a record is replayed, the sampler does all that it did and the recorded values stand.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler
        self._recorded: Mapping[str, Entry] | None = None

    @contextmanager
    def replaying(self, config: Mapping[str, Entry]) -> Iterator[None]:
        """Within this, a trial gets the values of `config`."""
        self._recorded = config
        try:
            yield
        finally:
            self._recorded = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the sampler does."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler does; recorded values in their place."""
        params = self._sampler.sample_relative(study, trial, search_space)
        recorded = self._recorded
        return params if recorded is None else {name: recorded[name] for name in params}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """As the sampler does; the recorded value in its place."""
        value = self._sampler.sample_independent(study, trial, param_name, param_distribution)
        return value if self._recorded is None else self._recorded[param_name]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """As the sampler does."""
        self._sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """As the sampler does."""
        self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """As the sampler does."""
        self._sampler.reseed_rng()


def build_sampler(plan: StudyPlan) -> BaseSampler:
    """The sampler that ``study.searcher`` names.

    Raises:
        UserError: If it cannot be imported or made, or is no sampler.
    """
    settings = plan.settings
    name = "random" if plan.planned else settings.searcher  # Optuna wants one, nobody asks it
    if name in SAMPLERS:
        sampler = SAMPLERS[name](
            settings.seed,
            settings.max_epochs,
            space=plan.space,
            fixed=plan.fixed,
            rungs=plan.rungs,
        )
        if isinstance(sampler, LearningCurveSampler):
            sampler.earlier = plan.earlier
        return sampler
    return RecordedSampler(_foreign_sampler(settings.searcher, settings.seed))


def _foreign_sampler(path: str, seed: int) -> BaseSampler:
    """The sampler at an import path, made with `seed` if it takes one."""
    found = load_object(path)
    if not (isinstance(found, type) and issubclass(found, BaseSampler)):
        raise UserError(
            f"study.searcher: {path} is no sampler of Optuna.",
            "Name a class that derives from optuna.samplers.BaseSampler.",
        )
    parameters = inspect.signature(found).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in VARIADIC]
    missing = [name for name in needed if name != "seed"]
    if missing:
        raise UserError(
            f"study.searcher: {path} cannot be made without {', '.join(missing)}.",
            "Name a class of your own that derives from it and sets them in its __init__(seed).",
        )
    given: dict[str, Any] = {p.name: seed for p in parameters if p.name == "seed"}
    # docs/samplers.md says what is drawn at random, Optuna would for every value of every trial
    given |= {p.name: False for p in parameters if (p.name, p.default) == QUIET}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _called(path, lambda: found(**given))  # type: ignore[no-any-return]


QUIET = ("warn_independent_sampling", True)
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def check_sampler(plan: StudyPlan) -> None:
    """Ask the sampler for some proposals in a study that is thrown away.

    Raises:
        UserError: If it cannot be imported or made, lacks a package or cannot search this space.
    """
    path = plan.settings.searcher
    sampler, rng = build_sampler(plan), random.Random(0)

    def propose() -> None:
        study = optuna.create_study(sampler=sampler)
        study.stop = lambda: None  # type: ignore[method-assign]
        for _ in range(PROBES):
            trial = study.ask()
            suggest_point(trial, plan.space, plan.fixed)
            study.tell(trial, rng.random())

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        _called(path, propose)
    finally:
        optuna.logging.set_verbosity(before)


def _called(path: str, function: Any) -> Any:
    """`call`, with a missing package as a cause of its own."""
    try:
        return call(path, function)
    except UserError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            package = str(error.__cause__.name).partition(".")[0]
            raise UserError(
                f"study.searcher: {path} needs the package {package}, which is not installed.",
                f"Install it: pip install {package}.",
            ) from error
        raise
