"""Ray: started quietly or joined, told to run a search, and shut down again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import ray
from ray import tune

from deepsight.config import UserError
from deepsight.tune.order import make_order
from deepsight.tune.preflight import local_cpus
from deepsight.tune.ray_adapter import RESTARTS, Failures, RayScheduler, RaySearcher, Seam
from deepsight.tune.search import Search
from deepsight.tune.study import StudyPlan
from deepsight.tune.worker import TrialActor

OBJECT_STORE_BYTES = 128 * 2**20
"""Ray's shared memory: nothing of ours goes through it but small texts."""


class ClusterError(UserError):
    """Ray could not be started or reached."""

    exit_code = 5


def run_on_ray(
    search: Search, directory: Path, address: str | None, started: Callable[[], None]
) -> None:
    """Let Ray Tune run `search` until it is exhausted or told to stop; `started`: Ray is up."""
    plan = search.plan
    _silence_ray()
    seam = Seam(search, lambda proposal, known: make_order(plan, directory, proposal, known))
    try:
        _start_ray(plan, address)
        started()
        per_trial = _resources_per_trial(plan, ray.cluster_resources())
        seam.slots = _slots(plan, per_trial, ray.cluster_resources())
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
            max_failures=RESTARTS,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
            trial_name_creator=lambda trial: str(trial.trial_id),
        )
    except Exception:
        if seam.error is not None:
            raise seam.error from None
        raise
    finally:
        ray.shutdown()
    if seam.error is not None:
        raise seam.error


def _silence_ray() -> None:
    for name in ("ray", "ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _start_ray(plan: StudyPlan, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": False}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=local_cpus(plan),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ClusterError(
            f"Ray cannot be {'reached at ' + address if address else 'started'}: {reason}.",
            "Check --address and that the cluster runs." if address
            else "Free memory and disk space in /tmp, then try again.",
        ) from error  # fmt: skip


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
