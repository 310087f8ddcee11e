"""Searches on a cluster of several nodes (raylets on this machine), as a user starts them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepsight.run_store import load_study
from tests.faults.harness import GONE_S, Planted, Run
from tests.faults.trainables import digest
from tests.tune.ray_backend.loopback import ROOT, Loopback, processes

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
OPEN = ["--set", "study.allow_unauthenticated=true"]
TOKEN = "0123456789abcdef" * 4


@contextlib.contextmanager
def loopback(*nodes, **environment):
    cluster = Loopback(*nodes, **environment)
    try:
        yield cluster
    finally:
        cluster.close()


def refused(study, cluster, *more, **environment):
    """The two lines and the exit code of a run that must not begin."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        run = study.start(*study.began, "--address", cluster.address, *more)
    code, out, err = run.wait(60)
    lines = err.strip().splitlines()
    assert out == ""
    assert len([line for line in lines if "accepted" not in line]) == 2, err
    assert not study.path.exists()
    assert not list(study.root.glob(".deepsight-*"))
    assert not study.trained()
    return code, "\n".join(lines)


def await_nothing(run):
    """Wait until no process anywhere carries the run's mark; returns the seconds that took."""
    began = time.monotonic()
    while left := marked(run.process.pid):
        assert time.monotonic() - began < GONE_S, left
        time.sleep(0.1)
    return time.monotonic() - began


def marked(pid):
    """Processes of the driver `pid`, in the cluster and out of it."""
    found = []
    for other, _, command in processes():
        with contextlib.suppress(OSError):
            if f"DEEPSIGHT_RUN={pid}-".encode() in Path(f"/proc/{other}/environ").read_bytes():
                found.append((other, command))
    return found


@needs_proc
@pytest.mark.slow
def test_a_node_dies_while_it_trains(tmp_path):
    with loopback({}, {}, {}, RAY_AUTH_MODE="disabled") as cluster:
        study = Planted(tmp_path, trials=6, seconds=3, max_epochs=3)  # longer than a start or kill
        code, err = refused(study, cluster)
        assert code == 5
        assert "lets in everybody" in err
        assert "study.allow_unauthenticated=true" in err
        code, err = refused(study, cluster, *OPEN, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN)
        assert (code, "Unset RAY_AUTH_MODE." in err) == (5, True)

        run = study.start(*study.began, "--address", cluster.address, *OPEN)
        study.await_epochs(4, run, processes=3)
        trains = {pid for *_, pid in study.trained()}
        assert trains <= {pid for pid, _ in marked(run.process.pid)}
        there = cluster.workers(2)
        doomed = next_epoch(study, there)
        cluster.kill(2)
        in_record = (study.path / "results.jsonl").read_text().splitlines()
        code, out, err = run.wait(240)
        assert code == 0, err
        assert out == "runs/s\n"
        assert "restarts from its newest checkpoint" in err
        await_nothing(run)
        assert cluster.alive(0)
        assert cluster.alive(1)
    names = {r.trial_id: digest(r.config) for r in load_study(study.path).records}
    recorded = [(names[r["trial_id"]], r["epoch"]) for r in map(json.loads, in_record)]
    assert doomed[:2] not in recorded  # it was in the middle of the epoch
    again = [line for line in study.trained() if line[:2] == doomed[:2]]
    assert [pid for *_, pid in again] == [doomed[2], again[-1][2]]
    assert again[-1][2] not in there
    assert study.check(most_repeated=1) == 1
    resources = load_study(study.path).header.resources
    assert resources["slots"] == 3
    assert resources["nodes"] == 3 * [{"cpus": 1.0, "gpus": 0.0}]


