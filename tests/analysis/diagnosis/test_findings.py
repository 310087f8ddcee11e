"""Findings on tables made by hand: found where planted, silent where not, with their remedies."""

import dataclasses
import shlex

import numpy as np
import pytest
import yaml

from analysis.diagnosis import findings as f
from analysis.diagnosis.evidence.collect import Evidence
from analysis.diagnosis.evidence.copies import Copies
from analysis.diagnosis.evidence.label_noise import PairNoise
from analysis.diagnosis.evidence.shift import Shift
from analysis.diagnosis.evidence.transplants import (
    BACKGROUND,
    CORNERS,
    PLACE,
    WHOLE_CORNERS,
    Transplants,
)
from analysis.diagnosis.findings import Findings, find, holm, mean_above
from analysis.diagnosis.recommendations import (
    CAUSES,
    REMEDIES,
    pair_name,
    recommendations_text,
    remedies,
    summary_sentences,
)
from analysis.statistics.intervals import Interval
from deepsight.config import TrialConfig, check_value, trial_config
from deepsight.training.focus_pairs import parse_pairs
from tests.analysis.diagnosis.evaluations import counted

CLASSES = ("cat", "dog", "car", "bus")
EVEN = [[45, 2, 2, 1], [1, 45, 2, 2], [2, 1, 45, 2], [2, 2, 1, 45]]


def evidence(confusion=EVEN, counts=(100, 100, 100, 100), **fields) -> Evidence:
    evaluation = counted(confusion, classes=CLASSES)
    return Evidence(evaluation=evaluation, train_counts=counts, **fields)


def part(name: str, shortcut: int | None, share: float, num: int = 200) -> Transplants:
    """Predictions are right, but for `share` of the images with the part of `shortcut`."""
    labels = np.arange(num) % 4
    predicted = np.repeat(labels[:, None], 4, axis=1)
    if shortcut is not None:
        others = np.flatnonzero(labels != shortcut)
        predicted[others[: round(share * len(others))], shortcut] = shortcut
    return Transplants(name, labels, predicted)


def kinds(found: Findings) -> list[tuple[str, tuple[int, ...]]]:
    return [(x.kind, x.labels) for x in found.defects]


def test_nothing_is_found_where_nothing_is() -> None:
    found = find(evidence(transplants=[part(BACKGROUND, None, 0)]))
    assert found.items == ()
    assert found.num_tests == 4 + 4 + 6 + 4
    (said,) = summary_sentences(found, CLASSES)
    assert said == "No defect of the data was found (18 tests)."


@pytest.mark.parametrize("name", [BACKGROUND, CORNERS, PLACE])
def test_a_shortcut_is_named_with_its_class_and_share(name: str) -> None:
    found = find(evidence(transplants=[part(name, 2, 0.4)]))
    assert kinds(found) == [(f.KIND_OF_PART[name], (2,))]
    number = found.defects[0].number
    assert number.value == pytest.approx(0.4)
    assert number.n == 150
    assert number.low < 0.4 < number.high
    assert "car" in summary_sentences(found, CLASSES)[0]


@pytest.mark.parametrize(("name", "share"), [(CORNERS, 0.06), (PLACE, 0.22)])
def test_what_is_granted_is_no_finding(name: str, share: float) -> None:
    assert kinds(find(evidence(transplants=[part(name, 2, share)]))) == []


def test_corners_of_a_background_that_gives_the_class_away_are_explained() -> None:
    both = [part(BACKGROUND, 2, 0.8), part(CORNERS, 2, 0.5)]
    assert kinds(find(evidence(transplants=both))) == [(f.BACKGROUND, (2,))]
    apart = [part(BACKGROUND, 1, 0.8), part(CORNERS, 2, 0.5)]
    assert set(kinds(find(evidence(transplants=apart)))) == {(f.BACKGROUND, (1,)), (f.CORNER, (2,))}


