import copy

import pytest
import torch
from torch import nn
from torchvision.models import resnet34

from deepsight.config import ModelConfig, UserError, trial_config
from deepsight.models.build import build_model
from deepsight.models.finetune import frozen_stages, param_groups, set_frozen, stages
from deepsight.models.resnet import CifarResNet20, quarters


@pytest.mark.parametrize(
    ("fraction", "stages_", "expected"),
    [(0.0, 4, 0), (0.25, 4, 1), (0.5, 4, 2), (0.75, 4, 3), (1.0, 4, 4), (0.5, 3, 2), (1.0, 0, 0)],
)
def test_fraction_of_the_depth(fraction: float, stages_: int, expected: int) -> None:
    assert frozen_stages(ModelConfig(freeze_fraction=fraction), stages_, epoch=1) == expected


@pytest.mark.parametrize(
    ("plan", "epoch", "expected"),
    [
        ("never", 3, [4, 4, 4, 4, 4, 4, 4, 4]),
        ("at_once", 3, [4, 4, 0, 0, 0, 0, 0, 0]),
        ("gradual", 3, [4, 4, 3, 2, 1, 0, 0, 0]),
        ("gradual", 1, [3, 2, 1, 0, 0, 0, 0, 0]),
    ],
)
def test_unfreezing_plans(plan: str, epoch: int, expected: list[int]) -> None:
    config = ModelConfig(freeze_fraction=1.0, unfreeze=plan, unfreeze_epoch=epoch)
    assert [frozen_stages(config, 4, e) for e in range(1, 9)] == expected


def test_quarters_of_the_blocks() -> None:
    for num, sizes in ((8, [2, 2, 2, 2]), (9, [2, 2, 3, 2]), (16, [4, 4, 4, 4])):
        blocks: list[nn.Module] = [nn.Identity() for _ in range(num)]
        stem = nn.Identity()
        parts = quarters([stem], blocks)
        assert parts[0][0] is stem
        assert [len(p) - (i == 0) for i, p in enumerate(parts)] == sizes
        assert [m for p in parts for m in p] == [stem, *blocks]


def test_learning_rates_fall_from_the_head_down() -> None:
    config = trial_config(
        {
            "model.name": "resnet18",
            "model.weights": "none",
            "optim.lr": 0.1,
            "optim.backbone_lr_ratio": 0.5,
            "optim.layer_decay": 0.1,
        }
    )
    groups = param_groups(build_model(config, 10, 32), config)
    rates = {g["name"]: (g["lr"], g["lr_ratio"]) for g in groups if "weights" in g["name"]}
    expected = {
        "stage0.weights": 5e-4,
        "stage1.weights": 5e-3,
        "stage2.weights": 5e-2,
        "stage3.weights": 5e-1,
        "head.weights": 1.0,
    }
    assert list(rates) == list(expected)
    for name, ratio in expected.items():
        assert rates[name] == (pytest.approx(0.1 * ratio), pytest.approx(ratio))
    assert [g["name"] for g in groups][1::2] == [f"stage{i}.rest" for i in range(4)] + ["head.rest"]


def norms(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def test_frozen_norms_stay_in_eval_mode_after_train() -> None:
    model = CifarResNet20(10, dropout=0.0).train()
    set_frozen(model, 4)
    for _ in range(2):
        model.eval()
        model.train()
        model(torch.randn(4, 3, 16, 16))
        assert not any(norm.training for norm in norms(model))
    set_frozen(model, 0)
    assert all(norm.training for norm in norms(model))
    model.train()
    model(torch.randn(4, 3, 16, 16))
    assert all(norm.training for norm in norms(model))


def test_freezing_in_eval_mode_starts_no_training() -> None:
    model = CifarResNet20(10, dropout=0.0).eval()
    set_frozen(model, 2)
    set_frozen(model, 0)
    assert not any(m.training for m in model.modules())


def test_copy_is_frozen_by_itself() -> None:
    model = CifarResNet20(10, dropout=0.0).train()
    set_frozen(model, 4)
    twin = copy.deepcopy(model)
    set_frozen(model, 0)
    twin.train()
    before = {k: t.clone() for k, t in twin.state_dict().items()}
    twin(torch.randn(4, 3, 16, 16))
    assert all(torch.equal(t, before[k]) for k, t in twin.state_dict().items())


def test_head_cannot_be_frozen() -> None:
    with pytest.raises(AssertionError, match="never frozen"):
        set_frozen(CifarResNet20(10, dropout=0.0), 5)


def test_any_torchvision_resnet_has_stages() -> None:
    parts = stages(resnet34())
    assert [len(p) for p in parts] == [6, 4, 4, 4, 1]


class Partial(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.forgotten, self.last = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def stage_modules(self) -> list[list[nn.Module]]:
        return [[self.first], [self.last]]


def test_stages_that_leave_something_out_are_refused() -> None:
    with pytest.raises(UserError, match=r"Partial.stage_modules\(\) must name every parameter"):
        stages(Partial())
    assert stages(nn.Linear(2, 2))[0][0].weight.shape == (2, 2)
