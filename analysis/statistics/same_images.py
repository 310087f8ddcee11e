"""Trials compared on the same validation images, also the best of many.

Two trials that saw the same images differ by less than chance moves each of them. And the best of
many that are all alike looks better than any of them is. Intervals here know of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.statistics.intervals import LEVEL, Interval, accuracy_interval
from deepsight.run_store import Study
from deepsight.run_store.predictions import read_hits

Bools = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]

SINGLE_Z = float(stats.norm.ppf((1 + LEVEL) / 2))
"""Standard errors of one comparison that nobody picked: 1.96."""
MOST_READ = 200
"""Trials whose predictions are read, the best ones: what a study of any size costs is bounded."""
MOST_AT_ONCE = 400
"""Comparisons whose correlation is looked at; of more the bound for any is taken."""
OUT_OF_REACH = 3.7
"""Standard errors below the best from which a trial could not have been the best one: more than
the largest of `MOST_READ` independent normal variables is in 97.5 % of cases."""
DRAWS = 20_000


@dataclass(frozen=True, eq=False)
class SameImages:
    """Which images each trial classified right, where its predictions are stored.

    Attributes:
        scores: Accuracies by trial.
        num_images: Of the validation split.
        hits: (num_images,) by trial; perhaps of fewer trials than `scores`.
        rivals: Trials that could have been the best one.
    """

    scores: Mapping[str, float]
    num_images: int
    hits: Mapping[str, Bools]
    rivals: tuple[str, ...]

    def z_against(self, reference: str) -> float:
        """Standard errors that hold the differences of all rivals to one trial, all at once.

        So the interval of the one that is picked after a look at them, the best, keeps its level.
        Trials far below the best are left out, since they cannot be picked; the two steps are
        those of Romano, Shaikh and Wolf (Econometrica 82, 2014, pages 1979 to 2002). With the best
        itself as the one, the truly best trial keeps the level, not every other one.

        Args:
            reference: The one, as the defaults.
        """
        others = [name for name in self.rivals if name != reference]
        if len(others) > MOST_AT_ONCE:
            return bound_z(len(others))
        answers = _answers([(self, reference), *((self, name) for name in others)])
        return largest_z(answers[1:] - answers[:1])

    def difference(self, first: str, second: str, z: float) -> Interval:
        """How much more accurate one trial is than another.

        Where the predictions of one are missing, both are taken as independent: that is too wide,
        because trials are right and wrong on much the same images.

        Args:
            first: An id.
            second: Another one.
            z: From `z_against` one of them.
        """
        return _difference((self, first), (self, second), z)

    def as_good_as(self, best: str) -> tuple[str, ...]:
        """The trials that these images cannot tell from the best one, best first.

        With it they are a set that holds the truly best trial in about 97.5 % of cases.
        """
        z, found = self.z_against(best), []
        for name in sorted(self.scores, key=lambda name: -self.scores[name]):
            if name == best:
                continue
            pair = (self.scores[best], self.scores[name])
            if paired_interval(*pair, phi=0.0, num_images=self.num_images, z=z).low > 0:
                break  # unless hits correlate negatively; and so are all that follow
            if self.difference(best, name, z).low <= 0:
                found.append(name)
        return tuple(found)


def difference_of_bests(first: SameImages, second: SameImages) -> Interval:
    """How much more accurate the best trial of a study is than that of another one.

    The interval holds for all pairs of trials at once that could have been the two bests. Both
    studies have the same validation images.
    """
    ours, theirs = ([(study, name) for name in study.rivals] for study in (first, second))
    pairs = len(ours) * len(theirs)
    if pairs > MOST_AT_ONCE:
        return _difference(ours[0], theirs[0], bound_z(pairs))
    answers = _answers([*ours, *theirs])
    differences = answers[: len(ours), None] - answers[None, len(ours) :]
    z = largest_z(differences.reshape(-1, answers.shape[1]))
    return _difference(ours[0], theirs[0], z)


def _difference(
    first: tuple[SameImages, str], second: tuple[SameImages, str], z: float
) -> Interval:
    """How much more accurate one trial is than another, of the same study or of two."""
    hits = [study.hits.get(name) for study, name in (first, second)]
    a, b = (study.scores[name] for study, name in (first, second))
    phi = 0.0
    if hits[0] is not None and hits[1] is not None and len(hits[0]) == len(hits[1]):
        phi = phi_coefficient(hits[0], hits[1])
    return paired_interval(a, b, phi, min(study.num_images for study, _ in (first, second)), z)


def _answers(trials: Sequence[tuple[SameImages, str]]) -> Reals:
    """The hits of trials, (k, images); where those of one are missing, k independent rows."""
    hits = [study.hits.get(name) for study, name in trials]
    known = [row for row in hits if row is not None]
    if len(known) < len(hits) or len({len(row) for row in known}) > 1:
        return np.eye(len(hits))
    return np.array(known, float)


def same_images(study: Study, scores: Mapping[str, float], num_images: int) -> SameImages:
    """The hits of the best trials and of the defaults.

    Left out are trials without predictions, and those whose predictions are of another epoch than
    the score, as after a training that was killed: they differ by more than one image, which
    rounding may explain.

    Args:
        study: Where the predictions are.
        scores: Accuracies of trials of full budget; the earlier first.
        num_images: Of the validation split.
    """
    near = compare_hits(scores, num_images, {}).rivals
    first = study.defaults.trial_id if study.defaults else ""
    hits: dict[str, Bools] = {}
    for name in dict.fromkeys([*near[:MOST_READ], *([first] if first in scores else [])]):
        found = read_hits(study.directory, name, num_images)
        if found is not None and abs(int(found.sum()) - scores[name] * num_images) < 1.5:
            hits[name] = found
    return compare_hits(scores, num_images, hits)


def compare_hits(
    scores: Mapping[str, float], num_images: int, hits: Mapping[str, Bools]
) -> SameImages:
    """Trials whose hits are known, with those that could have been the best one picked out.

    Args:
        scores: Accuracies by trial.
        num_images: Of the validation split.
        hits: (num_images,) by trial.
    """
    ranked = sorted(scores, key=lambda name: -scores[name])
    every = SameImages(scores, num_images, hits, tuple(ranked))
    near = (n for n in ranked if every.difference(ranked[0], n, OUT_OF_REACH).low <= 0)
    return replace(every, rivals=tuple(near))


def phi_coefficient(a: Bools, b: Bools) -> float:
    """Of two trials' hits (N,): phi, less the correction for continuity of Newcombe (1998)."""
    n = len(a)
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    product = both * neither - int((a & ~b).sum()) * int((~a & b).sum())
    corrected = max(product - n / 2, 0) if product > 0 else product
    spread = float(np.sqrt(float(a.sum()) * (n - a.sum()) * b.sum() * (n - b.sum())))
    return corrected / spread if spread else 0.0


