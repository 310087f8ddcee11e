"""What going on with a search is expected to gain at most, as the model of its curves sees it.

That is the expected simple regret of ending now: by how much the best config of the space is better
at the full budget than the one that the study would be left with, in expectation over the model's
posterior. No number of further trials can gain more, in so far as the model is right (Wilson 2024,
"Stopping Bayesian optimization with probabilistic regret bounds", whose rule bounds a quantile).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from deepsight.config import Value
from deepsight.space import Space
from deepsight.tune.earlier.trials import EarlierStudy
from deepsight.tune.search.encoding import Encoder
from deepsight.tune.search.learning_curve_gp import agreeing, at_fidelity, fit_curves
from deepsight.tune.search.observed_trial import ObservedTrial

UNIFORM, NEAR = 300, 300
"""Configs among which the best is looked for: uniform ones, and neighbours of the best known."""
PARENTS = 5
DRAWS = 200
"""Draws from the posterior."""


def expected_gain(
    space: Space,
    fixed: Mapping[str, Value],
    past: Sequence[ObservedTrial],
    max_epochs: int,
    seed: int,
    earlier: Sequence[EarlierStudy] = (),
) -> float:
    """In units of the metric, 0 or more; infinite while no trial has completed the full budget.

    Args:
        space: What may vary.
        fixed: What conditions may read besides.
        past: All trials so far.
        max_epochs: The full budget.
        seed: Of the draws.
        earlier: What other studies say about the space.
    """
    full = [t for t in past if t.state == "completed" and max_epochs in t.scores]
    if not full:
        return math.inf
    best = max(full, key=lambda trial: trial.scores[max_epochs])
    encoder, rng = Encoder(space, fixed), np.random.default_rng(seed)
    with threadpool_limits(1):  # the other cores train
        earlier = agreeing(encoder, earlier, past, max_epochs)
        model, unit = fit_curves(encoder, past, max_epochs, earlier, ranks=False, rng=rng)
        known = encoder.encode([best.config, *(t.config for t in past if t.scores)])
        expected = model.predict(at_fidelity(known, 1.0, model.others))[0]
        parents = known[np.argsort(-expected)[:PARENTS]]
        near = encoder.perturb(np.repeat(parents, NEAR // len(parents), axis=0), rng)
        rows = np.concatenate([known, near, encoder.draw(UNIFORM, rng)])
        drawn = model.sample(at_fidelity(rows, 1.0, model.others), DRAWS, rng)
    return unit * float((drawn.max(axis=1) - drawn[:, 0]).mean())
