from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop
from torch import nn
from torch.nn import functional as F

from analysis.diagnosis.maps.feature_maps import first_layer_maps
from analysis.diagnosis.maps.guided_backprop import neuron_gradients, output_gradients
from analysis.diagnosis.maps.layers import Layer, deepest_convolution
from deepsight.config import trial_config
from deepsight.models.build import build_model


class TwoLayers(nn.Module):
    """1x1 convolutions by hand: 3 inputs, 2 hidden units, 2 outputs, on one pixel."""

    def __init__(self, activation=F.relu):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 2, 1, bias=False), nn.Conv2d(2, 2, 1, bias=False)
        self.activation = activation
        with torch.no_grad():
            self.first.weight[:, :, 0, 0] = torch.tensor([[1.0, -2, 3], [2, 1, -1]])
            self.second.weight[:, :, 0, 0] = torch.tensor([[-1.0, 2], [3, 1]])

    def forward(self, x):
        hidden = self.activation(self.first(x))
        return self.activation(self.second(hidden)).flatten(1)


IMAGE = torch.tensor([2.0, 1.0, 1.0]).view(1, 3, 1, 1)
"""Hidden units (2 - 2 + 3, 4 + 1 - 1) = (3, 4); outputs (-3 + 8, 9 + 4) = (5, 13)."""


@pytest.mark.parametrize(
    "activation", [F.relu, nn.ReLU(), nn.ReLU(inplace=True), torch.relu, torch.relu_]
)
def test_guided_backpropagation_of_two_layers_by_hand(activation):
    """Output 0 hands (-1, 2) to the hidden units; the first is cut: 2 * (2, 1, -1)."""
    model = TwoLayers(activation)
    np.testing.assert_array_equal(output_gradients(model, IMAGE, np.array([0])).ravel(), [4, 2, -2])
    # output 1: (3, 1), both positive: 3 * (1, -2, 3) + (2, 1, -1)
    np.testing.assert_array_equal(output_gradients(model, IMAGE, np.array([1])).ravel(), [5, -5, 8])


def test_units_that_are_off_hand_nothing_back():
    image = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)  # hidden (-2, 1)
    np.testing.assert_array_equal(
        output_gradients(TwoLayers(), image, np.array([1])).ravel(), [2, 1, -1]
    )


def test_other_activations_hand_back_their_derivative_times_what_is_positive():
    model = TwoLayers(F.silu)
    first = torch.tensor([3.0, 4.0])
    before = torch.tensor([[-1.0, 2], [3, 1]]) @ F.silu(first)
    expected = _silu_slope(before[0]) * 2 * _silu_slope(first[1]) * torch.tensor([2.0, 1, -1])
    np.testing.assert_allclose(
        output_gradients(model, IMAGE, np.array([0])).ravel(), expected, rtol=1e-5
    )


def _silu_slope(x):
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


def test_a_single_neuron_by_hand():
    layer = Layer("second", 2, 1, 1)
    images = torch.cat([IMAGE * 0, IMAGE])
    found = neuron_gradients(TwoLayers(), images, layer, channels=[0, 1])
    assert found.images.tolist() == [1, 1]
    assert found.activations.tolist() == [5, 13]
    np.testing.assert_array_equal(found.gradients[:, :, 0, 0], [[4, 2, -2], [5, -5, 8]])


def test_it_agrees_with_captum_where_all_activations_are_modules():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 3),
    )
    images, targets = torch.randn(5, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it sets hooks, and needs gradients
        expected = GuidedBackprop(model).attribute(images.clone(), target=targets)
    np.testing.assert_allclose(
        output_gradients(model, images, targets.numpy()), expected.detach(), atol=1e-6
    )


def test_functional_activations_are_guided_too():
    """Where captum's hooks on modules find nothing to change."""
    config = trial_config({"model.name": "resnet20_cifar", "model.weights": "none"})
    model = build_model(config, 10, 32).eval()
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    plain = torch.autograd.grad(model(images)[:, 3].sum(), images)[0]
    guided = output_gradients(model, images, np.array([3, 3]))
    assert np.abs(guided - plain.numpy()).max() > 0.1 * np.abs(guided).max()


def test_neurons_are_chosen_by_how_much_they_tell_images_apart():
    model = build_model(trial_config({"model.weights": "none", "model.width": 4}), 10, 32)
    layer = deepest_convolution(model, 32)
    assert (layer.name, layer.channels) == ("blocks.3.0", 32)
    images = torch.randn(9, 3, 32, 32)
    found = neuron_gradients(model, images, layer, num=5)
    assert found.gradients.shape == (5, 3, 32, 32)
    assert len(set(found.channels.tolist())) == 5
    assert ((found.rows >= 0) & (found.rows < 4)).all()
    assert np.abs(found.gradients).max(axis=(1, 2, 3)).min() > 0


def test_first_layer_maps_are_what_the_convolution_returns():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(256, 2)
    )
    images = torch.randn(2, 3, 8, 8)
    found = first_layer_maps(model, images)
    np.testing.assert_allclose(found.maps, model[0](images).detach(), atol=1e-6)
    assert found.maps.min() < 0
    assert found.kernels.shape == (4, 3, 3, 3)
