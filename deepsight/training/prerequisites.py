"""Prerequisites of the first trial: packed data and starting weights. Imports no torch."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepsight.config import TrialConfig
from deepsight.data.cache import cache_dir, make_directory
from deepsight.data.datasets import check_source, load_dataset
from deepsight.models.weights import check_weights, require_weights, weights_file

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
        UserError: If a data set or weights cannot be had.
    """
    described: dict[str, Any] = {}
    for config in configs:
        dataset = load_dataset(config.data)
        require_weights(config)
        described = described or {
            "name": dataset.name,
            "classes": list(dataset.classes),
            "counts": {split: dict(classes) for split, classes in dataset.counts.items()},
            "image_size": dataset.image_size,
            "fingerprint": dataset.fingerprint,
            "source": dataset.source,
            "dropped": dict(dataset.dropped),
        }
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
        if weights is not None and not weights.is_relative_to(cache):
            paths.add(weights)
    return cache, sorted(str(path.absolute()) for path in paths)
