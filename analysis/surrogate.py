"""A model of the score over hyperparameters and epochs, from all epochs of all trials.

It is what a conclusion about the full budget is drawn from when most trials were stopped long
before, by their score. `analysis.gaussian_process` is the model; here is what it is shown of a
study and how it is checked: a few copies are fitted, each without a part of the trials, and predict
the last score of exactly those. The copies also tell how far a conclusion depends on which trials
there happened to be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from analysis import gaussian_process as gp
from analysis.encoding import Array, Encoding, make_encoding
from analysis.shares import FitQuality
from deepsight.config import Value
from deepsight.run_store import Study, TrialRecord

__all__ = ["FitQuality", "NoSurrogate", "Surrogate", "fit_surrogate", "fit_values"]

MIN_TRIALS = 8
"""Fewer are not fitted."""
NUM_PARTS = 5
"""Copies, each of which does not see one part of the trials."""
MAX_ROWS = 900
"""Rows by which the kernel's parameters are chosen; a few hundred determine them."""
COPY_ROWS, COPY_STEPS = 500, 15
"""For the copies, which begin at the whole fit's parameters."""
MAX_KNOWN = 1500
"""Rows that the surrogate predicts from."""
MIN_R2, MIN_RANK = 0.3, 0.4
"""Held-out predictions worse than both of these bear no conclusion."""


@dataclass(frozen=True)
class Scale:
    """The way from scores to the standardised targets of a process, and back."""

    log: bool
    """Whether targets are of the logarithm: configs then multiply what the epochs give."""
    centre: float
    spread: float

    @staticmethod
    def of(scores: Array, log: bool) -> Scale:
        """The scale on which `scores` have mean 0 and variance 1."""
        values = np.log(scores) if log else scores
        return Scale(log, float(values.mean()), float(values.std()))

    def targets(self, scores: Array) -> Array:
        """Standardised."""
        values = np.log(scores) if self.log else scores
        return np.asarray((values - self.centre) / (self.spread or 1.0))

    def scores(self, targets: Array) -> Array:
        """In the metric's unit."""
        values = self.centre + self.spread * targets
        return np.asarray(np.exp(values) if self.log else values)

    def log_slopes(self, targets: Array) -> Array:
        """Logarithms of the derivative of the targets by the scores."""
        slopes = np.full(len(targets), -math.log(self.spread))
        return slopes - self.centre - self.spread * targets if self.log else slopes