def test_without_masks_corners_are_a_hint_and_no_defect() -> None:
    missing = ("background, marks, place and size: there are no masks of the objects",)
    known = {"transplants": [part(WHOLE_CORNERS, 2, 0.6)], "not_measured": missing}
    found = find(evidence(**known))
    assert found.defects == ()
    assert [(x.kind, x.labels) for x in found.items] == [(f.CORNERS, (2,))]
    nothing, hint, untested = summary_sentences(found, CLASSES)
    assert nothing == "No defect of the data was found (18 tests)."
    assert "its objects reach there, or something else does" in hint
    assert untested.startswith("Not tested: background, marks, place and size")


def test_a_rare_class() -> None:
    found = find(evidence(counts=(100, 10, 100, 100)))
    assert kinds(found) == [(f.RARE, (1,))]
    assert found.defects[0].number.value == pytest.approx(0.1)
    assert "10 train images" in found.defects[0].note
    assert kinds(find(evidence(counts=(100, 60, 100, 110)))) == []


def noise(p_value: float) -> PairNoise:
    return PairNoise(0, 1, Interval(0.3, 0.2, 0.4, 100), p_value, np.array([1, 3]))


def test_exchanged_labels_name_their_images() -> None:
    names = [f"{i}.png" for i in range(5)]
    known = {"held_out": names, "held_out_splits": "val and test"}
    found = find(evidence(label_noise=[noise(0.001)], **known))
    assert kinds(found) == [(f.LABELS, (0, 1))]
    assert found.defects[0].files == ("1.png", "3.png")
    assert "val and test" in found.defects[0].note
    assert kinds(find(evidence(label_noise=[noise(0.03)], **known))) == []


def test_shifted_test_images() -> None:
    shift = Shift("sharpness", Interval(0.1, 0.05, 0.2, 100), 1e-9)
    found = find(evidence(shift=shift))
    assert kinds(found) == [(f.SHIFT, ())]
    assert "sharpness" in found.defects[0].measure
    assert kinds(find(evidence(shift=dataclasses.replace(shift, p_value=0.2)))) == []


@pytest.mark.parametrize(("num", "found"), [(0, []), (1, []), (12, [("duplicates", ())])])
def test_copies(num: int, found: list) -> None:
    p_values = np.ones(200)
    p_values[:num] = 1e-12
    copies = Copies(np.zeros(200, np.int64), np.ones(200, np.float32), p_values)
    result = find(evidence(copies=copies, copy_rows=np.arange(200)))
    assert kinds(result) == found
    if found:
        assert len(result.defects[0].files) == 12
        assert "Accuracy without them" in result.defects[0].note


def test_confused_pairs_and_weak_classes_are_no_defects() -> None:
    confusion = [[30, 20, 0, 0], [18, 32, 0, 0], [1, 0, 49, 0], [0, 0, 0, 50]]
    found = find(evidence(confusion))
    assert found.defects == ()
    assert (f.CONFUSED, (0, 1)) in [(x.kind, x.labels) for x in found.items]
    pair = next(x for x in found.items if x.kind == f.CONFUSED)
    assert pair.number.value == pytest.approx(0.38)
    weak = [x.labels for x in found.items if x.kind == f.WEAK]
    assert weak == [(0,)] or set(weak) == {(0,), (1,)}


@pytest.mark.parametrize("drawn_in", [50, 20])
def test_a_class_that_all_is_taken_for_is_no_pair(drawn_in) -> None:
    """Ten classes of 50 images; so many of each are taken for the first."""
    confusion = np.diag([50] + 9 * [50 - drawn_in])
    confusion[1:, 0] = drawn_in
    assert confused(confusion) == []
    confusion[1] = [40, 10, *8 * [0]]
    assert confused(confusion) == ([(0, 1)] if drawn_in == 20 else [])


