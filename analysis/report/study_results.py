"""All that is computed of one study, once, for every section of its report."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.importance.sensitivity import Sensitivity, compute_sensitivity
from analysis.statistics.coordinates import Coordinates, compute_coordinates
from analysis.statistics.cost import Cost, compute_cost
from analysis.statistics.early_stopping import EarlyStopping, compute_early_stopping
from analysis.statistics.incumbent import Incumbent, compute_incumbent
from analysis.statistics.trajectory import Trajectory, compute_trajectory
from analysis.summary import Summary, compute_summary
from deepsight.confirm.record import ABLATION_FILE, Confirmation, load_confirmation
from deepsight.run_store import Study


@dataclass(frozen=True)
class StudyResults:
    """The numbers of one study."""

    study: Study
    summary: Summary
    incumbent: Incumbent
    trajectory: Trajectory
    coordinates: Coordinates
    early_stopping: EarlyStopping
    cost: Cost
    sensitivity: Sensitivity
    confirmation: Confirmation | None
    """None before `deepsight.confirm` was run."""
    ablation: Confirmation | None
    """None before ``deepsight.confirm --ablate`` was run."""


def compute_study_results(
    study: Study, seed: int = 0, sensitivity: Sensitivity | None = None, processes: int = 1
) -> StudyResults:
    """Compute everything a report shows.

    Args:
        study: What `load_study` returned.
        seed: Of resampling and of the surrogate.
        sensitivity: Where it was computed before; it takes nearly all of the time.
        processes: As `compute_sensitivity` takes it.
    """
    return StudyResults(
        study=study,
        summary=compute_summary(study),
        incumbent=compute_incumbent(study),
        trajectory=compute_trajectory(study),
        coordinates=compute_coordinates(study),
        early_stopping=compute_early_stopping(study),
        cost=compute_cost(study),
        sensitivity=sensitivity or compute_sensitivity(study, seed, processes),
        confirmation=load_confirmation(study.directory),
        ablation=load_confirmation(study.directory, ABLATION_FILE),
    )
