"""How long epochs take on this machine: a few trials of a study are trained for a few seconds.

As many processes train at once as the study has slots, with the threads of its trials, so that they
share caches and memory bandwidth as trials will, and at the niceness of Ray's workers: on a machine
with other work these get little.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepsight.config import UserError, Value, trial_config
from deepsight.hardware import visible_gpus
from deepsight.installed import installed_first
from deepsight.space import sample
from deepsight.tune.plan import StudyPlan
from deepsight.tune.preflight import local_cpus
from deepsight.tune.ray_backend.gpu_sharing import trials_on_node
from deepsight.tune.ray_backend.trial_errors import describe_error

if TYPE_CHECKING:
    from deepsight.training.step_benchmark import StepBenchmark

SECONDS = 10.0
"""To train for, in every process."""
CONFIGS = 4
"""Configs that a process trains at most, one after the other."""
NICENESS = 15
NICENESS_OF_RAY = "RAY_worker_niceness"
"""Of Ray's workers, and the variable by which it can be another one."""


@dataclass(frozen=True)
class EpochCost:
    """What a trial costs, in seconds.

    Attributes:
        build_s: To build model and data.
        epoch_s: An epoch with its validation and its checkpoint, the mean over the trial's.
    """

    build_s: float
    epoch_s: float


@dataclass(frozen=True)
class Measured:
    """What a few trials told.

    Attributes:
        import_s: Until all processes had imported what trials need.
        costs: What each trial costs, the first trial's before all others.
    """

    import_s: float
    costs: list[EpochCost]


def local_slots(plan: StudyPlan) -> int:
    """Trials at a time on this machine, at least one; "auto" counts as one trial a GPU.

    Args:
        plan: With its hardware decided.
    """
    gpus, share = _gpus(plan), plan.resources.gpus_per_trial
    share = float(share) if share and share != "auto" else float(bool(gpus))
    per_trial = {"cpu": plan.resources.cpus_per_trial, "gpu": share}
    fit = trials_on_node(per_trial, local_cpus(plan), len(gpus))
    slots = min(fit, plan.resources.max_parallel or fit, plan.settings.trials)
    return max(slots, 1)


def measure(plan: StudyPlan, slots: int, seconds: float = SECONDS) -> Measured:
    """Train the first trial and configs drawn from the space, in `slots` processes at once.

    Args:
        plan: With its hardware decided; its data and weights are prepared.
        slots: Processes.
        seconds: To train for; longer where a few steps take longer.

    Raises:
        UserError: If a trial fails.
    """
    rng = random.Random(f"measure {plan.settings.seed}")
    points = [plan.default_config()]
    points += [sample(plan.space, plan.fixed, rng) for _ in range(slots * CONFIGS - 1)]
    flats = [plan.full_config(point) for point in points]
    context, gpus = multiprocessing.get_context("spawn"), _gpus(plan)
    workers, lines = [], []
    began = time.perf_counter()
    for number in range(slots):
        line, far_end = context.Pipe()
        gpu = gpus[number % len(gpus)] if gpus else None
        cpus = plan.resources.cpus_per_trial
        arguments = (flats[number::slots], cpus, seconds, gpu, far_end)
        workers.append(context.Process(target=_train, args=arguments, daemon=True))
        with installed_first():
            workers[-1].start()
        far_end.close()
        lines.append(line)
    try:
        for line in lines:
            _answer(line)  # it has imported what it needs
        import_s = time.perf_counter() - began
        for line in lines:
            line.send("go")
        return Measured(import_s, [cost for line in lines for cost in _answer(line)])
    finally:
        for worker, line in zip(workers, lines, strict=True):
            line.close()
            worker.terminate()
            worker.join()


def _answer(line: Connection) -> Any:
    """What a process says next; an error that it sends is raised."""
    try:
        answer = line.recv()
    except EOFError as error:
        raise UserError(
            "a process died while trials were measured; the memory may not suffice.",
            "Lower resources.max_parallel or the batch size, or leave out --measure.",
        ) from error
    if isinstance(answer, UserError):
        raise answer
    return answer


def _train(
    flats: Sequence[Mapping[str, Value]],
    cpus: float,
    seconds: float,
    gpu: str | None,
    line: Connection,
) -> None:
    """In a process of its own: train each config for its share of the time, send what it costs."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before torch is imported

    from deepsight.training.step_benchmark import StepBenchmark

    if hasattr(os, "nice"):
        os.nice(max(int(os.environ.get(NICENESS_OF_RAY, NICENESS)) - os.nice(0), 0))

    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):  # the command ended
        line.send("ready")
        line.recv()
        costs: list[EpochCost] = []
        end = time.perf_counter() + seconds
        for number, flat in enumerate(flats):
            began = time.perf_counter()
            if costs and began >= end:
                break
            try:
                trial = StepBenchmark(trial_config(flat), cpus)
                built = time.perf_counter()
                share = max(end - built, 0.0) / (len(flats) - number)
                epoch_s = trial.epoch_seconds(share) + _checkpoint_seconds(trial)
                costs.append(EpochCost(built - began, epoch_s))
            except UserError as error:
                line.send(error)
                return
            except Exception as error:  # whatever a trial may raise is the answer
                reason = describe_error(error, flat).rstrip(".")
                remedy = "Fix it; the study would record such trials as failed."
                line.send(UserError(f"a trial of this study fails: {reason}.", remedy))
                return
        line.send(costs)


def _checkpoint_seconds(trial: StepBenchmark) -> float:
    """Of writing one, to where temporary files go."""
    with tempfile.TemporaryDirectory(prefix="deepsight-") as folder:
        return trial.checkpoint_seconds(Path(folder))


def _gpus(plan: StudyPlan) -> list[str]:
    """The GPUs that trials of `plan` train on."""
    return visible_gpus() if plan.fixed.get("hardware.device") == "cuda" else []
