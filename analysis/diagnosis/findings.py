"""What is wrong, decided by tests: each finding names its cause, classes, number and remedy.

There are two families of tests. *Defects* of the data (`DEFECTS`): a family without any has a
finding with a chance of at most `ALPHA`. *Hints* (`HINTS`) are classes that the model recognises
worse or confuses more than others, and corners that decide where no mask tells object from
surroundings; every set has some, so that they are no alarm. Each family is
corrected by Holm's procedure (1979) over all its tests, also over those that come to nothing.
Labels have a share of the defects' `ALPHA` of their own, as their p-values are corrected already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.diagnosis.evidence import transplants
from analysis.diagnosis.evidence.collect import Evidence
from analysis.statistics.intervals import LEVEL, Interval, share_difference, share_interval
from deepsight import metrics

ALPHA = 0.05
"""Chance of one or more findings in a family without any."""

ALPHA_LABELS = 0.02
"""The part of `ALPHA` that is spent on exchanged labels."""

BACKGROUND, CORNER, PLACE = "background", "mark", "place"
LABELS, RARE, SHIFT, COPIES = "labels", "rare", "shift", "duplicates"
DEFECTS = (BACKGROUND, CORNER, PLACE, LABELS, RARE, SHIFT, COPIES)
CONFUSED, WEAK, CORNERS = "confused_pair", "weak_class", "corners"
HINTS = (CONFUSED, WEAK, CORNERS)

GRANTED = {BACKGROUND: 0.05, CORNER: 0.05, PLACE: 0.2, CORNERS: 0.05}
"""By how much the answers may follow a part without a finding. Objects of a class differ in size
and place from those of another in any data, and a model that has hardly learnt goes by it: 7s of
clean digits were followed by 0.16 to 0.18."""
KIND_OF_PART = {
    transplants.BACKGROUND: BACKGROUND,
    transplants.CORNERS: CORNER,
    transplants.PLACE: PLACE,
    transplants.WHOLE_CORNERS: CORNERS,
}
RARE_SHARE = 0.5
"""A class is rare with fewer train images than this share of the other classes' median."""
GRANTED_COPIES = 0.002
"""Share of copies among held-out images from which there is a finding, and more than one."""
PAIR_FACTOR = 3.0
"""A pair is confused if its rate exceeds the mean rate of all pairs by this factor."""
WEAKER = 0.1
"""A class is weak if its recall is that much below the others'."""


@dataclass(frozen=True)
class Finding:
    """One.

    Attributes:
        kind: Of `DEFECTS` or `HINTS`.
        labels: Of the classes it is about; none where it is about the split.
        measure: What `number` is, in words; "{}" stands for the classes' names.
        number: With its 95 % interval (not corrected) and n.
        p_value: Corrected for the number of tests.
        files: Names of images to look at.
        note: What else is known; may be empty.
    """

    kind: str
    labels: tuple[int, ...]
    measure: str
    number: Interval
    p_value: float
    files: tuple[str, ...] = field(default=(), repr=False)
    note: str = ""

    @property
    def is_defect(self) -> bool:
        """Whether it is about the data; else it is a hint."""
        return self.kind in DEFECTS


@dataclass(frozen=True)
class Findings:
    """All of a model on a split.

    Attributes:
        items: Defects first, the surest first.
        num_tests: Of both families.
        not_measured: What could not be tested, and why.
    """

    items: tuple[Finding, ...]
    num_tests: int
    not_measured: tuple[str, ...]

    @property
    def defects(self) -> tuple[Finding, ...]:
        """Those about the data."""
        return tuple(f for f in self.items if f.is_defect)

    @property
    def hints(self) -> tuple[Finding, ...]:
        """The others."""
        return tuple(f for f in self.items if not f.is_defect)


