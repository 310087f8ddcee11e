import numpy as np
import pytest
from sklearn import metrics as reference

from deepsight import metrics


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    logits = rng.normal(size=(400, 5)) + 1.5 * np.eye(5)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32), labels


def test_the_reference_agrees(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = drawn
    predicted = probabilities.argmax(axis=1)
    found = metrics.evaluate(probabilities, labels)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert found["macro_f1"] == pytest.approx(
        reference.f1_score(labels, predicted, average="macro")
    )
    recalls = reference.recall_score(labels, predicted, average=None)
    assert found["recall"] == pytest.approx(list(recalls))
    confusion = metrics.confusion_matrix(labels, predicted, 5)
    assert (confusion == reference.confusion_matrix(labels, predicted)).all()


def test_absent_classes_have_no_recall_and_do_not_lower_macro_f1() -> None:
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    confusion = metrics.confusion_matrix(labels, predicted, 4)
    assert metrics.recall(confusion) == [1.0, 0.5, None, None]
    expected = reference.f1_score(labels, predicted, average="macro")
    assert metrics.macro_f1(confusion) == pytest.approx(expected)


def test_calibration_error_of_hand_made_bins() -> None:
    # bin (0.6, 0.667]: 4 images at 0.65, half right; bin (0.933, 1]: 4 at 0.95, all right
    confidence = np.array([0.65] * 4 + [0.95] * 4)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0, 0, 1, 1, 0, 0, 0, 0])
    expected = 0.5 * abs(0.5 - 0.65) + 0.5 * abs(1.0 - 0.95)
    assert metrics.calibration_error(probabilities, labels) == pytest.approx(expected)


def test_calibration_error_follows_its_definition(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = drawn
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for low, high in zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(hit[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert metrics.calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-6)


def test_certainty_that_is_right_is_calibrated() -> None:
    assert metrics.calibration_error(np.eye(3), np.arange(3)) == 0.0


def test_no_images_give_none() -> None:
    empty = metrics.evaluate(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))
    assert empty == {"accuracy": None, "macro_f1": None, "recall": [None] * 3, "ece": None}
