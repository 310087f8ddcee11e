"""The rules on uneven classes: known answers, and the baseline against what metrics measure."""

import numpy as np
import pytest

from deepsight.data.class_balance import JUDGED, class_balance, validation_balance
from deepsight.metrics import evaluate


@pytest.mark.parametrize("counts", [(40, 1), (30, 30), (5, 20, 75), (12, 12, 12, 13)])
def test_the_baseline_is_what_always_answering_the_largest_class_scores(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    answers = np.zeros((len(labels), len(counts)))
    answers[:, np.argmax(counts)] = 1
    scores = evaluate(answers, labels)
    balance = class_balance({f"c{i}": n for i, n in enumerate(counts)})
    assert balance.baseline("val_accuracy") == pytest.approx(scores["accuracy"])
    assert balance.baseline("val_macro_f1") == pytest.approx(scores["macro_f1"])
    assert balance.baseline("val_loss") is None
    assert balance.chance == pytest.approx(1 / len(counts))


@pytest.mark.parametrize(
    ("counts", "uneven"),
    [
        ((40, 1), True),
        ((20, 10), True),
        ((19, 10), False),
        ((500, 500, 250), True),  # the majority's share is no more than 0.4
        ((2, 1), False),  # as rounding makes of 8 and 7 images
        ((3, 1), True),
        ((10, 0), True),
    ],
)
def test_uneven_is_twice_as_many(counts, uneven):
    balance = class_balance({f"c{i}": n for i, n in enumerate(counts)})
    assert balance.uneven is uneven
    assert any("uneven" in line for line in balance.warnings("val_accuracy")) is uneven


def test_classes_with_too_few_images_are_named_with_their_number():
    counts = {"a": 50, **{f"r{i}": i for i in range(1, 8)}, "edge": JUDGED}
    balance = class_balance(counts)
    assert balance.rare == tuple(f"r{i}" for i in range(1, 8))
    line = balance.warnings("val_macro_f1")[-1]
    assert line.startswith("7 of 9 classes cannot be judged, with fewer than 10")
    assert "'r5' (5) and 2 more." in line


def test_a_target_that_the_baseline_reaches_is_recognised():
    balance = class_balance({"common": 40, "rare": 1})
    assert balance.meets("val_accuracy", "max", 0.65)
    assert balance.meets("val_accuracy", "max", 40 / 41)
    assert not balance.meets("val_accuracy", "max", 0.98)
    assert not balance.meets("val_macro_f1", "max", 0.65)
    assert not balance.meets("val_loss", "min", 0.65)
    assert not balance.meets("val_accuracy", "max", None)


def test_the_other_metric_is_suggested_unless_it_is_searched_already():
    balance = class_balance({"common": 40, "rare": 12})
    (line,) = balance.warnings("val_accuracy")
    assert "--set study.metric=val_macro_f1" in line
    (line,) = balance.warnings("val_macro_f1")
    assert "study.metric" not in line
    assert class_balance({"a": 40, "b": 38}).warnings("val_accuracy") == ()


@pytest.mark.parametrize(
    "data",
    [{}, {"counts": None}, {"counts": {"train": {"a": 3}}}, {"counts": {"val": {"a": 0, "b": 0}}}],
)
def test_nothing_is_said_where_no_images_are_stated(data):
    assert validation_balance(data) is None
