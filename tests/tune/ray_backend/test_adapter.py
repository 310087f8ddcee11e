"""The texts of the state to Ray; what it does is tested on real Ray (tests/faults)."""

from types import SimpleNamespace

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from deepsight.tune.ray_backend.adapter import describe_worker_failure
from deepsight.tune.ray_backend.patches import memory_kills_as_actor_failures

DIED = """The actor died unexpectedly before finishing this task.
\tclass_name: TrialActor
\tactor_id: 0123456789abcdef0123456701000000
\tpid: 4711
The actor is dead because its worker process has died. Worker exit detail: End of file. There \
are some potential root causes. (1) The process is killed by SIGKILL by OOM killer."""

KILLED = """1 worker(s) were killed due to the node running low on memory. Memory usage exceeded.
Object store memory usage: [- objects spillable: 0
"""


def test_a_death_is_told_with_its_reason_and_sizes_and_without_ids():
    ours = {"optim.batch_size": 512, "data.image_size": None, "optim.lr": 0.1}
    assert describe_worker_failure(DIED, 3, ours) == (
        "its process died 3 times (killed, out of memory or crashed) at batch size 512, image size "
        "native: The actor died unexpectedly before finishing this task. The actor is dead because "
        "its worker process has died. Worker exit detail: End of file."
    )
    own = {"x": 0.5, "kind": "fancy", "user.file": "somewhere", "extra": None}
    text = describe_worker_failure(KILLED, 1, own)
    assert text == (
        "its process died once (Ray killed it for want of memory) at x = 0.5: 1 worker(s) were "
        "killed due to the node running low on memory. Memory usage exceeded."
    )


def test_a_worker_that_ray_kills_for_its_memory_has_died():
    heard = []

    class Actor:
        actor_id = 1

        def _on_error(self, actor, error):
            heard.append(error)

    actor = Actor()
    task = SimpleNamespace(_tracked_actor=actor, _on_error=None)
    manager = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    error = OutOfMemoryError("too much")
    before = RayActorManager._actor_task_failed
    with memory_kills_as_actor_failures():
        handle = RayActorManager._actor_task_failed
        handle(manager, tracked_actor_task=task, exception=error)
        assert [type(e) for e in heard] == [RayActorError]
        assert str(heard[0]) == "too much"
    assert RayActorManager._actor_task_failed is before
    with pytest.raises(RuntimeError, match="unexpected"):  # else this is no longer needed
        before(manager, tracked_actor_task=task, exception=error)
