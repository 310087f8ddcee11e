"""Ray Tune, told to run a search: with what for each trial, and how many at a time."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray import tune

from deepsight.tune.plan import StudyPlan
from deepsight.tune.ray_backend.adapter import Failures, Forgetting, RayScheduler, RaySearcher, Seam
from deepsight.tune.ray_backend.gpu_sharing import trials_on_node
from deepsight.tune.ray_backend.gpu_sharing_probe import Packing, measure_packing
from deepsight.tune.ray_backend.patches import memory_kills_are_deaths
from deepsight.tune.ray_backend.start import ClusterError
from deepsight.tune.ray_backend.trial_spec import make_order
from deepsight.tune.ray_backend.worker import TrialActor
from deepsight.tune.search.search import Search

LOOK_S = 2.0
"""How often a joined cluster is asked which nodes it has."""

logger = logging.getLogger(__name__)


def run_on_ray(search: Search, header: Mapping[str, Any], joined: bool) -> None:
    """Let Ray Tune, which is up, run `search` until it is exhausted or told to stop.

    Args:
        search: What to run.
        header: The study's.
        joined: Whether the cluster is somebody else's, whose nodes come and go.
    """
    plan, directory = search.plan, search.writer.directory
    per_trial, measured = _resources_per_trial(search, header.get("resources", {}))
    slots = Slots(plan, per_trial, joined)
    search.slots = slots()
    _record(search, header, per_trial, measured)
    seam = Seam(search, lambda proposal, known: make_order(plan, directory, proposal, known), slots)
    try:
        with memory_kills_are_deaths():
            tune.run(
                tune.with_resources(TrialActor, per_trial),
                name="ray",
                storage_path=str(directory),
                search_alg=RaySearcher(seam),
                scheduler=RayScheduler(seam),
                callbacks=[Failures(seam), Forgetting()],
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


def alive_nodes() -> list[dict[str, Any]]:
    """The cluster's living nodes, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


class Slots:
    """How many trials run at a time."""

    def __init__(self, plan: StudyPlan, per_trial: Mapping[str, float], joined: bool) -> None:
        self._most, self._per_trial, self._joined = plan.resources.max_parallel, per_trial, joined
        self._known, self._until = 0, 0.0

    def __call__(self) -> int:
        """The number, for which a joined cluster is asked again now and then.

        There ``resources.max_parallel`` counts even where fewer fit: a trial that waits is what
        makes an autoscaler start nodes.

        Raises:
            ClusterError: If no trial fits and none ever did.
        """
        now = time.monotonic()
        if now < self._until:
            return self._known
        self._until = now + LOOK_S if self._joined else float("inf")
        nodes = [node["Resources"] for node in alive_nodes()]
        fit = sum(
            trials_on_node(self._per_trial, r.get("CPU", 0.0), r.get("GPU", 0.0)) for r in nodes
        )
        if self._joined and self._most:
            fit = self._most
        if fit < 1 and not self._known:
            raise _nothing_fits(self._per_trial, nodes)
        self._known = min(fit, self._most or fit)
        return max(self._known, 1)


def _nothing_fits(per_trial: Mapping[str, float], nodes: list[dict[str, float]]) -> ClusterError:
    def shown(what: Mapping[str, float]) -> str:
        names = {"cpu": "CPUs", "gpu": "GPUs", "CPU": "CPUs", "GPU": "GPUs"}
        return " and ".join(f"{v:g} {names[k]}" for k, v in what.items() if k in names and v) or "0"

    has = ", ".join(shown(node) for node in nodes) or "none"
    return ClusterError(
        f"no trial fits: one wants {shown(per_trial)}; the nodes have {has}.",
        "Lower resources.cpus_per_trial or resources.gpus_per_trial.",
    )


def _resources_per_trial(
    search: Search, earlier: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, Any] | None]:
    """What Ray reserves for a trial, and what that was measured by, if it was.

    A whole GPU where training uses one unless told otherwise.
    """
    plan = search.plan
    asked, uses_gpu = plan.resources.gpus_per_trial, plan.fixed.get("hardware.device") == "cuda"
    nodes = [n for n in alive_nodes() if n["Resources"].get("GPU")]
    measured: dict[str, Any] | None = None
    if asked == "auto":
        asked = 0.0
        if uses_gpu and nodes:
            packing = _packing(search, nodes[0], earlier)
            asked, measured = packing.gpus_per_trial, packing.measured
    elif not asked and uses_gpu and nodes:
        asked = 1.0
    return {"cpu": plan.resources.cpus_per_trial, "gpu": float(asked)}, measured


def _packing(search: Search, node: Mapping[str, Any], earlier: Mapping[str, Any]) -> Packing:
    """From the study's earlier run, else measured on `node`."""
    if earlier.get("measured"):
        return Packing(earlier["gpus_per_trial"], earlier["measured"])
    resources = node["Resources"]
    logger.info("measuring how many trials share a GPU")
    cpus = resources.get("CPU", 0.0) / resources["GPU"]
    return measure_packing(search.plan, node["NodeID"], cpus, lambda: search.stopping)


def _record(
    search: Search,
    header: Mapping[str, Any],
    per_trial: Mapping[str, float],
    measured: dict[str, Any] | None,
) -> None:
    """Store what was resolved in ``study.json``."""
    nodes = [node["Resources"] for node in alive_nodes()]
    resolved = dataclasses.asdict(search.plan.resources) | {
        "gpus_per_trial": per_trial["gpu"],
        "slots": search.slots,
        "nodes": [{"cpus": n.get("CPU", 0.0), "gpus": n.get("GPU", 0.0)} for n in nodes],
    }
    if measured is not None:
        resolved["measured"] = measured
    resources = dict(header.get("resources", {})) | resolved
    search.writer.write_header(dict(header) | {"resources": resources})
