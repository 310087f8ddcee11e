"""Metrics that are known by name: which direction is better, and the least that is worth having.

A search that maximised a loss would be wrong in silence. So the direction comes from this table;
a metric that is not in it is searched only if its direction is stated.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deepsight.config import StudySettings, UserError, unknown


@dataclass(frozen=True)
class KnownMetric:
    """What is known of a metric."""

    mode: str
    """``max`` or ``min``."""
    target: float | None = None
    """Minimum viable value unless another is asked for; None for what has no common scale."""


REPORTED: dict[str, KnownMetric] = {
    "val_accuracy": KnownMetric("max", 0.65),
    "val_macro_f1": KnownMetric("max", 0.65),
    "val_loss": KnownMetric("min"),
    "val_ece": KnownMetric("min"),
    "train_loss": KnownMetric("min"),
}
"""What DeepSight's own training reports and a search may improve."""

USUAL: dict[str, KnownMetric] = {
    **dict.fromkeys(("accuracy", "acc", "macro_f1"), KnownMetric("max", 0.65)),
    **dict.fromkeys(("f1", "auc", "auroc", "precision", "recall", "score"), KnownMetric("max")),
    **dict.fromkeys(("loss", "error", "ece", "mae", "mse", "rmse"), KnownMetric("min")),
}
"""Metrics of trainables of one's own, by their names without the split."""
SPLITS = ("train_", "training_", "val_", "valid_", "validation_", "test_", "eval_")
"""What a name may begin with."""


def known_metric(name: str) -> KnownMetric | None:
    """What is known of the metric called `name`, or None.

    >>> known_metric("val_loss").mode, known_metric("neg_loss")
    ('min', None)
    """
    split = next((s for s in SPLITS if name.startswith(s)), "")
    return REPORTED.get(name) or USUAL.get(name.removeprefix(split))


def with_objective(settings: StudySettings, own_trainable: bool) -> StudySettings:
    """`settings` with the direction and the target of their metric decided.

    Args:
        settings: As asked for; mode and target may be ``auto``.
        own_trainable: Whether a trainable of the user's reports the metrics.

    Raises:
        UserError: If the metric is none that DeepSight's training reports, its direction is
            neither known nor stated, or what is stated is the wrong one.
    """
    name, known = settings.metric, known_metric(settings.metric)
    if not own_trainable and name not in REPORTED:
        raise unknown("study.metric", name, REPORTED)
    if settings.mode == "auto" and known is None:
        raise UserError(
            f"study.metric={name}: whether more or less of it is better is not known.",
            "State it: study.mode=max where more is better, study.mode=min where less is.",
        )
    mode = known.mode if known and settings.mode == "auto" else settings.mode
    if known and mode != known.mode and not own_trainable:
        better = "more" if known.mode == "max" else "less"
        raise UserError(
            f"study.mode={mode} would look for the worst {name}: {better} of it is better.",
            "Leave study.mode out.",
        )
    target = settings.target
    if target == "auto":
        target = known.target if known and known.mode == mode else None
    return dataclasses.replace(settings, mode=mode, target=None if target == "none" else target)


def missing_metric(metric: str, row: Mapping[str, Any]) -> UserError:
    """The error of a first report that lacks the study's metric."""
    numbers = sorted(
        name
        for name, value in row.items()
        if isinstance(value, int | float) and name not in ("epoch", "time")
    )
    near = difflib.get_close_matches(metric, numbers, n=1)
    return UserError(
        f"the trainable reports no {metric}, which study.metric names; "
        f"it reports {', '.join(numbers) or 'no number at all'}.",
        f"Start a new study with study.metric={near[0]}."
        if near
        else "Start a new study whose study.metric is one of these, or yield that name.",
    )
