"""Planted problems: learning curves that are formulae, with the best possible score known.

Every problem states a space, a budget in epochs, what an epoch costs, how noisy a score is, and two
functions of a config: `final`, the score at the full budget, whose maximum is `BEST`, and `shape`,
the share of the way to it after an epoch (exactly 1 at the full budget). What makes each of them
hard is in its line of `PROBLEMS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deepsight.space import Choice, Domain, choice, loguniform, randint, uniform, when

BEST = 0.95
"""The best final score of every problem."""
METRIC = "val_accuracy"
"""What the scores are called: a share, as importance has to know."""
CHANCE = 0.1
"""The score of a model that has learnt nothing."""

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A planted problem; scores are accuracies, more is better."""

    name: str
    what: str
    space: dict[str, Domain]
    max_epochs: int
    final: Callable[[Config], float]
    shape: Callable[[Config, float], float]
    noise: float = 0.005
    """Standard deviation of a measured score, the same at every epoch."""
    cost: Callable[[Config], float] = lambda config: 1.0
    """Seconds of one epoch."""

    def final_score(self, config: Config) -> float:
        """The true score after the full budget."""
        return max(self.final(config), CHANCE)

    def score(self, config: Config, epoch: int) -> float:
        """The true score after `epoch` epochs."""
        share = self.shape(config, epoch / self.max_epochs)
        return min(max(CHANCE + (self.final_score(config) - CHANCE) * share, 0.0), 1.0)


def unit(problem_space: Mapping[str, Domain], config: Config, name: str) -> float:
    """Where a number lies in its domain, 0 to 1 on the domain's own scale."""
    domain, value = problem_space[name], config[name]
    assert not isinstance(domain, Choice)
    if domain.log:
        return math.log(value / domain.low) / math.log(domain.high / domain.low)
    return float((value - domain.low) / (domain.high - domain.low))


def bowl(space: Mapping[str, Domain], config: Config, **parts: tuple[float, float]) -> float:
    """Loss of a sum of parabolas: ``name=(optimum, weight)`` in unit coordinates."""
    loss = 0.0
    for name, (optimum, weight) in parts.items():
        loss += weight * (unit(space, config, name) - optimum) ** 2
    return loss


def rising(share: float, tau: float) -> float:
    """An exponential rise that is exactly 1 at a share of 1."""
    return (1 - math.exp(-share / tau)) / (1 - math.exp(-1 / tau))


def late(share: float, start: float, width: float = 0.05) -> float:
    """Nothing until about `start`, then a rise that is exactly 1 at a share of 1."""

    def raw(x: float) -> float:
        return 1 / (1 + math.exp(-(x - start) / width))

    return (raw(share) - raw(0.0)) / (raw(1.0) - raw(0.0))


BASIC: dict[str, Domain] = {
    "lr": loguniform(1e-4, 1.0),
    "momentum": uniform(0.0, 1.0),
    "decay": loguniform(1e-6, 1e-2),
    "dropout": uniform(0.0, 0.6),
}


def _basic(config: Config) -> float:
    return BEST - bowl(
        BASIC, config, lr=(0.75, 1.6), momentum=(0.85, 0.4), decay=(0.2, 0.15), dropout=(0.25, 0.1)
    )


def _crossing_tau(config: Config) -> float:
    return 0.05 + 0.5 * (1 - unit(BASIC, config, "lr"))


def _crossing(config: Config) -> float:
    return BEST - bowl(BASIC, config, lr=(0.25, 1.2), momentum=(0.85, 0.4), decay=(0.7, 0.15))


def _late_start(config: Config) -> float:
    """The better the final score, the later the start, up to a quarter of the budget."""
    return 0.03 + 0.22 * unit(BASIC, config, "decay")


def _late_final(config: Config) -> float:
    return BEST - bowl(BASIC, config, decay=(0.8, 0.8), lr=(0.7, 1.2), dropout=(0.4, 0.1))


CONDITIONAL: dict[str, Domain] = {
    "optimiser": choice("sgd", "adam", "lion"),
    "lr": loguniform(1e-5, 1.0),
    "momentum": when("optimiser", "sgd", uniform(0.0, 1.0)),
    "beta": when("optimiser", ("adam", "lion"), uniform(0.0, 1.0)),
    "schedule": choice("cosine", "constant"),
    "warmup": when("schedule", "cosine", uniform(0.0, 0.5)),
}


def _conditional(config: Config) -> float:
    place, depth = {"sgd": (0.8, 0.0), "adam": (0.5, 0.03), "lion": (0.35, 0.12)}[
        config["optimiser"]
    ]
    loss = depth + bowl(CONDITIONAL, config, lr=(place, 3.0))
    if config["optimiser"] == "sgd":
        loss += bowl(CONDITIONAL, config, momentum=(0.9, 0.4))
    else:
        loss += bowl(CONDITIONAL, config, beta=(0.6, 0.2))
    if config["schedule"] == "cosine":
        return BEST - loss - bowl(CONDITIONAL, config, warmup=(0.2, 0.1))
    return BEST - loss - 0.06


