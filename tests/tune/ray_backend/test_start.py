"""The processes that Ray starts with, and who uses them."""

import contextlib
import dataclasses
import ipaddress
import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import ray
from ray.tune.execution.class_cache import _ActorClassCache

from deepsight.run_store import load_study
from deepsight.space import uniform
from deepsight.tune.plan import resolve_study
from deepsight.tune.ray_backend import join_cluster
from deepsight.tune.ray_backend.patches import started_workers
from deepsight.tune.ray_backend.private_ray import GIVEN, ensure_token
from deepsight.tune.ray_backend.start import a_trial_per_cpu, preloaded, threads_per_trial

ROOT = Path(__file__).parents[3]


def plan(**resources):
    values = {"study.trainable": "tests.trainables:process", "study.metric": "score"}
    values |= {f"resources.{name}": value for name, value in resources.items()}
    return resolve_study("processes", {"x": uniform(0.0, 1.0)}, values)


@pytest.mark.parametrize(
    ("resources", "all_serve", "threads"),
    [
        ({"cpus": 4}, True, "1"),
        ({"cpus": 4, "cpus_per_trial": 0.5}, True, "1"),
        ({"cpus": 4, "cpus_per_trial": 2.0}, False, "2"),
        ({"cpus": 4, "max_parallel": 4}, True, "1"),
        ({"cpus": 4, "max_parallel": 2}, False, "1"),
        ({"cpus": 4, "gpus_per_trial": 0.25}, False, "1"),
    ],
)
def test_workers_start_early_only_where_all_of_them_serve_trials(resources, all_serve, threads):
    assert a_trial_per_cpu(plan(**resources)) == all_serve
    assert threads_per_trial(plan(**resources)) == threads


def test_workers_import_what_a_trial_needs():
    own = resolve_study("own", {"optim.lr": uniform(0.1, 0.2)}, {})
    assert "deepsight.training.trial" in preloaded(own)
    assert "deepsight.training.trial" not in preloaded(plan())


def test_tune_gets_its_own_actors_back():
    before = _ActorClassCache.get

    class Anything:
        pass

    with started_workers():
        cache = _ActorClassCache()
        made = cache.get(Anything)
        assert isinstance(made, ray.actor.ActorClass)
        assert made._default_options.get("runtime_env") is None
        assert cache.get(Anything) is made
    assert _ActorClassCache.get is before


SPACE = """
from deepsight.space import uniform
FIXED = {"study.trainable": "tests.trainables:process", "study.metric": "score",
         "study.max_epochs": 1, "resources.cpus": 2}
SPACE = {"x": uniform(0, 1)}
"""


@pytest.fixture(scope="module")
def watched_study(tmp_path_factory):
    """A study of six trials, and what its processes listened on meanwhile.

    The shell switches Ray's token off, and there is none yet.
    """
    folder = tmp_path_factory.mktemp("watched")
    (folder / "processes.py").write_text(SPACE)
    environment = {name: v for name, v in os.environ.items() if name not in GIVEN}
    environment.pop("OMP_NUM_THREADS", None)
    environment |= {"PYTHONPATH": str(ROOT), "HOME": str(folder), "RAY_AUTH_MODE": "disabled"}
    environment["RAY_worker_niceness"] = "0"  # 15 starves on a busy machine
    command = "-m deepsight.tune --space processes.py --trials 6 --name p"
    with (folder / "errors").open("w+") as errors:
        run = subprocess.Popen(
            [sys.executable, *command.split()],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        seen = watch(run)
        assert run.returncode == 0, (folder / "errors").read_text()
    return folder, seen


@dataclasses.dataclass
class Seen:
    """What was seen of a running study from outside."""

    listening: set = dataclasses.field(default_factory=set)
    """(name of the process, address)."""
    open_to_all: dict = dataclasses.field(default_factory=dict)
    """By name of the process, whether it answers without a token."""


def watch(run):
    """Look at the processes of `run` until it ends."""
    seen = Seen()
    while run.poll() is None:
        for process in [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]:
            with contextlib.suppress(psutil.Error, OSError):
                look_at(process, seen)
        time.sleep(0.1)
    return seen


def look_at(process, seen):
    name = process.name()
    for connection in process.net_connections("inet"):
        if connection.status == psutil.CONN_LISTEN:
            seen.listening.add((name, ipaddress.ip_address(connection.laddr.ip)))
            if name == "gcs_server" and name not in seen.open_to_all:
                port = connection.laddr.port
                seen.open_to_all[name] = join_cluster.answers(f"127.0.0.1:{port}")


def test_trials_run_in_the_workers_that_ray_started_first(watched_study):
    records = load_study(watched_study[0] / "runs" / "p").records
    rows = [row for record in records for row in record.rows]
    assert len({row["pid"] for row in rows}) <= 2  # one, where the other's first trial is so late
    assert {row["threads"] for row in rows} == {1}  # as many as a trial has CPUs
    assert all(row["born"] < records[0].started for row in rows)


def test_a_running_study_listens_on_loopback_only(watched_study):
    listening = watched_study[1].listening
    names = {name for name, _ in listening}
    assert {"gcs_server", "raylet"} < names
    assert any(name.startswith("ray::") for name in names)  # workers listen too
    assert [
        (n, a) for n, a in listening if not (a.ipv4_mapped if a.version == 6 else a).is_loopback
    ] == []


def test_a_token_is_asked_for_whatever_the_shell_says(watched_study):
    home, seen = watched_study
    assert seen.open_to_all == {"gcs_server": False}
    token = home / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert re.fullmatch("[0-9a-f]{64}", token.read_text())


def test_a_token_is_kept_and_hidden_from_others(tmp_path):
    path = tmp_path / "auth_token"
    path.write_text("mine")
    path.chmod(0o644)
    ensure_token(path)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("mine", 0o600)


def test_two_that_make_a_token_at_once_have_the_same(tmp_path):
    def make(number):
        ensure_token(tmp_path / ".ray" / "auth_token")
        return (tmp_path / ".ray" / "auth_token").read_text()

    with ThreadPoolExecutor(8) as pool:
        (made,) = set(pool.map(make, range(32)))
    assert len(made) == 64
    assert [path.name for path in (tmp_path / ".ray").iterdir()] == ["auth_token"]
