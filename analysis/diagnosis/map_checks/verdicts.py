"""Is a map evidence? Every kind of map against maps that know nothing, with a verdict.

A kind of map counts as evidence if it depends on the model's weights and beats each baseline
(decision 0056). Its verdict is shown wherever the map is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analysis.diagnosis.map_checks.baselines import MapMethod, baseline_methods, explaining_methods
from analysis.diagnosis.map_checks.perturbation import (
    MORE_IS_BETTER,
    TESTS,
    PerturbationCurves,
    perturb,
)
from analysis.diagnosis.map_checks.randomisation import randomise_cascading
from analysis.diagnosis.maps.attention import mean_interval
from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.maps.passes import Labels
from analysis.diagnosis.progress import Progress, silent
from analysis.statistics.intervals import Interval

MAX_PIXELS = 200 * 32 * 32
"""How much is checked where more is there: 200 images of 32x32."""

MIN_IMAGES = 24
"""Images that are checked, whatever their size, where there are so many."""

LIKE = 0.5
"""Mean rank correlation with the maps of a random model from which on a map is "much alike"."""

NEEDED = 2
"""Tests of three that must favour a map over a baseline, and none the baseline."""


@dataclass(frozen=True, eq=False)
class CheckCurve:
    """The mean curve of one map under one test, and its score with an interval over images."""

    method: str
    test: str
    fractions: NDArray[np.float64]
    values: NDArray[np.float64] = field(repr=False)
    score: Interval


@dataclass(frozen=True)
class Comparison:
    """How much better a map scores than a baseline on the same images; positive is better."""

    method: str
    baseline: str
    test: str
    gain: Interval


@dataclass(frozen=True)
class Likeness:
    """How like the trained model's maps they are once `group` and all above it is random."""

    method: str
    group: str
    spearman: Interval
    ssim: Interval


@dataclass(frozen=True)
class Verdict:
    """Whether a kind of map counts as evidence.

    Attributes:
        method: Which.
        is_evidence: Whether it does.
        sentence: Why, in words with numbers: shown wherever the map is.
    """

    method: str
    is_evidence: bool
    sentence: str


@dataclass(frozen=True, eq=False)
class MapChecks:
    """All checks of all kinds of maps on one layer."""

    layer: Layer
    num_images: int
    curves: Sequence[CheckCurve]
    comparisons: Sequence[Comparison]
    likeness: Sequence[Likeness]
    verdicts: Mapping[str, Verdict]


def compute_map_checks(
    model: nn.Module,
    inputs: Tensor,
    predictions: Labels,
    layer: Layer,
    methods: Mapping[str, MapMethod] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> MapChecks:
    """Check maps of the predicted class.

    Args:
        model: Left as found.
        inputs: (N, 3, H, W) float, preprocessed; a random choice is checked where they are many.
        predictions: (N,) the model's.
        layer: Whose cells all maps have.
        methods: The maps by name; without any, those of `explaining_methods`.
        seed: Of the choice of images, of the random map and of the randomisation.
        progress: Is told how far it is.
    """
    chosen = choose_images(len(inputs), inputs.shape[2] * inputs.shape[3], seed)
    inputs, predictions = inputs[torch.from_numpy(chosen)].float().cpu(), predictions[chosen]
    methods = explaining_methods(layer) if methods is None else methods
    baselines = baseline_methods(layer, seed)
    tested = {
        name: perturb(model, inputs, predictions, method(model, inputs, predictions), seed)
        for name, method in progress(list((baselines | dict(methods)).items()), "checking maps")
    }
    comparisons = [
        Comparison(name, baseline, test, _gain(tested[name][test], tested[baseline][test], test))
        for name in methods
        for baseline in baselines
        for test in TESTS
    ]
    likeness = [
        Likeness(name, step.group, _over_images(step.spearman, -1), _over_images(step.ssim, -1))
        for name, method in progress(list(methods.items()), "maps of random models")
        for step in randomise_cascading(model, inputs, predictions, method, seed)
    ]
    curves = [
        CheckCurve(name, test, c.fractions, c.values.mean(axis=0), _over_images(c.scores))
        for name, of_test in tested.items()
        for test, c in of_test.items()
    ]
    verdicts = {
        name: judge(
            name,
            [c for c in comparisons if c.method == name],
            [step for step in likeness if step.method == name][-1],
        )
        for name in methods
    }
    return MapChecks(layer, len(inputs), curves, comparisons, likeness, verdicts)


def choose_images(num: int, pixels: int, seed: int) -> Labels:
    """Which of `num` images of `pixels` pixels are checked: positions in ascending order."""
    most = max(MIN_IMAGES, MAX_PIXELS // pixels)
    drawn = np.random.default_rng(seed).permutation(num)[:most]
    return np.sort(drawn).astype(np.int64)


def judge(name: str, comparisons: Sequence[Comparison], random: Likeness) -> Verdict:
    """Say whether a kind of map is evidence.

    Args:
        name: The kind.
        comparisons: With every baseline in every test.
        random: Its likeness once the whole model is random.
    """
    faults = []
    for baseline in dict.fromkeys(c.baseline for c in comparisons):
        against = [c for c in comparisons if c.baseline == baseline]
        better = sum(c.gain.low > 0 for c in against)
        worse = any(c.gain.high < 0 for c in against)
        if better < NEEDED or worse:
            numbers = ", ".join(f"{c.test} {_signed(c.gain)}" for c in against)
            faults.append(f"does not beat {baseline} ({numbers})")
    alike = random.spearman
    share = f"rank correlation {alike.value:.2f} [{alike.low:.2f}, {alike.high:.2f}]"
    if alike.high >= LIKE:
        faults.append(f"is not clearly changed by a random model ({share})")
    n = comparisons[0].gain.n
    if faults:
        return Verdict(name, False, f"No evidence: {name} {'; '.join(faults)}; n={n}.")
    beaten = ", ".join(dict.fromkeys(c.baseline for c in comparisons))
    said = f"{name} beats {beaten}, and depends on the model's weights ({share}); n={n}."
    return Verdict(name, True, said[0].upper() + said[1:])


def _signed(gain: Interval) -> str:
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _gain(method: PerturbationCurves, baseline: PerturbationCurves, test: str) -> Interval:
    difference = method.scores - baseline.scores
    return _over_images(difference if MORE_IS_BETTER[test] else -difference, -1)


def _over_images(values: NDArray[np.float64], low: float = 0.0) -> Interval:
    interval = mean_interval(values, low=low)
    assert interval is not None, "checked without images"
    return interval
