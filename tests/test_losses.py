import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from deepsight.config import PARAMS, LossConfig, UserError
from deepsight.losses import LOSSES, build_loss, focus_on_pairs

COUNTS = torch.tensor([60, 30, 10])


def batch(num: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(num, 3, generator=generator) * 3
    return logits, torch.randint(0, 3, (num,), generator=generator)


def one_image_certain_of(probability: float) -> tuple[Tensor, Tensor]:
    """Two classes; the true one, class 0, has this probability."""
    return torch.tensor([[math.log(probability / (1 - probability)), 0.0]]), torch.tensor([0])


def test_choices_of_the_config_are_the_table() -> None:
    assert PARAMS["loss.name"].metadata["choices"] == tuple(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_soft_ones_and_zeros_equal_hard_labels(name: str) -> None:
    logits, targets = batch()
    loss = build_loss(LossConfig(name), COUNTS)
    shares = F.one_hot(targets, 3).float()
    torch.testing.assert_close(loss(logits, targets), loss(logits, shares))


@pytest.mark.parametrize("name", LOSSES)
def test_computes_in_float32_and_has_gradients(name: str) -> None:
    logits, targets = batch()
    logits = logits.bfloat16().requires_grad_()
    value = build_loss(LossConfig(name), COUNTS)(logits, targets)
    value.backward()
    assert value.dtype == torch.float32
    assert value.shape == ()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad != 0).any()


@pytest.mark.parametrize("name", LOSSES)
def test_right_answer_costs_less_than_wrong_one(name: str) -> None:
    loss = build_loss(LossConfig(name), COUNTS)
    logits = torch.tensor([[4.0, 0.0, 0.0]])
    assert loss(logits, torch.tensor([0])) < loss(logits, torch.tensor([1]))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_extreme_logits_stay_finite(name: str, gamma: float) -> None:
    logits = torch.tensor([[300.0, 0.0, -300.0], [-300.0, 300.0, 0.0]], requires_grad=True)
    value = build_loss(LossConfig(name, focal_gamma=gamma), COUNTS)(logits, torch.tensor([0, 0]))
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_cross_entropy_by_hand() -> None:
    loss = build_loss(LossConfig("cross_entropy"), COUNTS[:2])
    assert loss(*one_image_certain_of(0.8)).item() == pytest.approx(-math.log(0.8))
    half = torch.tensor([[0.5, 0.5]])
    expected = -0.5 * math.log(0.8) - 0.5 * math.log(0.2)
    assert loss(one_image_certain_of(0.8)[0], half).item() == pytest.approx(expected)


def test_class_weighted_is_pytorchs_with_inverse_frequencies() -> None:
    logits, targets = batch()
    weight = torch.tensor([100 / (3 * 60), 100 / (3 * 30), 100 / (3 * 10)])
    expected = F.cross_entropy(logits, targets, weight=weight)
    torch.testing.assert_close(
        build_loss(LossConfig("class_weighted"), COUNTS)(logits, targets), expected
    )


def test_class_weighted_with_equal_counts_is_cross_entropy() -> None:
    logits, targets = batch()
    loss = build_loss(LossConfig("class_weighted"), torch.tensor([7, 7, 7]))
    torch.testing.assert_close(loss(logits, targets), F.cross_entropy(logits, targets))


def test_class_weighted_ignores_a_class_without_images() -> None:
    loss = build_loss(LossConfig("class_weighted"), torch.tensor([5, 5, 0]))
    logits, _ = batch(4)
    assert loss(logits, torch.tensor([0, 1, 0, 1])).isfinite()
    assert loss(logits, torch.tensor([2, 2, 2, 2])).item() == 0


def test_focal_by_hand() -> None:
    loss = build_loss(LossConfig("focal", focal_gamma=2.0), COUNTS[:2])
    assert loss(*one_image_certain_of(0.8)).item() == pytest.approx(-(0.2**2) * math.log(0.8))


def test_focal_without_gamma_is_cross_entropy() -> None:
    logits, targets = batch()
    loss = build_loss(LossConfig("focal", focal_gamma=0.0), COUNTS)
    torch.testing.assert_close(loss(logits, targets), F.cross_entropy(logits, targets))


def test_label_smoothing_is_cross_entropy_against_smoothed_shares() -> None:
    logits, targets = batch()
    shares = 0.8 * F.one_hot(targets, 3).float() + 0.2 / 3
    loss = build_loss(LossConfig("label_smoothing", label_smoothing=0.2), COUNTS)
    torch.testing.assert_close(loss(logits, targets), F.cross_entropy(logits, shares))


def own_loss(config: LossConfig, class_counts: Tensor) -> object:
    return lambda logits, targets: logits.sum() * config.focal_gamma


def no_loss(config: LossConfig, class_counts: Tensor) -> object:
    return 3


def test_loss_of_ones_own() -> None:
    loss = build_loss(LossConfig(f"{__name__}:own_loss", focal_gamma=3.0), COUNTS)
    assert loss(torch.ones(2, 3), torch.tensor([0, 1])).item() == 18
    with pytest.raises(UserError, match="returned int"):
        build_loss(LossConfig(f"{__name__}:no_loss"), COUNTS)


def test_focus_adds_the_harder_half_of_the_pair_by_hand() -> None:
    logits = torch.zeros(6, 3)
    logits[:, 1] = torch.tensor([0.0, 1.0, 2.0, 3.0, 5.0, 7.0])
    targets = torch.tensor([0, 0, 0, 1, 2, 2])  # of 0 and 1 by hardness: rows 2, 1, 0, 3
    plain = F.cross_entropy(logits, targets)
    added = (math.log(1 + math.exp(2)) + math.log(1 + math.exp(1))) / 6
    focused = focus_on_pairs(F.cross_entropy, [(0, 1)])
    assert focused(logits, targets).item() == pytest.approx(plain.item() + added)
    shares = F.one_hot(targets, 3).float()
    assert focused(logits, shares).item() == pytest.approx(plain.item() + added)


def test_focus_leaves_other_classes_and_batches_without_the_pair_alone() -> None:
    logits, targets = batch()
    logits.requires_grad_()
    only = targets == 2
    plain = F.cross_entropy(logits[only], targets[only])
    assert focus_on_pairs(F.cross_entropy, [(0, 1)])(logits[only], targets[only]) == plain
    assert focus_on_pairs(F.cross_entropy, []) is F.cross_entropy
    extra = focus_on_pairs(lambda logits, targets: 0 * logits.sum(), [(0, 1)])(logits, targets)
    extra.backward()
    assert logits.grad is not None
    assert (logits.grad[:, 2] == 0).all()
    assert (logits.grad[only] == 0).all()
    assert (logits.grad[:, :2] != 0).any()
