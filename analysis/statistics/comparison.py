"""Two or more studies side by side: what each reached, how surely, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.incumbent import Incumbent, compute_incumbent, validation_images
from analysis.statistics.intervals import (
    Interval,
    bootstrap,
    superiority_interval,
)
from analysis.statistics.same_images import difference_of_bests, same_images
from analysis.statistics.trajectory import Trajectory, compute_trajectory
from analysis.statistics.trial_outcomes import scored
from analysis.summary import Summary, compute_summary
from deepsight.run_store import Study

FEWEST = 5
"""Scores from which a spread or a comparison of distributions is computed."""


@dataclass(frozen=True)
class StudySide:
    """One of the studies."""

    label: str
    """Its name; numbered where two have the same."""
    summary: Summary
    incumbent: Incumbent
    trajectory: Trajectory
    scores: tuple[float, ...]
    """At full budget, in the order of the trials."""
    explorers: tuple[float, ...]
    """Of these, explorers': what a config drawn at random reaches."""
    quartiles: tuple[float, float, float] | None
    """Of `scores`; None without any."""
    spread: Interval | None
    """Interquartile range of `scores`, by resampling trials: how much a config matters here."""


@dataclass(frozen=True)
class PairwiseComparison:
    """One study against the first."""

    label: str
    against: str
    obstacles: tuple[str, ...]
    """Why their scores cannot be compared; empty if they can."""
    gain: Interval | None
    """By how much its best is better, positive when better."""
    superiority: Interval | None
    """How often a trial of full budget drawn at random from it beats one of the other."""
    by_explorers: bool
    """Whether `superiority` is that of explorers, which no searcher chose."""


@dataclass(frozen=True)
class Comparison:
    """The numbers of a comparison."""

    metric: str
    sides: tuple[StudySide, ...]
    pairs: tuple[PairwiseComparison, ...]
    """Every study but the first, against the first."""


def compute_comparison(studies: Sequence[Study]) -> Comparison:
    """Compare studies with the first of them.

    Args:
        studies: Two or more.
    """
    assert len(studies) > 1
    sides = [_side(s, label) for s, label in zip(studies, _labels(studies), strict=True)]
    first = sides[0]
    pairs = [
        _compare(studies[0], first, study, side)
        for study, side in zip(studies[1:], sides[1:], strict=True)
    ]
    return Comparison(studies[0].metric, tuple(sides), tuple(pairs))


def _labels(studies: Sequence[Study]) -> list[str]:
    names = [study.header.name for study in studies]
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _side(study: Study, label: str) -> StudySide:
    full = scored(study)
    scores = [score for _, score in full]
    quartiles = None
    if scores:
        low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
        quartiles = (float(low), float(middle), float(high))
    return StudySide(
        label=label,
        summary=compute_summary(study),
        incumbent=compute_incumbent(study),
        trajectory=compute_trajectory(study),
        scores=tuple(scores),
        explorers=tuple(score for record, score in full if record.explorer),
        quartiles=quartiles,
        spread=bootstrap([scores], _range) if len(scores) >= FEWEST else None,
    )


def _range(scores: np.ndarray) -> np.ndarray:
    low, high = np.quantile(scores, [0.25, 0.75], axis=-1)
    return np.asarray(high - low)


def _compare(first: Study, ours: StudySide, study: Study, side: StudySide) -> PairwiseComparison:
    obstacles = obstacles_between(first, study)
    gain = superiority = None
    by_explorers = min(len(ours.explorers), len(side.explorers)) >= FEWEST
    a, b = (side.explorers, ours.explorers) if by_explorers else (side.scores, ours.scores)
    if not obstacles:
        gain = _gain(first, study)
        if min(len(a), len(b)) >= FEWEST:
            sign = first.objective.sign
            superiority = superiority_interval([sign * s for s in a], [sign * s for s in b])
    return PairwiseComparison(side.label, ours.label, obstacles, gain, superiority, by_explorers)


def _gain(first: Study, study: Study) -> Interval | None:
    compared = []
    for one in (study, first):
        scores, num_val = {r.trial_id: s for r, s in scored(one)}, validation_images(one)
        if not scores or not num_val:
            return None
        compared.append(same_images(one, scores, num_val))
    return difference_of_bests(*compared)


def obstacles_between(a: Study, b: Study) -> tuple[str, ...]:
    """What forbids comparing their scores."""
    found = []
    if (a.metric, a.mode) != (b.metric, b.mode):
        found.append(f"they maximise or minimise different metrics ({a.metric}, {b.metric})")
    if a.max_epochs != b.max_epochs:
        found.append(f"full budget is {a.max_epochs} epochs in one and {b.max_epochs} in the other")
    if None in (a.header.fingerprint, b.header.fingerprint) and (a.adopted or b.adopted):
        if a.header.fingerprint != b.header.fingerprint:
            found.append("the data of one are not stated")
    elif a.header.fingerprint != b.header.fingerprint:
        found.append("their data or splits differ")
    return tuple(found)
