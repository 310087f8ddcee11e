"""DeepSight's proposals as samplers of Optuna, in a DeepSight study or in any other.

A proposal is a pure function of the space, the trials so far, the full budget and a seed
(`learning_curve_gp.propose`, `tpe.propose`). A sampler here reads all of these from the Optuna
study that asks it and keeps nothing between two trials: a study that was interrupted and rebuilt
from its record gets the proposals that it would have got.
"""

from __future__ import annotations

import abc
import random
import secrets
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from deepsight.config import Value
from deepsight.optuna_distributions import to_distribution
from deepsight.space import Entry, Space, active, sample
from deepsight.tune.earlier.trials import EarlierStudy
from deepsight.tune.search.observed_trial import ObservedTrial, observe
from deepsight.tune.search.optuna_space import (
    seen_distributions,
    seen_space,
    to_step,
)


class StudySampler(BaseSampler, abc.ABC):
    """Asks `propose` for a whole config, given what the study holds.

    Where no space is declared, it is what the trials so far have shown (`seen_space`): the first
    trial is drawn at random, and so is whatever an objective asks for unexpectedly. Constraints
    (``trial.set_constraint``) are read from the trials; one that breaks any counts as the worst.
    """

    learns = True
    """Whether a proposal depends on the trials so far."""

    def __init__(
        self,
        seed: int | None = None,
        max_epochs: int | None = None,
        *,
        space: Space | None = None,
        fixed: Mapping[str, Value] | None = None,
        rungs: Sequence[int] | None = None,
    ) -> None:
        """Remember what the study itself does not say.

        Args:
            seed: Of all draws; None draws one.
            max_epochs: The full budget in steps of ``trial.report``; None takes the highest step
                that any trial has reported.
            space: What may vary; None takes what the trials have shown.
            fixed: What conditions of `space` may read besides.
            rungs: The steps whose scores count; None picks some of those that were reported.
        """
        self._seed = secrets.randbelow(2**31) if seed is None else seed
        self._max_epochs = max_epochs
        self._space = space
        self._fixed = dict(fixed or {})
        self._rungs = None if rungs is None else frozenset(rungs)
        self._declared = {name: to_distribution(domain) for name, domain in (space or {}).items()}

    @abc.abstractmethod
    def propose(
        self,
        space: Space,
        fixed: Mapping[str, Value],
        past: Sequence[ObservedTrial],
        max_epochs: int,
        seed: int,
    ) -> dict[str, Entry]:
        """One config, `INACTIVE` where inactive; the same for the same arguments."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All that may vary, conditional hyperparameters included."""
        _require_one_objective(study)
        return self._declared or seen_distributions(_others(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of one proposal for what is active in it."""
        _require_one_objective(study)
        prescribed = self._space is not None and "fixed_params" in trial.system_attrs
        if not search_space or prescribed:
            return {}
        trials = _others(study, trial) if self.learns or self._space is None else []
        space = self._space or seen_space(search_space, trials)
        maximise = study.direction == StudyDirection.MAXIMIZE
        past, full = observe(trials, space, maximise, self._max_epochs, self._rungs)
        point = self.propose(space, self._fixed, past, full, self._seed + trial.number)
        names = active({**self._fixed, **point}, space)
        return {name: to_step(search_space[name], point[name]) for name in names}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A uniform draw, for what `sample_relative` did not foresee."""
        _require_one_objective(study)
        seed = zlib.crc32(f"{self._seed} {trial.number} {param_name}".encode())
        draw = RandomSampler(seed).sample_independent
        return draw(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Nothing: every trial has a seed of its own, that of the sampler and its number.

        Workers that share a study and a seed therefore never draw the same.
        """


class LearningCurveSampler(StudySampler):
    """A Gaussian process over all learning curves proposes (the searcher `gp`).

    Works in any Optuna study with one objective whose trials report their scores with
    ``trial.report``; it learns from pruned and running trials too. See
    `deepsight.tune.search.learning_curve_gp` for the model and its papers.

    Examples:
        >>> import optuna
        >>> study = optuna.create_study(sampler=LearningCurveSampler(seed=1))
    """

    earlier: Sequence[EarlierStudy] = ()
    """What it learns from besides the trials of the study."""

    def propose(self, *arguments: Any, **named: Any) -> dict[str, Entry]:
        """As `learning_curve_gp.propose`."""
        # SciPy's optimiser: not before the first trials have run
        from deepsight.tune.search import learning_curve_gp

        return learning_curve_gp.propose(*arguments, **{"earlier": self.earlier, **named})


class RankedTPESampler(StudySampler):
    """Optuna's TPE over trials ranked across budgets (the searcher `tpe`)."""

    def propose(self, *arguments: Any, **named: Any) -> dict[str, Entry]:
        """As `tpe.propose`."""
        from deepsight.tune.search import tpe

        return tpe.propose(*arguments, **named)


class UniformSampler(StudySampler):
    """Every config is a uniform draw from the space (the searcher `random`)."""

    learns = False

    def propose(
        self,
        space: Space,
        fixed: Mapping[str, Value],
        past: Sequence[ObservedTrial],
        max_epochs: int,
        seed: int,
    ) -> dict[str, Entry]:
        """A uniform draw."""
        return sample(space, fixed, random.Random(seed))


def _others(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """All trials but the one that asks, by number."""
    return [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]


def _require_one_objective(study: Study) -> None:
    if len(study.directions) > 1:
        raise ValueError("DeepSight's samplers propose for a single objective.")
