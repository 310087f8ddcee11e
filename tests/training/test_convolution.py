import copy

import pytest
import torch
from torch import nn

from deepsight.config import trial_config
from deepsight.models.convolution import cut_kernels
from deepsight.models.table import MODELS, build_model

KERNELS = [
    (3, 1, 1), (3, 1, 2), (5, 2, 1), (5, 2, 3), (3, 0, 1), (7, 3, 2), ((3, 5), (1, 2), (2, 1)),
]  # fmt: skip


def gradients(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    images = images.clone().requires_grad_()
    out = model(images)
    return out, torch.autograd.grad(out.square().sum(), images)[0]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("kernel", "padding", "stride"), KERNELS)
def test_results_and_gradients_stay(size: int, kernel, padding, stride) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 6, kernel, stride, padding)
    images = torch.randn(4, 3, size, size)
    if size + 2 * plain.padding[0] < plain.kernel_size[0]:
        pytest.skip("no output at all")
    cut = copy.deepcopy(plain)
    cut_kernels(cut, size)
    assert (type(cut) is nn.Conv2d) == (
        plain(images).shape[2:].numel() > 1 or plain.kernel_size == (size, size)
    )
    for mine, theirs in zip(gradients(cut, images), gradients(plain, images), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_state_dicts_fit_the_plain_module_both_ways() -> None:
    plain, other = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
    cut = copy.deepcopy(plain)
    cut_kernels(cut, 1)
    assert cut.weight.shape == (4, 3, 1, 1)
    assert torch.equal(cut.state_dict()["weight"], plain.weight)
    with torch.no_grad():
        cut.weight += 1
    changed = cut.state_dict()["weight"]
    assert torch.equal(changed[:, :, 1, 1], plain.weight[:, :, 1, 1] + 1)
    assert torch.equal(changed[:, :, 0], plain.weight[:, :, 0])
    cut.load_state_dict(other.state_dict())
    assert torch.equal(cut.state_dict()["weight"], other.weight)
    assert torch.equal(cut.weight[:, :, 0, 0], other.weight[:, :, 1, 1])
    plain.load_state_dict(cut.state_dict())
    assert torch.equal(plain.weight, other.weight)


def test_a_wrong_shape_is_still_refused() -> None:
    cut = nn.Conv2d(3, 4, 3, padding=1)
    cut_kernels(cut, 1)
    with pytest.raises(RuntimeError, match="size mismatch"):
        cut.load_state_dict(nn.Conv2d(3, 4, 5).state_dict())


def test_other_convolutions_are_left_alone() -> None:
    class Own(nn.Conv2d):
        pass

    shared = nn.Conv2d(3, 3, 3, padding=1)
    twin = nn.Conv2d(3, 3, 3, padding=1)
    twin.weight = shared.weight
    model = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding="same"),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate"),
        nn.Conv2d(3, 3, 3, groups=3, padding=1),
        nn.Conv2d(3, 3, 3, dilation=2, padding=2),
        nn.Conv2d(3, 3, 1),
        Own(3, 3, 3, padding=1),
        shared,
        twin,
    )
    before = [type(m) for m in model]
    cut_kernels(model, 1)
    assert [type(m) for m in model] == before


def test_modes_and_hooks_are_left_as_found() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, 1, 1))
    model.train()
    model[1].eval()
    mean = model[1].running_mean.clone()
    cut_kernels(model, 2)
    assert [m.training for m in model] == [True, False, True]
    assert all(not m._forward_pre_hooks for m in model.modules())
    assert torch.equal(model[1].running_mean, mean)
    assert model[2].weight.shape == (4, 4, 1, 1)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_says_the_same_with_cut_kernels(name: str) -> None:
    config = trial_config({"model.name": name, "model.weights": "none"})
    torch.manual_seed(0)
    plain = build_model(config, 5, 32).eval()
    cut = copy.deepcopy(plain)
    cut_kernels(cut, 32)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(plain(images), cut(images), atol=1e-4)
    assert {k: v.shape for k, v in cut.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }


def test_resnet18_at_32_pixels_loses_six_million_idle_weights() -> None:
    model = build_model(trial_config({"model.name": "resnet18", "model.weights": "none"}), 10, 32)
    before = sum(p.numel() for p in model.parameters())
    cut_kernels(model, 32)
    after = sum(p.numel() for p in model.parameters())
    taps_left_out = 3 * 512 * 512 * 8 + 512 * 256 * 5
    assert before - after == taps_left_out
