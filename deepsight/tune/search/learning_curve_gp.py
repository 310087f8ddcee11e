"""Proposals from a model of all learning curves together: the searcher `gp`.

One Gaussian process over (config, logarithm of the epoch) sees the scores at all rungs, those of
stopped, paused and running trials and of explorers too; the next config is the one with the
largest expected improvement at the full budget (Klein et al. 2020, "Model-based asynchronous
hyperparameter and neural architecture search"; expected improvement: Jones et al. 1998). Trials
that run without a score yet count as what the model expects of them.

The first trials are points of a scrambled Sobol sequence. After them every other proposal comes
from a model of the scores as they are, the others from one of their ranks: where half of a space
stays near chance, ranks tell the good from the better; near the optimum scores do.

Trials of earlier studies are rows of the same process, each study a source of its own (Swersky et
al. 2013, "Multi-task Bayesian optimization"): how alike the studies are is learnt. Their scores are
standardised in themselves, and fidelities are shares of their own full budget. A study takes part
only while a model of it alone orders the trials of the new study better than chance (the ranking
loss of Feurer et al. 2018, "Scalable meta-learning for Bayesian optimization using ranking-weighted
Gaussian process ensembles"); so a past that misleads costs the first few proposals. The model is
asked from the first proposal on then, but before two trials of this study have a score, every other
proposal comes from the Sobol sequence all the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc, rankdata
from threadpoolctl import threadpool_limits

from deepsight.config import Value
from deepsight.space import INACTIVE, Entry, Space, active
from deepsight.tune.earlier.trials import EarlierStudy, EarlierTrial
from deepsight.tune.search.encoding import Encoder
from deepsight.tune.search.gaussian_process import GaussianProcess, fit
from deepsight.tune.search.observed_trial import ObservedTrial

STARTUP_TRIALS = 8
"""Trials with a score before the model is asked; the defaults and explorers count among them."""
MOST_ROWS = 90
"""Scores that the model sees: those of the highest rungs and the best, and a sample of the rest."""
EARLIER_ROWS = 60
"""Scores of earlier studies that it sees besides, chosen alike."""
BEYOND = 1.0
"""How far outside the space a row of an earlier study may lie, in lengths of a domain."""
AGREEMENT = 0.6
"""Share of pairs of trials that a past must order right to take part."""
PRIOR_PAIRS = (1.0, 1.5)
"""Right ones and all that are counted before the first: one wrong pair is already too many."""
SPREAD_TRIALS = 2
"""How many scores the spread in earlier studies counts for that had the same metric."""
CANDIDATES = 300
"""Uniform draws, and as many neighbours of the trials of which the model expects most."""
PARENTS = 5
ROUNDS = 2
"""How often the best candidates get neighbours of their own."""
NEIGHBOURS = 20


def propose(
    space: Space,
    fixed: Mapping[str, Value],
    past: Sequence[ObservedTrial],
    max_epochs: int,
    seed: int,
    earlier: Sequence[EarlierStudy] = (),
) -> dict[str, Entry]:
    """One config, `INACTIVE` where inactive; the same for the same arguments.

    Args:
        space: What may vary.
        fixed: What conditions may read besides.
        past: All trials so far.
        max_epochs: The full budget.
        seed: Of the draws.
        earlier: What other studies say about the space.
    """
    encoder = Encoder(space, fixed)
    scored = [t for t in past if t.scores and t.state != "failed"]
    earlier = agreeing(encoder, earlier, past, max_epochs)
    known = earlier and (len(scored) > 1 or seed % 2 == 0)
    if len(scored) < STARTUP_TRIALS and not known:
        return encoder.decode(_spread(encoder, len(past), seed))
    with threadpool_limits(1):  # the other cores train
        rng = np.random.default_rng(seed)
        model, _ = fit_curves(encoder, past, max_epochs, earlier, ranks=bool(seed % 2), rng=rng)
        waiting = [t.config for t in past if t.state == "running" and not t.scores]
        if waiting:
            model = model.with_fantasies(at_fidelity(encoder.encode(waiting), 1.0, len(earlier)))
        tried = encoder.encode([t.config for t in scored] + waiting)
        others = _rows_inside(encoder, earlier)
        return encoder.decode(_best_candidate(model, encoder, tried, others, rng))


def _spread(encoder: Encoder, number: int, seed: int) -> np.ndarray:
    """Point `number` of a Sobol sequence over the space.

    All trials of a study have the same sequence: a trial's seed is the study's and its number.
    """
    sobol = qmc.Sobol(len(encoder.space), seed=(seed - number) % 2**32)
    if number:
        sobol.fast_forward(number)
    return np.asarray(encoder.from_unit(sobol.random(1))[0])


def _normal_ranks(scores: np.ndarray) -> np.ndarray:
    """Quantiles of the normal distribution at the scores' ranks."""
    return np.asarray(ndtri((rankdata(scores) - 0.5) / len(scores)))


