"""The scale on which scores are modelled, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.importance.encoding import Array
from deepsight.metrics import is_share

EDGE = 0.01
"""By which 0 and 1 are moved outwards, so that a share of 0 or 1 has a logit."""
DIGITS = 9
"""Decimals of a target: what rounding does to scores in another unit is cut off, so that chains of
kernels, which amplify it, are the same in every unit."""


@dataclass(frozen=True)
class Scale:
    """The way from scores to the standardised targets of a process, and back.

    On a logarithmic scale configs multiply what the epochs give; on that of logits a step counts
    the more the nearer it is to none right or to all right.
    """

    link: str
    """``identity``, ``log`` or ``logit``."""
    centre: float
    spread: float

    @staticmethod
    def of(scores: Array, link: str) -> Scale:
        """The scale on which `scores` have mean 0 and variance 1."""
        values = _linked(scores, link)
        return Scale(link, float(values.mean()), float(values.std()) or 1.0)

    def targets(self, scores: Array) -> Array:
        """Standardised."""
        values = _linked(scores, self.link)
        return np.round((values - self.centre) / self.spread, DIGITS)

    def scores(self, targets: Array) -> Array:
        """In the metric's unit."""
        values = self.centre + self.spread * targets
        if self.link == "log":
            return np.asarray(np.exp(values))
        if self.link == "logit":
            shares = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
            return np.asarray((1 + 2 * EDGE) * shares - EDGE)
        return np.asarray(values)

    def log_slopes(self, targets: Array) -> Array:
        """Logarithms of the derivative of the targets by the scores."""
        slopes = np.full(np.shape(targets), -math.log(self.spread))
        if self.link == "log":
            slopes -= self.centre + self.spread * targets
        elif self.link == "logit":
            scores = self.scores(targets)
            slopes += np.log((1 + 2 * EDGE) / ((scores + EDGE) * (1 + EDGE - scores)))
        return slopes


def _linked(scores: Array, link: str) -> Array:
    if link == "log":
        return np.asarray(np.log(scores))
    if link == "logit":
        return np.asarray(np.log((scores + EDGE) / (1 + EDGE - scores)))
    return scores


def scales_for(scores: Array, metric: str) -> list[Scale]:
    """The scales on which scores of a metric can be modelled, the plain one first."""
    links = ["identity"]
    if is_share(metric) and scores.min() >= 0 and scores.max() <= 1:
        links.append("logit")
    if scores.min() > 0:
        links.append("log")
    return [Scale.of(scores, link) for link in links]