def paired_interval(a: float, b: float, phi: float, num_images: int, z: float) -> Interval:
    """How much higher accuracy `a` is than `b` on the same images.

    Method 10 of Newcombe (Statistics in Medicine 17, 1998, pages 2635 to 2650).

    Args:
        a: An accuracy.
        b: The other one.
        phi: How their hits correlate, from `phi_coefficient`.
        num_images: What both were measured on.
        z: Half width of the interval in standard errors, `SINGLE_Z` for one pair.
    """
    level = float(2 * stats.norm.cdf(z) - 1)
    first, second = (accuracy_interval(p, num_images, level) for p in (a, b))
    down = _joint(a - first.low, second.high - b, phi)
    up = _joint(first.high - a, b - second.low, phi)
    return Interval(a - b, a - b - down, a - b + up, num_images)


def _joint(x: float, y: float, phi: float) -> float:
    return float(np.sqrt(max(x**2 - 2 * phi * x * y + y**2, 0.0)))


def largest_z(samples: Reals, seed: int = 0) -> float:
    """What the largest of several correlated normal variables stays below in 97.5 % of cases.

    The bootstrap of Chernozhukov, Chetverikov and Kato (Annals of Statistics 41, 2013, pages 2786
    to 2819) for the largest of several means.

    Args:
        samples: (k, n); the variables correlate as the rows do. Rows that do not vary do not count.
        seed: Of the draws.

    Returns:
        `SINGLE_Z` of one variable or none, more of several.
    """
    centred = samples - samples.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1)
    scaled = centred[spread > 0] / spread[spread > 0, None]
    if len(scaled) < 2:
        return SINGLE_Z
    values, vectors = np.linalg.eigh(scaled @ scaled.T / samples.shape[1])
    root = vectors * np.sqrt(np.clip(values, 0, None))
    drawn = np.random.default_rng(seed).normal(size=(DRAWS, len(root))) @ root.T
    return max(float(np.quantile(drawn.max(axis=1), (1 + LEVEL) / 2)), SINGLE_Z)


def bound_z(num: int) -> float:
    """The same for normal variables that correlate in any way but negatively (Sidak 1967)."""
    return float(stats.norm.ppf(((1 + LEVEL) / 2) ** (1 / num)))
