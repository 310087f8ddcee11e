"""Known answers: shortcuts in models made by hand, copies, exchanged labels, shifted splits."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from analysis.diagnosis.evidence.copies import compute_copies
from analysis.diagnosis.evidence.label_noise import compute_label_noise
from analysis.diagnosis.evidence.shift import compute_shift, image_measures
from analysis.diagnosis.evidence.transplants import (
    BACKGROUND,
    CORNERS,
    PLACE,
    WHOLE_CORNERS,
    Transplants,
    _placed,
    compute_transplants,
)


class Sees(nn.Module):
    """Class 2 if a pixel is bright, else 0 or 1 by the middle of the image."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        self.at = row, column

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = x[:, 0, 7:9, 7:9].mean((1, 2))
        cue = x[:, 0, self.at[0], self.at[1]]
        return torch.stack([middle, -middle, 100 * (cue - 0.5)], dim=1)


class SeesSize(nn.Module):
    """Class 2 if the bright object is small, else by the sign of its second channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        area = (x[:, 0] > 0.5).float().sum((1, 2))
        return torch.stack([x[:, 1].mean((1, 2)), -x[:, 1].mean((1, 2)), 10 * (20 - area)], dim=1)


def scenes(cue: tuple[int, int] | None) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Squares whose brightness is the class; the cue is bright in images of class 2 only."""
    labels = np.arange(60) % 3
    inputs = torch.zeros(60, 3, 16, 16)
    inputs[:, :, 6:10, 6:10] = torch.tensor([1.0, -1.0, 0.0])[labels][:, None, None, None]
    masks = np.zeros((60, 16, 16), np.uint8)
    masks[:, 6:10, 6:10] = 1
    if cue is not None:
        inputs[labels == 2, :, cue[0], cue[1]] = 1.0
    return inputs, labels, masks


def gains(found: tuple[Transplants, ...], label: int) -> dict[str, float]:
    return {t.part: float(t.gains(label).mean()) for t in found}


def test_a_model_that_sees_a_corner_follows_corners_only() -> None:
    inputs, labels, masks = scenes((1, 14))
    found = compute_transplants(Sees(1, 14), inputs, labels, masks, 3)
    assert gains(found, 2) == {CORNERS: 1.0, BACKGROUND: 0.0, PLACE: 0.0}
    assert gains(found, 0)[CORNERS] == 0.0


def test_a_model_that_sees_the_background_follows_it_only() -> None:
    inputs, labels, masks = scenes((4, 8))
    found = compute_transplants(Sees(4, 8), inputs, labels, masks, 3)
    assert gains(found, 2) == {CORNERS: 0.0, BACKGROUND: 1.0, PLACE: 0.0}


def test_objects_that_reach_a_corner_are_no_surroundings() -> None:
    """What gives class 2 away is a part of its object, as the stroke of a digit."""
    inputs, labels, masks = scenes((1, 14))
    inputs[labels == 2, :, 0:3, 13:16] = 1.0
    masks[labels == 2, 0:3, 13:16] = 1
    found = compute_transplants(Sees(1, 14), inputs, labels, masks, 3)
    assert gains(found, 2)[CORNERS] == 0.0
    assert gains(found, 2)[BACKGROUND] == 0.0


def test_the_faint_outline_of_an_object_is_no_background() -> None:
    """The pixel beside the mask is bright in class 2 only: what a threshold cuts off."""
    inputs, labels, masks = scenes((5, 8))
    found = compute_transplants(Sees(5, 8), inputs, labels, masks, 3)
    assert gains(found, 2)[BACKGROUND] < 0.1


def test_without_masks_only_whole_corners_are_transplanted() -> None:
    inputs, labels, _ = scenes((1, 14))
    found = compute_transplants(Sees(1, 14), inputs, labels, None, 3)
    assert gains(found, 2) == {WHOLE_CORNERS: 1.0}
    inputs, labels, _ = scenes((0, 8))
    assert gains(compute_transplants(Sees(0, 8), inputs, labels, None, 3), 2) == {
        WHOLE_CORNERS: 0.0
    }


def test_a_model_that_sees_objects_follows_nothing() -> None:
    inputs, labels, masks = scenes(None)
    found = compute_transplants(Sees(8, 8), inputs, labels, masks, 3)
    assert all(g == 0 for label in range(3) for g in gains(found, label).values())


