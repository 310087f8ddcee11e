"""Numbers that are known: tables made by hand, published examples, simulations."""

import dataclasses

import numpy as np
import pytest

from analysis.diagnosis.calibration import (
    calibration_interval,
    chance_error,
    compute_calibration,
    mean_confidence,
    reliability,
)
from analysis.diagnosis.class_scores import compute_scores, confused_pairs, f1_interval
from analysis.diagnosis.groups import (
    compare_groups,
    default_groups,
    group_labels,
    parse_groups,
)
from deepsight import metrics
from deepsight.config import UserError
from tests.analysis.diagnosis.evaluations import counted, hand_evaluation

CONFUSION = [[8, 2, 0], [0, 6, 4], [0, 0, 10]]


def test_shares_of_a_table_made_by_hand():
    scores = compute_scores(counted(CONFUSION))
    assert scores.confusion.tolist() == CONFUSION
    assert (scores.num_images, scores.num_errors) == (30, 6)
    assert scores.accuracy.value == pytest.approx(24 / 30)
    a, b, c = scores.classes
    assert [k.accuracy.value for k in (a, b, c)] == [0.8, 0.6, 1.0]
    assert [k.precision.value for k in (a, b, c)] == pytest.approx([8 / 8, 6 / 8, 10 / 14])
    assert [k.f1.value for k in (a, b, c)] == pytest.approx([16 / 18, 12 / 18, 20 / 24])
    assert scores.macro_f1.value == pytest.approx(np.mean([16 / 18, 12 / 18, 20 / 24]))
    assert (b.num_images, b.num_predicted, b.num_hits) == (10, 8, 6)


def test_the_interval_is_wilsons():
    """Newcombe (1998), Table I: 81 of 263 gives 0.2553 to 0.3662."""
    scores = compute_scores(counted([[81, 182], [0, 1]]))
    assert scores.classes[0].accuracy.low == pytest.approx(0.2553, abs=5e-5)
    assert scores.classes[0].accuracy.high == pytest.approx(0.3662, abs=5e-5)
    assert scores.classes[0].accuracy.n == 263


def test_a_class_without_an_error_is_not_sure():
    f1 = f1_interval(36, 36)
    assert (f1.value, f1.high) == (1, 1)
    assert 0.94 < f1.low < 0.96
    assert f1_interval(0, 0) is None
    assert compute_scores(counted([[5, 0], [0, 5]])).macro_f1.low < 0.8


def test_f1_intervals_cover():
    rng = np.random.default_rng(0)
    cells, covered = np.array([0.15, 0.05, 0.04, 0.76]), 0  # hit, missed, wrongly taken, neither
    truth = 2 * 0.15 / (2 * 0.15 + 0.05 + 0.04)
    for _ in range(400):
        hits, missed, wrong, _ = rng.multinomial(150, cells)
        interval = f1_interval(hits, hits + missed + wrong)
        covered += interval.low <= truth <= interval.high
    assert 0.92 <= covered / 400 <= 0.985


def test_pairs_are_ranked_by_errors_in_both_directions():
    pairs = confused_pairs(np.array(CONFUSION))
    assert [(p.first, p.second, p.first_as_second, p.second_as_first) for p in pairs] == [
        (1, 2, 4, 0),
        (0, 1, 2, 0),
    ]
    assert pairs[0].rate.value == pytest.approx(4 / 20)
    assert pairs[0].error_share.value == pytest.approx(4 / 6)
    assert confused_pairs(np.diag([3, 4])) == ()
    (pair,) = confused_pairs(np.array([[5, 1], [3, 5]]))
    assert (pair.first, pair.first_as_second, pair.second_as_first) == (1, 3, 1)