def fit_curves(
    encoder: Encoder,
    past: Sequence[ObservedTrial],
    max_epochs: int,
    earlier: Sequence[EarlierStudy],
    ranks: bool,
    rng: np.random.Generator,
) -> tuple[GaussianProcess, float]:
    """The model of all curves, and the unit of what it predicts, unless that is ranks.

    Args:
        encoder: Of the space.
        past: Trials of this study; one at least has a score.
        max_epochs: The full budget.
        earlier: What other studies say about the space.
        ranks: Whether it models the scores' ranks.
        rng: Chooses among scores that are too many.
    """
    groups = np.append(encoder.owners, len(encoder.space))
    rows, scores = _observations(encoder.encode([t.config for t in past]), past, max_epochs)
    rows, scores = _thinned(rows, scores, MOST_ROWS, rng)
    if not earlier:
        return fit(rows, _normal_ranks(scores) if ranks else scores, groups), 1.0
    seen = []
    for study in earlier:
        at = _rows_of(encoder, study.trials)
        found = _observations(at, study.trials, study.max_epochs)
        seen.append(_thinned(*found, EARLIER_ROWS // len(earlier), rng))
    same = [s.std() for (_, s), study in zip(seen, earlier, strict=True) if study.same_metric]
    unit = _unit(scores, same)
    if ranks:
        told = [_normal_ranks(s) for s in (scores, *(s for _, s in seen))]
    else:
        told = [_centred(scores) / unit, *(_centred(s) / _unit(s, ()) for _, s in seen)]
    flags = np.eye(1 + len(earlier))[:, 1:]
    stacked = [
        np.column_stack([part, np.tile(flag, (len(part), 1))])
        for part, flag in zip([rows, *(r for r, _ in seen)], flags, strict=True)
    ]
    groups = np.append(groups, len(encoder.space) + 1 + np.arange(len(earlier)))
    return fit(np.concatenate(stacked), np.concatenate(told), groups, len(earlier)), unit


def agreeing(
    encoder: Encoder,
    earlier: Sequence[EarlierStudy],
    past: Sequence[ObservedTrial],
    max_epochs: int,
) -> list[EarlierStudy]:
    """Those of `earlier` that order this study's trials better than chance, or have no say yet."""
    scored = [t for t in past if t.scores and t.state != "failed"]
    with threadpool_limits(1):
        return [s for s in earlier if _agreement(encoder, s, scored, max_epochs) > AGREEMENT]


def _agreement(
    encoder: Encoder, study: EarlierStudy, past: Sequence[ObservedTrial], max_epochs: int
) -> float:
    """The share of pairs of `past` that a model of `study` alone orders right.

    Two trials are compared after the last epochs that both have scores for.
    """
    told = _observations(_rows_of(encoder, study.trials), study.trials, study.max_epochs)
    rows, scores = _thinned(*told, EARLIER_ROWS, np.random.default_rng(0))
    right, pairs = PRIOR_PAIRS
    if len(past) > 1:
        model = fit(rows, scores, np.append(encoder.owners, len(encoder.space)))
        at = encoder.encode([t.config for t in past])
        expected = {
            epoch: model.predict(at_fidelity(at, _fidelity(epoch, max_epochs), 0))[0]
            for epoch in {epoch for trial in past for epoch in trial.scores}
        }
        for first, second in itertools.combinations(range(len(past)), 2):
            shared = past[first].scores.keys() & past[second].scores.keys()
            if shared:
                last = max(shared)
                gap = past[first].scores[last] - past[second].scores[last]
                pairs += gap != 0
                right += gap * (expected[last][first] - expected[last][second]) > 0
    return right / pairs


def _centred(scores: np.ndarray) -> np.ndarray:
    return scores - scores.mean() if len(scores) else scores


def _unit(scores: np.ndarray, spreads: Sequence[float]) -> float:
    """The spread of `scores`; few of them borrow that of others, `spreads`."""
    if len(scores) < 2:
        return float(np.exp(np.mean(np.log(spreads)))) if spreads else 1.0
    own, borrowed = math.log(scores.std() + 1e-6), [math.log(s + 1e-6) for s in spreads]
    if borrowed:
        few = SPREAD_TRIALS / (SPREAD_TRIALS + len(scores) - 1)
        own = (1 - few) * own + few * float(np.mean(borrowed))
    return math.exp(own)


def _rows_of(encoder: Encoder, trials: Sequence[EarlierTrial]) -> np.ndarray:
    """Rows of trials whose values may lie outside the space, or not be known."""
    rows = encoder.encode([_completed(encoder, t.config) for t in trials])
    clipped: np.ndarray = np.clip(rows, -BEYOND, 1 + BEYOND)
    return clipped


def _completed(encoder: Encoder, config: Mapping[str, Entry]) -> dict[str, Entry]:
    """The config with `INACTIVE` for what it does not hold."""
    return {**dict.fromkeys(encoder.space, INACTIVE), **config}


def _rows_inside(encoder: Encoder, earlier: Sequence[EarlierStudy]) -> np.ndarray:
    """Rows of the earlier trials with a score that this study could have proposed."""
    inside = [
        _completed(encoder, trial.config)
        for study in earlier
        for trial in study.trials
        if trial.scores and _is_whole(encoder, trial.config)
    ]
    return encoder.encode(inside)


def _is_whole(encoder: Encoder, config: Mapping[str, Entry]) -> bool:
    """Whether all that is active has a value of its domain."""
    seen = {**encoder.fixed, **dict.fromkeys(encoder.space, INACTIVE), **config}
    names = active(seen, encoder.space)
    return all(n in config and encoder.space[n].contains(config[n]) for n in names)


def _observations(
    rows: np.ndarray, trials: Sequence[ObservedTrial | EarlierTrial], max_epochs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows with their fidelity, and scores; a diverged trial scored as the worst."""
    found, scores = [], []
    worst = min((score for t in trials for score in t.scores.values()), default=None)
    for trial, row in zip(trials, rows, strict=True):
        seen = {1: worst} if trial.state == "diverged" else trial.scores
        for epoch, score in () if trial.state == "failed" else seen.items():
            if score is not None:
                found.append([*row, _fidelity(epoch, max_epochs)])
                scores.append(score)
    return np.array(found).reshape(len(found), rows.shape[1] + 1), np.array(scores)


def _fidelity(epoch: int, full: int) -> float:
    """From 0 after one epoch to 1 at the full budget, on the scale of the logarithm."""
    return 1 - math.log(full / epoch) / math.log(max(full, 2))


def _thinned(
    rows: np.ndarray, scores: np.ndarray, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """At most `most`: half of them of the highest fidelity, the best first, half at random."""
    if len(rows) <= most:
        return rows, scores
    order, half = np.lexsort((-scores, -rows[:, -1])), most // 2
    others = rng.permutation(order[half:])[: most - half]
    keep = np.sort(np.concatenate([order[:half], others]))
    return rows[keep], scores[keep]


def _best_candidate(
    model: GaussianProcess,
    encoder: Encoder,
    tried: np.ndarray,
    others: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """The row of largest expected improvement among random ones, neighbours of the best, theirs.

    The best are those of `tried` and of `others`, which are candidates themselves.
    """
    known = np.concatenate([tried, others])
    expected = model.predict(at_fidelity(known, 1.0, model.others))[0]
    parents = known[np.argsort(-expected)[:PARENTS]]
    best = expected[: len(tried) or None].max()
    near = encoder.perturb(np.repeat(parents, CANDIDATES // len(parents), axis=0), rng)
    rows = np.concatenate([encoder.draw(CANDIDATES, rng), near, others])
    gains = _expected_improvement(model, rows, best)
    for _ in range(ROUNDS):
        parents = rows[np.argsort(-gains)[:PARENTS]]
        near = encoder.perturb(np.repeat(parents, NEIGHBOURS, axis=0), rng)
        rows = np.concatenate([rows, near])
        gains = np.concatenate([gains, _expected_improvement(model, near, best)])
    gains[_known(rows, tried)] = -1.0  # the same again would tell little
    return np.asarray(rows[gains.argmax()])


def _known(rows: np.ndarray, tried: np.ndarray) -> list[bool]:
    """Which of `rows` are among `tried`."""
    seen = {row.tobytes() for row in tried.round(6) + 0.0}  # no negative zeros
    return [row.tobytes() in seen for row in rows.round(6) + 0.0]


def _expected_improvement(model: GaussianProcess, rows: np.ndarray, best: float) -> np.ndarray:
    """Of the score at the full budget over `best`."""
    mean, spread = model.predict(at_fidelity(rows, 1.0, model.others))
    z = (mean - best) / spread
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return np.asarray(spread * (z * ndtr(z) + density))


def at_fidelity(rows: np.ndarray, fidelity: float, others: int) -> np.ndarray:
    """Rows of this study: with a fidelity (0 is one epoch, 1 the full budget), of no other one."""
    return np.column_stack([rows, np.full(len(rows), fidelity), np.zeros((len(rows), others))])
