"""Residual networks: torchvision's ResNet18 and 50 with a stem of choice, and CIFAR's ResNet20."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepsight.config import ModelConfig, TrialConfig
from deepsight.models.postponed_compiler import compiler_postponed

with compiler_postponed():
    from torchvision.models import ResNet as ResNet
    from torchvision.models import resnet18, resnet50

_CIFAR_STEM = 3
"""Side of the `cifar` stem's kernel."""


def build_resnet18(config: TrialConfig, num_classes: int, image_size: int) -> nn.Module:
    """ResNet18 of torchvision with the stem and the head that ``model.*`` describes."""
    return _adapted(resnet18(num_classes=num_classes), config.model)


def build_resnet50(config: TrialConfig, num_classes: int, image_size: int) -> nn.Module:
    """ResNet50 of torchvision with the stem and the head that ``model.*`` describes."""
    return _adapted(resnet50(num_classes=num_classes), config.model)


def _adapted(model: ResNet, config: ModelConfig) -> nn.Module:
    if config.stem != "imagenet":
        model.maxpool = nn.Identity()
    if config.stem == "cifar":
        model.conv1 = nn.Conv2d(3, model.conv1.out_channels, _CIFAR_STEM, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.fc = nn.Sequential(nn.Dropout(config.dropout), model.fc)
    adapted: nn.Module = model
    return adapted


def fit_stem(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """`state` with a 7x7 first kernel cut to its centre where `model` has a 3x3 one.

    The taps are kept as they are, not rescaled: docs/models.md has the measurement.
    """
    kernel, own = state.get("conv1.weight"), getattr(model, "conv1", None)
    if kernel is None or own is None or own.weight.shape[-1] >= kernel.shape[-1]:
        return state
    border = (kernel.shape[-1] - own.weight.shape[-1]) // 2
    return state | {"conv1.weight": kernel[:, :, border:-border, border:-border].contiguous()}


def residual_stages(model: ResNet) -> list[list[nn.Module]]:
    """The parts of a torchvision ResNet for `deepsight.models.finetune.stages`."""
    blocks = [*model.layer1, *model.layer2, *model.layer3, *model.layer4]
    return quarters([model.conv1, model.bn1], blocks) + [[model.fc]]


def quarters(stem: list[nn.Module], blocks: list[nn.Module]) -> list[list[nn.Module]]:
    """Four stages of as equal numbers of blocks as can be, the stem with the lowest."""
    cuts = [round(len(blocks) * k / 4) for k in range(5)]
    parts = [blocks[low:high] for low, high in zip(cuts, cuts[1:], strict=False)]
    return [[*stem, *parts[0]], *parts[1:]]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters (option A of He et al. 2016)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride, self.widening = stride, width - channels
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, width, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.widening:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.widening))
        return F.relu(out + shortcut)


class CifarResNet20(nn.Module):
    """The 20-layer network for 32x32 images of He et al. (2016), section 4.2: 16, 32, 64 channels.

    Dropout before the classifier is the one addition.
    """

    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        shapes = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2
        shapes += [(32, 64, 2)] + [(64, 64, 1)] * 2
        self.blocks = nn.Sequential(*(BasicBlock(*shape) for shape in shapes))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(nn.Dropout(dropout), nn.Linear(64, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Classify `images`, (N, 3, H, W) float, normalised; logits (N, C)."""
        maps = self.blocks(F.relu(self.bn1(self.conv1(images))))
        logits: Tensor = self.fc(torch.flatten(self.pool(maps), 1))
        return logits

    def stage_modules(self) -> list[list[nn.Module]]:
        """The parts that `deepsight.models.finetune.stages` hands out."""
        return quarters([self.conv1, self.bn1], list(self.blocks)) + [[self.fc]]


def build_resnet20_cifar(config: TrialConfig, num_classes: int, image_size: int) -> nn.Module:
    """CIFAR's ResNet20; it has a stem of its own, so that ``model.stem`` does not matter."""
    return CifarResNet20(num_classes, config.model.dropout)


RESNETS: dict[str, Callable[[TrialConfig, int, int], nn.Module]] = {
    "resnet18": build_resnet18,
    "resnet50": build_resnet50,
    "resnet20_cifar": build_resnet20_cifar,
}
