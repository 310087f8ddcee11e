"""Prerequisites of the first trial: packed data and starting weights. Imports no torch."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepsight.config import TrialConfig
from deepsight.data.cache import cache_dir, make_directory
from deepsight.data.datasets import Dataset, check_source, open_named, pack_dataset, preview
from deepsight.data.raw import left_out
from deepsight.models.weights import check_weights, is_packaged, require_weights, weights_file
from deepsight.training.focus_pairs import parse_pairs

__all__ = ["check", "describe", "files", "open_named", "prepare", "preview"]

logger = logging.getLogger(__name__)


def check(configs: Iterable[TrialConfig]) -> None:
    """Check within a second or two, before anything starts, that data and weights are available.

    Raises:
        UserError: If a data set or weights cannot be had.
    """
    for config in configs:
        check_source(config.data)
        check_weights(config)


def prepare(configs: Iterable[TrialConfig]) -> dict[str, Any]:
    """Pack the data and fetch or make the weights that `configs` need, once each.

    Returns:
        The ``data`` field of ``study.json``, of the first config's data set.

    Raises:
        UserError: If a data set or weights cannot be had, or ``train.focus_pairs`` names classes
            that the data set has not.
    """
    described: dict[str, Any] = {}
    packs: dict[str, dict[str, str]] = {}
    classes: dict[str, tuple[str, ...]] = {}
    for config in configs:
        if config.data.name not in packs:
            dataset = pack_dataset(config.data)
            packs[config.data.name] = {
                "pack": dataset.path.name,
                "fingerprint": dataset.fingerprint,
            }
            described = described or describe(dataset)
            classes[config.data.name] = dataset.classes
        parse_pairs(config.train.focus_pairs, classes[config.data.name])
        require_weights(config)
    return described | {"packs": packs}


def describe(dataset: Dataset) -> dict[str, Any]:
    """What ``study.json`` says of a data set."""
    described = {
        "name": dataset.name,
        "classes": list(dataset.classes),
        "counts": {split: dict(classes) for split, classes in dataset.counts.items()},
        "image_size": dataset.image_size,
        "fingerprint": dataset.fingerprint,
        "source": dataset.source,
        "dropped": dict(dataset.dropped),
        "left_out": left_out(dataset.dropped),
    }
    if "defects" in dataset.made_from:
        described["defects"] = dataset.made_from["defects"]
    if dataset.value_range is not None:
        described["value_range"] = dict(dataset.value_range)
    return described


def files(configs: Iterable[TrialConfig]) -> tuple[Path, list[str]]:
    """Files that every machine with trials must see.

    Returns:
        The cache's directory, made if it was not there, and the user's own folders of images and
        files of weights.

    Raises:
        UserError: If the cache cannot be made.
    """
    cache = cache_dir()
    make_directory(cache)
    paths = set()
    for config in configs:
        if config.data.name.startswith("folder:"):
            paths.add(Path(config.data.name.removeprefix("folder:")).expanduser())
        weights = weights_file(config)
        if weights is None or weights.is_relative_to(cache) or is_packaged(weights):
            continue  # a package is wherever it is installed
        paths.add(weights)
    return cache, sorted(str(path.absolute()) for path in paths)
