"""Runs a search on Ray Tune: resources per trial and the number of concurrent trials."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import ray
from ray import tune

from deepsight.run_store import StudyHeader
from deepsight.tune.plan import StudyPlan
from deepsight.tune.ray_backend.adapter import (
    AdapterState,
    RayHealthCallback,
    RayScheduler,
    RaySearcher,
    StudyPresenceCallback,
    TrialMemoryCallback,
    WorkerFailureCallback,
)
from deepsight.tune.ray_backend.gpu_sharing import trials_on_node
from deepsight.tune.ray_backend.gpu_sharing_probe import GpuSharing, measure_gpu_sharing
from deepsight.tune.ray_backend.patches import (
    memory_kills_as_actor_failures,
    no_callbacks_counted,
)
from deepsight.tune.ray_backend.start import ClusterError
from deepsight.tune.ray_backend.trial_spec import make_trial_spec
from deepsight.tune.ray_backend.worker import TrialActor
from deepsight.tune.search.search import Search

LOOK_S = 2.0
"""Seconds between two looks at the nodes of a joined cluster."""

logger = logging.getLogger(__name__)


def run_on_ray(search: Search, header: StudyHeader, joined: bool) -> None:
    """Let Ray Tune, which is up, run `search` until it is exhausted or told to stop.

    Args:
        search: What to run.
        header: The study's.
        joined: Whether the cluster is somebody else's, whose nodes come and go.

    Raises:
        RayDiedError: If a process of a Ray of ours ends. The search can go on in another one.
        ClusterError: If no trial fits.
    """
    plan, directory = search.plan, search.writer.directory
    per_trial, measured = _resources_per_trial(search, header.resources)
    slots = Slots(plan, per_trial, joined)
    search.set_slots(slots())
    _record(search, header, per_trial, measured)
    packs = header.data.get("packs", {})
    make_spec = partial(make_trial_spec, plan, directory, packs, study=header.id or "")
    state = AdapterState(search, make_spec, slots)
    callbacks = [
        StudyPresenceCallback(state),
        WorkerFailureCallback(state),
        TrialMemoryCallback(),
    ]
    try:
        with memory_kills_as_actor_failures(), no_callbacks_counted():
            tune.run(
                tune.with_resources(TrialActor, per_trial),
                name="ray",
                storage_path=str(directory),
                search_alg=RaySearcher(state),
                scheduler=RayScheduler(state),
                callbacks=callbacks if joined else [*callbacks, RayHealthCallback(state)],
                num_samples=-1,
                reuse_actors=True,
                verbose=0,
                # says nothing at this level; a notebook's, its default there, clears our progress
                progress_reporter=tune.CLIReporter(),
                raise_on_failed_trial=False,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
                trial_name_creator=lambda trial: str(trial.trial_id),
            )
    except Exception:  # Ray turns our exceptions into texts: the original is raised below
        if state.error is None:
            raise
    if state.error is not None:
        raise state.error


def alive_nodes() -> list[dict[str, Any]]:
    """The cluster's living nodes, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


class Slots:
    """How many trials run at a time."""

    def __init__(self, plan: StudyPlan, per_trial: Mapping[str, float], joined: bool) -> None:
        self._most, self._per_trial, self._joined = plan.resources.max_parallel, per_trial, joined
        self._known, self._until = 0, 0.0

    def __call__(self) -> int:
        """Trials at a time; a joined cluster is looked at again every `LOOK_S` seconds.

        There ``resources.max_parallel`` counts even where fewer fit: pending trials make an
        autoscaler start nodes.

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
    """The resources that Ray reserves for a trial, and the measurement behind them, if any.

    Without a setting, a trial that trains on a GPU gets a whole one.
    """
    plan = search.plan
    asked, uses_gpu = plan.resources.gpus_per_trial, plan.fixed.get("hardware.device") == "cuda"
    nodes = [n for n in alive_nodes() if n["Resources"].get("GPU")]
    measured: dict[str, Any] | None = None
    if asked == "auto":
        asked = 0.0
        if uses_gpu and nodes:
            sharing = _gpu_sharing(search, nodes[0], earlier)
            asked, measured = sharing.gpus_per_trial, sharing.measured
    elif not asked and uses_gpu and nodes:
        asked = 1.0
    return {"cpu": plan.resources.cpus_per_trial, "gpu": float(asked)}, measured


def _gpu_sharing(search: Search, node: Mapping[str, Any], earlier: Mapping[str, Any]) -> GpuSharing:
    """As measured in an earlier run of the study, else measured now on `node`."""
    if earlier.get("measured"):
        return GpuSharing(earlier["gpus_per_trial"], earlier["measured"])
    resources = node["Resources"]
    logger.info("measuring how many trials share a GPU")
    cpus = resources.get("CPU", 0.0) / resources["GPU"]
    return measure_gpu_sharing(search.plan, node["NodeID"], cpus, lambda: search.stopping)


def _record(
    search: Search,
    header: StudyHeader,
    per_trial: Mapping[str, float],
    measured: dict[str, Any] | None,
) -> None:
    """Store the resolved resources in ``study.json``."""
    nodes = [node["Resources"] for node in alive_nodes()]
    resolved = dataclasses.asdict(search.plan.resources) | {
        "gpus_per_trial": per_trial["gpu"],
        "slots": search.slots,
        "nodes": [{"cpus": n.get("CPU", 0.0), "gpus": n.get("GPU", 0.0)} for n in nodes],
    }
    if measured is not None:
        resolved["measured"] = measured
    resources = dict(header.resources) | resolved
    search.writer.write_header(dict(header.stored) | {"resources": resources})