@dataclass(frozen=True)
class Data:
    """What a surrogate learns from."""

    encoding: Encoding
    rows: gp.Rows
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
    process: gp.Process
    copies: tuple[gp.Process, ...]
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
            Two arrays (len(configs),) in the metric's unit, without a trial's own noise; on a
            logarithmic scale the median, and the deviation to the first order.
        """
        features, time = self.encoding.features(self.encoding.units(configs)), self.time(epoch)
        mean, variance = self.process.mean(features, time), self.process.variance(features, time)
        scale, slopes = self.data.scale, self.data.scale.log_slopes(mean)
        return scale.scores(mean), np.sqrt(variance) / np.exp(slopes)

    def samples(
        self, configs: Sequence[Mapping[str, Value]], epoch: int, num: int, seed: int
    ) -> Array:
        """Plausible expected scores, (num, len(configs)): a line a function from the posterior."""
        features = self.encoding.features(self.encoding.units(configs))
        draws = self.process.draws(num, np.random.default_rng(seed))
        values = draws(features, self.time(epoch))
        return self.data.scale.scores(values.T)

    def final_mean(self, units: Array) -> Array:
        """Expected scores at full budget of units (n, d), (n,)."""
        mean = self.process.mean(self.encoding.features(units), 1.0)
        return self.data.scale.scores(mean)

    def final_draws(self, units: Array, random: Array, num: int, seed: int) -> Array:
        """Plausible expected scores at full budget, (n, num * copies).

        Args:
            units: (n, d).
            random: (n,) values of the column of random numbers that the copies were shown.
            num: Functions from the posterior of each copy.
            seed: Of the draws.
        """
        features = np.column_stack([self.encoding.features(units), random])
        rng = np.random.default_rng(seed)
        values = [copy.draws(num, rng)(features, 1.0) for copy in self.copies]
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


def fit_surrogate(study: Study, seed: int = 0) -> Surrogate | NoSurrogate:
    """Fit the model to all epochs of all trials that have a score, thinned to geometric epochs.

    Returns:
        The surrogate, or why there can be none: too few trials, or nothing that varied.
    """
    fitted = fit_process(study, seed)
    return fitted if isinstance(fitted, NoSurrogate) else _checked(study, *fitted, seed)


def fit_process(
    study: Study, seed: int = 0, points: Points | None = None
) -> tuple[Data, gp.Process] | NoSurrogate:
    """The model of `fit_surrogate` by itself, without the copies that check it.

    Args:
        study: What `deepsight.run_store.load_study` returns.
        seed: Of the choice of rows where there are too many.
        points: Other scores of the study's trials than those on record.
    """
    points = points or [_points(study, r) for r in study.records]
    told = [(r, p) for r, p in zip(study.records, points, strict=True) if p]
    records = [r for r, _ in told]
    return _fit(study, records, [p for _, p in told], study.max_epochs, seed, may_log=True)


def fit_values(
    study: Study, records: Sequence[TrialRecord], points: Points, horizon: int, seed: int
) -> Surrogate | NoSurrogate:
    """Fit the model to other values of `records` than the metric."""
    fitted = _fit(study, records, points, horizon, seed)
    return fitted if isinstance(fitted, NoSurrogate) else _checked(study, *fitted, seed)


def _fit(
    study: Study,
    records: Sequence[TrialRecord],
    points: Points,
    horizon: int,
    seed: int,
    may_log: bool = False,
) -> tuple[Data, gp.Process] | NoSurrogate:
    """The better of two fits, to the values and, where all are positive, to their logarithms."""
    if len(records) < MIN_TRIALS:
        return NoSurrogate(f"{len(records)} trials have a value; it takes {MIN_TRIALS}.")
    encoding = make_encoding(study.space, study.fixed, [r.config for r in records])
    if not encoding.names:
        return NoSurrogate("no hyperparameter varied.")
    values = np.array([value for trial in points for _, value in trial])
    if np.ptp(values) == 0.0:
        return NoSurrogate("every trial has the same value.")
    logs = [False, True] if may_log and values.min() > 0 else [False]
    scales = [Scale.of(values, log) for log in logs]
    fits = [_fit_on(scale, encoding, records, points, horizon, seed) for scale in scales]
    return max(fits, key=lambda fit: fit[0])[1:]


def _fit_on(
    scale: Scale, encoding: Encoding, records: Sequence[TrialRecord], points: Points,
    horizon: int, seed: int,
) -> tuple[float, Data, gp.Process]:  # fmt: skip
    """The evidence of the scores on one scale, and what was fitted to them.

    Of the two scales that one is right on which the scores, not the targets, are more probable:
    hence the slopes (Snelson, Rasmussen and Ghahramani 2004, "Warped Gaussian processes").
    """
    data = _make_data(scale, encoding, records, points, horizon)
    rng, everybody = np.random.default_rng(seed), np.arange(len(records))
    process = gp.fit(_limited(data, data.rows, everybody, MAX_ROWS, rng))
    evidence = -gp.negative_log_posterior(process.theta, process.rows)[0]
    evidence += float(scale.log_slopes(process.rows.target).sum())
    known = _limited(data, data.rows, everybody, MAX_KNOWN, rng)
    return evidence, data, gp.Process(process.kernel, known, process.theta)


def _checked(study: Study, data: Data, process: gp.Process, seed: int) -> Surrogate:
    copies, held_out = _cross_fit(data, process, np.random.default_rng(seed))
    sign = -1.0 if study.mode == "min" else 1.0
    return Surrogate(data, process, copies, _quality(data, held_out), sign)


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
    rows = gp.Rows(
        features=encoding.features(encoding.units([r.config for r in records])),
        trial=np.repeat(np.arange(len(records)), counts),
        time=np.array([_time(epoch, horizon) for epoch, _ in flat]),
        target=scale.targets(np.array([value for _, value in flat])),
    )
    explorer = np.array([r.explorer for r in records])
    return Data(encoding, rows, explorer, scale, horizon)


def _limited(
    data: Data,
    rows: gp.Rows,
    trials: npt.NDArray[np.intp],
    limit: int,
    rng: np.random.Generator,
) -> gp.Rows:
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


def _subset(rows: gp.Rows, trials: npt.NDArray[np.intp]) -> gp.Rows:
    """The rows of some trials, which are given in rising order."""
    number = np.full(len(rows.features), -1)
    number[trials] = np.arange(len(trials))
    kept = number[rows.trial] >= 0
    return gp.Rows(
        rows.features[trials], number[rows.trial[kept]], rows.time[kept], rows.target[kept]
    )


@dataclass(frozen=True)
class HeldOut:
    """Predictions for the last rows of trials by a copy that did not see them."""

    target: Array
    mean: Array
    deviation: Array
    """Of a new trial's measured score."""


