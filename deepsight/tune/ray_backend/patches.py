"""Temporary patches of Ray 2.60, for behaviour that it has no setting for.

Each patch says what happens if another version of Ray renames the method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
from ray._private.node import Node


@contextmanager
def replaced(owner: Any, methods: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Replace those of `methods` that `owner` has, and restore them afterwards."""
    before = {name: getattr(owner, name) for name in methods if hasattr(owner, name)}
    for name in before:
        setattr(owner, name, methods[name])
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(owner, name, method)


@contextmanager
def few_processes() -> Iterator[None]:
    """Start Ray without autoscaler, log monitor and API server, which a search does not need.

    Each is a Python process with a second of imports. If renamed, they are started.
    """

    def none(self: Any, *_: object, **__: object) -> None:
        self._webui_url = None

    names = ("start_monitor", "start_log_monitor", "start_api_server")
    with replaced(Node, dict.fromkeys(names, none)):
        yield


@contextmanager
def no_entrypoint() -> Iterator[None]:
    """Start Ray without telling it our command line, which may hold names that are no UTF-8.

    If the function is renamed, such a command line ends in an error of Ray's.
    """
    with replaced(ray._private.utils, {"get_entrypoint_name": lambda: "deepsight"}):
        yield


@contextmanager
def started_workers() -> Iterator[None]:
    """Let Tune's actors run in the processes that Ray has started already.

    Tune asks for actors with environment variables of their own, which Ray grants in new processes
    only. The workers of a Ray that we started have them from us
    (`deepsight.tune.process_environment.QUIET`).
    If the method is renamed, trials begin some seconds later.
    """
    from ray.tune.execution import class_cache  # where Tune is imported: two threads at it clash

    def get(self: Any, trainable: type) -> Any:
        if trainable not in self._cache:
            self._cache[trainable] = ray.remote(trainable)
        return self._cache[trainable]

    with replaced(getattr(class_cache, "_ActorClassCache", None), {"get": get}):
        yield


@contextmanager
def memory_kills_as_actor_failures() -> Iterator[None]:
    """Treat an out-of-memory kill as an actor failure.

    Otherwise Ray Tune ends the whole search: it handles two kinds of errors, and
    OutOfMemoryError is neither.
    """
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import OutOfMemoryError, RayActorError

    before = RayActorManager._actor_task_failed

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=str(exception))
        before(self, tracked_actor_task=tracked_actor_task, exception=exception)

    with replaced(RayActorManager, {"_actor_task_failed": failed}):
        yield


@contextmanager
def no_callbacks_counted() -> Iterator[None]:
    """Keep Ray from counting our callbacks for its usage statistics.

    It would import Weights & Biases and MLflow where they are installed, which takes seconds in
    which the workers import too. If the function is renamed, trials begin so much later.
    """
    from ray.air._internal import usage

    with replaced(usage, {"tag_callbacks": lambda callbacks: False}):
        yield


def let_print(whether: bool) -> None:
    """Let Ray print on standard output that a worker or a node died, or not: we log it.

    If the flag is renamed, Ray prints.
    """
    if hasattr(ray._private.worker, "_worker_logs_enabled"):
        ray._private.worker._worker_logs_enabled = whether