def test_a_model_that_sees_the_size_follows_place_and_size() -> None:
    labels = np.arange(60) % 3
    inputs, masks = torch.zeros(60, 3, 16, 16), np.zeros((60, 16, 16), np.uint8)
    for k, label in enumerate(labels):
        reach = 2 if label == 2 else 5
        where = slice(8 - reach, 8 + reach)
        inputs[k, 0, where, where] = 1.0
        inputs[k, 1] = 1.0 if label == 0 else -1.0
        masks[k, where, where] = 1
    found = compute_transplants(SeesSize(), inputs, labels, masks, 3)
    assert gains(found, 2)[PLACE] == 1.0
    assert gains(found, 0)[PLACE] == pytest.approx(0.0, abs=0.01)


def test_an_object_moves_to_the_place_and_size_of_another() -> None:
    image = torch.zeros(1, 3, 16, 16)
    own, like = (torch.zeros(1, 16, 16, dtype=torch.bool) for _ in range(2))
    own[:, 8:16, 8:16], like[:, 0:4, 4:8] = True, True
    image[:, :, 8:16, 8:16] = 1.0
    moved = _placed(image, torch.zeros_like(image), own, like)
    torch.testing.assert_close(moved[0, 0] > 0.5, like[0])


def test_gains_leave_out_absent_classes_and_own_parts() -> None:
    predicted = np.array([[2, 0, 2, -1], [1, 1, 2, -1]])
    found = Transplants(CORNERS, np.array([0, 1]), predicted)
    np.testing.assert_array_equal(found.gains(2), [1.0, 1.0])  # own parts say 2 and 1: not counted
    assert len(found.gains(3)) == 0


