"""A model of the score over hyperparameters and epochs, from all epochs of all trials.

It is what a conclusion about the full budget is drawn from when most trials were stopped long
before, by their score. `gaussian_process.py` is the model, of which there are many: as many
kernels as are drawn from what the data allow (`kernel_posterior.py`). Here is what they are
shown of a study and how they are checked: cross-validation models are fitted, each without a part
of the trials, and predict the last score of exactly those (`held_out.py`). They also tell how far a
conclusion depends on which trials there happened to be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from analysis.importance import held_out
from analysis.importance.encoding import Array, Encoding, make_encoding
from analysis.importance.gaussian_process import Numbers, Process, Rows
from analysis.importance.indices import FitQuality
from analysis.importance.kernel_posterior import Posterior
from analysis.importance.score_transform import Scale, scales_for
from deepsight.config import Value
from deepsight.run_store import Study, TrialRecord

__all__ = ["FitQuality", "NoSurrogate", "Surrogate", "fit_surrogate", "fit_values"]

MIN_TRIALS = 8
"""Fewer are not fitted."""
NUM_FOLDS = 5
"""CV models, each of which does not see one part of the trials."""
MAX_ROWS, CV_ROWS = 300, 250
"""Rows by which kernels are chosen, of the whole fit and of a cross-validation model."""
MAX_KNOWN = 1000
"""Rows that a process predicts from."""
SMALL = 120
"""Rows up to which chains are twice as long: it costs little, and less is known."""
CHAIN, CV_CHAIN = (40, 30), (16, 16)
"""Trajectories of a chain over kernels: to warm up, and kept."""
KERNELS, CV_KERNELS = 10, 4
"""Kernels taken from a chain, evenly."""


@dataclass(frozen=True)
class Data:
    """What a surrogate learns from."""

    encoding: Encoding
    rows: Rows
    """Its target is on `scale`."""
    explorer: npt.NDArray[np.bool_]
    """Of each trial: they are kept first where not all rows can be."""
    scale: Scale
    horizon: int
    """The epoch that is time 1."""


@dataclass(frozen=True)
class Surrogate:
    """A fitted model of a study's metric; see `fit_surrogate`."""

    data: Data
    processes: tuple[Process, ...]
    """One for each kernel drawn."""
    cv_models: tuple[Process, ...]
    """Fitted without a part of the trials, and with one random column at the end."""
    quality: FitQuality

    sign: float
    """1 where more of the metric is better, else -1."""

    @property
    def encoding(self) -> Encoding:
        """The hyperparameters that it knows."""
        return self.data.encoding

    @property
    def epoch(self) -> int:
        """The full budget."""
        return self.data.horizon

    def predict(self, configs: Sequence[Mapping[str, Value]], epoch: int) -> tuple[Array, Array]:
        """Mean and standard deviation of the expected score of configs at an epoch.

        Args:
            configs: Hyperparameters of the space by dotted name, None where inactive.
            epoch: At most the full budget.

        Returns:
            Two arrays (len(configs),) in the metric's unit, without a trial's own noise; of the
            mixture of all kernels, the deviations to the first order.
        """
        features, time = self.encoding.features(self.encoding.units(configs)), self.time(epoch)
        scale = self.data.scale
        means = np.array([process.mean(features, time) for process in self.processes])
        variances = np.array([process.variance(features, time) for process in self.processes])
        scores = scale.scores(means)
        inside = variances / np.exp(2 * scale.log_slopes(means))
        return scores.mean(0), np.sqrt(inside.mean(0) + scores.var(0))

    def samples(
        self, configs: Sequence[Mapping[str, Value]], epoch: int, num: int, seed: int
    ) -> Array:
        """Plausible expected scores, (num, len(configs)): a line a function from the posterior."""
        features = self.encoding.features(self.encoding.units(configs))
        rng, each = np.random.default_rng(seed), math.ceil(num / len(self.processes))
        values = [p.draws(each, rng)(features, self.time(epoch)) for p in self.processes]
        return self.data.scale.scores(np.concatenate(values, axis=1)[:, :num].T)

    def final_mean(self, units: Array) -> Array:
        """Expected scores at full budget of units (n, d), (n,)."""
        features = self.encoding.features(units)
        means = [self.data.scale.scores(process.mean(features, 1.0)) for process in self.processes]
        return np.asarray(np.mean(means, axis=0))

    def final_samples(self, units: Array, num: int, seed: int) -> Array:
        """Plausible expected scores at full budget, (n, num * len(processes)), of units (n, d)."""
        return self._drawn(self.processes, self.encoding.features(units), num, seed)

    def final_draws(self, units: Array, random: Array, num: int, seed: int) -> Array:
        """Plausible expected scores at full budget by these models, (n, num * len(cv_models)).

        Args:
            units: (n, d).
            random: (n,) values of the column of random numbers that they were shown.
            num: Functions from the posterior of each model.
            seed: Of the draws.
        """
        features = np.column_stack([self.encoding.features(units), random])
        return self._drawn(self.cv_models, features, num, seed)

    def _drawn(self, processes: Sequence[Process], features: Array, num: int, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        values = [process.draws(num, rng)(features, 1.0) for process in processes]
        return self.data.scale.scores(np.concatenate(values, axis=1))

    def time(self, epoch: int) -> float:
        """An epoch on the model's scale.

        Raises:
            ValueError: If it lies beyond the full budget.
        """
        if not 1 <= epoch <= self.epoch:
            raise ValueError(f"epoch must be 1 to {self.epoch}, got {epoch}")
        return _time(epoch, self.epoch)


@dataclass(frozen=True)
class NoSurrogate:
    """Why a study has no surrogate."""

    reason: str


Points = Sequence[Sequence[tuple[int, float]]]
"""``(epoch, value)`` pairs of each trial."""


@dataclass(frozen=True)
class Fit:
    """Kernels drawn from what all trials allow."""

    data: Data
    thetas: Array
    """(draws, parameters): all draws of the chain."""
    processes: tuple[Process, ...]


def fit_surrogate(study: Study, seed: int = 0) -> Surrogate | NoSurrogate:
    """Fit the model to all epochs of all trials that have a score, thinned to geometric epochs.

    Returns:
        The surrogate, or why there can be none: too few trials, or nothing that varied.
    """
    with threadpool_limits(1):  # its many small matrices gain nothing from a second thread
        fitted = fit_processes(study, seed)
        return fitted if isinstance(fitted, NoSurrogate) else _checked(study, fitted, seed)


def fit_processes(study: Study, seed: int = 0, points: Points | None = None) -> Fit | NoSurrogate:
    """The model of `fit_surrogate` by itself, without the models that check it.

    Args:
        study: What `deepsight.run_store.load_study` returns.
        seed: Of the choice of rows where there are too many.
        points: Other scores of the study's trials than those on record.
    """
    points = points or [_points(study, r) for r in study.records]
    told = [(r, p) for r, p in zip(study.records, points, strict=True) if p]
    records = [r for r, _ in told]
    return _fit(study, records, [p for _, p in told], study.max_epochs, seed, study.metric)


def fit_values(
    study: Study, records: Sequence[TrialRecord], points: Points, horizon: int, seed: int
) -> Surrogate | NoSurrogate:
    """Fit the model to other values of `records` than the metric."""
    with threadpool_limits(1):
        fitted = _fit(study, records, points, horizon, seed)
        return fitted if isinstance(fitted, NoSurrogate) else _checked(study, fitted, seed)


def _fit(
    study: Study,
    records: Sequence[TrialRecord],
    points: Points,
    horizon: int,
    seed: int,
    metric: str | None = None,
) -> Fit | NoSurrogate:
    """Draw kernels on the best of the scales that the values of a `metric` allow.

    Other values than a metric's are modelled as they are.
    """
    if len(records) < MIN_TRIALS:
        return NoSurrogate(f"{len(records)} trials have a value; it takes {MIN_TRIALS}.")
    encoding = make_encoding(study.space, study.fixed, [r.config for r in records])
    if not encoding.names:
        return NoSurrogate("no hyperparameter varied.")
    values = np.array([value for trial in points for _, value in trial])
    if np.ptp(values) == 0.0:
        return NoSurrogate("every trial has the same value.")
    scales = scales_for(values, metric) if metric else [Scale.of(values, "identity")]
    candidates = [_begun(scale, encoding, records, points, horizon, seed) for scale in scales]
    _, data, shown, begin = max(candidates, key=lambda candidate: candidate[0])
    rng = np.random.default_rng(seed)
    thetas = _draw(shown, begin, rng, CHAIN)
    known = _limited(data, data.rows, np.arange(len(records)), MAX_KNOWN, rng)
    return Fit(data, thetas, _processes(shown, thetas, known, KERNELS))


def _begun(
    scale: Scale,
    encoding: Encoding,
    records: Sequence[TrialRecord],
    points: Points,
    horizon: int,
    seed: int,
) -> tuple[float, Data, Posterior, Array]:
    """The evidence of the scores on one scale, and the kernel's most probable parameters on it.

    Of the scales that one is right on which the scores, not the targets, are more probable: hence
    the slopes (Snelson, Rasmussen and Ghahramani 2004, "Warped Gaussian processes").
    """
    data = _make_data(scale, encoding, records, points, horizon)
    rng, everybody = np.random.default_rng(seed), np.arange(len(records))
    shown = Posterior(_limited(data, data.rows, everybody, MAX_ROWS, rng))
    theta = shown.maximum()
    evidence = float(scale.log_slopes(shown.rows.target).sum()) - shown.loss(theta)[0]
    return evidence, data, shown, theta


def _draw(
    posterior: Posterior, begin: Array, rng: np.random.Generator, chain: tuple[int, int]
) -> Array:
    """A chain of kernels, longer where there are few rows."""
    effort = 2 if len(posterior.rows.target) <= SMALL else 1
    return posterior.draw(begin, rng, effort * chain[0], effort * chain[1])


def _processes(posterior: Posterior, thetas: Array, known: Rows, num: int) -> tuple[Process, ...]:
    """Processes of `num` kernels, evenly from a chain, that predict from `known` rows."""
    chosen = thetas[np.linspace(0, len(thetas) - 1, num).round().astype(int)]
    return tuple(posterior.process(theta, known) for theta in chosen)


def _checked(study: Study, fit: Fit, seed: int) -> Surrogate | NoSurrogate:
    if len(set(held_out.alike(fit.data.rows.features))) < 2:
        return NoSurrogate("all trials are alike: none can be held out to check it.")
    cv_models, quality = _cross_fit(fit, np.random.default_rng(seed))
    return Surrogate(
        fit.data, fit.processes, cv_models, quality, sign=-1.0 if study.mode == "min" else 1.0
    )


def _cross_fit(fit: Fit, rng: np.random.Generator) -> tuple[tuple[Process, ...], FitQuality]:
    """Models without a part of the trials, each with a random column of its own, and their check.

    A model's chain begins at a kernel of the whole fit: what it owes to the held-out trials is
    what the warm-up does not unlearn.
    """
    data, rows = fit.data, fit.data.rows
    groups = held_out.alike(rows.features)
    parts = held_out.parts(groups, NUM_FOLDS, rng)
    num = int(rows.groups.max()) + 1
    begins = fit.thetas[np.linspace(0, len(fit.thetas) - 1, NUM_FOLDS).round().astype(int)]
    cv_models: list[Process] = []
    predictions = held_out.Predictions.none(len(parts))
    for part, whole in enumerate(begins):
        random = rng.uniform(-0.5, 0.5, len(parts))
        noisy = Rows(
            np.column_stack([rows.features, random]),
            rows.trial,
            rows.time,
            rows.target,
            np.append(rows.groups, num),
        )
        seen = np.flatnonzero(parts != part)
        shown = Posterior(_limited(data, noisy, seen, CV_ROWS, rng))
        begin = np.insert(whole, [num, 2 * num], shown.mean[:2])
        thetas = _draw(shown, begin, rng, CV_CHAIN)
        known = _limited(data, noisy, seen, MAX_KNOWN, rng)
        mine = _processes(shown, thetas, known, CV_KERNELS)
        predictions.add(mine, noisy, np.flatnonzero(parts == part))
        cv_models += mine
    return tuple(cv_models), held_out.quality(data.scale, rows, predictions, groups)


def _points(study: Study, record: TrialRecord) -> list[tuple[int, float]]:
    """The trial's finite scores at thinned epochs, and its last one."""
    wanted = thinned(study.rungs, study.max_epochs)
    found = []
    for row in record.rows:
        value, epoch = row.get(study.metric), int(row["epoch"])
        if isinstance(value, int | float) and math.isfinite(value) and epoch <= study.max_epochs:
            found.append((epoch, float(value)))
    return [point for point in found if point[0] in wanted or point is found[-1]]


def thinned(rungs: Sequence[int], max_epochs: int) -> set[int]:
    """The rungs, the first and the last epoch, and one between any two of these.

    >>> sorted(thinned((1, 3, 9, 27), 27))
    [1, 2, 3, 5, 9, 16, 27]
    """
    steps = sorted({1, max_epochs, *rungs})
    return {*steps, *(round(math.sqrt(a * b)) for a, b in zip(steps, steps[1:], strict=False))}


def _time(epoch: int, horizon: int) -> float:
    return 1.0 if horizon == 1 else math.log(epoch) / math.log(horizon)


def _make_data(
    scale: Scale,
    encoding: Encoding,
    records: Sequence[TrialRecord],
    points: Points,
    horizon: int,
) -> Data:
    counts = [len(p) for p in points]
    flat = [point for p in points for point in p]
    rows = Rows(
        features=encoding.features(encoding.units([r.config for r in records])),
        groups=np.array(encoding.groups),
        trial=np.repeat(np.arange(len(records)), counts),
        time=np.array([_time(epoch, horizon) for epoch, _ in flat]),
        target=scale.targets(np.array([value for _, value in flat])),
    )
    explorer = np.array([r.explorer for r in records])
    return Data(encoding, rows, explorer, scale, horizon)


def _limited(
    data: Data,
    rows: Rows,
    trials: Numbers,
    limit: int,
    rng: np.random.Generator,
) -> Rows:
    """At most `limit` rows of `trials`, or all: whole trials.

    Half of the places at most go to explorers; then those that came furthest and trials drawn at
    random take turns, so that neither final scores nor poor trials are lost.
    """
    counts = np.bincount(rows.trial)
    if counts[trials].sum() <= limit:
        return _subset(rows, trials)
    shuffled = rng.permutation(trials)
    explorers = shuffled[data.explorer[shuffled]]
    explorers = explorers[np.cumsum(counts[explorers]) <= limit // 2]
    furthest = shuffled[np.argsort(-rows.time[rows.ends[shuffled]], kind="stable")]
    turns = np.stack([furthest, rng.permutation(trials)], axis=1).ravel()
    order = np.array(list(dict.fromkeys([*explorers, *turns])))
    return _subset(rows, np.sort(order[np.cumsum(counts[order]) <= limit]))


def _subset(rows: Rows, trials: Numbers) -> Rows:
    """The rows of some trials, which are given in rising order."""
    number = np.full(len(rows.features), -1)
    number[trials] = np.arange(len(trials))
    kept = number[rows.trial] >= 0
    return Rows(
        rows.features[trials],
        number[rows.trial[kept]],
        rows.time[kept],
        rows.target[kept],
        rows.groups,
    )
