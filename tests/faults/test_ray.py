"""Drivers and workers killed on real Ray; those marked `faults` by `make faults` only."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from deepsight.run_store import load_study
from tests.faults.harness import Planted

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


def test_a_worker_and_then_the_driver_killed(tmp_path):
    study = Planted(tmp_path, trials=8, seconds=0.6)  # longer than a new process takes to start
    run = study.start()
    study.await_epochs(4, run)
    victim = study.trained()[-1][2]
    os.kill(victim, signal.SIGKILL)
    before = {pid for *_, pid in study.trained()}
    study.await_epochs(8, run, processes=len(before) + 1)  # one took the place of the dead
    os.kill(run.process.pid, signal.SIGKILL)
    assert run.wait()[0] == -signal.SIGKILL
    run.await_end()
    assert (study.path / "writer.json").exists()
    assert any(r.state == "running" for r in load_study(study.path).records)
    study.resume()
    study.check(most_repeated=1 + 2)  # the dead worker's epoch, and one of each slot
    assert not (study.path / "writer.json").exists()


@pytest.mark.faults
def test_epochs_of_a_minute_do_not_delay_the_end(tmp_path):
    study = Planted(tmp_path, seconds=60.0)
    run = study.start()
    study.await_epochs(2, run)
    code, _, err = study.start("--resume", "runs/s", "--trust").wait()
    assert code == 2, err
    assert f"another process (process {run.process.pid} on " in err
    began = time.monotonic()
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does it
    code, out, err = run.wait()
    assert time.monotonic() - began < 10
    assert code == 130, err
    assert out == "runs/s\n"
    assert "--resume runs/s" in err
    run.await_end()
    assert [r.state for r in load_study(study.path).records] == ["running"] * 2

    run = study.start("--resume", "runs/s", "--trust")
    study.await_epochs(4, run)
    began = time.monotonic()
    for _ in range(2):
        run.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    code, out, err = run.wait()
    assert time.monotonic() - began < 10
    assert code == 143, err
    run.await_end()
    assert [r.trial_id for r in load_study(study.path).records] == ["t0000", "t0001"]


@pytest.mark.faults
def test_a_raylet_that_dies_is_replaced_once(tmp_path):
    study = Planted(tmp_path, trials=4, seconds=0.6)
    run = study.start()
    study.await_epochs(3, run)
    kill(run, "raylet")
    code, out, err = run.wait()
    assert code == 0, err
    assert out == "runs/s\n"
    assert "a process of Ray ended by itself: raylet. It is started again, once." in err
    study.check(most_repeated=2)  # the epochs of both slots
    run.await_end()


@pytest.mark.faults
def test_without_ray_s_control_process_the_study_ends_at_once_and_can_go_on(tmp_path):
    study = Planted(tmp_path, trials=4, seconds=0.6)
    run = study.start()
    study.await_epochs(3, run)
    began = time.monotonic()
    kill(run, "gcs_server")
    code, _, err = run.wait()
    assert time.monotonic() - began < 15
    assert code == 5, err
    assert "a process of Ray ended by itself: gcs_server." in err
    assert f"go on with: python -m deepsight.tune --resume {study.path}" in err
    run.await_end()
    study.resume()
    study.check(most_repeated=2)


@pytest.mark.faults
def test_a_study_that_is_moved_ends_with_a_line_and_goes_on_at_its_new_place(tmp_path):
    study = Planted(tmp_path, trials=4, seconds=0.6)
    run = study.start()
    study.await_epochs(3, run)
    began = time.monotonic()
    study.path.rename(tmp_path / "runs" / "moved")
    code, out, err = run.wait()
    assert time.monotonic() - began < 20
    assert (code, out) == (4, "")
    assert f"{study.path} is gone: the study was moved or deleted while it ran." in err
    assert "Traceback" not in err
    assert not study.path.exists()  # moving it back works
    run.await_end()
    (tmp_path / "runs" / "moved").rename(study.path)
    study.resume()
    study.check(most_repeated=2 * 2)  # of each slot the epoch that ran, and one not recorded


def test_a_study_goes_on_when_nobody_reads_its_output_any_more(tmp_path):
    study = Planted(tmp_path, trials=4, seconds=0.1)
    run = study.start()
    for stream in (run.process.stdout, run.process.stderr):  # as `2>&1 | head -1` does
        stream.close()
    assert run.process.wait(120) == 0
    study.check(most_repeated=0)


def kill(run, name):
    """Kill the one process of the run whose program is called `name`."""
    (victim,) = [p for p in run.processes() if Path(f"/proc/{p}/comm").read_text().strip() == name]
    os.kill(victim, signal.SIGKILL)
