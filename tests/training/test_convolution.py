import copy

import pytest
import torch
from torch import nn

from deepsight.models.convolution import skip_padding


def gradients(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    images = images.clone().requires_grad_()
    out = model(images)
    grads = torch.autograd.grad(out.square().sum(), [images, *model.parameters()])
    return out, list(grads)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("kernel", "padding", "stride"),
    [(3, 1, 1), (3, 1, 2), (5, 2, 1), (5, 2, 3), (3, 0, 1), (7, 3, 2), (3, (1, 0), (2, 1))],
)
def test_results_and_gradients_stay(size: int, kernel: int, padding, stride) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, kernel, stride, padding)
    images = torch.randn(3, 4, size, size)
    low = padding if isinstance(padding, int) else min(padding)
    if size + 2 * low < kernel:
        pytest.skip("no output at all")
    fast = copy.deepcopy(plain)
    skip_padding(fast)
    assert type(fast) is not nn.Conv2d
    expected, found = gradients(plain, images), gradients(fast, images)
    assert found[0].shape == expected[0].shape
    for mine, theirs in zip([found[0], *found[1]], [expected[0], *expected[1]], strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_other_convolutions_are_left_alone() -> None:
    class Own(nn.Conv2d):
        pass

    model = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 1),
        Own(4, 4, 3),
    )
    before = [type(m) for m in model]
    skip_padding(model)
    assert [type(m) for m in model] == before


def test_weights_keep_their_names() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
    names = list(model.state_dict())
    skip_padding(model)
    skip_padding(model)
    assert list(model.state_dict()) == names
