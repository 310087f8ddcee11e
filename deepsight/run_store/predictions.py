"""What a trial said of the validation images after its last epoch: ``predictions.npz``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepsight.files import FileRefusedError, open_arrays, write_arrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREDICTIONS_FILE = "predictions.npz"
MOST_BYTES = 1 << 30
"""Of a file that is read: ten times those of ImageNet's validation images."""

logger = logging.getLogger(__name__)


def write_predictions(trial: Path, predictions: Mapping[str, NDArray[Any]]) -> None:
    """Write a trial's predictions; the file is the old one or the new one, never half of one.

    Args:
        trial: The trial's folder.
        predictions: ``probabilities`` (N, C) float16 and ``labels`` (N,) int64.

    Raises:
        OSError: If the disk does not let us write.
    """
    write_arrays(trial, [PREDICTIONS_FILE], predictions)


def read_hits(study: Path, trial_id: str, num_images: int) -> NDArray[np.bool_] | None:
    """Which validation images a trial classified right after its last epoch.

    Args:
        study: The study's directory; no link in it is followed.
        trial_id: The trial.
        num_images: Of the validation split.

    Returns:
        (num_images,), in the order of the packed split; None where nothing is stored, or where the
        file is damaged, of other images, larger than `MOST_BYTES` or cannot be read, then with a
        warning.

    Raises:
        FileRefusedError: If a link or a special file stands there.
    """
    parts = ["trials", trial_id, PREDICTIONS_FILE]
    try:
        with open_arrays(study, parts, MOST_BYTES) as stored:
            probabilities, labels = stored["probabilities"], stored["labels"]
        kinds = probabilities.dtype.kind + labels.dtype.kind  # before anything loops over them
        shapes = (probabilities.shape[:1], labels.shape, (num_images,))
        if kinds not in ("fi", "fu") or probabilities.ndim != 2 or len(set(shapes)) > 1:
            raise ValueError(f"{probabilities.dtype}, {labels.dtype}, {shapes}")
        hits: NDArray[np.bool_] = probabilities.argmax(axis=1) == labels
        return hits
    except FileNotFoundError:
        return None
    except FileRefusedError:
        raise
    except Exception as error:  # a torn archive raises many kinds, from zipfile's to KeyError
        logger.warning("%s is left out: %s", study.joinpath(*parts), error)
        return None
