"""Arrays in, numbers out: how good are predictions? NumPy only.

Throughout, `labels` and `predicted` are (N,) integers below `num_classes`, `probabilities` is
(N, C) with rows that sum to one, and N may be 0 where None is an allowed answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer[Any]]
Reals = npt.NDArray[np.floating[Any]]

SHARES = frozenset({"accuracy", "acc", "f1", "recall", "precision", "auc", "auroc"})
"""Last words of the names of metrics that are shares, of images for example."""


def is_share(metric: str) -> bool:
    """Whether a metric is a share by its name, as ``val_accuracy`` is and ``mse`` is not.

    That its values lie between 0 and 1 does not make it one: an error in metres may do so too, and
    in micrometres it would not.
    """
    return metric.lower().rsplit("_", 1)[-1] in SHARES


def confusion_matrix(labels: Labels, predicted: Labels, num_classes: int) -> npt.NDArray[np.int64]:
    """Counts (C, C): row the true class, column the predicted one."""
    pairs = labels.astype(np.int64) * num_classes + predicted.astype(np.int64)
    counts = np.bincount(pairs, minlength=num_classes**2).astype(np.int64)
    return counts.reshape(num_classes, num_classes)


def accuracy(confusion: npt.NDArray[np.int64]) -> float | None:
    """The share of hits; None without any image."""
    total = int(confusion.sum())
    return float(np.trace(confusion)) / total if total else None


def recall(confusion: npt.NDArray[np.int64]) -> list[float | None]:
    """The share of hits of each class; None for a class without an image."""
    hits, counts = np.diag(confusion), confusion.sum(axis=1)
    return [int(h) / int(n) if n else None for h, n in zip(hits, counts, strict=True)]


def macro_f1(confusion: npt.NDArray[np.int64]) -> float | None:
    """The mean F1 over the classes that occur, as a label or as a prediction."""
    hits = np.diag(confusion)
    occurrences = confusion.sum(axis=0) + confusion.sum(axis=1)
    occurs = occurrences > 0
    if not occurs.any():
        return None
    return float(np.mean(2 * hits[occurs] / occurrences[occurs]))


def calibration_error(probabilities: Reals, labels: Labels, num_bins: int = 15) -> float | None:
    """Expected calibration error: the gap between confidence and accuracy (Guo et al., 2017).

    The confidences of the predicted classes are put into `num_bins` bins of equal width, closed
    on the right; the gaps of the bins are weighted by their share of the images.
    """
    if len(labels) == 0:
        return None
    confidence = probabilities.max(axis=1).astype(np.float64)
    hit = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    edges = np.linspace(0.0, 1.0, num_bins + 1)[1:-1]
    bins = np.digitize(confidence, edges, right=True)
    gaps = np.bincount(bins, weights=hit - confidence, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(labels))


def evaluate(probabilities: Reals, labels: Labels) -> dict[str, Any]:
    """All of them by name: accuracy, macro_f1, recall and ece."""
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    return {
        "accuracy": accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "recall": recall(confusion),
        "ece": calibration_error(probabilities, labels),
    }