def find(evidence: Evidence) -> Findings:
    """Decide what is wrong.

    Args:
        evidence: What was measured.
    """
    shortcuts = _shortcuts(evidence)
    defects = [
        *(f for f in shortcuts if f.is_defect),
        *_rare_classes(evidence),
        *_shifted(evidence),
        *_copied(evidence),
    ]
    hints = [*_confused_pairs(evidence), *_weak_classes(evidence)]
    hints += [f for f in shortcuts if not f.is_defect]
    labels = _exchanged_labels(evidence)
    exchanged = [f for f in labels if f.p_value < ALPHA_LABELS]
    held = _explained(_significant(defects, ALPHA - ALPHA_LABELS)) + exchanged
    found = sorted(held, key=lambda f: f.p_value) + _significant(hints, ALPHA)
    num_tests = len(defects) + len(labels) + len(hints)
    return Findings(tuple(found), num_tests, tuple(evidence.not_measured))


def holm(p_values: Sequence[float]) -> npt.NDArray[np.float64]:
    """P-values corrected for their number (Holm 1979), in their order."""
    values = np.asarray(p_values, float)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def _significant(tested: Sequence[Finding], alpha: float) -> list[Finding]:
    """Those that hold, the surest first, with their p-values corrected."""
    corrected = holm([f.p_value for f in tested])
    held = [
        dataclasses.replace(f, p_value=float(p))
        for f, p in zip(tested, corrected, strict=True)
        if p < alpha
    ]
    return sorted(held, key=lambda f: f.p_value)


def _explained(found: list[Finding]) -> list[Finding]:
    """Without the corners of a class whose whole background gives it away."""
    background = {f.labels for f in found if f.kind == BACKGROUND}
    return [f for f in found if f.kind != CORNER or f.labels not in background]


MEASURES = {
    BACKGROUND: "other objects are taken for {} more often on its background than on others'",
    CORNER: "other objects are taken for {} more often with its corners than with others'",
    CORNERS: "other images are taken for {} more often with its corners than with others'",
    PLACE: "other objects are taken for {} more often at its place and size than at others'",
}


def _shortcuts(evidence: Evidence) -> list[Finding]:
    """One-sided t-test of the mean gain against what is granted."""
    tested = []
    for found in evidence.transplants:
        kind = KIND_OF_PART[found.part]
        for label in range(len(evidence.evaluation.classes)):
            gains = found.gains(label)
            number, p_value = mean_above(gains, GRANTED[kind])
            tested.append(Finding(kind, (label,), MEASURES[kind], number, p_value))
    return tested


def mean_above(values: npt.NDArray[np.float64], granted: float) -> tuple[Interval, float]:
    """The mean of values in -1..1, and the p-value of its being at most `granted` (t-test).

    The standard deviation counts as no less than that of a share `granted` of ones, so that few
    values that happen to be equal prove nothing.
    """
    n = len(values)
    if n < 2:
        return Interval(0.0, -1.0, 1.0, n), 1.0
    mean = float(values.mean())
    spread = max(float(values.std(ddof=1)), float(np.sqrt(granted * (1 - granted)))) / np.sqrt(n)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * spread
    p_value = float(stats.t.sf((mean - granted) / spread, n - 1))
    return Interval(mean, max(-1.0, mean - reach), min(1.0, mean + reach), n), p_value


def _exchanged_labels(evidence: Evidence) -> list[Finding]:
    where = evidence.held_out_splits
    measure = "share of the images of {} that contradict a model that is sure of them"
    note = f"Judged by predictions for {where} images, which were not trained on."
    return [
        Finding(
            LABELS,
            (pair.first, pair.second),
            measure,
            pair.share,
            pair.p_value,
            tuple(evidence.held_out[row] for row in pair.suspects),
            note,
        )
        for pair in evidence.label_noise
    ]


def _rare_classes(evidence: Evidence) -> list[Finding]:
    """Binomial test of a class's images against `RARE_SHARE` of the others' median."""
    counts, evaluation = np.asarray(evidence.train_counts), evidence.evaluation
    tested = []
    for label, count in enumerate(counts):
        median = round(float(np.median(np.delete(counts, label))))
        total = int(count) + median
        if not total:
            continue
        share = share_interval(int(count), total)
        low, value, high = (s / max(1 - s, 1e-9) for s in (share.low, share.value, share.high))
        p_value = float(stats.binom.cdf(count, total, RARE_SHARE / (1 + RARE_SHARE)))
        own = evaluation.hits[evaluation.labels == label]
        others = evaluation.hits[evaluation.labels != label]
        note = f"{int(count)} train images; the median of the other classes is {median}."
        if len(own) and len(others):
            note += f" Recall {own.mean():.2f} (n = {len(own)}), the others' {others.mean():.2f}."
        number = Interval(value, low, high, total)
        measure = "train images of {} for one of another class"
        tested.append(Finding(RARE, (label,), measure, number, p_value, note=note))
    return tested


