"""How well a surrogate predicts trials that it was not shown.

A search that has found its optimum proposes near-twins of it, and whoever has seen one twin
predicts the other. So trials that are alike are held out together, each group of them counts once,
and what is to be explained is the difference between trials that trained equally long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.stats import spearmanr

from analysis.importance.encoding import Array
from analysis.importance.gaussian_process import Numbers, Process, Rows
from analysis.importance.indices import FitQuality
from analysis.importance.score_transform import Scale

ALIKE = 0.5
"""Largest distance within a group of alike trials; a number's whole domain is 1 long, and two
values of a choice lie 1.4 apart."""
MIN_R2, MIN_RANK = 0.2, 0.4
"""Held-out predictions worse than either of these bear no conclusion."""


def alike(features: Array) -> Numbers:
    """The group (m,) of each of m trials: those of one group lie within `ALIKE` of each other."""
    if len(features) < 2:
        return np.zeros(len(features), dtype=np.intp)
    tree = linkage(features, method="complete")
    return np.asarray(fcluster(tree, ALIKE, criterion="distance") - 1, dtype=np.intp)


def parts(groups: Numbers, num: int, rng: np.random.Generator) -> Numbers:
    """The part (m,), 0 to num - 1, of each trial: whole groups, parts about equally large."""
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    part_of, filled = np.zeros(len(sizes), dtype=np.intp), np.zeros(num)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        part_of[group] = int(filled.argmin())
        filled[part_of[group]] += sizes[group]
    return part_of[groups]


@dataclass(frozen=True)
class Predictions:
    """Of the last target of every trial by processes that did not see it, (m,) each."""

    mean: Array
    deviation: Array
    """Of a new trial's measured target."""

    @staticmethod
    def none(num: int) -> Predictions:
        """Before anything is predicted."""
        return Predictions(np.zeros(num), np.zeros(num))

    def add(self, processes: Sequence[Process], rows: Rows, trials: Numbers) -> None:
        """Note what a mixture of processes says of `trials`."""
        last = rows.time[rows.ends]
        for time in np.unique(last[trials]):
            here = trials[last[trials] == time]
            features = rows.features[here]
            means = np.array([p.mean(features, float(time)) for p in processes])
            inside = np.array(
                [
                    p.variance(features, float(time)) + p.kernel.trial_effect + p.kernel.noise
                    for p in processes
                ]
            )
            self.mean[here] = means.mean(0)
            self.deviation[here] = np.sqrt(inside.mean(0) + means.var(0))


def quality(scale: Scale, rows: Rows, predictions: Predictions, groups: Numbers) -> FitQuality:
    """What the predictions are worth: each group of alike trials counts once."""
    target, time = rows.target[rows.ends], rows.time[rows.ends]
    weights = 1.0 / np.bincount(groups)[groups]
    scores, expected = scale.scores(target), scale.scores(predictions.mean)
    error = float((weights * (scores - expected) ** 2).sum())
    around = float((weights * (scores - _at_same_time(scores, time, weights)) ** 2).sum())
    r2 = 1 - error / around if around > 0 else 0.0
    constant = np.ptp(predictions.mean) == 0 or around == 0
    rank = 0.0 if constant else _rank_correlation(scores, expected, time)
    rmse = float(np.sqrt(error / weights.sum()))
    inside = np.abs(target - predictions.mean) <= 1.96 * predictions.deviation
    coverage = float((weights * inside).sum() / weights.sum())
    holds = r2 >= MIN_R2 and rank >= MIN_RANK
    num_groups = int(groups.max(initial=-1)) + 1
    return FitQuality(r2, rank, rmse, coverage, len(groups), len(rows.target), num_groups, holds)


def _at_same_time(scores: Array, time: Array, weights: Array) -> Array:
    """(m,): the weighted mean score of the trials that trained as long."""
    means = np.zeros(len(scores))
    for moment in np.unique(time):
        here = time == moment
        means[here] = np.average(scores[here], weights=weights[here])
    return means


def _rank_correlation(scores: Array, expected: Array, time: Array) -> float:
    """Spearman's, of what differs from the mean rank of the trials that trained as long."""
    both = np.array([scores, expected])
    ranks = both.argsort(1).argsort(1).astype(float)
    for moment in np.unique(time):
        here = time == moment
        ranks[:, here] -= ranks[:, here].mean(1, keepdims=True)
    return float(np.nan_to_num(spearmanr(*ranks).statistic))
