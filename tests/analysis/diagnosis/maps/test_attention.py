from __future__ import annotations

import numpy as np
import pytest

from analysis.diagnosis.maps.attention import (
    ERRORS,
    FREE_MEASURES,
    HITS,
    MEASURES,
    THRESHOLDS,
    TRUE,
    border_coverage,
    compute_attention,
    coverage,
    entropy,
    iou_curve,
    mean_interval,
    pointing,
)
from analysis.diagnosis.maps.grad_cam import ClassMaps, shares
from analysis.diagnosis.maps.layers import Layer

LAYER = Layer("blocks.2", 8, 4, 4)


def cells(*where, n=1):
    """(n, 32, 32) masks of whole cells of 8x8 pixels."""
    mask = np.zeros((n, 32, 32), np.uint8)
    for row, column in where:
        mask[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1
    return mask


def maps_of(true, labels=None, predictions=None, predicted=None):
    n = len(true)
    labels = np.zeros(n, np.int64) if labels is None else np.array(labels)
    predictions = labels if predictions is None else np.array(predictions)
    predicted = true if predicted is None else predicted
    return ClassMaps(LAYER, labels, predictions, true, predicted)


def value(attention, measure, map_for=TRUE, group="all"):
    (row,) = [
        r for r in attention.rows if (r.measure, r.map_for, r.group) == (measure, map_for, group)
    ]
    return row


def test_overlap_and_pointing_of_known_masks():
    true = np.zeros((1, 4, 4), np.float32)
    true[0, 1, 1], true[0, 1, 2], true[0, 0, 0], true[0, 3, 3] = 6, 3, 1, -5
    attention = compute_attention(maps_of(true), cells((1, 1), (1, 2)), 32)
    assert value(attention, "mass_in_mask").interval.value == pytest.approx(0.9)
    assert value(attention, "mass_in_mask").uniform == pytest.approx(2 / 16)
    assert value(attention, "iou").interval.value == 1  # above 1/6 and up to 1/2 of the maximum
    assert 1 / 6 < attention.threshold <= 0.5
    assert value(attention, "pointing").interval.value == 1
    border = 1 - (24 / 32) ** 2
    assert value(attention, "border_mass").uniform == pytest.approx(border)
    # the corner cell lies in the border by three quarters; (1, 1) and (1, 2) do not
    assert value(attention, "border_mass").interval.value == pytest.approx(0.1 * 0.75)


def test_a_cell_that_the_object_covers_in_part_counts_in_part():
    mask = np.zeros((1, 32, 32), np.uint8)
    mask[0, 8:16, 8:12] = 1  # half of cell (1, 1)
    covered = coverage(mask, LAYER)
    true = np.zeros((1, 4, 4), np.float32)
    true[0, 1, 1] = 2
    assert covered[0, 1, 1] == 0.5
    assert covered.sum() == 0.5
    assert pointing(shares(true).astype(float), covered) == [0.5]
    # region one cell, object half of it: 0.5 / (1 + 0.5 - 0.5)
    assert iou_curve(true, covered).tolist() == [[0.5] * len(THRESHOLDS)]


def test_entropy_runs_from_one_cell_to_all_alike():
    one, two, all_alike = np.zeros((3, 1, 4, 4))
    one[0, 2, 2], two[0, 0, :2], all_alike[:] = 1, 0.5, 1 / 16
    assert [entropy(x)[0] for x in (one, two, all_alike)] == pytest.approx([0, 0.25, 1])


def test_strongest_cells_that_tie_share():
    parts = np.full((1, 4, 4), 1 / 16)
    assert pointing(parts, coverage(cells((0, 0)), LAYER)) == [1 / 16]


def test_hits_and_errors_true_and_predicted_class_apart():
    rng = np.random.default_rng(0)
    on = np.zeros((40, 4, 4), np.float32)
    on[:, 1, 1] = rng.uniform(1, 2, 40)
    off = np.roll(on, 2, axis=1)
    labels, predictions = np.zeros(40, int), np.repeat([0, 1], 20)
    predicted = np.where((predictions == 0)[:, None, None], on, off)
    maps = maps_of(on, labels, predictions, predicted)
    attention = compute_attention(maps, cells((1, 1), n=40), 32)
    assert value(attention, "mass_in_mask", TRUE, ERRORS).interval.value == 1
    row = value(attention, "mass_in_mask", "predicted", ERRORS)
    assert (row.interval.value, row.interval.n) == (0, 20)
    assert value(attention, "mass_in_mask", "predicted", HITS).interval.value == 1
    whole = value(attention, "mass_in_mask", "predicted").interval
    assert whole.low < 0.5 < whole.high
    assert whole.value == 0.5
    assert len(attention.rows) == len(MEASURES) * 2 * 3


def test_without_masks_the_rest_is_measured_and_the_reason_given():
    attention = compute_attention(maps_of(np.ones((3, 4, 4), np.float32)), None, 32)
    assert {row.measure for row in attention.rows} == set(FREE_MEASURES)
    assert attention.threshold is None
    assert "data.masks=PATH" in attention.missing
    empty = compute_attention(
        maps_of(np.ones((3, 4, 4), np.float32)), np.zeros((3, 32, 32), np.uint8), 32
    )
    assert empty.missing == attention.missing
    assert value(attention, "entropy", group=ERRORS).interval is None  # no error among them


def test_images_without_mask_or_positive_cell_are_left_out_and_counted():
    true = np.ones((4, 4, 4), np.float32)
    true[0] = -1
    masks = cells((0, 0), n=4)
    masks[3] = 0
    attention = compute_attention(maps_of(true), masks, 32)
    assert (attention.num_empty, attention.num_masked, attention.num_images) == (1, 3, 4)
    assert value(attention, "mass_in_mask").interval.n == 2
    assert value(attention, "entropy").interval.n == 3


def test_grids_that_do_not_divide_the_image():
    layer = Layer("x", 1, 3, 3)
    assert border_coverage(32, layer).shape == (3, 3)
    assert coverage(np.ones((2, 32, 32), np.uint8), layer).min() == pytest.approx(1)


def test_the_interval_of_values_without_spread_allows_for_what_was_missed():
    interval = mean_interval(np.ones(30))
    assert (interval.value, interval.low, interval.high) == (1, pytest.approx(0.9), 1)
    assert mean_interval(np.zeros(30)).high == pytest.approx(0.1)
    assert mean_interval(np.zeros(2)).high == 1
    assert mean_interval(np.zeros(30), low=-1).low == pytest.approx(-0.1)
    assert mean_interval(np.array([np.nan])) is None


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [mean_interval(rng.beta(2, 5, 60), seed) for seed in range(200)]
    assert 0.9 <= np.mean([i.low <= 2 / 7 <= i.high for i in found]) <= 0.99
