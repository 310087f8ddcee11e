"""What `make faults` adds: many kills, deadly trials, full and read-only disks. Minutes.

``FAULTS_KILLS`` says how many random moments there are, ``FAULTS_SEED`` which.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import psutil
import pytest

from deepsight.run_store import load_study
from tests.faults.harness import Planted

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("FAULTS_KILLS", "10"))
SEED = int(os.environ.get("FAULTS_SEED", "0"))


START_S = 8.0
"""About what it takes until the first epoch; on a busy machine longer."""
EPOCHS = 15
"""The studies below train a few more than these."""


def run_until_a_random_moment(rng, study, run, most):
    """Let `run` go on: in one of four for a part of its start, else into an epoch up to `most`."""
    if rng.random() < 0.25:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(rng.uniform(0, START_S))
        return
    epochs = rng.randint(len(study.trained()) + 1, most)
    while len(study.trained()) < epochs and run.process.poll() is None:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, study.seconds))


@pytest.mark.parametrize("number", range(KILLS))
def test_the_driver_killed_at_a_random_moment(number, tmp_path, faults):
    """Start-up included; every third study is killed twice, the second time while it resumes."""
    rng = random.Random(1000 * SEED + number)
    scheduler = rng.choice(("asha", "asha_stop"))
    study = Planted(tmp_path)
    study.began += ["--set", f"study.scheduler={scheduler}"]
    arguments, kills = [], []
    for most in (EPOCHS - 5, EPOCHS) if number % 3 == 2 else (EPOCHS,):
        began = time.monotonic()
        run = study.start(*arguments)
        run_until_a_random_moment(rng, study, run, most)
        run.process.kill()
        assert run.wait()[0] == -signal.SIGKILL, "it had ended before"
        kills.append(
            {
                "kind": "driver killed on Ray",
                "held": False,
                "random": True,
                "seed": SEED,
                "number": number,
                "scheduler": scheduler,
                "after_s": round(time.monotonic() - began, 2),
                "after_epochs": len(study.trained()),
            }
        )
        faults.append(kills[-1])
        kills[-1]["gone_s"] = round(run.await_end(), 2)
        arguments = ["--resume", "runs/s", "--trust"] if study.path.exists() else []
    if study.path.exists():
        study.resume()
    else:  # killed before there was a study
        assert study.start().wait()[0] == 0
    repeated = study.check(most_repeated=2 * len(kills))  # one in each slot
    for kill in kills:
        kill |= {"held": True, "repeated": repeated / len(kills)}


def test_a_trial_that_kills_its_process_fails_after_three_deaths(tmp_path):
    study = Planted(tmp_path, trials=8, deadly=0.75, max_epochs=3, seconds=0.05)
    sets = ["--set", "study.searcher=random", "--set", "study.scheduler=fifo"]
    code, _, err = study.start(*study.began, *sets).wait()
    assert code == 0, err
    records = load_study(study.path).records
    deadly = [r for r in records if r.config["x"] > 0.75]
    assert deadly
    for record in records:
        assert record.state == ("failed" if record in deadly and record.budget > 1 else "completed")
    for record in [r for r in deadly if r.budget > 1]:
        assert record.num_epochs == 1
        assert "its process died 3 times" in record.error
        assert f"x = {record.config['x']}" in record.error
    study.check(most_repeated=0, states=("completed", "failed"))


def test_a_process_that_dies_before_its_trial_begins_costs_the_trial_nothing(tmp_path):
    study = Planted(tmp_path, trials=5, max_epochs=3, seconds=0.05, trainable="bomb")
    code, _, err = study.start().wait()
    assert code == 0, err
    assert "its process died once" in err
    assert len({pid for *_, pid in study.trained()}) >= 3
    study.check(most_repeated=0)


def test_a_trial_out_of_memory_fails_by_itself_and_in_its_process(tmp_path):
    study = Planted(tmp_path, trials=12, max_epochs=3, seconds=0.02, trainable="hungry")
    sets = ["--set", "study.searcher=random", "--set", "study.scheduler=fifo"]
    run = study.start(*study.began, *sets, "--set", "study.explore=0")
    code, _, err = run.wait()
    assert code == 0, err
    told = {"host": "MemoryError", "gpu": "OutOfMemoryError: CUDA out of memory"}
    seen = {kind: 0 for kind in told}
    for record in load_study(study.path).records:
        kind = "host" if record.config["x"] > 0.75 else "gpu" if record.config["x"] < 0.25 else ""
        assert record.state == ("failed" if kind else "completed"), record
        if kind:
            seen[kind] += 1
            assert record.error.startswith("out of memory at ")
            assert f"x = {record.config['x']}" in record.error
            assert told[kind] in record.error
    assert all(seen.values()), seen
    assert len({pid for *_, pid in study.trained()}) == 2  # the processes served the others
    run.await_end()


def test_a_trial_that_ray_kills_for_its_memory_fails_and_others_go_on(tmp_path, monkeypatch):
    memory = psutil.virtual_memory()
    want = 4 << 30
    if memory.available < 2 * want:
        pytest.skip("wants 8 GiB of free memory")
    limit = (memory.total - memory.available + 0.75 * want) / memory.total  # Ray itself wants 1 GiB
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{limit:.4f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    study = Planted(tmp_path, trials=8, max_epochs=1, seconds=0.02, trainable="greedy", cpus=1)
    sets = ["--set", "study.searcher=random", "--set", f"user.bytes={want}"]
    run = study.start(*study.began, *sets)
    code, _, err = run.wait()
    assert code == 0, err
    records = load_study(study.path).records
    assert {r.state for r in records} == {"completed", "failed"}
    for record in records:
        assert record.state == ("failed" if record.config["x"] > 0.75 else "completed"), record
        if record.state == "failed":
            assert "died 3 times (Ray killed it for want of memory)" in record.error
            assert f"x = {record.config['x']}" in record.error
    run.await_end()


def test_three_first_failures_of_one_cause_end_the_study(tmp_path):
    study = Planted(tmp_path, trials=30, deadly=-1.0, max_epochs=3, seconds=0.05)
    sets = ["--set", "study.scheduler=fifo", "--set", "study.explore=0"]  # nobody ends otherwise
    code, out, err = study.start(*study.began, *sets).wait()
    assert code == 1
    assert out == "runs/s\n"
    assert "all failed with the same error: its process died 3 times" in err
    assert 3 <= len(load_study(study.path).records) <= 5


@contextlib.contextmanager
def mounted(path, *options):
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"mounting wants root: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_ends_with_cause_and_remedy_and_resumes(tmp_path):
    with mounted(tmp_path / "small", "-o", "size=4m") as disk:
        study = Planted(disk, trials=8, seconds=0.1)
        run = study.start()
        study.await_epochs(6, run)
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        code, _, err = run.wait()
        assert code == 4, err
        assert "No space left" in err
        assert "--resume" in err
        assert "Traceback" not in err
        run.await_end()
        states = {r.state for r in load_study(study.path).records}
        assert "failed" not in states
        ballast.unlink()
        study.resume()
        study.check(most_repeated=4)


def test_a_read_only_study_is_refused_and_untouched(tmp_path):
    with mounted(tmp_path / "disk", "-o", "size=64m") as disk:
        study = Planted(disk, trials=2, max_epochs=1)
        assert study.start().wait()[0] == 0
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        before = {p.name: p.read_bytes() for p in study.path.glob("*.json*")}
        for arguments in (
            ["--resume", "runs/s", "--trust"],
            ["--space", "planted.py", "--name", "new"],
        ):
            run = study.start(*arguments)
            code, _, err = run.wait()
            assert code == 4, err
            assert "Read-only file system" in err
            assert len(err.strip().splitlines()) == 2
            run.await_end()
        assert {p.name: p.read_bytes() for p in study.path.glob("*.json*")} == before


def test_without_ray_and_journal_and_in_another_place(tmp_path):
    study = Planted(tmp_path / "a") if (tmp_path / "a").mkdir() is None else None
    run = study.start()
    study.await_epochs(8, run)
    run.process.kill()
    run.wait()
    run.await_end()
    shutil.rmtree(study.path / "ray")
    (study.path / "study.journal").write_bytes(b"torn")
    with (study.path / "results.jsonl").open("ab") as file:
        file.write(b'{"trial_id": "t0000", "ep')
    (tmp_path / "b" / "runs").mkdir(parents=True)
    moved = Planted(tmp_path / "b")
    study.path.rename(moved.path)
    study.witness.rename(moved.witness)
    study.witness.symlink_to(moved.witness)  # where the stored config says
    moved.resume()
    moved.check(most_repeated=2)