SIZES: dict[str, Domain] = {
    "width": randint(8, 128, log=True),
    "depth": randint(1, 8),
    "lr": loguniform(1e-4, 1.0),
    "dropout": uniform(0.0, 0.6),
}


def _sizes(config: Config) -> float:
    return BEST - bowl(
        SIZES, config, width=(0.75, 0.35), depth=(5 / 7, 0.2), lr=(0.75, 1.5), dropout=(0.3, 0.1)
    )


def _sizes_cost(config: Config) -> float:
    return 0.3 + 1.4 * (config["width"] / 54) * (config["depth"] / 6) ** 0.5


RIDGE: dict[str, Domain] = {
    "lr": loguniform(1e-4, 1.0),
    "batch": randint(8, 512, log=True),
    "decay": loguniform(1e-6, 1e-1),
    "smoothing": uniform(0.0, 0.3),
}


def _ridge(config: Config) -> float:
    """Lr and batch size must rise together; a little above the ridge training breaks down."""
    lr, batch = unit(RIDGE, config, "lr"), unit(RIDGE, config, "batch")
    off = lr - (0.45 + 0.4 * batch)
    if off > 0.15:
        return CHANCE
    return (
        BEST
        - 2.0 * off**2
        - bowl(RIDGE, config, batch=(0.2, 0.3), decay=(0.7, 0.2), smoothing=(0.4, 0.05))
    )


MANY: dict[str, Domain] = {
    "kernel": choice(3, 5, 7),
    "activation": choice("relu", "gelu", "mish", "silu", "leaky"),
    "pooling": choice("max", "mean"),
    "lr": loguniform(1e-4, 1.0),
    "decay": loguniform(1e-6, 1e-2),
    **{f"idle_{i}": uniform(0.0, 1.0) for i in range(4)},
}


def _many(config: Config) -> float:
    loss = {"relu": 0.03, "gelu": 0.01, "mish": 0.0, "silu": 0.02, "leaky": 0.05}[
        config["activation"]
    ]
    loss += {3: 0.0, 5: 0.03, 7: 0.08}[config["kernel"]] + 0.04 * (config["pooling"] == "mean")
    return BEST - loss - bowl(MANY, config, lr=(0.75, 1.5), decay=(0.3, 0.2))


def _misled_shape(config: Config, share: float) -> float:
    """Early epochs show momentum and little else; what counts at the end is the learning rate."""
    tau = 0.04 + 0.6 * (1 - unit(BASIC, config, "momentum")) ** 2
    return rising(share, tau)


def _misled(config: Config) -> float:
    return BEST - bowl(BASIC, config, lr=(0.25, 1.4), momentum=(0.4, 0.3), dropout=(0.2, 0.15))


def _fading_shape(config: Config, share: float) -> float:
    """Little weight decay overfits: above its final score in the middle, down again at the end."""
    over = max(0.0, 0.6 - unit(BASIC, config, "decay"))
    return rising(share, 0.12) * (1 + 0.7 * over * (1 - share) * min(1.0, 6 * share))


def _fading(config: Config) -> float:
    return BEST - bowl(BASIC, config, decay=(0.8, 0.6), lr=(0.7, 1.4), dropout=(0.7, 0.15))


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem(
            "smooth", "curves that never cross", BASIC, 9, _basic, lambda c, s: rising(s, 0.25)
        ),
        Problem(
            "noisy",
            "noise as large as what there is to gain",
            BASIC,
            9,
            _basic,
            lambda c, s: rising(s, 0.25),
            noise=0.03,
        ),
        Problem(
            "conditional",
            "conditional hyperparameters, optima apart",
            CONDITIONAL,
            9,
            _conditional,
            lambda c, s: rising(s, 0.2),
        ),
        Problem(
            "many",
            "categories, and four hyperparameters without effect",
            MANY,
            9,
            _many,
            lambda c, s: rising(s, 0.3),
            noise=0.01,
        ),
        Problem(
            "crossing",
            "high learning rates lead early and end lower",
            BASIC,
            27,
            _crossing,
            lambda c, s: rising(s, _crossing_tau(c)),
        ),
        Problem(
            "late",
            "the best start last",
            BASIC,
            27,
            _late_final,
            lambda c, s: late(s, _late_start(c)),
        ),
        Problem(
            "costs",
            "epochs cost 0.3 to 5 s, the best above average",
            SIZES,
            27,
            _sizes,
            lambda c, s: rising(s, 0.2),
            cost=_sizes_cost,
        ),
        Problem(
            "ridge",
            "a ridge beside a cliff",
            RIDGE,
            27,
            _ridge,
            lambda c, s: rising(s, 0.15),
            noise=0.01,
        ),
        Problem(
            "misled",
            "early scores show another hyperparameter than late ones",
            BASIC,
            27,
            _misled,
            _misled_shape,
        ),
        Problem(
            "fading",
            "overfitting: leaders of the middle fall back",
            BASIC,
            27,
            _fading,
            _fading_shape,
        ),
    )
}
"""The problems by name."""
