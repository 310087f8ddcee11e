"""All numbers of one trained model on one split, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.diagnosis.calibration import Calibration, compute_calibration
from analysis.diagnosis.class_scores import Scores, compute_scores
from analysis.diagnosis.evaluation import Evaluation
from analysis.diagnosis.groups import GroupComparison, Groups, compare_groups
from analysis.diagnosis.names import figure_names
from deepsight.run_store import Opening, load_openings
from deepsight.trained_model import TrainedModel


@dataclass(frozen=True, eq=False)
class Results:
    """What figures, tables and sentences are made of."""

    model: TrainedModel
    evaluation: Evaluation
    scores: Scores
    calibration: Calibration
    groups: GroupComparison
    openings: Sequence[Opening]
    """Of the study's test split, so far."""
    names: tuple[str, ...]
    """What figures call the classes."""

    @property
    def split(self) -> str:
        """Which images: "test" or "val"."""
        return self.evaluation.split


def compute_results(model: TrainedModel, evaluation: Evaluation, groups: Groups) -> Results:
    """All numbers of a split.

    Args:
        model: What classified.
        evaluation: Its answers.
        groups: Of classes; may be empty.
    """
    scores = compute_scores(evaluation)
    return Results(
        model=model,
        evaluation=evaluation,
        scores=scores,
        calibration=compute_calibration(evaluation),
        groups=compare_groups(scores, groups),
        openings=load_openings(model.study.directory),
        names=figure_names(evaluation.classes),
    )
