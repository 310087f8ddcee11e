"""Numbers for other programs: one column a number."""

from __future__ import annotations

from analysis.diagnosis.class_scores import Scores
from analysis.page.document import Cell, Table

MEASURES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "f1": "F1",
    "ece": "ECE",
    "overconfidence": "overconfidence",
    "hit_confidence": "confidence of hits",
    "error_confidence": "confidence of errors",
}
"""Of a class, as `ClassScores` and ``per_class.csv`` name them, and as pages do."""


def numbers_of_classes(scores: Scores) -> Table:
    """A row a class: every measure, its 95 % interval ``_low`` to ``_high`` and its ``_n``."""
    columns = ["class", "label", "images", "predicted", "hits"]
    for name in MEASURES:
        columns += [name, f"{name}_low", f"{name}_high", f"{name}_n"]
    rows = []
    for c in scores.classes:
        row: list[Cell] = [c.name, c.label, c.num_images, c.num_predicted, c.num_hits]
        for name in MEASURES:
            value = getattr(c, name)
            row += [None] * 4 if value is None else [value.value, value.low, value.high, value.n]
        rows.append(tuple(row))
    return Table("per_class", tuple(columns), tuple(rows))
