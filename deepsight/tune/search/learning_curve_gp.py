"""Proposals from a model of all learning curves together: the searcher `gp`.

One Gaussian process over (config, logarithm of the epoch) sees the scores at all rungs, those of
stopped, paused and running trials and of explorers too; the next config is the one with the
largest expected improvement at the full budget (Klein et al. 2020, "Model-based asynchronous
hyperparameter and neural architecture search"; expected improvement: Jones et al. 1998). Trials
that run without a score yet count as what the model expects of them.

The first trials are points of a scrambled Sobol sequence. After them every other proposal comes
from a model of the scores as they are, the others from one of their ranks: where half of a space
stays near chance, ranks tell the good from the better; near the optimum scores do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc, rankdata
from threadpoolctl import threadpool_limits

from deepsight.config import Value
from deepsight.space import Entry, Space
from deepsight.tune.search.encoding import Encoder
from deepsight.tune.search.gaussian_process import GaussianProcess, fit
from deepsight.tune.search.observed_trial import ObservedTrial

STARTUP_TRIALS = 8
"""Trials with a score before the model is asked; the defaults and explorers count among them."""
MOST_ROWS = 90
"""Scores that the model sees: those of the highest rungs and the best, and a sample of the rest."""
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
) -> dict[str, Entry]:
    """One config, `INACTIVE` where inactive; the same for the same arguments.

    Args:
        space: What may vary.
        fixed: What conditions may read besides.
        past: All trials so far.
        max_epochs: The full budget.
        seed: Of the draws.
    """
    encoder = Encoder(space, fixed)
    scored = [t for t in past if t.scores and t.state != "failed"]
    if len(scored) < STARTUP_TRIALS:
        return encoder.decode(_spread(encoder, len(past), seed))
    with threadpool_limits(1):  # the other cores train
        rng = np.random.default_rng(seed)
        rows, scores = _observations(encoder, past, max_epochs, rng)
        scores = _normal_ranks(scores) if seed % 2 else scores
        model = fit(rows, scores, np.append(encoder.owners, len(space)))
        waiting = [t.config for t in past if t.state == "running" and not t.scores]
        if waiting:
            model = model.with_fantasies(_at(encoder.encode(waiting), 1.0))
        tried = encoder.encode([t.config for t in scored] + waiting)
        return encoder.decode(_best_candidate(model, encoder, tried, rng))


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


def _observations(
    encoder: Encoder, past: Sequence[ObservedTrial], max_epochs: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and scores that the model sees; a diverged trial scored as the worst."""
    rows, scores = [], []
    worst = min(score for t in past for score in t.scores.values())
    whole = math.log(max(max_epochs, 2))
    for trial, row in zip(past, encoder.encode([t.config for t in past]), strict=True):
        seen = {1: worst} if trial.state == "diverged" else trial.scores
        for epoch, score in () if trial.state == "failed" else seen.items():
            rows.append([*row, 1 - math.log(max_epochs / epoch) / whole])
            scores.append(score)
    return _thinned(np.array(rows), np.array(scores), rng)


def _thinned(
    rows: np.ndarray, scores: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """At most `MOST_ROWS`: half of them of the highest fidelity, the best first, half at random."""
    if len(rows) <= MOST_ROWS:
        return rows, scores
    order, half = np.lexsort((-scores, -rows[:, -1])), MOST_ROWS // 2
    others = rng.permutation(order[half:])[: MOST_ROWS - half]
    keep = np.sort(np.concatenate([order[:half], others]))
    return rows[keep], scores[keep]


def _best_candidate(
    model: GaussianProcess, encoder: Encoder, tried: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The row of largest expected improvement among random ones, neighbours of the best, theirs."""
    expected = model.predict(_at(tried, 1.0))[0]
    parents = tried[np.argsort(-expected)[:PARENTS]]
    near = encoder.perturb(np.repeat(parents, CANDIDATES // len(parents), axis=0), rng)
    rows = np.concatenate([encoder.draw(CANDIDATES, rng), near])
    gains = _expected_improvement(model, rows, expected.max())
    for _ in range(ROUNDS):
        parents = rows[np.argsort(-gains)[:PARENTS]]
        near = encoder.perturb(np.repeat(parents, NEIGHBOURS, axis=0), rng)
        rows = np.concatenate([rows, near])
        gains = np.concatenate([gains, _expected_improvement(model, near, expected.max())])
    gains[_known(rows, tried)] = -1.0  # the same again would tell little
    return np.asarray(rows[gains.argmax()])


def _known(rows: np.ndarray, tried: np.ndarray) -> list[bool]:
    """Which of `rows` are among `tried`."""
    seen = {row.tobytes() for row in tried.round(6) + 0.0}  # no negative zeros
    return [row.tobytes() in seen for row in rows.round(6) + 0.0]


def _expected_improvement(model: GaussianProcess, rows: np.ndarray, best: float) -> np.ndarray:
    """Of the score at the full budget over `best`."""
    mean, spread = model.predict(_at(rows, 1.0))
    z = (mean - best) / spread
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return np.asarray(spread * (z * ndtr(z) + density))


def _at(rows: np.ndarray, fidelity: float) -> np.ndarray:
    """Rows with the fidelity's column appended: 0 is one epoch, 1 the full budget."""
    return np.column_stack([rows, np.full(len(rows), fidelity)])
