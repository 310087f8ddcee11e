from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from analysis.diagnosis.map_checks.interventions import (
    BACKGROUND_BLURRED,
    BACKGROUND_GREYED,
    BACKGROUND_OTHER,
    BACKGROUND_SAME,
    BORDER_ERASED,
    CENTRE_ERASED,
    CORNERS_ERASED,
    OBJECT_BORDER,
    OBJECT_CENTRE,
    OBJECT_OUT,
    UNCHANGED,
    compute_interventions,
    paired_change,
)
from analysis.diagnosis.maps import passes


class ByColour(nn.Module):
    """Says class 1 where the red of a region is above zero."""

    def __init__(self, region):
        super().__init__()
        self.region = region

    def forward(self, x):
        red = (x[:, 0] * self.region(x)).flatten(1).sum(1)
        return torch.stack([-red, red], 1)


def upper_left(x):
    """The 4x4 pixels in the corner: part of the background."""
    region = torch.zeros(x.shape[2:])
    region[:4, :4] = 1
    return region


def green(x):
    """Where the image is green: the object, wherever it is."""
    return (x[:, 1] > 0.5).float()


@pytest.fixture
def scenes():
    """Objects (green, red by class) on backgrounds (red by class), no pixel at random."""
    images, masks = torch.zeros(40, 3, 16, 16), np.zeros((40, 16, 16), np.uint8)
    labels = np.arange(40) % 2
    masks[:, 5:10, 7:12] = 1
    inside = torch.from_numpy(masks > 0)
    sign = torch.from_numpy(2.0 * labels - 1).float()[:, None, None]
    images[:, 0] = sign
    images[:, 1][inside] = 1
    return images, labels, masks


def test_a_model_that_reads_the_background_is_found_out(scenes):
    images, labels, masks = scenes
    found = compute_interventions(ByColour(upper_left), images, labels, masks, 2)
    assert found.of(BACKGROUND_OTHER).before == 1
    assert found.of(BACKGROUND_OTHER).after == 0
    assert found.of(BACKGROUND_OTHER).change.high < -0.8
    assert found.of(BACKGROUND_OTHER, 1).change.n == 20
    # the same by class, and without a background to read only the one class is said
    assert found.of(BACKGROUND_SAME).change.value == 0
    assert found.of(BACKGROUND_GREYED).change.value == -0.5
    for harmless in (BACKGROUND_BLURRED, OBJECT_OUT, OBJECT_CENTRE, CENTRE_ERASED):
        assert found.of(harmless).change.value == 0, harmless
    assert found.of(CORNERS_ERASED).change.value == -0.5
    assert found.of(BORDER_ERASED).change.value == 0  # the inner 2x2 still say it
    assert found.occlusion is None
    assert found.missing == ""


def test_a_model_that_reads_the_object_does_not_mind_the_background(scenes):
    images, labels, masks = scenes
    found = compute_interventions(ByColour(green), images, labels, masks, 2)
    for name in (BACKGROUND_OTHER, BACKGROUND_BLURRED, BACKGROUND_GREYED, CORNERS_ERASED):
        assert found.of(name).predictions_changed == 0, name
    assert found.of(OBJECT_CENTRE).change.value == 0
    assert found.of(OBJECT_BORDER).change.value == 0
    assert found.of(OBJECT_OUT).change.value == -0.5  # nothing green is left: class 0


def test_objects_arrive_where_they_should(scenes):
    images, labels, masks = scenes
    found = compute_interventions(ByColour(green), images, labels, masks, 2)
    centred = found.examples[OBJECT_CENTRE][:, 1] > 0.5
    rows, columns = (np.flatnonzero(centred[0].any(axis=a)) for a in (1, 0))
    assert (rows[0], rows[-1]) in ((5, 9), (6, 10))
    assert (columns[0], columns[-1]) in ((5, 9), (6, 10))
    for picture in found.examples[OBJECT_BORDER]:
        rows, columns = (np.flatnonzero((picture[1] > 0.5).any(axis=a)) for a in (1, 0))
        assert (rows[0], rows[-1]) in ((0, 4), (11, 15))
        assert (columns[0], columns[-1]) in ((0, 4), (11, 15))
    np.testing.assert_array_equal(found.examples[UNCHANGED], images[:4].numpy())


def test_without_masks_a_grid_of_occlusions_says_where_the_class_is_read(scenes):
    images, labels, _ = scenes
    found = compute_interventions(ByColour(upper_left), images, labels, None, 3)
    assert {e.name for e in found.effects} == {CORNERS_ERASED, BORDER_ERASED, CENTRE_ERASED}
    assert "data.masks=PATH" in found.missing
    drop = found.occlusion
    assert drop[-1, 0, 0] == -0.5
    assert np.count_nonzero(drop[-1]) == 1
    assert sorted([drop[0, 0, 0], drop[1, 0, 0]]) == [-1, 0]
    assert np.isnan(drop[2]).all()  # no image of class 2


def test_images_without_a_mask_are_left_out_of_what_needs_one(scenes):
    images, labels, masks = scenes
    masks[:10] = 0
    found = compute_interventions(ByColour(green), images, labels, masks, 2)
    assert found.num_masked == 30
    assert found.of(OBJECT_OUT).change.n == 30
    assert found.of(CORNERS_ERASED).change.n == 40
    assert len(found.examples[OBJECT_OUT]) == len(found.examples[UNCHANGED])


def test_the_interval_of_a_paired_change():
    """Bonett and Price (2012): p = 11/102 and 3/102 for 10 gained and 2 lost of 100."""
    before = np.zeros(100, bool)
    after = np.zeros(100, bool)
    after[:10], before[10:12] = True, True
    change = paired_change(before, after)
    assert change.value == pytest.approx(0.08)
    up, down = 11 / 102, 3 / 102
    reach = 1.959964 * np.sqrt((up + down - (up - down) ** 2) / 102)
    assert change.low == pytest.approx(up - down - reach)
    assert change.high == pytest.approx(up - down + reach)
    same = paired_change(before, before)
    assert same.low < 0 == same.value < same.high


def test_the_paired_interval_covers_the_change_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        kind = rng.choice(4, size=60, p=[0.6, 0.15, 0.05, 0.2])
        change = paired_change(np.isin(kind, (0, 1)), np.isin(kind, (0, 2)))
        covered += change.low <= -0.1 <= change.high
    assert 0.92 <= covered / 500 <= 0.99


def test_few_masks_among_more_images_than_pass_at_a_time(monkeypatch, scenes):
    images, labels, masks = scenes
    monkeypatch.setattr(passes, "BATCH_PIXELS", 10 * 16 * 16)
    few = masks * (np.arange(40) < 4)[:, None, None].astype(np.uint8)
    found = compute_interventions(ByColour(green), images, labels, few, 2)
    assert found.of(BACKGROUND_OTHER).change.n == found.num_masked == 4
    assert found.of(CORNERS_ERASED).change.n == 40
