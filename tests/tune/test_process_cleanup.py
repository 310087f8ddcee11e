"""What a run leaves behind, without Ray: plain processes stand for its own."""

import os
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest

from deepsight.run_store import lock
from deepsight.tune.process_cleanup import KEEP, MARK, VARIABLE, ProcessCleanup, end_all, marked

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
ORPHAN = [
    sys.executable,
    "-S",
    "-c",
    f"import subprocess; subprocess.Popen({SLEEP!r}, start_new_session=True)",
]
TITLED = [
    sys.executable,
    "-c",
    "import time; from ray._raylet import setproctitle; "
    "setproctitle('ray::Planted'); print('titled', flush=True); time.sleep(60)",
]
DRIVER = """
import os, subprocess, sys, time
from deepsight.tune.process_cleanup import ProcessCleanup
with ProcessCleanup() as cleanup:
    subprocess.run({orphan!r})
    print(cleanup.mark, flush=True)
    time.sleep(60)
"""


def wait_until(holds):
    """A process that was just started has no environment before its program is there."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_processes_and_orphans_end_with_the_run():
    before = os.environ.get(VARIABLE)
    with ProcessCleanup() as cleanup:
        child = subprocess.Popen(SLEEP)
        subprocess.run(ORPHAN, check=True)
        other = subprocess.Popen(SLEEP, env={k: v for k, v in os.environ.items() if k != VARIABLE})
        wait_until(lambda: len(list(marked(cleanup.mark))) == 2)
    assert list(marked(cleanup.mark)) == []
    assert child.wait(5) == -signal.SIGKILL
    assert other.poll() is None
    assert os.environ.get(VARIABLE) == before
    other.kill()
    other.wait()


def test_a_process_that_gives_itself_a_title_keeps_its_mark():
    with ProcessCleanup() as cleanup:
        assert os.environ.items() >= KEEP.items()
        bare = {VARIABLE: cleanup.mark}  # what is wiped ends with the first variable that changed
        for environment, found in ((bare | KEEP, 1), (bare, 0)):
            process = subprocess.Popen(TITLED, env=environment, stdout=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "titled\n"
            assert len(list(marked(cleanup.mark))) == found  # none: else KEEP is no longer needed
            process.kill()
            process.communicate()
    assert not set(KEEP) & set(os.environ)


def test_the_watchdog_ends_what_a_killed_run_leaves():
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(orphan=ORPHAN)], stdout=subprocess.PIPE, text=True
    )
    mark = driver.stdout.readline().strip()
    wait_until(lambda: len(list(marked(mark))) == 1)
    driver.kill()
    driver.wait()
    driver.stdout.close()
    wait_until(lambda: not list(marked(mark)))


def test_sessions_of_ray_are_deleted_with_their_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    root = tmp_path / "ray"
    began = datetime(2026, 1, 1, 12)
    ours = "session_2026-01-01_12-00-01_000001_123"
    others = {
        "session_2026-01-01_12-00-01_000001_45": "of another process",
        "session_2026-01-01_11-59-59_000001_123": "of this process, before the run",
        "session_2026-01-01_12-00-01_123": "not a name that Ray gives",
    }
    for name in (ours, *others):
        (root / name / "sockets").mkdir(parents=True)
    (root / "session_latest").symlink_to(root / ours)
    end_all(f"123-{int(began.timestamp()) * 10**9}")
    assert {p.name for p in root.iterdir()} == set(others)


@pytest.mark.parametrize("mark", ["", "*-1", "../../x", "*/../../../x", "1-2/..", "1-2\n", "-"])
def test_a_mark_of_another_form_ends_and_deletes_nothing(mark, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    session = tmp_path / "ray" / "session_2026-01-01_12-00-01_000001_1"
    (session / "x").mkdir(parents=True)
    process = subprocess.Popen(SLEEP, env=os.environ | {VARIABLE: mark})
    end_all(mark)
    assert process.poll() is None
    process.kill()
    process.wait()
    assert (session / "x").is_dir()


def test_the_note_of_a_study_and_the_watchdog_know_one_form_of_mark():
    """The watchdog runs without the package, so that it has the form a second time."""
    assert (MARK.pattern, MARK.flags) == (lock.MARK.pattern, lock.MARK.flags)
