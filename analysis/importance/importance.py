"""Which hyperparameters decide the score at full budget, and how sure that is.

The surrogate (`surrogate.py`) draws functions that give the score at full budget anywhere in
the declared space; their Sobol indices (`sobol.py`) are the shares. So do cross-validation models,
each fitted without a part of the trials. Value and interval are those of all these functions: what
the data leave open, and what depends on single trials (a bagged posterior; Huggins, Miller 2023).
A column of random numbers that each of these models is shown gives the noise threshold.
docs/importance.md has the method, what a share means for a conditional hyperparameter, and how
often all this was right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.importance.encoding import Array
from analysis.importance.fanova import compute_fanova
from analysis.importance.good_region import good_indices
from analysis.importance.indices import (
    MIN_SURVIVORS,
    RANKED,
    TOO_FEW,
    FitQuality,
    Importance,
    Obstacle,
    Pair,
    Share,
)
from analysis.importance.sobol import Indices, indices, make_design
from analysis.importance.surrogate import NoSurrogate, Surrogate, fit_surrogate, fit_values
from analysis.statistics.intervals import Interval
from deepsight.run_store import Study, TrialRecord

__all__ = [
    "RANKED",
    "TOO_FEW",
    "Importance",
    "Pair",
    "Share",
    "compute_cost_importance",
    "compute_fanova",
    "compute_importance",
    "compute_survival_importance",
    "total_share_draws",
]

NUM_POINTS = 512
"""Base points of the pick-freeze design, a power of two."""
NUM_DRAWS = 5
"""Functions drawn from the posterior of each kernel."""
SURE = 0.95
"""Share of the drawn functions in which the first hyperparameter is among the first two, from which
a ranking is shown."""
INTERVAL = (1.0, 99.0)
"""Percentiles of the draws that make a 95 % interval: chains of a few dozen kernels are shorter
than the tails of what the data allow. Chosen on the tables to design on (docs/importance.md)."""
REACH = 1.96
"""Standard errors by which the variance of the scores may exceed what the functions say."""
LEAST = 0.01
"""The lowest noise threshold: less than one percent of the variance is nothing to act on."""
METHOD = "Sobol indices of a Gaussian process over (hyperparameters, log epoch) at full budget"


def compute_importance(
    study: Study,
    seed: int = 0,
    region: str = "all",
    surrogate: Surrogate | NoSurrogate | None = None,
) -> Importance:
    """Main and total shares at full budget over the declared space.

    Args:
        study: What `deepsight.run_store.load_study` returns.
        seed: Of everything random in the computation.
        region: ``all``, or ``good`` for the quarter of the space that the surrogate predicts best:
            inputs depend on each other there, and shares are Kucherenko et al.'s (2012).
        surrogate: What `fit_surrogate` returned, if it was called already.
    """
    if region not in ("all", "good"):
        raise ValueError(f"region must be 'all' or 'good', got {region!r}")
    surrogate = surrogate or fit_surrogate(study, seed)
    records = [r for r in study.records if study.score(r) is not None]
    return _importance(study, records, surrogate, study.metric, METHOD, region, seed)


def compute_survival_importance(study: Study, seed: int = 0) -> Importance:
    """Which hyperparameters decide how many rungs a trial survives.

    Explorers and the defaults, which no rung stops, are left out. It speaks of the early
    epochs and of the search's own bar, which rises: not of the final score.
    """
    judged = [r for r in study.records if r.rows and not study.is_exempt(r)]
    records = [r for r in judged if r.state != "failed"]
    points = [[(1, float(sum(rung <= r.num_epochs for rung in study.rungs)))] for r in records]
    surrogate = fit_values(study, records, points, 1, seed)
    method = "Sobol indices of a Gaussian process of the number of rungs reached"
    return _importance(study, records, surrogate, "survival", method, "all", seed)


def compute_cost_importance(study: Study, seed: int = 0) -> Importance:
    """Which hyperparameters decide the seconds that an epoch takes, on a logarithmic scale."""
    walls = {r.trial_id: _seconds(r) for r in study.records}
    records = [r for r in study.records if walls[r.trial_id] > 0]
    points = [[(1, math.log(walls[r.trial_id]))] for r in records]
    surrogate = fit_values(study, records, points, 1, seed)
    method = "Sobol indices of a Gaussian process of the logarithm of the median epoch's seconds"
    return _importance(study, records, surrogate, "seconds per epoch", method, "all", seed)


def _seconds(record: TrialRecord) -> float:
    """Median seconds of an epoch; 0 where none were recorded."""
    walls = [row["wall_s"] for row in record.rows if isinstance(row.get("wall_s"), int | float)]
    return float(np.median(walls)) if walls else 0.0


def _importance(
    study: Study,
    records: Sequence[TrialRecord],
    surrogate: Surrogate | NoSurrogate,
    what: str,
    method: str,
    region: str,
    seed: int,
) -> Importance:
    shares: tuple[Share, ...] = ()
    pairs: tuple[Pair, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    obstacle: Obstacle | None = Obstacle.NO_MODEL
    no_model, quality, noise_threshold, leads = "", None, 0.0, None
    if isinstance(surrogate, NoSurrogate):
        no_model = surrogate.reason
    else:
        whole, draws = (good_indices if region == "good" else _indices)(surrogate, seed)
        names = surrogate.encoding.names
        noise_threshold = max(float(np.percentile(draws.total[-1], 95)), LEAST)
        unseen = _unseen(whole, surrogate)
        shares = _shares(names, whole, draws, noise_threshold, unseen)
        pairs = _pairs(names, whole, draws, unseen)
        quality = surrogate.quality
        first = names.index(shares[0].name)
        leads, surely = (float((_places(draws, u)[1][first] <= 2).mean()) for u in (0.0, unseen))
        obstacle = _obstacle(shares[0], quality, leads, surely)
        if obstacle is None and what == study.metric and _few_survivors(study):
            obstacle = Obstacle.SURVIVORS
        left_out = tuple(surrogate.encoding.left_out.items())
    return Importance(
        what=what,
        method=method,
        region=region,
        epoch=study.max_epochs,
        shares=shares,
        left_out=left_out,
        pairs=pairs,
        noise_threshold=noise_threshold,
        verdict=TOO_FEW if obstacle else RANKED,
        obstacle=obstacle,
        no_model=no_model,
        leads=leads,
        quality=quality,
        has_intervals=bool(shares),
        num_trials=len(records),
        num_explorers=sum(r.explorer for r in records),
    )


def _few_survivors(study: Study) -> bool:
    """Whether a study without explorers has too few trials of full budget to speak of that."""
    full = [r for r in study.records if study.has_full_budget(r) and study.score(r) is not None]
    return study.unexplored and len(full) < MIN_SURVIVORS


def total_share_draws(
    surrogate: Surrogate, num: int = NUM_DRAWS, seed: int = 0
) -> tuple[Array, float]:
    """Total shares in every function that the trials allow, for claims on two of them.

    Args:
        surrogate: A fitted model.
        num: Functions from the posterior of each kernel.
        seed: Of everything random in the computation.

    Returns:
        (d, m) shares, and by how much one may be off for the variance that no trial showed.
    """
    whole, draws = _indices(surrogate, seed, num)
    return np.concatenate([whole.total, draws.total[:-1]], axis=1), _unseen(whole, surrogate)


def _indices(surrogate: Surrogate, seed: int, num: int = NUM_DRAWS) -> tuple[Indices, Indices]:
    """Of functions of the whole fit; of the cross-validation models, the random column last."""
    plain = make_design(surrogate.encoding, NUM_POINTS, seed)
    whole = indices(surrogate.final_samples(plain.points, num, seed), plain)
    noisy = make_design(surrogate.encoding, NUM_POINTS, seed + 1, random=True)
    draws = surrogate.final_draws(noisy.points, noisy.random, num, seed)
    return whole, indices(draws, noisy)


def _unseen(whole: Indices, surrogate: Surrogate) -> float:
    """By how much the scores may vary more than the functions say, in units of that variance.

    The variance of n values is known the worse the more of it is made by few of them: a kurtosis k
    adds (k - 3) / n to the square of its relative standard error (Box 1953). A Gaussian process,
    whose functions are about normal, does not know that: where few configs fail altogether it
    takes the failures that it has seen for all that there are. The n values are the explorers,
    which nobody chose, or all trials where there are none.
    """
    explorers = surrogate.data.explorer
    excess = max(float(whole.kurtosis.mean()) - 3.0, 0.0)
    return REACH * math.sqrt(excess / (int(explorers.sum()) or len(explorers)))


def _interval(whole: Array, draws: Array, unseen: float = 0.0) -> Interval:
    """Mean and interval of the draws of the whole fit and of the cross-validation models.

    All of the `unseen` variance may be due to this hyperparameter, or none of it.
    """
    both = np.append(whole, draws)
    low, high = np.percentile(both, INTERVAL)
    low, high = np.clip([low / (1 + unseen), (high + unseen) / (1 + unseen)], 0.0, 1.0)
    value = min(max(float(both.mean()), 0.0), 1.0)  # beyond lie errors of the estimators only
    return Interval(value, min(float(low), value), max(float(high), value))


def _shares(
    names: Sequence[str], whole: Indices, draws: Indices, noise_threshold: float, unseen: float
) -> tuple[Share, ...]:
    best, worst = _places(draws, unseen)
    shares = []
    for index, name in enumerate(names):
        total = _interval(whole.total[index], draws.total[index], unseen)
        shares.append(
            Share(
                name=name,
                main=_interval(whole.main[index], draws.main[index], unseen),
                total=total,
                above_noise=total.low > noise_threshold,
                rank_low=math.floor(np.percentile(best[index], INTERVAL[0])),
                rank_high=math.ceil(np.percentile(worst[index], INTERVAL[1])),
            )
        )
    return tuple(sorted(shares, key=lambda share: -share.total.value))


def _places(draws: Indices, unseen: float) -> tuple[Array, Array]:
    """(d, m) each: best and worst place of each hyperparameter by total in each draw, 1 the first.

    The best is with all of the `unseen` variance, the worst with none of it.
    """
    total = draws.total[:-1]
    ahead = total[None, :, :] - total[:, None, :]  # by how much the second axis leads the first
    best, worst = 1.0 + (ahead > unseen).sum(1), (ahead >= -unseen).sum(1)
    return np.asarray(best), np.asarray(worst, dtype=float)


def _pairs(names: Sequence[str], whole: Indices, draws: Indices, unseen: float) -> tuple[Pair, ...]:
    found = [
        Pair(names[i], names[j], _interval(whole.pairs[i, j], draws.pairs[i, j], unseen))
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]
    return tuple(sorted(found, key=lambda pair: -pair.share.value))


def _obstacle(first: Share, quality: FitQuality, leads: float, surely: float) -> Obstacle | None:
    """Why the ranking may not be shown as one.

    Args:
        first: The largest share.
        quality: Of the surrogate that it is of.
        leads: Share of the draws in which the first is among the first two.
        surely: The same, whoever else the unseen variance is due to.
    """
    if not quality.holds_out:
        return Obstacle.HELD_OUT
    if not first.above_noise:
        return Obstacle.NOISE
    if leads < SURE:
        return Obstacle.FIRST_PLACE
    return Obstacle.RARE_SCORES if surely < SURE else None
