"""Evaluations made by hand: what was predicted, with how much confidence."""

import numpy as np

from analysis.diagnosis.evaluation import Evaluation


def hand_evaluation(labels, predicted, confidence=0.8, classes=("a", "b", "c"), **fields):
    """The rest of each row's probability is spread over the other classes."""
    labels, predicted = np.array(labels, np.int64), np.array(predicted, np.int64)
    confidence = np.broadcast_to(np.asarray(confidence, np.float64), labels.shape)
    num = len(classes)
    rest = (1 - confidence) / (num - 1)
    probabilities = np.repeat(rest[:, None], num, axis=1)
    probabilities[np.arange(len(labels)), predicted] = confidence
    given = {
        "classes": tuple(classes),
        "split": "test",
        "trial_id": "t0000",
        "sha256": "0" * 64,
        "fingerprint": "f",
        "probabilities": probabilities.astype(np.float32),
        "labels": labels,
        "features": np.zeros((len(labels), 2), np.float32),
        "ids": np.array([f"{i}.png" for i in range(len(labels))]),
    }
    return Evaluation(**given | fields)


def counted(confusion, confidence=0.8, **fields):
    """An evaluation with this confusion matrix."""
    cells = [(t, p) for t, row in enumerate(confusion) for p, n in enumerate(row) for _ in range(n)]
    labels, predicted = zip(*cells, strict=True)
    classes = fields.pop("classes", [chr(97 + i) for i in range(len(confusion))])
    return hand_evaluation(labels, predicted, confidence, classes, **fields)
