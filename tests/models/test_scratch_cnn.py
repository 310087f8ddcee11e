import itertools

import pytest
import torch
from torch import nn

from deepsight.config import PARAMS, ModelConfig
from deepsight.models.scratch_cnn import ACTIVATIONS, ScratchCNN, dense_widths


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [m for m in model.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize("name", ["model.activation", "model.dense_activation"])
def test_choices_of_the_config_are_the_activations(name: str) -> None:
    assert PARAMS[name].metadata["choices"] == tuple(ACTIVATIONS)


@pytest.mark.parametrize(("size", "depth"), list(itertools.product([8, 16, 32, 64], [1, 3, 6])))
def test_map_never_vanishes(size: int, depth: int) -> None:
    model = ScratchCNN(ModelConfig(depth=depth, width=4), 10, size)
    maps = model.blocks(torch.zeros(2, 3, size, size))
    assert maps.shape[-1] == max(2, size // 2**depth)
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 10)


def test_channels_double_up_to_the_cap() -> None:
    model = ScratchCNN(ModelConfig(depth=5, width=64), 10, 32)
    assert [c.out_channels for c in convolutions(model)] == [64, 128, 256, 512, 512]


@pytest.mark.parametrize(
    ("strategy", "widths"),
    [("same", [64, 64, 64, 64]), ("halving", [64, 32, 16, 8]), ("doubling", [64, 128, 256, 512])],
)
def test_dense_widths(strategy: str, widths: list[int]) -> None:
    config = ModelConfig(dense_layers=4, dense_width=64, dense_strategy=strategy, width=4)
    assert dense_widths(config) == widths
    linears = [m for m in ScratchCNN(config, 10, 16).modules() if isinstance(m, nn.Linear)]
    assert [m.out_features for m in linears] == [*widths, 10]


def test_halved_layers_keep_eight_units() -> None:
    assert dense_widths(ModelConfig(dense_layers=4, dense_width=8)) == [8, 8, 8, 8]


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 11])
def test_kernels_keep_the_size(kernel_size: int) -> None:
    model = ScratchCNN(ModelConfig(kernel_size=kernel_size, width=4), 10, 16)
    assert {c.kernel_size for c in convolutions(model)} == {(kernel_size, kernel_size)}
    assert model.blocks(torch.zeros(1, 3, 16, 16)).shape[-1] == 2


@pytest.mark.parametrize("batch_norm", [True, False])
def test_bias_stands_in_for_batch_norm(batch_norm: bool) -> None:
    model = ScratchCNN(ModelConfig(batch_norm=batch_norm, width=4), 10, 16)
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == batch_norm
    assert all((c.bias is None) == batch_norm for c in convolutions(model))


def test_dropout_stands_before_every_dense_layer() -> None:
    model = ScratchCNN(ModelConfig(dropout=0.3, dense_layers=2, width=4), 10, 16)
    assert [type(m) for m in model.head][::3] == [nn.Dropout] * 3
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.3}


def test_signal_keeps_its_scale_without_batch_norm() -> None:
    torch.manual_seed(0)
    model = ScratchCNN(ModelConfig(depth=6, batch_norm=False, dropout=0.0), 10, 64)
    spread = model(torch.randn(8, 3, 64, 64)).std().item()
    assert 0.1 < spread < 10