def _cross_fit(
    data: Data, process: gp.Process, rng: np.random.Generator
) -> tuple[tuple[gp.Process, ...], HeldOut]:
    """Copies without a part of the trials, each with a random column of its own.

    A copy's parameters are chosen anew, from the whole fit's: what they owe to the held-out
    trials is what a few steps do not unlearn.
    """
    rows, last = data.rows, data.rows.ends
    parts = rng.permutation(len(rows.features)) % NUM_PARTS
    num = rows.features.shape[1]
    begin = np.insert(process.theta, [num, 2 * num], gp.start(1)[:2])
    copies = []
    columns: list[Array] = [rows.target[last], np.zeros(len(last)), np.zeros(len(last))]
    for part in range(NUM_PARTS):
        features = np.column_stack([rows.features, rng.uniform(-0.5, 0.5, len(parts))])
        noisy = gp.Rows(features, rows.trial, rows.time, rows.target)
        seen = np.flatnonzero(parts != part)
        copy = gp.fit(_limited(data, noisy, seen, COPY_ROWS, rng), begin, COPY_STEPS)
        known = _limited(data, noisy, seen, MAX_KNOWN, rng)
        copy = gp.Process(copy.kernel, known, copy.theta)
        copies.append(copy)
        extra = copy.kernel.luck + copy.kernel.noise
        for time in np.unique(rows.time[last]):
            here = np.flatnonzero((parts == part) & (rows.time[last] == time))
            if len(here):
                columns[1][here] = copy.mean(features[here], float(time))
                columns[2][here] = np.sqrt(copy.variance(features[here], float(time)) + extra)
    return tuple(copies), HeldOut(*columns)


def _quality(data: Data, held_out: HeldOut) -> FitQuality:
    scores, expected = data.scale.scores(held_out.target), data.scale.scores(held_out.mean)
    error = scores - expected
    variance = float(scores.var())
    r2 = 1 - float((error**2).mean()) / variance if variance else 0.0
    constant = np.ptp(held_out.mean) == 0 or variance == 0
    rank = 0.0 if constant else float(spearmanr(held_out.mean, held_out.target).statistic)
    rmse = float(np.sqrt((error**2).mean()))
    off = np.abs(held_out.target - held_out.mean)
    coverage = float((off <= 1.96 * held_out.deviation).mean())
    holds = r2 >= MIN_R2 and rank >= MIN_RANK
    text = (
        f"Fitted on {len(data.rows.features)} trials ({len(data.rows.target)} rows); of held-out "
        f"trials it explains {100 * max(r2, 0.0):.0f} % of the variance (rank correlation "
        f"{rank:.2f}, error {rmse:.3g}, {100 * coverage:.0f} % inside the 95 % interval)"
        + ("." if holds else ": too little to conclude from.")
    )
    return FitQuality(
        r2, rank, rmse, coverage, len(data.rows.features), len(data.rows.target),
        len(held_out.target), holds, text,
    )  # fmt: skip
