"""What the first trial needs: data packed once, starting weights. Light: no torch."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from deepsight.config import TrialConfig
from deepsight.data.table import check_source, load_dataset
from deepsight.models.weights import check_weights, require_weights

logger = logging.getLogger(__name__)


def check(configs: Iterable[TrialConfig]) -> None:
    """Look for what is missing within a second or two, before anything is started.

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