def confused(confusion) -> list[tuple[int, ...]]:
    evaluation = counted(confusion, classes=tuple("abcdefghij"))
    found = find(Evidence(evaluation=evaluation, train_counts=(100,) * 10))
    return [x.labels for x in found.items if x.kind == f.CONFUSED]


def test_false_alarms_are_controlled() -> None:
    """Transplants whose answers change at random, at the share that is granted: 200 runs."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        labels = np.arange(400) % 4
        predicted = np.repeat(labels[:, None], 4, axis=1)
        for donor in range(4):
            rows = (rng.random(400) < 0.05) & (labels != donor)
            predicted[rows, donor] = donor
        alarms += bool(
            find(evidence(transplants=[Transplants(CORNERS, labels, predicted)])).defects
        )
    assert alarms <= 16  # 10 are expected at most; 17 would have a chance of 3 %


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_mean_above_by_hand() -> None:
    values = np.array([1.0, 0.0] * 50)
    number, p_value = mean_above(values, 0.05)
    assert number.value == 0.5
    assert number.high - 0.5 == pytest.approx(1.984 * 0.5025 / 10, abs=1e-3)
    assert p_value < 1e-9
    assert mean_above(np.full(3, 0.1), 0.05)[1] > 0.2  # equal values of a few prove nothing
    assert mean_above(np.zeros(1), 0.05)[1] == 1.0


def made(kind: str, labels: tuple[int, ...], files: tuple[str, ...] = ()) -> f.Finding:
    return f.Finding(kind, labels, "share of {}", Interval(0.5, 0.4, 0.6, 100), 0.001, files)


def test_every_kind_has_a_cause_and_remedies_that_are_settings() -> None:
    assert set(CAUSES) == set(REMEDIES) == {*f.DEFECTS, *f.HINTS}
    for kind in CAUSES:
        labels = {f.LABELS: (0, 1), f.CONFUSED: (0, 1), f.SHIFT: (), f.COPIES: ()}.get(kind, (0,))
        found = remedies(made(kind, labels), CLASSES, TrialConfig(), 32)
        assert found
        for setting in (s for remedy in found for s in remedy.settings):
            name, _, text = setting.partition("=")
            check_value(name, yaml.safe_load(text))


def test_confused_pairs_are_mined_by_any_name() -> None:
    classes = ("cat", "a dog", "x:y", "it's")
    (remedy,) = remedies(made(f.CONFUSED, (0, 1)), classes, TrialConfig())
    assert remedy.line == "--set 'train.focus_pairs=cat:a dog'"
    assert pair_name("x:y", 2) == "#2"
    (remedy,) = remedies(made(f.CONFUSED, (2, 3)), classes, TrialConfig())
    _, setting = shlex.split(remedy.line)
    assert parse_pairs(setting.partition("=")[2], classes) == ((2, 3),)


def test_what_the_trial_has_already_is_not_recommended() -> None:
    config = trial_config({"loss.name": "class_weighted", "augment.mix": "cutmix"})
    for kind in (f.RARE, f.BACKGROUND, f.CORNER):
        assert not any(r.settings for r in remedies(made(kind, (0,)), CLASSES, config))
    small = trial_config({"data.image_size": 16})
    settings = [r.settings for r in remedies(made(f.WEAK, (0,)), CLASSES, small, 32)]
    assert ("data.image_size=32",) in settings


def test_recommendations_list_numbers_settings_and_images() -> None:
    labels = made(f.LABELS, (0, 1), tuple(f"{i}.png" for i in range(250)))
    found = Findings((labels, made(f.RARE, (2,))), 20, ("place: no masks",))
    text = recommendations_text(found, CLASSES, TrialConfig())
    assert "## Labels of cat and dog are exchanged" in text
    assert "0.50 [0.40, 0.60], n = 100; p = 0.001" in text
    assert "`--set loss.name=class_weighted --set study.metric=val_macro_f1`" in text
    assert "    199.png\n    and 50 more" in text
    assert "- place: no masks" in text
