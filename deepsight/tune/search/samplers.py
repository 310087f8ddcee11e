"""Who proposes, by the name in ``study.searcher``."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepsight.config import Value
from deepsight.space import Space, sample
from deepsight.tune.search.observed_trial import Past

Sampler = Callable[[Space, Mapping[str, Value], Sequence[Past], int, int], dict[str, Value]]
"""From the space, what is fixed, the past, the full budget and a seed to a config."""


def _by_model(*args: Any) -> dict[str, Value]:
    from deepsight.tune.search import (
        learning_curve_gp,  # SciPy's optimiser: not before the first trials have run
    )

    return learning_curve_gp.propose(*args)


def _by_tpe(*args: Any) -> dict[str, Value]:
    from deepsight.tune.search import tpe

    return tpe.propose(*args)


def _at_random(
    space: Space, fixed: Mapping[str, Value], past: Sequence[Past], max_epochs: int, seed: int
) -> dict[str, Value]:
    return sample(space, fixed, random.Random(seed))


SAMPLERS: dict[str, Sampler] = {"gp": _by_model, "tpe": _by_tpe, "random": _at_random}
"""Who proposes, by the name in ``study.searcher``."""