def next_epoch(study, pids):
    """The next epoch that one of these processes begins, as it begins."""
    seen, deadline = len(study.trained()), time.monotonic() + 30
    while not (new := [line for line in study.trained()[seen:] if line[2] in pids]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return new[0]


@needs_proc
@pytest.mark.faults
def test_nodes_that_do_not_suit_are_named(tmp_path):
    other = tmp_path / "other"
    (other / "torch-9.9.9.dist-info").mkdir(parents=True)
    (other / "torch-9.9.9.dist-info" / "METADATA").write_text("Name: torch\nVersion: 9.9.9\n")
    mine = tmp_path / "mine"
    mine.mkdir()
    nodes = [{}, {"environment": {"PYTHONPATH": f"{other}{os.pathsep}{ROOT}"}}]
    if os.geteuid() == 0:
        nodes.append({"hide": str(mine)})
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    with loopback(*nodes, **secret) as cluster:
        study = Planted(mine)
        code, err = refused(study, cluster, RAY_AUTH_MODE="disabled")
        assert (code, "wants a token" in err, "RAY_AUTH_TOKEN" in err) == (5, True, True)
        code, err = refused(study, cluster, **(secret | {"RAY_AUTH_TOKEN": TOKEN[::-1]}))
        assert (code, "does not take the token" in err) == (5, True)
        code, err = refused(study, cluster, **secret)
        assert code == 5
        assert "127.0.0.3" in err
        assert "torch 9.9.9 (here" in err
        if len(nodes) == 3:
            cluster.kill(1)
            cluster.await_dead(1)
            code, err = refused(study, cluster, **secret)
            assert code == 4
            assert "127.0.0.4" in err
            assert f"does not share the directory of the study {mine}" in err


MEASURE = """
import json, sys, time
import ray
from deepsight.tune.ray_backend.gpu_sharing_probe import measure_gpu_sharing
from deepsight.tune.preflight import prepare_all, with_hardware
from deepsight.tune.plan_files import load_space
from deepsight.tune.plan import resolve_study

plan = with_hardware(resolve_study("a", *load_space("smoke"), {"data.name": "digits"}))
prepare_all(plan)
ray.init(address=sys.argv[1], log_to_driver=False)
node = ray.nodes()[0]
sharing = measure_gpu_sharing(plan, node["NodeID"], 2.0, lambda: False, run_s=0.5)
for _ in range(100):  # the workers that measured go, which takes a moment
    free = ray.available_resources().get("GPU")
    if free == 2.0:
        break
    time.sleep(0.1)
print(json.dumps([sharing.gpus_per_trial, sharing.measured, free]))
"""


@needs_proc
@pytest.mark.faults
def test_trials_share_gpus(tmp_path):
    """Logical GPUs: Ray counts them and hands them out, nothing computes on them."""
    (tmp_path / "meeting").mkdir()
    (tmp_path / "halves.py").write_text(
        "from deepsight.space import uniform\n"
        "FIXED = {'study.trainable': 'tests.trainables:on_gpu', 'study.metric': 'score',"
        " 'study.trials': 5, 'study.max_epochs': 2, 'study.scheduler': 'fifo',"
        f" 'study.explore': 0.0, 'user.meeting': {str(tmp_path / 'meeting')!r},"
        " 'user.slots': 4, 'resources.gpus_per_trial': 0.5}\n"
        "SPACE = {'x': uniform(0, 1)}\n"
    )
    with loopback({"num_cpus": 4, "num_gpus": 2}, RAY_AUTH_MODE="disabled") as cluster:
        run = Run(
            tmp_path, ["--space", "halves.py", "--name", "s", *OPEN, "--address", cluster.address]
        )
        code, _, err = run.wait(100)
        assert code == 0, err
        assert "in 4 slots" in err
    study = load_study(tmp_path / "runs" / "s")
    assert study.header.settings["resources.gpus_per_trial"] == 0.5
    assert study.header.resources["gpus_per_trial"] == 0.5
    assert study.header.resources["slots"] == 4
    places = {row["pid"]: row["gpu"] for record in study.records for row in record.rows}
    assert sorted(places.values()) == [0, 0, 1, 1]
    assert sum(len(record.rows) for record in study.records) == 10


@needs_proc
@pytest.mark.faults
def test_measuring_on_workers(tmp_path):
    with loopback({"num_cpus": 4, "num_gpus": 2}, RAY_AUTH_MODE="disabled") as cluster:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, cluster.address],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
    share, measured, free = json.loads(done.stdout.splitlines()[-1])
    assert share in (0.5, 1.0)
    assert set(measured["steps_per_s"]) == {"1", "2"}
    assert min(measured["steps_per_s"].values()) > 0
    assert free == 2.0


@needs_proc
@pytest.mark.faults
def test_a_cluster_outlives_the_driver_and_nothing_of_ours_does(tmp_path):
    with loopback({}, {}, RAY_AUTH_MODE="disabled") as cluster:
        there = ["--address", cluster.address]
        for end in ("interrupted", "killed", "killed with its watchdog"):  # the last: Ray alone
            (tmp_path / end).mkdir()
            study = Planted(tmp_path / end, trials=4, seconds=60.0, max_epochs=3)
            run = study.start(*study.began, *there, *OPEN)
            study.await_epochs(2, run, processes=2)
            assert {p for *_, p in study.trained()} <= {p for p, _ in marked(run.process.pid)}
            if "watchdog" in end:
                children = [(p, c) for p, parent, c in processes() if parent == run.process.pid]
                (watchdog,) = [p for p, command in children if "process_cleanup.py" in command]
                os.kill(watchdog, signal.SIGKILL)
            began = time.monotonic()
            run.process.send_signal(signal.SIGINT if end == "interrupted" else signal.SIGKILL)
            code, _, err = run.wait(30)
            assert code == (130 if end == "interrupted" else -signal.SIGKILL), err
            assert time.monotonic() - began < 10
            await_nothing(run)
            run.await_end()
            assert cluster.alive()
            assert [r.state for r in load_study(study.path).records] == ["running"] * 2


@needs_proc
@pytest.mark.faults
def test_a_killed_driver_is_followed_by_a_resume_on_the_cluster(tmp_path):
    with loopback({}, {}, RAY_AUTH_MODE="disabled") as cluster:
        study = Planted(tmp_path, trials=5, seconds=0.5, max_epochs=3)
        run = study.start(*study.began, "--address", cluster.address, *OPEN)
        study.await_epochs(4, run, processes=2)
        os.kill(run.process.pid, signal.SIGKILL)
        run.wait()
        await_nothing(run)
        run = study.start("--resume", "runs/s", "--trust", "--address", cluster.address)
        code, _, err = run.wait(60)
        assert code == 0, err
        assert cluster.alive()
    study.check(most_repeated=2)


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("ray://127.0.0.1:10001", "is one for Ray Client"),
        ("127.0.0.2:9", "no Ray cluster answers at 127.0.0.2:9"),
        ("nonsense", "nvalid"),
        ("local", "finds no cluster"),
    ],
)
def test_addresses_that_lead_nowhere(tmp_path, address, cause):
    study = Planted(tmp_path)
    began = time.monotonic()
    code, out, err = study.start(*study.began, "--address", address).wait(60)
    assert code == 5, err
    assert cause in err
    assert len(err.strip().splitlines()) == 2
    assert time.monotonic() - began < 20
    assert not study.path.exists()
