"""Proposals by Optuna's TPE: the searcher `tpe`, with an order over trials of different budgets.

TPE splits past trials into good and bad ones. Optuna's own split puts every trial that spent the
full budget before every one that was stopped and takes running ones for bad. With explorers, whose
budget nobody earned, and with trials that pause, both are wrong: a poor explorer would count as
good, a promising paused trial as bad. So the sampler sees a study of its own, made for the one
proposal, in which each trial's value is its place in `ranked`.
"""

from __future__ import annotations

import copy
import statistics
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from deepsight.config import Value
from deepsight.optuna_distributions import to_distribution
from deepsight.space import INACTIVE, Entry, Space
from deepsight.tune.search.observed_trial import ObservedTrial
from deepsight.tune.search.optuna_space import suggest_point

STARTUP_TRIALS = 10
"""Random proposals before TPE begins; explorers count among them."""
EPOCH = datetime.fromtimestamp(0, UTC)
"""When a trial was that has no time."""


def rank_weights(num_trials: int) -> np.ndarray:
    """Weights of good or of bad trials, the best first: five times the worst's for the best."""
    return np.linspace(1.0, 0.2, num_trials)


def ranked(past: Sequence[ObservedTrial]) -> list[ObservedTrial]:
    """All trials that did not fail, the best first.

    A trial stands at the highest rung that it reached by merit, and there by its score. An
    explorer, whose budget was given, stands at the highest rung where it is no worse than the
    median of those who earned theirs. Trials without a score yet come last but for the diverged:
    what is being tried needs no second try.
    """
    earned: dict[int, list[float]] = {}
    for trial in past:
        if not trial.explorer and trial.state != "diverged":
            for rung, score in trial.scores.items():
                earned.setdefault(rung, []).append(score)
    level = {rung: statistics.median(scores) for rung, scores in earned.items()}

    def place(trial: ObservedTrial) -> tuple[int, float]:
        if trial.state == "diverged":
            return -2, 0.0
        reached = sorted(trial.scores, reverse=True)
        for rung in reached:
            score = trial.scores[rung]
            if not trial.explorer or score >= level.get(rung, score) or rung == reached[-1]:
                return rung, score
        return -1, 0.0

    return sorted((t for t in past if t.state != "failed"), key=place, reverse=True)


class Shown(FrozenTrial):
    """A past trial in the study of one proposal."""

    def __init__(
        self, place: int, config: Mapping[str, Entry], known: Mapping[str, BaseDistribution]
    ) -> None:
        params = {name: value for name, value in config.items() if value is not INACTIVE}
        super().__init__(
            number=-1,
            trial_id=-1,
            state=TrialState.COMPLETE,
            value=place,
            params=params,
            distributions={name: known[name] for name in params},
            datetime_start=EPOCH,
            datetime_complete=EPOCH,
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    def __deepcopy__(self, memo: object) -> Shown:
        """As Optuna's storage takes it in: nobody changes what is in it, and there are many."""
        return copy.copy(self)


def propose(
    space: Space,
    fixed: Mapping[str, Value],
    past: Sequence[ObservedTrial],
    max_epochs: int,
    seed: int,
) -> dict[str, Entry]:
    """One config, `INACTIVE` where inactive; the same for the same arguments."""
    with warnings.catch_warnings():  # multivariate and group: experimental; weights: until Optuna 6
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        sampler = TPESampler(
            seed=seed,
            multivariate=True,
            group=True,
            n_startup_trials=STARTUP_TRIALS,
            weights=rank_weights,
        )
        study = optuna.create_study(sampler=sampler)
    distributions = {key: to_distribution(domain) for key, domain in space.items()}
    for place, trial in enumerate(ranked(past)):
        study.add_trial(Shown(place, trial.config, distributions))
    return suggest_point(study.ask(), space, fixed)