def test_calibration_error_of_a_table_made_by_hand():
    """Ten images at 0.9 of which eight are right, ten at 0.6 of which seven: (0.1 + 0.1) / 2."""
    confidence = np.repeat([0.9, 0.6], 10)
    hits = np.array([1] * 8 + [0] * 2 + [1] * 7 + [0] * 3, bool)
    found = calibration_interval(confidence, hits)
    assert found.value == pytest.approx(0.1)
    assert found.low <= 0.1 <= found.high
    assert found.n == 20
    low, high = reliability(confidence, hits)
    assert (low.count, low.confidence, low.accuracy.value) == pytest.approx((10, 0.6, 0.7))
    assert (high.count, high.confidence, high.accuracy.value) == pytest.approx((10, 0.9, 0.8))
    assert calibration_interval(np.zeros(0), np.zeros(0, bool)) is None
    one = calibration_interval(np.array([0.7]), np.array([True]))
    assert (one.value, one.low, one.high) == pytest.approx((0.3, 0, 1))


def test_calibration_error_is_that_of_the_metrics():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(4), 200)
    labels = rng.integers(0, 4, 200)
    hits = probabilities.argmax(axis=1) == labels
    found = calibration_interval(probabilities.max(axis=1), hits)
    assert found.value == pytest.approx(metrics.calibration_error(probabilities, labels))


@pytest.mark.parametrize("gap", [0.0, 0.03, 0.2])
@pytest.mark.parametrize("num", [30, 300])
def test_calibration_intervals_cover(num, gap, monkeypatch):
    """A model that is too sure by `gap`: its true ECE, whatever the sample."""
    monkeypatch.setattr("analysis.diagnosis.calibration.RESAMPLES", 400)
    covered, rng = 0, np.random.default_rng(2)
    for seed in range(200):
        confidence = rng.choice([0.5, 0.7, 0.9], num)
        hits = rng.random(num) < confidence - gap
        found = calibration_interval(confidence, hits, seed)
        covered += found.low <= gap <= found.high
    assert covered / 200 >= 0.9


def test_exact_confidences_look_exact():
    rng, above = np.random.default_rng(3), 0
    for seed in range(60):
        confidence = rng.uniform(0.4, 1, 300)
        hits = rng.random(300) < confidence
        above += calibration_interval(confidence, hits).value > chance_error(confidence, seed).high
    assert above <= 6


def test_miscalibrated_classes_are_found_and_others_are_not():
    rng = np.random.default_rng(4)
    predicted = np.arange(1500) % 3
    confidence = rng.uniform(0.5, 0.95, 1500)
    right = rng.random(1500) < np.where(predicted == 1, confidence - 0.3, confidence)
    labels = np.where(right, predicted, (predicted + 1) % 3)
    found = compute_calibration(hand_evaluation(labels, predicted, confidence)).classes
    assert [c.label for c in found] == [1]
    assert found[0].gap == pytest.approx(0.3, abs=0.06)
    scores = compute_scores(hand_evaluation(labels, predicted, confidence))
    assert scores.classes[1].overconfidence.low > 0.2
    assert scores.classes[0].overconfidence.low < 0 < scores.classes[0].overconfidence.high


def test_means_of_few_confidences():
    assert mean_confidence(np.zeros(0)) is None
    one = mean_confidence(np.array([0.9]))
    assert (one.value, one.low, one.high) == (0.9, 0.0, 1.0)
    two = mean_confidence(np.array([0.8, 0.9]))
    assert two.value == pytest.approx(0.85)
    assert two.low == pytest.approx(max(0, 0.85 - 12.706 * 0.05), abs=1e-4)
    assert two.high == 1.0


def test_classes_without_images_or_predictions():
    scores = compute_scores(hand_evaluation([0, 0, 0, 1], [0, 0, 0, 0]))
    never, absent = scores.classes[1], scores.classes[2]
    assert never.precision is None
    assert never.ece is None
    assert never.accuracy.value == 0
    assert never.hit_confidence is None
    assert absent.accuracy is None
    assert absent.f1 is None
    empty = compute_scores(hand_evaluation([], []))
    assert empty.accuracy is None
    assert empty.pairs == ()
    assert compute_calibration(hand_evaluation([], [])).ece is None


# groups


