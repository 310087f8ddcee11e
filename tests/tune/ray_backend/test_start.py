"""The processes that Ray starts with, and who uses them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from ray.tune.execution.class_cache import _ActorClassCache

from deepsight.run_store import load_study
from deepsight.space import uniform
from deepsight.tune.plan import resolve_study
from deepsight.tune.ray_backend.patches import started_workers
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


def test_trials_run_in_the_workers_that_ray_started_first(tmp_path):
    space = tmp_path / "processes.py"
    space.write_text(
        "from deepsight.space import uniform\n"
        "FIXED = {'study.trainable': 'tests.trainables:process', 'study.metric': 'score',"
        " 'study.max_epochs': 1, 'resources.cpus': 2}\n"
        "SPACE = {'x': uniform(0, 1)}\n"
    )
    environment = {name: v for name, v in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "deepsight.tune",
            "--space",
            str(space),
            "--trials",
            "6",
            "--name",
            "p",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    records = load_study(tmp_path / "runs" / "p").records
    rows = [row for record in records for row in record.rows]
    assert len({row["pid"] for row in rows}) == 2
    assert {row["threads"] for row in rows} == {1}  # as many as a trial has CPUs
    assert all(row["born"] < records[0].started for row in rows)
