"""The result that training yields after every epoch. Importing this module imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class EpochResult:
    """One epoch of one trial, as `deepsight.training.trial.train_trial` yields it.

    Attributes:
        metrics: The results row: ``epoch`` (from 1), ``wall_s``, ``busy_s`` (inside training and
            validation steps), ``train_loss``, ``val_loss``, ``val_accuracy``, ``val_macro_f1``,
            ``val_recall`` (one a class), ``val_ece``, ``lr``, ``images_per_s``. Plain numbers,
            None where there is none; never NaN or infinite.
        state: The state to resume from. It refers to the tensors in training: save it before asking
            for the next epoch. None if the trial diverged.
        predictions: ``probabilities`` (N, C) float16 and ``labels`` (N,) int64 of the val split.
        images: At most 16 augmented inputs, (N, H, W, 3) uint8; with the first epoch only.
        diverged: Whether the loss stopped being finite. This is then the last result, and what
            could not be measured is None.
    """

    metrics: dict[str, Any]
    state: dict[str, Any] | None = None
    predictions: dict[str, npt.NDArray[Any]] | None = None
    images: npt.NDArray[np.uint8] | None = None
    diverged: bool = False