def test_groups_differ_on_these_classes_but_maybe_not_on_others():
    """Two groups whose classes differ more among themselves than the groups do."""
    rates = {"a": 90, "b": 50, "c": 85, "d": 25}
    confusion = [[0] * 4 for _ in rates]
    for i, hits in enumerate(rates.values()):
        confusion[i][i] = hits
        confusion[i][(i + 1) % 4] = 100 - hits
    scores = compute_scores(counted(confusion))
    info = compare_groups(scores, {"first": (0, 1), "second": (2, 3)})
    (difference,) = info.differences
    assert difference.images.value == pytest.approx(0.15)
    assert difference.images.excludes_zero
    assert difference.images.n == 400
    assert difference.classes.value == pytest.approx(0.15)
    assert not difference.classes.excludes_zero
    assert difference.classes.n == 4
    assert difference.p_value == pytest.approx(0.7230, abs=1e-4)
    assert info.groups[0].accuracy.value == pytest.approx(0.7)
    assert info.groups[0].inside.value == pytest.approx(10 / 60)


def test_intervals_over_classes_cover():
    """Classes drawn anew, from groups that differ by ten points."""
    rng, covered, images = np.random.default_rng(5), 0, 0
    for _ in range(300):
        accuracies = np.clip(rng.normal([0.7] * 5 + [0.6] * 5, 0.1), 0, 1)
        hits = rng.binomial(60, accuracies)
        confusion = np.diag(hits) + np.roll(np.diag(60 - hits), 1, axis=1)
        scores = dataclasses.replace(compute_scores(counted([[1, 0], [0, 1]])), confusion=confusion)
        classes = [
            dataclasses.replace(scores.classes[0], accuracy=_share(h)) for h in hits.tolist()
        ]
        scores = dataclasses.replace(scores, classes=tuple(classes))
        groups = {"x": tuple(range(5)), "y": tuple(range(5, 10))}
        (difference,) = compare_groups(scores, groups).differences
        covered += difference.classes.low <= 0.1 <= difference.classes.high
        images += difference.images.low <= 0.1 <= difference.images.high
    assert 0.92 <= covered / 300 <= 0.985
    assert images < covered  # the luck of the classes is not in that one


def _share(hits):
    from analysis.statistics.intervals import accuracy_interval

    return accuracy_interval(hits / 60, 60)


def test_groups_of_one_class_have_no_class_interval():
    info = compare_groups(compute_scores(counted(CONFUSION)), {"x": (0,), "y": (1, 2)})
    assert info.differences[0].classes is None
    assert info.differences[0].p_value is None
    alike = compare_groups(
        compute_scores(counted(np.diag([4, 4, 4, 4]).tolist())), {"x": (0, 1), "y": (2, 3)}
    )
    assert alike.differences[0].p_value is None


def test_groups_are_read():
    classes = ("car", "ship", "cat", "a=b")
    named = parse_groups(["r=car, ship", "o=#2,a=b"])
    assert group_labels(named, classes) == {"r": (0, 1), "o": (2, 3)}
    assert group_labels({}, classes) == {}
    assert default_groups("digits", classes) == {}
    cifar = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    assert default_groups("cifar10", cifar)["vehicles"] == (0, 1, 8, 9)


@pytest.mark.parametrize(
    ("texts", "cause", "remedy"),
    [
        (["rigid"], "--groups: 'rigid' is not a group of its own.", "Write NAME=CLASS,CLASS"),
        (["a=car", "a=cat"], "--groups: 'a=cat' is not a group of its own.", "Write NAME"),
        (["a=car", "b=cta"], "unknown class 'cta'.", "cat"),
        (["a=car", "b=#9"], "unknown class '#9'.", "car"),
        (["a=car", "b=car"], "class 'car' is in the groups a and b.", "once at most"),
        (["a=car"], "there is one group, a.", "Name two"),
    ],
)
def test_wrong_groups_are_refused(texts, cause, remedy):
    with pytest.raises(UserError) as caught:
        group_labels(parse_groups(texts), ("car", "ship", "cat"))
    assert caught.value.cause == cause
    assert remedy in caught.value.remedy