def noise(num: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    images = rng.random((num, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return (255 * images).astype(np.uint8)


def test_copies_are_found_in_other_light_and_with_noise() -> None:
    train, test = noise(300, 0), noise(100, 1)
    rng = np.random.default_rng(2)
    changed = 0.9 * train[50:60] + rng.normal(0, 4, (10, 16, 16, 3))
    test[:10] = changed.clip(0, 255).astype(np.uint8)
    found = compute_copies(train, test)
    assert found is not None
    np.testing.assert_array_equal(found.nearest[:10], range(50, 60))
    assert (found.p_values[:10] * 100 < 0.05).all()
    assert (found.p_values[10:] * 100 >= 0.05).all()


def test_too_few_images_to_compare() -> None:
    assert compute_copies(noise(2, 0), noise(5, 1)) is None
    assert compute_copies(noise(5, 0), noise(0, 1)) is None
    grey = np.full((5, 8, 8, 3), 7, np.uint8)
    assert (compute_copies(grey, grey).p_values == 1).all()  # pictures of one grey are no copies


def predictions(
    exchanged: float, seed: int, doubt: float = 0.1, hard: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Four classes of 100 images; labels of the first two are exchanged with a chance.

    Args:
        exchanged: That chance.
        seed: Of everything.
        doubt: The weight of noise in the logits of all classes.
        hard: The same for the first two against each other.
    """
    rng = np.random.default_rng(seed)
    true = np.arange(400) % 4
    logits = 4.0 * np.eye(4)[true] + doubt * rng.normal(size=(400, 4))
    sure = rng.normal(size=400) * hard
    logits[true < 2, 0] += sure[true < 2]
    logits[true < 2, 1] -= sure[true < 2]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    swap = (true < 2) & (rng.random(400) < exchanged)
    return probabilities.astype(np.float32), np.where(swap, 1 - true, true)


def test_exchanged_labels_are_found_with_their_share_and_files() -> None:
    probabilities, labels = predictions(0.3, 0)
    found = {(p.first, p.second): p for p in compute_label_noise(probabilities, labels)}
    assert len(found) == 6
    hit = found.pop((0, 1))
    assert hit.p_value < 1e-3
    assert hit.share.low < 0.3 < hit.share.high
    assert hit.share.n == 100
    wrong = np.flatnonzero(labels != np.arange(400) % 4)
    assert set(hit.suspects) <= set(wrong)
    assert len(hit.suspects) > 0.4 * len(wrong)
    assert all(p.p_value == 1 for p in found.values())


def test_a_fifth_of_exchanged_labels_is_found_where_classes_are_easy() -> None:
    """Sure images of the pair contradict the model, and none of any other pair."""
    found = {(p.first, p.second): p for p in compute_label_noise(*predictions(0.2, 0))}
    assert found[0, 1].p_value < 0.02


def test_p_value_of_exchanged_labels_by_hand() -> None:
    """Of 20 sure images 10 are wrong, and of the pair with most errors besides 2."""
    probabilities = np.tile([0.9, 0.05, 0.05], (60, 1)).astype(np.float32)
    labels = np.arange(60) // 20
    probabilities[20:40] = [0.05, 0.9, 0.05]
    probabilities[40:] = [0.05, 0.05, 0.9]
    probabilities[[0, 1, 2, 3, 4, 20, 21, 22, 23, 24]] = 0.02, 0.02, 0.02
    probabilities[:5, 1] = probabilities[20:25, 0] = 0.96  # surest of all, and wrong
    probabilities[[40, 41]] = [0.97, 0.01, 0.02]
    pairs = {(p.first, p.second): p for p in compute_label_noise(probabilities, labels)}
    assert pairs[0, 1].share.value == 0.5
    granted = sum(math.comb(20, k) * 0.05**k * 0.95 ** (20 - k) for k in range(10, 21)) * 3
    others = sum(math.comb(12, k) * (2 / 3) ** k * (1 / 3) ** (12 - k) for k in range(10, 13))
    assert pairs[0, 1].p_value == pytest.approx(max(granted, others))


@pytest.mark.parametrize(("doubt", "hard"), [(0.1, 1.0), (1.5, 2.0), (3.0, 3.0), (6.0, 0.1)])
def test_confusion_is_no_exchange(doubt: float, hard: float) -> None:
    """Of 40 models that are unsure of many classes, three at most have p < 0.02."""
    values = []
    for seed in range(40):
        found = compute_label_noise(*predictions(0.0, seed, doubt, hard))
        values.append(min(p.p_value for p in found))
    assert np.sum(np.array(values) < 0.02) <= 3


def photos(num: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.random((num, 8, 8, 3)).repeat(2, axis=1).repeat(2, axis=2)
    fine = rng.random((num, 16, 16, 3))
    return (255 * (0.7 * coarse + 0.3 * fine)).astype(np.uint8)


def test_no_shift_between_equal_splits() -> None:
    rng = np.random.default_rng(0)
    values = []
    for seed in range(40):
        features = rng.normal(size=(200, 8))
        shift = compute_shift(
            photos(100, 2 * seed), photos(100, 2 * seed + 1), features[:100], features[100:]
        )
        values.append(shift.p_value)
    assert np.mean(np.array(values) < 0.05) <= 0.125  # 2 of 40 expected, 5 with a chance of 2 %


def test_a_blurred_split_is_less_sharp() -> None:
    val, test = photos(100, 0), photos(100, 1)
    smooth = (test.astype(float) + np.roll(test, 1, 1) + np.roll(test, 1, 2)) / 3
    features = np.zeros((100, 0))
    shift = compute_shift(val, smooth.astype(np.uint8), features, features)
    assert shift.measure == "sharpness"
    assert shift.superiority.value < 0.05
    assert shift.p_value < 1e-6


def test_features_alone_may_differ() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 8))
    features[100:, 3] += 2
    shift = compute_shift(photos(100, 0), photos(100, 1), features[:100], features[100:])
    assert shift.measure == "features"
    assert shift.p_value < 1e-6
    constant = np.ones((100, 4))
    assert compute_shift(photos(100, 0), photos(100, 1), constant, constant) is not None
    assert compute_shift(photos(1, 0), photos(9, 1), constant, constant) is None


def test_measures_by_hand() -> None:
    image = np.zeros((1, 16, 16, 3), np.uint8)
    image[0, :, 12:] = 200
    found = image_measures(image)
    assert found["brightness"][0] == pytest.approx(50)
    assert found["place across"][0] == pytest.approx(12 / 16, abs=0.01)
    assert found["place down"][0] == pytest.approx(0.5, abs=0.01)
