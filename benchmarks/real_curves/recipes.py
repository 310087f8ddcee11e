"""The tables by name: what is trained, over which space, how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.real_curves import spaces, train
from deepsight.config import Value
from deepsight.space import Domain
from search_spaces import quickstart


@dataclass(frozen=True)
class Recipe:
    """How one table is made."""

    what: str
    """One line for the documentation."""
    space: Mapping[str, Domain]
    train: Callable[[Mapping[str, Value], int], train.Curve]
    epochs: int = 9
    """The full budget."""
    configs: int = 1000
    """Uniformly random ones, each trained to the full budget on one seed."""
    repeated: int = 50
    """The first so many are trained on `seeds` seeds in all."""
    seeds: int = 5
    design: int = 0
    """The first so many are what the search and the analysis were designed on; 0: a table that
    nobody looked at before the final run."""
    fixed: Mapping[str, Value] = field(default_factory=dict)


PLAIN_NET: dict[str, Value] = {
    "model.name": "scratch_cnn",
    "model.depth": 3,
    "model.width": 8,
    "model.dense_layers": 0,
    "optim.name": "sgd",
}
RESNET: dict[str, Value] = {"model.name": "resnet18", "model.weights": "embedded"}
SPLIT: dict[str, Value] = {"data.val_fraction": 0.5, "data.test_fraction": 0.1}
"""Half of the images tell the score: little noise for little time."""

RECIPES: dict[str, Recipe] = {
    "sgd_digits": Recipe(
        "scikit-learn's linear classifier on its scans of digits",
        spaces.SGD,
        train.sgd,
        configs=1500,
    ),
    "mlp_digits": Recipe(
        "scikit-learn's multi-layer perceptron on its scans of digits",
        spaces.MLP,
        train.mlp,
        configs=2000,
        design=1000,
    ),
    "cnn_digits": Recipe(
        "a small network on scikit-learn's scans of digits",
        spaces.PLAIN,
        train.trial,
        design=400,
        fixed=PLAIN_NET | SPLIT | {"data.name": "digits"},
    ),
    "cnn_objects": Recipe(
        "a small network on drawn objects",
        spaces.SCRATCH,
        train.trial,
        fixed=SPLIT | {"model.name": "scratch_cnn", "data.name": "toy_objects", "data.size": 1500},
    ),
    "cnn_fashion": Recipe(
        "a small network on photographs of clothes",
        spaces.CLOTHES,
        train.trial,
        fixed=PLAIN_NET | SPLIT | {"data.name": "benchmarks.real_curves.train:fashion"},
    ),
    "resnet_digits": Recipe(
        "a pretrained ResNet18 on scikit-learn's scans of digits",
        spaces.TUNED,
        train.trial,
        epochs=6,
        configs=400,
        fixed=RESNET
        | {
            "data.name": "digits",
            "data.image_size": 32,
            "data.val_fraction": 0.5,
            "data.test_fraction": 0.2,
        },
    ),
    "resnet_fashion": Recipe(
        "a pretrained ResNet18 on photographs of clothes",
        spaces.TUNED,
        train.trial,
        epochs=6,
        configs=400,
        fixed=RESNET
        | {
            "data.name": "benchmarks.real_curves.train:few_clothes",
            "data.image_size": 32,
            "data.val_fraction": 0.5,
            "data.test_fraction": 0.05,
        },
    ),
    "resnet_objects": Recipe(
        "the quickstart: a pretrained ResNet18 on drawn objects",
        quickstart.SPACE,
        train.trial,
        epochs=4,
        configs=240,
        repeated=20,
        seeds=3,
        design=240,
        fixed=quickstart.FIXED
        | {"model.weights": "embedded", "data.name": "toy_objects", "data.size": 2000},
    ),
}
"""What `python -m benchmarks.real_curves.make NAME` makes."""
