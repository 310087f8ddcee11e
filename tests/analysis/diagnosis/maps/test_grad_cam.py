from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import nn

from analysis.diagnosis.maps.feature_maps import first_layer_maps
from analysis.diagnosis.maps.grad_cam import class_maps, grad_cam, mean_maps, shares
from analysis.diagnosis.maps.guided_backprop import neuron_gradients, output_gradients
from analysis.diagnosis.maps.layers import Layer, choose_layer, deepest_convolution
from deepsight.config import trial_config
from deepsight.models.build import build_model


class LinearHead(nn.Module):
    """One convolution, the mean over its cells, and a linear layer: nothing bent."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 2, stride=2)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


@pytest.fixture
def inputs():
    return torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(1))


TARGETS = np.array([0, 1, 2, 3, 0, 1, 2])


def test_grad_cam_of_a_linear_head_in_closed_form(inputs):
    """The map is w_c . A / cells, and its sum is the logit without its bias."""
    model = LinearHead()
    layer = choose_layer(model, 8)
    maps = grad_cam(model, inputs, TARGETS, layer)
    features = model.conv(inputs).detach()
    weights = model.head.weight.detach()[TARGETS]
    expected = torch.einsum("nk,nkhw->nhw", weights, features) / 16
    assert (layer.name, maps.shape) == ("conv", (7, 4, 4))
    np.testing.assert_allclose(maps, expected.numpy(), atol=1e-6)
    logits = (model(inputs) - model.head.bias)[range(7), TARGETS].detach().numpy()
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), logits, atol=1e-5)


def test_the_difference_is_the_map_of_the_gap_between_two_logits(inputs):
    model = LinearHead()
    layer = choose_layer(model, 8)
    maps = class_maps(model, inputs, TARGETS, layer)
    assert np.array_equal(maps.predictions, model(inputs).argmax(1).numpy())
    gap = model.head.weight[maps.predictions] - model.head.weight[TARGETS]
    expected = torch.einsum("nk,nkhw->nhw", gap, model.conv(inputs)).detach() / 16
    np.testing.assert_allclose(maps.difference, expected.numpy(), atol=1e-6)
    assert not maps.difference[maps.is_right].any()
    assert maps.difference[~maps.is_right].any()


def test_batches_do_not_matter(inputs, monkeypatch):
    model = LinearHead()
    layer = choose_layer(model, 8)
    whole = grad_cam(model, inputs, TARGETS, layer)
    monkeypatch.setattr("analysis.diagnosis.maps.passes.BATCH_PIXELS", 2 * 64)
    np.testing.assert_allclose(grad_cam(model, inputs, TARGETS, layer), whole, atol=1e-6)
    assert grad_cam(model, inputs[:0], TARGETS[:0], layer).shape == (0, 4, 4)


def test_the_mean_map_counts_every_image_alike():
    signed = np.array([[[4, 0]], [[1, 3]], [[-1, -2]]], np.float32)
    parts = shares(signed)
    np.testing.assert_allclose(parts[:2], [[[1, 0]], [[0.25, 0.75]]])
    assert np.isnan(parts[2]).all()
    model = LinearHead()
    maps = class_maps(model, torch.zeros(3, 3, 8, 8), np.zeros(3, np.int64), choose_layer(model, 8))
    maps = type(maps)(Layer("x", 1, 1, 2), maps.labels, maps.predictions, signed, signed)
    means = mean_maps(maps, 2)
    np.testing.assert_allclose(means.maps[0], [[0.625, 0.375]])
    assert np.isnan(means.maps[1]).all()
    assert means.counts.tolist() == [2, 0]


def scratch(**flat):
    flat = {"model.weights": "none", "model.width": 4, "model.depth": 3} | flat
    return build_model(trial_config(flat), 10, 32)


def photograph(model):
    """All that must be as it was."""
    return {
        "modes": [m.training for m in model.modules()],
        "hooks": [
            len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
            for m in model.modules()
        ],
        "needs": [p.requires_grad for p in model.parameters()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "state": {k: v.clone() for k, v in model.state_dict().items()},
    }


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    return a == b


COMPUTATIONS = {
    "grad_cam": lambda m, x: grad_cam(m, x, np.arange(len(x)), choose_layer(m, 32)),
    "class_maps": lambda m, x: class_maps(m, x, np.arange(len(x)), choose_layer(m, 32)),
    "output": lambda m, x: output_gradients(m, x, np.arange(len(x))),
    "neurons": lambda m, x: neuron_gradients(m, x, deepest_convolution(m, 32)),
    "features": first_layer_maps,
}


def disturbed():
    """A model in a state that a careless restoring would lose."""
    model = scratch()
    model.train()
    model.blocks[1].eval()
    for p in model.blocks[0].parameters():
        p.requires_grad_(False)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    return model


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_the_model_and_the_inputs_are_left_as_found(name):
    model, images = disturbed(), torch.randn(4, 3, 32, 32)
    before, kept = photograph(model), images.clone()
    COMPUTATIONS[name](model, images)
    assert same(photograph(model), before)
    assert torch.equal(images, kept)
    assert not images.requires_grad


class Failing(nn.Module):
    def forward(self, x):
        if len(x) > 1:  # not while the layers are listed
            raise RuntimeError("out of order")
        return x


@pytest.mark.parametrize("name", [n for n in COMPUTATIONS if n != "class_maps"])
def test_the_model_is_left_as_found_after_an_error(name):
    model = disturbed()
    model.head.append(Failing())
    before = photograph(model)
    with pytest.raises(RuntimeError, match="out of order"):
        COMPUTATIONS[name](model, torch.randn(4, 3, 32, 32))
    assert same(photograph(model), before)
    with pytest.raises(RuntimeError, match="out of order"):
        class_maps(model, torch.randn(4, 3, 32, 32), np.arange(4), choose_layer(model, 32))
    assert same(photograph(model), before)


def test_a_frozen_model_can_be_mapped(inputs):
    model = LinearHead()
    expected = grad_cam(model, inputs, TARGETS, choose_layer(model, 8))
    model.requires_grad_(False)
    np.testing.assert_array_equal(
        grad_cam(model, inputs, TARGETS, choose_layer(model, 8)), expected
    )
    with torch.no_grad():  # the caller's mode does not matter either
        np.testing.assert_array_equal(
            grad_cam(model, inputs, TARGETS, choose_layer(model, 8)), expected
        )


def test_a_thousand_images_take_seconds():
    model = scratch(**{"model.width": 32, "model.depth": 4})
    images = torch.randn(1000, 3, 32, 32)
    start = time.perf_counter()
    maps = class_maps(model, images, np.arange(1000) % 10, choose_layer(model, 32))
    assert maps.true.shape == (1000, 4, 4)
    assert time.perf_counter() - start < 20
