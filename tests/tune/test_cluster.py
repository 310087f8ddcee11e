"""Searches on a cluster of several nodes (raylets on this machine), as a user starts them."""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from deepsight.run_store import load_study
from tests.faults.harness import GONE_S, Planted
from tests.tune.loopback import ROOT, Loopback, processes

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
    pytest.mark.slow,
]
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


def await_nothing(cluster):
    """No process of a run in the cluster; returns the seconds that took."""
    began = time.monotonic()
    while left := [c for pid, _, c in processes() if "TrialActor" in c or pid in marked_pids()]:
        assert time.monotonic() - began < GONE_S, left
        time.sleep(0.1)
    return time.monotonic() - began


def marked_pids():
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and b"DEEPSIGHT_RUN=" in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def test_a_node_dies_while_it_trains(tmp_path):
    with loopback({}, {}, {}, RAY_AUTH_MODE="disabled") as cluster:
        study = Planted(tmp_path, trials=7, seconds=1.0, max_epochs=3)
        code, err = refused(study, cluster)
        assert code == 5
        assert "lets in everybody" in err
        assert "study.allow_unauthenticated=true" in err

        run = study.start(*study.began, "--address", cluster.address, *OPEN)
        study.await_epochs(4, run, processes=3)
        there = cluster.workers(2)
        doomed = [line for line in study.trained() if line[2] in there][-1]
        cluster.kill(2)
        in_record = (study.path / "results.jsonl").read_text().splitlines()
        code, out, err = run.wait(120)
        assert code == 0, err
        assert out == "runs/s\n"
        await_nothing(cluster)
        assert cluster.alive(0)
        assert cluster.alive(1)
    names = {r.trial_id: study_digest(r) for r in load_study(study.path).records}
    recorded = [(names[r["trial_id"]], r["epoch"]) for r in map(json.loads, in_record)]
    assert doomed[:2] not in recorded  # it was in the middle of the epoch
    again = [line for line in study.trained() if line[:2] == doomed[:2]]
    assert [pid for *_, pid in again] == [doomed[2], again[-1][2]]
    assert again[-1][2] not in there
    assert study.check(most_repeated=1) == 1
    resources = load_study(study.path).header["resources"]
    assert resources["slots"] == 3
    assert resources["nodes"] == 3 * [{"cpus": 1.0, "gpus": 0.0}]


def study_digest(record):
    from tests.faults.trainables import digest

    return digest(record.config)


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


@pytest.mark.faults
def test_a_cluster_outlives_the_driver_and_nothing_of_ours_does(tmp_path):
    with loopback({}, {}, RAY_AUTH_MODE="disabled") as cluster:
        there = ["--address", cluster.address]
        for number, end in enumerate((signal.SIGINT, signal.SIGKILL)):
            (tmp_path / str(number)).mkdir()
            study = Planted(tmp_path / str(number), trials=4, seconds=60.0, max_epochs=3)
            run = study.start(*study.began, *there, *OPEN)
            study.await_epochs(2, run, processes=2)
            began = time.monotonic()
            run.process.send_signal(end)
            code, _, err = run.wait(30)
            assert code == {signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}[end], err
            assert time.monotonic() - began < 10
            await_nothing(cluster)
            run.await_end()
            assert cluster.alive()
            assert [r.state for r in load_study(study.path).records] == ["running"] * 2


@pytest.mark.faults
def test_a_killed_driver_is_followed_by_a_resume_on_the_cluster(tmp_path):
    with loopback({}, {}, RAY_AUTH_MODE="disabled") as cluster:
        study = Planted(tmp_path, trials=5, seconds=0.5, max_epochs=3)
        run = study.start(*study.began, "--address", cluster.address, *OPEN)
        study.await_epochs(4, run, processes=2)
        os.kill(run.process.pid, signal.SIGKILL)
        run.wait()
        await_nothing(cluster)
        run = study.start("--resume", "runs/s", "--address", cluster.address)
        code, _, err = run.wait(60)
        assert code == 0, err
        assert cluster.alive()
    study.check(most_repeated=2)
