"""Measures on real workers how many trials share a GPU (``resources.gpus_per_trial=auto``)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from deepsight.config import DEFAULTS, UserError, Value, trial_config
from deepsight.tune.plan import StudyPlan
from deepsight.tune.ray_backend.gpu_sharing import (
    MOST,
    as_fraction,
    best_number,
    heaviest_point,
    most_by_memory,
    numbers_to_try,
    pays,
    summary,
)
from deepsight.tune.ray_backend.start import ClusterError
from deepsight.tune.ray_backend.trial_errors import describe_error

RUN_S = 3.0
"""Time for which steps are counted, for each number of trials."""
START_S = 300.0
"""For workers to start, import and build a trial."""

REMEDY = "Fix it, or set resources.gpus_per_trial to a number to have it recorded."

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GpuSharing:
    """How trials share GPUs, and the measurement behind it."""

    gpus_per_trial: float
    measured: dict[str, Any]


class Probe:
    """A worker that trains steps of a trial."""

    def prepare(self) -> None:
        """Import what `build` needs, which takes seconds."""
        import deepsight.training.step_benchmark  # noqa: F401

    def build(self, config: str, cpus: float) -> str:
        """Build the trial of a config (JSON) and make its first steps.

        Returns:
            JSON: the bytes it ``took`` of those that were ``free``, or an ``error``.
        """
        from deepsight.training.step_benchmark import StepBenchmark

        flat = json.loads(config)
        try:
            self._trial = StepBenchmark(trial_config(flat), cpus)
            memory = self._trial.warm()
        except Exception as error:  # out of memory above all: an answer
            return json.dumps({"error": describe_error(error, flat)})
        return json.dumps({"took": memory.trial, "free": memory.free})

    def run(self, seconds: float) -> float:
        """Steps per second."""
        return self._trial.run(seconds)


def measure_gpu_sharing(
    plan: StudyPlan,
    node_id: str,
    cpus: float,
    stopped: Callable[[], bool],
    run_s: float = RUN_S,
) -> GpuSharing:
    """Find out how many trials share a GPU of a node, by trying it.

    The heaviest corner of the space tells how many find room; trials of the default config, two,
    four and more at a time, tell how many are worth it: no more are tried once twice as many gain
    nothing. All GPUs are taken to be alike.

    Args:
        plan: The study, its hardware decided.
        node_id: Where; the node has a GPU that is free.
        cpus: The node's CPU cores for each of its GPUs, which bound the number too.
        stopped: Whether a signal has come meanwhile.
        run_s: For each number of trials.

    Raises:
        UserError: If trials fail already while they are measured.
        ClusterError: If the workers do not start.
    """
    most = max(1, min(MOST, int(cpus / plan.resources.cpus_per_trial + 1e-9)))
    wait = _Waiter(stopped)
    default = plan.default_config()
    heavy = plan.full_config(heaviest_point(plan.space, plan.fixed, DEFAULTS | default))
    start = partial(_start, plan, node_id, as_fraction(most + 1))
    heaviest, *probes = start(1 + min(2, most))
    for probe in probes:
        probe.prepare.remote()  # meanwhile
    throughput: dict[int, float] = {}
    try:
        answer = json.loads(wait.all([heaviest.build.remote(*_asked(plan, heavy))])[0])
        ray.kill(heaviest)
        if "error" in answer:
            logger.warning("the heaviest trial of the space fails: %s", answer["error"])
            answer, most = {"took": 0, "free": 0}, 1
        most = most_by_memory(answer["took"], answer["free"], most)
        asked, built = _asked(plan, plan.full_config(default)), 0
        for number in numbers_to_try(most):
            probes += start(max(0, number - len(probes)))
            _check(wait.all([probe.build.remote(*asked) for probe in probes[built:number]]))
            built = number
            throughput[number] = sum(wait.all([p.run.remote(run_s) for p in probes[:number]]))
            if not pays(throughput):
                break
    finally:
        for probe in (heaviest, *probes):
            ray.kill(probe)
    number = best_number(throughput)
    logger.info("one trial a GPU" if number == 1 else f"{number} trials share a GPU")
    return GpuSharing(as_fraction(number), summary(answer["took"], answer["free"], throughput))


def _asked(plan: StudyPlan, config: Mapping[str, Value]) -> tuple[str, float]:
    return json.dumps(dict(config)), plan.resources.cpus_per_trial


def _check(answers: Sequence[str]) -> None:
    """Raises UserError if a trial could not be built."""
    for answer in answers:
        if "error" in json.loads(answer):
            reason = json.loads(answer)["error"].rstrip(".")
            raise UserError(f"the first trial fails: {reason}.", REMEDY)


def _start(plan: StudyPlan, node_id: str, share: float, number: int) -> list[Any]:
    """So many workers that share one GPU of a node, each with a `share` of it for Ray."""
    stay = NodeAffinitySchedulingStrategy(node_id, soft=False)
    worker = ray.remote(Probe).options(
        num_cpus=plan.resources.cpus_per_trial,
        num_gpus=share,
        scheduling_strategy=stay,
        max_restarts=0,
    )
    return [worker.remote() for _ in range(number)]


class _Waiter:
    """Waits for workers until a deadline or a signal."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._until = time.monotonic() + START_S

    def all(self, references: list[Any]) -> list[Any]:
        """Their results.

        Raises:
            KeyboardInterrupt: If a signal came.
            ClusterError: If they take too long or die.
        """
        waiting = references
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0.2)
            if self._stopped():
                raise KeyboardInterrupt
            if waiting and time.monotonic() > self._until:
                raise ClusterError(
                    f"measuring trials has taken {START_S:.0f} s.",
                    "See whether the GPUs are free, or set resources.gpus_per_trial to a number.",
                )
        try:
            return list(ray.get(references))
        except ray.exceptions.RayError as error:
            raise ClusterError(
                f"a worker died while trials were measured: {str(error).splitlines()[0]}.",
                "Set resources.gpus_per_trial to a number.",
            ) from error
