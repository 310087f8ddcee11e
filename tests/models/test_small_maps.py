import copy

import pytest
import torch
from torch import nn

from deepsight.config import trial_config
from deepsight.models import small_maps
from deepsight.models.build import MODELS, build_model
from deepsight.models.small_maps import fit_kernels

KERNELS = [
    (3, 1, 1),
    (3, 1, 2),
    (5, 2, 1),
    (5, 2, 3),
    (3, 0, 1),
    (7, 3, 2),
    ((3, 5), (1, 2), (2, 1)),
]


def gradients(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """The output, the gradient of the images, and the whole gradient of the weights."""
    images = images.clone().requires_grad_()
    out = model(images)
    out.square().sum().backward()
    grad = model.weight.grad
    if type(model) is not nn.Conv2d:
        rows, columns = model.axes
        whole = torch.zeros_like(model.whole)
        whole[:, :, rows.kept, columns.kept] = grad.permute(0, 3, 1, 2)
        grad = whole
    return [out, images.grad, grad, model.bias.grad]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("kernel", "padding", "stride"), KERNELS)
def test_results_and_gradients_stay(
    size: int, kernel, padding, stride, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_maps, "LARGEST_EXPANSION", 1e9)
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 6, kernel, stride, padding)
    images = torch.randn(4, 3, size, size)
    if size + 2 * plain.padding[0] < plain.kernel_size[0]:
        pytest.skip("no output at all")
    fitted = copy.deepcopy(plain)
    fit_kernels(fitted, size, expand=True)
    assert (type(fitted) is nn.Conv2d) == (size**2 >= plain.kernel_size[0] * plain.kernel_size[1])
    for mine, theirs in zip(gradients(fitted, images), gradients(plain, images), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4)


def test_several_positions_are_left_alone_unless_asked() -> None:
    for expand in (False, True):
        module = nn.Conv2d(3, 4, 3, padding=1)
        fit_kernels(module, 2, expand=expand)
        assert (type(module) is nn.Conv2d) == (not expand)


def test_large_matrices_are_not_built() -> None:
    module = nn.Conv2d(3, 4, 5, padding=2)
    fit_kernels(module, 4, expand=True)  # 256 products instead of 25 taps
    assert type(module) is nn.Conv2d


def test_half_precision_is_that_of_autocast() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 64, 3, padding=1)
    fitted = copy.deepcopy(plain)
    fit_kernels(fitted, 2, expand=True)
    images = torch.randn(64, 3, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        one, other = gradients(plain, images), gradients(fitted, images)
    assert other[0].dtype == torch.bfloat16
    for mine, theirs in zip(other, one, strict=True):
        assert (mine - theirs).norm() < 0.02 * theirs.norm()


def test_state_dicts_fit_the_plain_module_both_ways() -> None:
    plain, other = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
    fitted = copy.deepcopy(plain)
    fit_kernels(fitted, 1, expand=False)
    assert fitted.weight.shape == (4, 1, 1, 3)
    assert torch.equal(fitted.state_dict()["weight"], plain.weight)
    with torch.no_grad():
        fitted.weight += 1
    changed = fitted.state_dict()["weight"]
    assert torch.equal(changed[:, :, 1, 1], plain.weight[:, :, 1, 1] + 1)
    assert torch.equal(changed[:, :, 0], plain.weight[:, :, 0])
    fitted.load_state_dict(other.state_dict())
    assert torch.equal(fitted.state_dict()["weight"], other.weight)
    assert torch.equal(fitted.weight[:, 0, 0], other.weight[:, :, 1, 1])
    plain.load_state_dict(fitted.state_dict())
    assert torch.equal(plain.weight, other.weight)


def test_a_wrong_shape_is_still_refused() -> None:
    fitted = nn.Conv2d(3, 4, 3, padding=1)
    fit_kernels(fitted, 1, expand=True)
    with pytest.raises(RuntimeError, match="size mismatch"):
        fitted.load_state_dict(nn.Conv2d(3, 4, 5).state_dict())


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
    fit_kernels(model, 1, expand=True)
    assert [type(m) for m in model] == before


def test_modes_and_hooks_are_left_as_found() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, 1, 1))
    model.train()
    model[1].eval()
    mean = model[1].running_mean.clone()
    fit_kernels(model, 2, expand=True)
    assert [m.training for m in model] == [True, False, True]
    assert all(not m._forward_pre_hooks for m in model.modules())
    assert torch.equal(model[1].running_mean, mean)
    assert model[2].weight.shape == (4, 1, 1, 4)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_says_the_same_with_fitted_kernels(name: str) -> None:
    config = trial_config({"model.name": name, "model.weights": "none"})
    torch.manual_seed(0)
    plain = build_model(config, 5, 32).eval()
    fitted = copy.deepcopy(plain)
    fit_kernels(fitted, 32, expand=True)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(plain(images), fitted(images), atol=1e-4)
    assert {k: v.shape for k, v in fitted.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }


def test_resnet18_at_32_pixels_loses_six_million_idle_weights() -> None:
    model = build_model(trial_config({"model.name": "resnet18", "model.weights": "none"}), 10, 32)
    before = sum(p.numel() for p in model.parameters())
    fit_kernels(model, 32, expand=True)
    after = sum(p.numel() for p in model.parameters())
    taps_left_out = 3 * 512 * 512 * 8 + 512 * 256 * 5
    assert before - after == taps_left_out
