"""Ray Tune, told to run a search."""

from __future__ import annotations

from pathlib import Path

import ray
from ray import tune

from deepsight.tune.order import make_order
from deepsight.tune.ray_adapter import Failures, RayScheduler, RaySearcher, Seam
from deepsight.tune.ray_start import ClusterError
from deepsight.tune.search import Search
from deepsight.tune.study import StudyPlan
from deepsight.tune.worker import TrialActor


def run_on_ray(search: Search, directory: Path) -> None:
    """Let Ray Tune, which is up, run `search` until it is exhausted or told to stop."""
    plan = search.plan
    seam = Seam(search, lambda proposal, known: make_order(plan, directory, proposal, known))
    per_trial = _resources_per_trial(plan, ray.cluster_resources())
    seam.slots = _slots(plan, per_trial, ray.cluster_resources())
    try:
        tune.run(
            tune.with_resources(TrialActor, per_trial),
            name="ray",
            storage_path=str(directory),
            search_alg=RaySearcher(seam),
            scheduler=RayScheduler(seam),
            callbacks=[Failures(seam)],
            num_samples=-1,
            reuse_actors=True,
            verbose=0,
            raise_on_failed_trial=False,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
            trial_name_creator=lambda trial: str(trial.trial_id),
        )
    except Exception:  # ours come out of Ray as texts: the kept one is raised instead
        if seam.error is None:
            raise
    if seam.error is not None:
        raise seam.error


def _resources_per_trial(plan: StudyPlan, cluster: dict[str, float]) -> dict[str, float]:
    """What Ray reserves for a trial; a whole GPU where training uses one unless told otherwise."""
    gpus = plan.resources.gpus_per_trial
    if not gpus and plan.fixed.get("hardware.device") == "cuda" and cluster.get("GPU"):
        gpus = 1.0
    return {"cpu": plan.resources.cpus_per_trial, "gpu": gpus}


def _slots(plan: StudyPlan, per_trial: dict[str, float], cluster: dict[str, float]) -> int:
    """How many trials fit at a time."""
    slots = int(cluster.get("CPU", 1) / per_trial["cpu"] + 1e-9)
    if per_trial["gpu"]:
        slots = min(slots, int(cluster.get("GPU", 0) / per_trial["gpu"] + 1e-9))
    if slots < 1:
        raise ClusterError(
            f"no trial fits: one wants {per_trial}, Ray has "
            f"{ {k: v for k, v in cluster.items() if k in ('CPU', 'GPU')} }.",
            "Lower resources.cpus_per_trial or resources.gpus_per_trial.",
        )
    return min(slots, plan.resources.max_parallel or slots)
