from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.diagnosis.maps.layers import (
    choose_layer,
    deepest_convolution,
    first_convolution,
    list_layers,
    list_stages,
)
from deepsight.config import UserError, trial_config
from deepsight.models.build import build_model
from deepsight.models.small_maps import fit_kernels


def built(image_size=32, **flat):
    flat = {"model.weights": "none"} | {k.replace("__", "."): v for k, v in flat.items()}
    return build_model(trial_config(flat), 10, image_size)


@pytest.mark.parametrize(
    ("image_size", "grids", "default"),
    [
        (32, [16, 8, 4, 2], "blocks.2"),
        (64, [32, 16, 8, 4], "blocks.3"),
        (8, [4, 2, 2, 2], "blocks.0"),
    ],
)
def test_the_blocks_of_a_scratch_cnn_are_its_stages(image_size, grids, default):
    model = built(image_size, model__width=4)
    stages = list_stages(model, image_size)
    assert [s.name for s in stages] == [f"blocks.{k}" for k in range(4)]
    assert [s.grid for s in stages] == [(g, g) for g in grids]
    assert choose_layer(model, image_size).name == default


@pytest.mark.parametrize(
    ("stem", "grids", "default"),
    [
        ("imagenet", [16, 8, 8, 4, 4, 2, 2, 1, 1], ("layer2.1", (4, 4))),
        ("no_pool", [16, 16, 16, 8, 8, 4, 4, 2, 2], ("layer3.1", (4, 4))),
        ("cifar", [32, 32, 32, 16, 16, 8, 8, 4, 4], ("layer4.1", (4, 4))),
    ],
)
def test_the_default_layer_of_a_resnet18_is_no_single_cell(stem, grids, default):
    model = built(model__name="resnet18", model__stem=stem)
    fit_kernels(model, 32, expand=True)
    stages = list_stages(model, 32)
    names = [f"layer{k}.{block}" for k in (1, 2, 3, 4) for block in (0, 1)]
    assert [s.name for s in stages] == ["conv1", *names]
    assert [s.rows for s in stages] == grids
    chosen = choose_layer(model, 32)
    assert (chosen.name, chosen.grid) == default


def test_every_block_of_the_cifar_resnet_is_a_stage():
    model = built(model__name="resnet20_cifar")
    assert len(list_stages(model, 32)) == 10
    assert str(choose_layer(model, 32)) == "blocks.8, 8x8 cells"


def test_in_a_long_sequential_each_convolution_counts_after_its_activation():
    model = nn.Sequential(
        nn.Conv2d(3, 2, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 16, 2),
    )
    assert [(s.name, s.channels, s.rows) for s in list_stages(model, 8)] == [
        ("1", 2, 8),
        ("5", 4, 4),
    ]
    assert first_convolution(model, 8).name == "0"
    assert deepest_convolution(model, 8).name == "3"


class Wrapped(nn.Module):
    """A backbone inside another module, and a convolution that is called twice."""

    def __init__(self):
        super().__init__()
        self.backbone = built(model__name="resnet20_cifar")
        self.backbone.pool = nn.Identity()
        self.twice = nn.Conv2d(64, 64, 1)

    def forward(self, x):
        net = self.backbone
        maps = net.blocks(net.conv1(x))
        return self.twice(self.twice(maps)).mean((2, 3))


def test_what_is_called_twice_is_no_layer():
    names = [layer.name for layer in list_layers(Wrapped(), 32)]
    assert "twice" not in names
    assert "backbone.blocks.0" in names
    assert choose_layer(Wrapped(), 32).name == "backbone.blocks.8"


def test_an_unknown_layer_names_the_nearest():
    with pytest.raises(UserError, match="block.3") as error:
        choose_layer(built(), 32, "block.3")
    assert "blocks.3" in error.value.remedy


def test_a_single_cell_is_refused_with_the_finer_layers():
    with pytest.raises(UserError, match="1x1 grid at 32 pixels") as error:
        choose_layer(built(model__name="resnet18"), 32, "layer4")
    assert "layer3.1" in error.value.remedy


def test_a_network_without_convolutions_is_refused():
    with pytest.raises(UserError, match="no convolution"):
        list_stages(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), 2)


def test_listing_leaves_modes_and_hooks_as_found():
    model = built()
    model.train()
    model.blocks[0].eval()
    before = [m.training for m in model.modules()]
    list_stages(model, 32)
    assert [m.training for m in model.modules()] == before
    assert not any(m._forward_hooks for m in model.modules())
    assert all(torch.isfinite(p).all() for p in model.parameters())
