import math

import pytest
import torch
from torch import nn

from deepsight.config import OptimConfig
from deepsight.training.optim import (
    OPTIMISERS,
    SCHEDULES,
    build_optimiser,
    lr_factor,
    set_lr,
    update_average,
)


def test_onecycle_is_that_of_pytorch() -> None:
    steps = 100
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 1.0, total_steps=steps + 1, pct_start=0.3, cycle_momentum=False
    )
    config = OptimConfig(lr_schedule="onecycle", warmup_fraction=0.3)
    # PyTorch's peak lies one step early: pct_start * steps - 1
    for step in (0, steps):
        expected = optimiser.param_groups[0]["lr"]
        assert lr_factor(config, step / steps) == pytest.approx(expected, abs=1e-9)
        for _ in range(steps if step == 0 else 0):
            optimiser.step()
            reference.step()
    assert lr_factor(config, 0.3) == 1.0
    assert lr_factor(config, 0.15) == pytest.approx((1 + 1 / 25) / 2)


def test_cosine_values() -> None:
    config = OptimConfig(lr_schedule="cosine", warmup_fraction=0.2)
    shares = (0.0, 0.1, 0.2, 0.6, 1.0)
    factors = [lr_factor(config, s) for s in shares]
    assert factors == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])


def test_constant_has_no_warmup() -> None:
    config = OptimConfig(lr_schedule="constant", warmup_fraction=0.5)
    assert {lr_factor(config, s / 10) for s in range(11)} == {1.0}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
def test_every_schedule_stays_within_its_peak(name: str, warmup: float) -> None:
    config = OptimConfig(lr_schedule=name, warmup_fraction=warmup)
    factors = [lr_factor(config, i / 1000) for i in range(1001)]
    assert all(math.isfinite(f) and 0 <= f <= 1 for f in factors)
    assert max(factors) == pytest.approx(1.0)
    assert max(abs(a - b) for a, b in zip(factors, factors[1:], strict=False)) < 0.02


def two_groups() -> tuple[nn.Parameter, nn.Parameter, list[dict]]:
    backbone, head = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    groups = [
        {"params": [backbone], "lr": 0.01, "weight_decay": 0.5, "name": "stage0", "lr_ratio": 0.1},
        {"params": [head], "lr": 0.1, "weight_decay": 0.0, "name": "head", "lr_ratio": 1.0},
    ]
    return backbone, head, groups


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_steps_down_the_slope(name: str) -> None:
    backbone, head, groups = two_groups()
    optimiser = build_optimiser(groups, OptimConfig(name=name, lr=0.1))
    assert [g["weight_decay"] for g in optimiser.param_groups] == [0.5, 0.0]
    (backbone.sum() + head.sum()).backward()
    optimiser.step()
    assert (backbone < 1).all()
    assert (head < backbone).all()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_frozen_parameters_do_not_move(name: str) -> None:
    backbone, head, groups = two_groups()
    backbone.requires_grad_(False)
    optimiser = build_optimiser(groups, OptimConfig(name=name, lr=0.1))
    for _ in range(2):
        head.sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    assert torch.equal(backbone.data, torch.ones(3))


def test_factors_apply_to_each_groups_own_peak() -> None:
    _, _, groups = two_groups()
    optimiser = build_optimiser(groups, OptimConfig(lr=0.1))
    set_lr(optimiser, 0.5)
    set_lr(optimiser, 0.5)
    assert [g["lr"] for g in optimiser.param_groups] == pytest.approx([0.005, 0.05])


def test_average_of_known_values() -> None:
    model, averaged = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.running_mean.fill_(10.0)
        model.num_batches_tracked.fill_(7)
    update_average(averaged, model, decay=0.5, num_updates=1000)
    assert averaged.weight.tolist() == [2.0, 2.0]
    assert averaged.running_mean.tolist() == [5.0, 5.0]
    assert averaged.num_batches_tracked == 7
    fresh = nn.BatchNorm1d(2)
    update_average(fresh, model, decay=0.999, num_updates=0)  # decay 1 / 10 at first
    assert fresh.weight.tolist() == pytest.approx([2.8, 2.8])
