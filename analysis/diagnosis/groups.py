"""Groups of classes, and whether one is recognised better than another."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.diagnosis.class_scores import Scores
from analysis.statistics.intervals import (
    Interval,
    accuracy_interval,
    mean_difference,
    share_difference,
)
from deepsight.config import UserError, unknown

Groups = Mapping[str, tuple[int, ...]]
"""Labels by the group's name."""

VEHICLES = ("airplane", "automobile", "ship", "truck")
ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")


@dataclass(frozen=True)
class GroupScore:
    """One group."""

    name: str
    labels: tuple[int, ...]
    num_images: int
    accuracy: Interval | None
    """Share of the group's images that are recognised; None without an image."""
    inside: Interval | None
    """Share of its errors that stay inside the group; None without an error."""


@dataclass(frozen=True)
class GroupDifference:
    """How much better one group is recognised than another.

    Attributes:
        first: Name of a group.
        second: Name of another.
        images: Difference of the accuracies over images: true of these very classes.
        classes: Difference of the mean accuracies of classes, each class one observation: true
            beyond these classes. None with one class in a group, or where all classes are alike, so
            that nothing tells how much such classes differ.
        p_value: Of `classes` (Welch's t-test); None as there.
    """

    first: str
    second: str
    images: Interval
    classes: Interval | None
    p_value: float | None


@dataclass(frozen=True)
class GroupComparison:
    """All groups, and all pairs of them."""

    groups: tuple[GroupScore, ...]
    differences: tuple[GroupDifference, ...]


def default_groups(data_name: str, classes: Sequence[str]) -> Groups:
    """The groups that a data set brings; none for data of one's own."""
    if data_name == "toy_objects":
        from deepsight.data.toy_objects.dataset import ORGANIC, RIGID

        named = {"rigid": RIGID, "organic": ORGANIC}
    elif data_name == "cifar10":
        named = {"vehicles": VEHICLES, "animals": ANIMALS}
    else:
        return {}
    return {name: tuple(classes.index(member) for member in m) for name, m in named.items()}


def parse_groups(texts: Sequence[str]) -> dict[str, list[str]]:
    """The names of classes by group, as a command line says them: ``rigid=car,ship``.

    Raises:
        UserError: If a text has another form, or a group is named twice.
    """
    named: dict[str, list[str]] = {}
    for text in texts:
        name, equals, members = text.partition("=")
        if not name or not equals or not members or name in named:
            raise UserError(
                f"--groups: {text!r} is not a group of its own.",
                "Write NAME=CLASS,CLASS, as in rigid=car,ship organic=cat,dog.",
            )
        named[name] = [member.strip() for member in members.split(",")]
    return named


def group_labels(named: Mapping[str, Sequence[str]], classes: Sequence[str]) -> Groups:
    """Groups of labels from groups of names; ``#3`` is the class of label 3.

    Raises:
        UserError: If there is one group, a class is unknown or stands in two groups.
    """
    if len(named) == 1:
        raise UserError(f"there is one group, {next(iter(named))}.", "Name two, to compare them.")
    groups: dict[str, tuple[int, ...]] = {}
    taken: dict[int, str] = {}
    for name, members in named.items():
        groups[name] = tuple(dict.fromkeys(_label(member, classes) for member in members))
        for label in groups[name]:
            if label in taken:
                raise UserError(
                    f"class {classes[label]!r} is in the groups {taken[label]} and {name}.",
                    "Name every class once at most.",
                )
            taken[label] = name
    return groups


def _label(text: str, classes: Sequence[str]) -> int:
    if text in classes:
        return list(classes).index(text)
    if text.startswith("#") and text[1:].isdecimal() and int(text[1:]) < len(classes):
        return int(text[1:])
    raise unknown("class", text, classes)


def compare_groups(scores: Scores, groups: Groups) -> GroupComparison:
    """Accuracy of each group, and the differences between them.

    Args:
        scores: Of a split.
        groups: By name; every class at most once.
    """
    names = [name for name, labels in groups.items() if _images(scores, labels)]
    return GroupComparison(
        groups=tuple(_group_score(scores, name, groups[name]) for name in groups),
        differences=tuple(
            _difference(scores, a, b, groups) for a, b in itertools.combinations(names, 2)
        ),
    )


def _images(scores: Scores, labels: Sequence[int]) -> int:
    return int(scores.confusion[list(labels)].sum())


def _hits(scores: Scores, labels: Sequence[int]) -> int:
    return int(np.diag(scores.confusion)[list(labels)].sum())


def _group_score(scores: Scores, name: str, labels: tuple[int, ...]) -> GroupScore:
    images, hits = _images(scores, labels), _hits(scores, labels)
    errors = images - hits
    inside = int(scores.confusion[np.ix_(labels, labels)].sum()) - hits
    return GroupScore(
        name=name,
        labels=labels,
        num_images=images,
        accuracy=accuracy_interval(hits / images, images) if images else None,
        inside=accuracy_interval(inside / errors, errors) if errors else None,
    )


def _difference(scores: Scores, first: str, second: str, groups: Groups) -> GroupDifference:
    counted, means = [], []
    for name in (first, second):
        labels = groups[name]
        counted += [_hits(scores, labels), _images(scores, labels)]
        found = [scores.classes[label].accuracy for label in labels]
        means.append([a.value for a in found if a is not None])
    classes, p_value = None, None
    if max(len(set(m)) for m in means) > 1 and min(map(len, means)) > 1:
        classes = mean_difference(*means)
        p_value = float(stats.ttest_ind(*means, equal_var=False).pvalue)
    images = dataclasses.replace(share_difference(*counted), n=counted[1] + counted[3])
    return GroupDifference(first, second, images, classes, p_value)
