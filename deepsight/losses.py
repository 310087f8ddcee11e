"""What is minimised: losses that take hard or soft labels alike.

A loss is built from its section of the config and the number of training images of each class;
it is then a function ``loss(logits, targets) -> scalar``:

- ``logits``: (N, C), any float type; computed in float32.
- ``targets``: (N,) int64 class indices, or (N, C) shares of the classes that sum to one (MixUp).

Soft targets of zeros and ones give exactly what the hard labels give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from deepsight.config import LossConfig, UserError, is_import_path
from deepsight.imports import call, load_object

Loss = Callable[[Tensor, Tensor], Tensor]
LossBuilder = Callable[[LossConfig, Tensor], Loss]

_SMALLEST = 1e-6
"""Floor of 1 - p in the focal loss: below it the slope of (1 - p)^gamma, gamma < 1, overflows."""


def build_loss(config: LossConfig, class_counts: Tensor) -> Loss:
    """Build the loss that `config` names.

    Args:
        config: The loss and its settings; ``package.module:function`` names a `LossBuilder`.
        class_counts: (C,), training images of each class, on the device of the logits.

    Raises:
        UserError: If a function of the user's own cannot be found or builds no function.
    """
    if not is_import_path(config.name):
        return LOSSES[config.name](config, class_counts)
    loss: Loss = call(config.name, load_object(config.name), config, class_counts)
    if not callable(loss):
        raise UserError(
            f"{config.name} returned {type(loss).__name__}, not a loss.",
            "Return a function (logits, targets) -> scalar tensor.",
        )
    return loss


def focus_on_pairs(loss: Loss, pairs: Sequence[tuple[int, int]]) -> Loss:
    """`loss`, with the hardest images of confused pairs counted a second time, pair by pair.

    Hard examples are mined online, in each batch, by their loss (Shrivastava et al. 2016): of the
    images of either class of a pair, the harder half. Their second loss is the cross-entropy
    between the two classes alone, -log p_true / (p_true + p_other), and the term is divided by the
    size of the batch, so that it weighs as a mean does.

    Args:
        loss: What is minimised otherwise.
        pairs: Labels; without any, `loss` comes back as it is. An image with soft targets belongs
            to a pair that holds more than half of its mass.
    """
    if not pairs:
        return loss

    def focused(logits: Tensor, targets: Tensor) -> Tensor:
        total = loss(logits, targets)
        shares = soft(targets, logits.shape[1])
        rank = torch.arange(len(logits), device=logits.device)
        for pair in pairs:
            own, two = _columns(shares, pair), _columns(logits.float(), pair)
            log_p = F.log_softmax(two, dim=1)
            of_pair = own.sum(1) > 0.5
            losses = torch.where(of_pair, -(own * log_p).sum(1), 0.0)
            # ranked and masked: topk would have to know the number, for which a GPU is waited for
            is_hard = rank < (of_pair.sum() + 1) // 2
            hardest = losses.sort(descending=True).values.masked_fill(~is_hard, 0.0)
            total = total + hardest.sum() / len(logits)
        return total

    return focused


def _columns(values: Tensor, pair: tuple[int, int]) -> Tensor:
    """Two columns of (N, C). An index made of a list would be copied to the GPU, and waited for."""
    return torch.stack([values[:, column] for column in pair], dim=1)


def cross_entropy(config: LossConfig, class_counts: Tensor) -> Loss:
    """Mean of -sum_c t_c log p_c."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), targets)

    return loss


def class_weighted(config: LossConfig, class_counts: Tensor) -> Loss:
    """Cross-entropy in which every class counts alike: weights w_c = n / (C n_c).

    The mean is weighted too (divided by the sum of the targets' weights), as PyTorch does for
    hard labels. A class without training images has weight 0.
    """
    counts = class_counts.float()
    weights = counts.sum() / (len(counts) * counts.clamp(min=1)) * (counts > 0)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        weighted = soft(targets, logits.shape[1]) * weights.to(logits.device)
        losses = -(weighted * F.log_softmax(logits.float(), dim=1)).sum()
        return losses / weighted.sum().clamp(min=_SMALLEST)

    return loss


def focal(config: LossConfig, class_counts: Tensor) -> Loss:
    """Focal loss, mean of -sum_c t_c (1 - p_c)^gamma log p_c (Lin et al. 2017), without alpha."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        log_p = F.log_softmax(logits.float(), dim=1)
        doubt = (-torch.expm1(log_p)).clamp(min=_SMALLEST)  # 1 - p, exact near p = 1
        losses = soft(targets, logits.shape[1]) * doubt.pow(config.focal_gamma) * log_p
        return -losses.sum(dim=1).mean()

    return loss


def label_smoothing(config: LossConfig, class_counts: Tensor) -> Loss:
    """Cross-entropy against (1 - s) t + s / C (Szegedy et al. 2016)."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)

    return loss


def soft(targets: Tensor, num_classes: int) -> Tensor:
    """`targets` as shares of the classes, (N, C) float32; soft ones come back as they are."""
    if targets.ndim == 2:
        return targets.float()
    return F.one_hot(targets, num_classes).float()


LOSSES: dict[str, LossBuilder] = {
    "cross_entropy": cross_entropy,
    "class_weighted": class_weighted,
    "focal": focal,
    "label_smoothing": label_smoothing,
}
