"""A plain convolutional network whose every dimension is a hyperparameter."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from deepsight.config import ModelConfig, TrialConfig

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "mish": nn.Mish,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
}

MAX_CHANNELS = 512
"""Where the doubling of the channels stops (a wider first block keeps its width)."""

SMALLEST_MAP = 2
"""Side in pixels below which no map is pooled: averaging 2x2 still tells more than 1x1."""


class ScratchCNN(nn.Module):
    """Blocks of convolution, pooling, norm and activation; global average; dense layers.

    Pooling before norm and activation leaves these a quarter of the pixels; the average before
    the dense layers makes every weight independent of the image size.
    """

    def __init__(self, config: ModelConfig, num_classes: int, image_size: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels, side = 3, image_size
        for index in range(config.depth):
            width = min(config.width * 2**index, max(MAX_CHANNELS, config.width))
            pool = side // 2 >= SMALLEST_MAP
            blocks.append(_block(config, channels, width, pool))
            channels, side = width, side // 2 if pool else side
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = _head(config, channels, num_classes)
        for module in self.modules():
            _initialise(module)

    def forward(self, images: Tensor) -> Tensor:
        """Classify.

        Args:
            images: (N, 3, H, W), float, normalised.

        Returns:
            Logits, (N, C).
        """
        return self.head(self.pool(self.blocks(images)).flatten(1))  # type: ignore[no-any-return]

    def stage_modules(self) -> list[list[nn.Module]]:
        """The parts that `deepsight.models.finetune.stages` hands out: blocks, then the head."""
        return [[block] for block in self.blocks] + [[self.head]]


def build_scratch_cnn(config: TrialConfig, num_classes: int, image_size: int) -> nn.Module:
    """The network that ``model.*`` describes, with random weights."""
    return ScratchCNN(config.model, num_classes, image_size)


def dense_widths(config: ModelConfig) -> list[int]:
    """Units of every hidden dense layer, the first one first; never fewer than 8."""
    factor = {"same": 1.0, "halving": 0.5, "doubling": 2.0}[config.dense_strategy]
    return [max(8, int(config.dense_width * factor**i)) for i in range(config.dense_layers)]


def _block(config: ModelConfig, channels: int, width: int, pool: bool) -> nn.Sequential:
    size = config.kernel_size
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, size, padding=size // 2, bias=not config.batch_norm)
    ]
    if pool:
        layers.append(nn.MaxPool2d(2))
    if config.batch_norm:
        layers.append(nn.BatchNorm2d(width))
    layers.append(ACTIVATIONS[config.activation]())
    return nn.Sequential(*layers)


def _head(config: ModelConfig, features: int, num_classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in dense_widths(config):
        layers += [
            nn.Dropout(config.dropout),
            nn.Linear(features, width),
            ACTIVATIONS[config.dense_activation](),
        ]
        features = width
    return nn.Sequential(*layers, nn.Dropout(config.dropout), nn.Linear(features, num_classes))


def _initialise(module: nn.Module) -> None:
    """He et al. (2015): keeps the signal's variance through layers without batch norm."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
