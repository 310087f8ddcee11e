"""The texts of the seam to Ray; what it does is tested on real Ray (tests/faults)."""

from ray.exceptions import OutOfMemoryError

from deepsight.tune.ray_adapter import describe_death

DIED = """The actor died unexpectedly before finishing this task.
\tclass_name: TrialActor
\tactor_id: 0123456789abcdef0123456701000000
\tpid: 4711
The actor is dead because its worker process has died. Worker exit detail: End of file. There \
are some potential root causes. (1) The process is killed by SIGKILL by OOM killer."""


def test_a_death_is_told_with_its_reason_and_sizes_and_without_ids():
    ours = {"optim.batch_size": 512, "data.image_size": None, "optim.lr": 0.1}
    assert describe_death(RuntimeError(DIED), 3, ours) == (
        "its process died 3 times (killed, out of memory or crashed) at batch size 512, image size "
        "native: The actor died unexpectedly before finishing this task. The actor is dead because "
        "its worker process has died. Worker exit detail: End of file."
    )
    own = {"x": 0.5, "kind": "fancy", "user.file": "somewhere", "extra": None}
    text = describe_death(OutOfMemoryError("too much"), 1, own)
    assert text == "its process died once (Ray killed it for want of memory) at x = 0.5: too much"