def _shifted(evidence: Evidence) -> list[Finding]:
    shift = evidence.shift
    if shift is None:
        return []
    measure = f"chance that a test image exceeds a validation image in {shift.measure} (alike: 0.5)"
    return [Finding(SHIFT, (), measure, shift.superiority, shift.p_value)]


def _copied(evidence: Evidence) -> list[Finding]:
    """Images whose own p-value holds by Bonferroni are copies; then their share is tested."""
    copies, evaluation = evidence.copies, evidence.evaluation
    if copies is None:
        return []
    total = len(copies.p_values)
    rows = np.flatnonzero(copies.p_values * total < ALPHA)
    number = share_interval(len(rows), total)
    p_value = 1.0
    if len(rows) > 1:
        excess = stats.binom.sf(len(rows) - 1, total, GRANTED_COPIES)
        p_value = max(float(excess), min(1.0, total * float(copies.p_values.min())))
    places = evidence.copy_rows[rows]
    rest = np.ones(len(evaluation), np.bool_)
    rest[places] = False
    note = ""
    if rest.any():
        note = f"Accuracy without them: {evaluation.hits[rest].mean():.3f} (n = {rest.sum()})."
    measure = f"share of {evaluation.split} images that are copies of a train image"
    files = tuple(str(name) for name in evaluation.ids[places])
    return [Finding(COPIES, (), measure, number, p_value, files, note)]


def _confused_pairs(evidence: Evidence) -> list[Finding]:
    """Binomial test of a pair's rate of confusions against what is usual.

    Usual is `PAIR_FACTOR` times the mean rate, or, where that is more, the rate at which images of
    all other classes are taken for the two: a class that everything is taken for is no pair.
    """
    evaluation = evidence.evaluation
    num = len(evaluation.classes)
    confusion = metrics.confusion_matrix(evaluation.labels, evaluation.predicted, num)
    errors = len(evaluation) - int(np.trace(confusion))
    tested = []
    for first in range(num):
        for second in range(first + 1, num):
            images = int(confusion[[first, second]].sum())
            if not images:
                continue
            mistaken = int(confusion[first, second] + confusion[second, first])
            # each image belongs to num - 1 pairs
            mean = errors / max(1, len(evaluation)) / max(1, num - 1)
            usual = min(0.5, max(PAIR_FACTOR * mean, _attraction(confusion, first, second)))
            p_value = float(stats.binom.sf(mistaken - 1, images, usual)) if mistaken else 1.0
            measure = "share of images of {} that are taken for the other"
            number = share_interval(mistaken, images)
            tested.append(Finding(CONFUSED, (first, second), measure, number, p_value))
    return tested if num > 2 else []


def _attraction(confusion: npt.NDArray[np.int64], first: int, second: int) -> float:
    """The share of a pair's images that would be mistaken if they fared as those of others do."""
    others = np.delete(confusion, [first, second], axis=0)
    for_first, for_second = others[:, [first, second]].sum(axis=0) / max(1, others.sum())
    of_first, of_second = confusion[[first, second]].sum(axis=1)
    mistaken = of_first * for_second + of_second * for_first
    return float(mistaken / max(1, of_first + of_second))


def _weak_classes(evidence: Evidence) -> list[Finding]:
    """One-sided test of a class's recall against the others' less `WEAKER`."""
    evaluation = evidence.evaluation
    tested = []
    for label in range(len(evaluation.classes)):
        own = evaluation.hits[evaluation.labels == label]
        others = evaluation.hits[evaluation.labels != label]
        if not len(own) or not len(others):
            continue
        number = share_difference(int(own.sum()), len(own), int(others.sum()), len(others))
        goal = float(np.clip(others.mean() - WEAKER, 0.0, 1.0))
        p_value = float(stats.binom.cdf(own.sum(), len(own), goal))
        measure = "recall of {} less the recall of the other classes"
        tested.append(Finding(WEAK, (label,), measure, number, p_value))
    return tested
