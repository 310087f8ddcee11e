"""`finetune` and what the network sees: stem, input size, interpolation. Made for a GPU.

Eleven hyperparameters. The larger maps cost 4 to 16 times the arithmetic of `finetune` on 32x32
images.
"""

from deepsight.search_spaces import finetune
from deepsight.space import choice

FIXED = finetune.FIXED

SPACE = {
    **finetune.SPACE,
    "model.stem": choice("imagenet", "no_pool", "cifar"),
    "data.image_size": choice(0, 64, 96),
    "data.interpolation": choice("bilinear", "bicubic"),
}
