"""All that is computed of one study, once, for every section of its report."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.importance.sensitivity import Explained, explain
from analysis.statistics.coordinates import Coordinates, compute_coordinates
from analysis.statistics.cost import Cost, compute_cost
from analysis.statistics.early_stopping import Rungs, compute_rungs
from analysis.statistics.incumbent import Standing, compute_standing
from analysis.statistics.trajectory import Trajectory, compute_trajectory
from analysis.summary import Summary, compute_summary
from deepsight.run_store import Study


@dataclass(frozen=True)
class Conclusions:
    """What one study says."""

    study: Study
    summary: Summary
    standing: Standing
    trajectory: Trajectory
    coordinates: Coordinates
    rungs: Rungs
    cost: Cost
    explained: Explained | None
    """None where it was not asked for."""


def conclude(study: Study, seed: int = 0, model: bool = True) -> Conclusions:
    """Compute everything a report shows.

    Args:
        study: What `load_study` returned.
        seed: Of resampling and of the surrogate.
        model: Whether to fit the surrogate, which takes most of the time.
    """
    return Conclusions(
        study=study,
        summary=compute_summary(study),
        standing=compute_standing(study),
        trajectory=compute_trajectory(study),
        coordinates=compute_coordinates(study),
        rungs=compute_rungs(study),
        cost=compute_cost(study),
        explained=explain(study, seed) if model else None,
    )
