"""What the tables train: generators ``(config, seed) -> (score, seconds)``, one pair an epoch.

A score is the accuracy on the validation split. A training that breaks down ends early. Seconds
are those of one core (`time.process_time`): other work beside it does not count.
"""

from __future__ import annotations

import gzip
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepsight.config import Value

FASHION = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
"""Where the files of Fashion-MNIST are: Debian's package `dataset-fashion-mnist` puts them here."""

Curve = Iterator[tuple[float, float]]
Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


@cache
def _scans() -> Arrays:
    """scikit-learn's digits: training and validation pixels, then labels."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    return tuple(train_test_split(pixels / 16.0, labels, random_state=0, stratify=labels))  # type: ignore[return-value]


def _timed(model: Any, data: Arrays) -> Curve:
    """Epochs of a scikit-learn classifier, for ever."""
    x, x_val, y, y_val = data
    while True:
        began = time.process_time()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                model.partial_fit(x, y, classes=np.unique(y))
                score = float(model.score(x_val, y_val))
            except ValueError as error:
                if "finite" not in str(error) and "NaN" not in str(error):
                    raise
                return  # weights that overflowed
        yield score, time.process_time() - began


def sgd(config: Mapping[str, Value], seed: int) -> Curve:
    """A linear classifier on the scans."""
    from sklearn.linear_model import SGDClassifier

    given: dict[str, Any] = dict(config)
    return _timed(
        SGDClassifier(
            loss=given["loss"],
            penalty=given["penalty"],
            alpha=given["alpha"],
            l1_ratio=given["l1_ratio"] or 0.0,
            learning_rate=given["schedule"],
            eta0=given["rate"],
            power_t=given["power"] or 0.5,
            average=given["average"],
            random_state=seed,
        ),
        _scans(),
    )


def mlp(config: Mapping[str, Value], seed: int) -> Curve:
    """A multi-layer perceptron on the scans."""
    from sklearn.neural_network import MLPClassifier

    given: dict[str, Any] = dict(config)
    return _timed(
        MLPClassifier(
            hidden_layer_sizes=(given["width"],) * given["layers"],
            solver=given["solver"],
            learning_rate_init=given["rate"],
            momentum=given["momentum"] or 0.0,
            beta_1=given["beta"] or 0.9,
            activation=given["activation"],
            alpha=given["alpha"],
            batch_size=given["batch_size"],
            random_state=seed,
        ),
        _scans(),
    )


def trial(config: Mapping[str, Value], seed: int) -> Curve:
    """DeepSight's own training loop, which nobody stops."""
    from deepsight.config import trial_config
    from deepsight.training.trial import train_trial

    began = time.process_time()
    for result in train_trial(trial_config({**config, "train.seed": seed})):
        score = result.metrics["val_accuracy"]
        if result.diverged or score is None or not math.isfinite(score):
            return
        yield float(score), time.process_time() - began
        began = time.process_time()


def read_fashion(split: str, num: int) -> tuple[Any, Any]:
    """The first `num` of Fashion-MNIST's "train" or "t10k": (N, 28, 28, 3) uint8 and labels (N,).

    Raises:
        UserError: If the files are not there.
    """
    from deepsight.config import UserError

    files = [FASHION / f"{split}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
    if not all(file.exists() for file in files):
        raise UserError(
            f"no Fashion-MNIST in {FASHION}.",
            "Install Debian's package dataset-fashion-mnist, or name its folder in FASHION_MNIST.",
        )
    pixels, labels = (gzip.decompress(file.read_bytes()) for file in files)
    grey = np.frombuffer(pixels, np.uint8, num * 28 * 28, 16).reshape(num, 28, 28, 1)
    return np.repeat(grey, 3, axis=3), np.frombuffer(labels, np.uint8, num, 8).astype(np.int64)


def fashion(config: object, num: int = 1500) -> Any:
    """The first `num` training images of Fashion-MNIST, 28x28 pixels, as a data set of DeepSight's.

    Raises:
        UserError: If the files are not there.
    """
    from deepsight.data.raw import RawData

    images, labels = read_fashion("train", num)
    return RawData(
        images=images,
        labels=labels,
        classes=(
            "top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "boot",
        ),
        source=f"Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), {num} training images",
    )


def few_clothes(config: object) -> Any:
    """Fewer of them, for networks that take longer."""
    return fashion(config, num=800)


def many_clothes(config: object) -> Any:
    """As many as `toy_objects` has pictures."""
    return fashion(config, num=5000)
