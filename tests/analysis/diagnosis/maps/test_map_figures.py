from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from analysis.diagnosis.map_checks.interventions import compute_interventions
from analysis.diagnosis.map_checks.verdicts import compute_map_checks
from analysis.diagnosis.maps.attention import compute_attention
from analysis.diagnosis.maps.check_figures import (
    draw_interventions,
    draw_map_checks,
    draw_occlusion,
)
from analysis.diagnosis.maps.feature_maps import first_layer_maps
from analysis.diagnosis.maps.figures import (
    draw_feature_maps,
    draw_gradcam_samples,
    draw_guided_backprop,
    draw_mean_maps,
)
from analysis.diagnosis.maps.grad_cam import class_maps, mean_maps
from analysis.diagnosis.maps.guided_backprop import neuron_gradients, output_gradients
from analysis.diagnosis.maps.layers import choose_layer, deepest_convolution
from analysis.diagnosis.maps.passes import predicted_classes
from analysis.diagnosis.maps.samples import MapSamples, choose_samples
from analysis.diagnosis.maps.tables import attention_table, checks_table, interventions_table
from analysis.figures.style import style

NAMES = ("car", "$a_1$ <img src=x onerror=...>" + "x" * 280, "../x")


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 8, 8, 3)).astype(np.uint8)
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 128 - 1
    model = Tiny()
    said = predicted_classes(model, inputs)
    assert set(said) == {2}
    labels = np.where(np.arange(24) % 2, 2, 0)  # half of them right; class 1 has no image
    masks = np.zeros((24, 8, 8), np.uint8)
    masks[:, 2:5, 3:6] = 1
    layer = choose_layer(model, 8)
    return model, images, inputs, labels, masks, class_maps(model, inputs, labels, layer)


def texts(figure):
    return " ".join(t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")))


def drawn(figure, tmp_path):
    with style():
        figure.savefig(tmp_path / "figure.png")
    return texts(figure)


def test_samples_are_three_right_and_three_wrong_of_different_classes():
    labels = np.array([0, 0, 1, 2, 0, 0, 1, 1])
    predictions = np.array([0, 0, 1, 2, 1, 1, 0, 2])
    confidence = np.array([0.99, 0.98, 0.5, 0.6, 0.9, 0.8, 0.7, 0.3], np.float32)
    assert choose_samples(labels, predictions, confidence).tolist() == [0, 3, 2, 4, 6, 7]
    assert choose_samples(labels[:2], predictions[:2], confidence[:2]).tolist() == [0, 1]
    assert choose_samples(labels[4:6], predictions[4:6], confidence[4:6]).tolist() == [0, 1]


def test_every_map_has_its_scale_beside_it_and_layer_grid_and_verdict_are_said(case, tmp_path):
    model, images, inputs, labels, _, maps = case
    chosen = choose_samples(maps.labels, maps.predictions, np.linspace(0, 1, 24).astype(np.float32))
    some = class_maps(model, inputs[torch.from_numpy(chosen)], labels[chosen], maps.layer)
    with style():
        info = MapSamples(
            images[chosen], some, np.full(6, 0.9, np.float32), NAMES, "No evidence: x."
        )
        figure = draw_gradcam_samples(info)
    text = drawn(figure, tmp_path)
    assert "conv, 4x4 cells" in text
    assert "No evidence: x." in text
    errors = int((~some.is_right).sum())
    visible = [a for a in figure.axes if a.get_label() == "<colorbar>" and a.get_visible()]
    assert len(visible) == (len(chosen) - errors) + 3 * errors
    assert len(chosen) == 6


def test_no_image_at_all_is_drawn_as_such(case, tmp_path):
    maps = case[-1]
    none = dataclasses.replace(
        maps,
        labels=maps.labels[:0],
        predictions=maps.predictions[:0],
        true=maps.true[:0],
        predicted=maps.predicted[:0],
    )
    info = MapSamples(case[1][:0], none, np.zeros(0, np.float32), NAMES)
    assert "no images to show" in drawn(draw_gradcam_samples(info), tmp_path)


def test_mean_maps_name_their_n_and_classes_without_images(case, tmp_path):
    text = drawn(draw_mean_maps(mean_maps(case[-1], 3), NAMES, "No evidence."), tmp_path)
    assert "n=0" in text
    assert "no map" in text
    assert "conv, 4x4 cells" in text


def test_feature_maps_and_guided_backpropagation(case, tmp_path):
    model, images, inputs, _, _, maps = case
    features = first_layer_maps(model, inputs[:3])
    assert "4 of 4 channels" in drawn(draw_feature_maps(features, images[:3]), tmp_path)
    neurons = neuron_gradients(model, inputs, deepest_convolution(model, 8), num=3)
    figure = draw_guided_backprop(
        images[:6],
        output_gradients(model, inputs[:6], maps.predictions[:6]),
        [f"image {k}" for k in range(6)],
        neurons,
        images[neurons.images],
        "No evidence: y.",
    )
    text = drawn(figure, tmp_path)
    assert "single neurons of conv (4x4 cells)" in text
    assert "No evidence: y." in text


def test_checks_and_interventions(case, tmp_path):
    model, _, inputs, labels, masks, maps = case
    checks = compute_map_checks(model, inputs, maps.predictions, maps.layer)
    text = drawn(draw_map_checks(checks), tmp_path)
    assert "24 images; maps of conv, 4x4 cells" in text
    assert "n=24" in text
    table = checks_table(checks)
    assert len(table.rows) == 2 * 9 + 2 * 2 * 2
    changed = compute_interventions(model, inputs, labels, masks, 3)
    assert "object taken out (n=24)" in drawn(draw_interventions(changed, NAMES), tmp_path)
    assert len(interventions_table(changed, NAMES).rows) == 10 * 3
    bare = compute_interventions(model, inputs, labels, None, 3)
    assert "data.masks=PATH" in drawn(draw_interventions(bare, NAMES), tmp_path)
    assert "4x4 greyed (n=24)" in drawn(draw_occlusion(bare, NAMES), tmp_path)


def test_the_table_of_attention_says_what_is_missing(case):
    maps, masks = case[-1], case[-2]
    table = attention_table(compute_attention(maps, masks, 8))
    assert len(table.rows) == 5 * 2 * 3
    assert all(len(row) == len(table.columns) for row in table.rows)
    bare = attention_table(compute_attention(maps, None, 8))
    assert len(bare.rows) == 2 * 2 * 3
    assert "no masks" in bare.caption
