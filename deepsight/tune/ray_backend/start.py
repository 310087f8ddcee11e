"""Starts Ray without output, or joins a cluster, and shuts it down.

Only Ray's core is imported here. It starts in a thread: that takes seconds, in which the driver
imports the rest. Ray starts a worker for every CPU. They import what trials need at once
(`preloaded`), and the trials run in them (`deepsight.tune.ray_backend.patches.started_workers`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import ray

from deepsight.config import UserError
from deepsight.tune.plan import StudyPlan
from deepsight.tune.preflight import local_cpus
from deepsight.tune.process_cleanup import VARIABLE, end_all
from deepsight.tune.ray_backend.patches import (
    few_processes,
    let_print,
    no_entrypoint,
    started_workers,
)
from deepsight.tune.ray_backend.private_ray import LOOPBACK, is_private, kept_private

OBJECT_STORE_BYTES = 128 * 2**20
"""Ray's shared memory: we send only small texts through it."""


HEALTH_S = 2.0
"""Seconds between two looks at the processes of Ray."""
CONTROL = "gcs_server"
"""Ray's name of the process without which it can be neither used nor shut down."""


class ClusterError(UserError):
    """Ray could not be started or reached."""

    exit_code = 5


class RayDiedError(ClusterError):
    """A process of the Ray that we started has ended."""


class RayStart:
    """Ray while it starts."""

    def __init__(
        self,
        plan: StudyPlan,
        address: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Begin to start or join.

        Args:
            plan: The study.
            address: A cluster that runs; None starts Ray here.
            environment: What our processes in that cluster see; here they inherit ours.
        """
        self._plan, self._address, self._environment = plan, address, environment
        self._begin()

    def _begin(self) -> None:
        self._error: BaseException | None = None
        self._up, self._leave = threading.Event(), threading.Event()
        self._until_stopped = ExitStack()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            start_ray(self._plan, self._address, self._environment)
        except BaseException as error:
            self._error = error
        finally:
            self._up.set()
        self._leave.wait()  # the system kills Ray's processes when the thread that began them ends

    def wait(self, take_signals: Callable[[], None]) -> None:
        """Wait until Ray is up.

        Args:
            take_signals: Installs the handlers of signals. Ray puts one of its own for SIGTERM,
                which aborts, into the process while it starts.

        Raises:
            ClusterError: If it cannot be started or reached.
        """
        while not self._up.wait(0.02):
            take_signals()
        take_signals()
        if self._error is not None:
            raise self._error
        if not self._address:
            self._until_stopped.enter_context(started_workers())

    def stop(self) -> None:
        """Shut Ray down, or leave the cluster."""
        self._up.wait()
        self._until_stopped.close()
        ray.shutdown()
        let_print(True)
        self._leave.set()

    def restart(self) -> None:
        """Begin to start Ray again after it died; what is left of its processes is killed."""
        self.stop()
        end_all(os.environ[VARIABLE])
        self._begin()


def ray_died(processes: str, directory: Path) -> RayDiedError:
    """What to say when `processes` of Ray ended under the study in `directory`."""
    return RayDiedError(
        f"a process of Ray ended by itself: {processes}.",
        f"Nothing on record is lost; go on with: python -m deepsight.tune --resume {directory}",
    )


def died() -> list[str]:
    """The processes of the Ray that we started which ended by themselves, by Ray's names.

    Empty where another version of Ray has renamed the method: their end is then not noticed.
    """
    node = getattr(ray._private.worker, "_global_node", None)
    dead = getattr(node, "dead_processes", list)
    return [name for name, _ in dead()]


@contextmanager
def watched(on_loss: Callable[[], None]) -> Iterator[None]:
    """Call `on_loss` in a thread if Ray's control process dies meanwhile.

    Tune then waits inside a call of Ray's that nothing interrupts, and Ray ends the process after
    a minute without a word about the study.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(HEALTH_S):
            if CONTROL in died():
                on_loss()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def start_ray(
    plan: StudyPlan, address: str | None, environment: Mapping[str, str] | None = None
) -> None:
    """Start Ray on this machine, or join the cluster at `address`.

    Raises:
        ClusterError: If that is not possible.
    """
    for name in ("ray", "ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    let_print(False)
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": False}
    try:
        if address:
            variables = {"env_vars": dict(environment or {})}
            with no_entrypoint():
                ray.init(address=address, runtime_env=variables, **quiet)
            return
        with (
            no_entrypoint(),
            few_processes(),
            kept_private(),
            _defaults({"OMP_NUM_THREADS": threads_per_trial(plan)}),
        ):
            ray.init(
                address="local",
                num_cpus=local_cpus(plan),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address=LOOPBACK,
                _system_config={
                    "preload_python_modules": preloaded(plan),
                    "prestart_worker_first_driver": a_trial_per_cpu(plan),
                    "kill_idle_workers_interval_ms": 0,  # it counts those that still import
                },
                **quiet,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ClusterError(
            f"Ray cannot be {'reached at ' + address if address else 'started'}: {reason}.",
            "Run the command on a machine that ray start has made a node of it."
            if address
            else "Free memory and disk space in /tmp, then try again.",
        ) from error
    if not is_private():
        ray.shutdown()
        raise ClusterError(
            f"Ray {ray.__version__} cannot be kept to this machine and user: tasks of others "
            "would run.",
            "Install the version of constraints.txt: pip install 'ray[tune]==2.60.0'.",
        )


@contextmanager
def _defaults(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that are not set, for what is started meanwhile."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


def threads_per_trial(plan: StudyPlan) -> str:
    """``OMP_NUM_THREADS`` of workers: libraries read it on import, before Ray would set it."""
    return str(max(1, int(plan.resources.cpus_per_trial)))


def preloaded(plan: StudyPlan) -> list[str]:
    """Modules that every worker process imports when it starts, before it has work."""
    training = "deepsight.checkpoint" if plan.own_trainable else "deepsight.training.trial"
    return ["deepsight.tune.ray_backend.worker", training]


def a_trial_per_cpu(plan: StudyPlan) -> bool:
    """Whether trials would use all workers that Ray starts, one for every CPU."""
    r = plan.resources
    on_gpu = r.gpus_per_trial or plan.fixed.get("hardware.device") == "cuda"
    few = r.max_parallel and r.max_parallel < local_cpus(plan)
    return r.cpus_per_trial <= 1 and not (on_gpu or few)
