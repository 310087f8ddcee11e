"""``writer.json`` decides which processes are ended: only those that its own writer left behind."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from deepsight.config import UserError
from deepsight.run_store import create_study, open_study
from deepsight.run_store.lock import NOTE, read_note
from deepsight.tune import driver
from deepsight.tune.preflight import make_header
from deepsight.tune.process_cleanup import VARIABLE
from tests.tune.plans import make_plan

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

RUNNING = """
import subprocess, sys, time
from pathlib import Path
from deepsight.run_store import open_study
from deepsight.tune.process_cleanup import ProcessCleanup
with ProcessCleanup() as cleanup, open_study(Path(sys.argv[1]), cleanup.mark) as writer:
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def study(tmp_path):
    create_study(tmp_path / "a", make_header(make_plan(), {})).close()
    return tmp_path / "a"


@pytest.fixture
def running(study):
    """A process that writes the study, and the number of one that it started."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNING, str(study)], stdout=subprocess.PIPE, text=True
    )
    yield process, int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


def resumed(study):
    """What `driver.resume_study` does with the note of `study`."""
    with open_study(study) as writer:
        driver.end_stale(writer)
        return writer.stale


def test_a_copy_of_a_running_study_does_not_end_the_original(study, running):
    process, child = running
    copy = shutil.copytree(study, study.with_name("b"))
    assert read_note(copy).alive
    assert resumed(copy) is None
    assert process.poll() is None
    assert alive(child)
    with pytest.raises(UserError, match=f"process {process.pid} on"):
        open_study(study)


def test_a_note_of_this_record_with_the_mark_of_another_run_ends_nothing(study, running):
    """The lock is free, as on file systems without locks, and the note is forged to fit."""
    process, child = running
    other = shutil.copytree(study, study.with_name("b"))
    status = (other / "trials.jsonl").stat()
    record = f"{status.st_dev}:{status.st_ino}"
    note = read_note(study)
    for forged in (
        dataclasses.replace(note, record=record),
        dataclasses.replace(note, record=record, started=1.0),
    ):
        (other / NOTE).write_text(json.dumps(dataclasses.asdict(forged)))
        with pytest.raises(UserError, match="is writing"):
            resumed(other)
    for forged in (
        dataclasses.replace(note, record=record, pid=2**30),
        dataclasses.replace(note, record=record, host="elsewhere"),
    ):
        (other / NOTE).write_text(json.dumps(dataclasses.asdict(forged)))
        resumed(other)
    assert process.poll() is None
    assert alive(child)


def test_what_a_killed_writer_left_is_ended(study, running):
    process, _ = running
    mark = read_note(study).mark
    left = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        env=os.environ | {VARIABLE: mark},
    )
    time.sleep(0.2)
    os.kill(process.pid, 9)
    process.wait()
    assert resumed(study).mark == mark
    assert left.wait(5) == -9


HOSTILE = {
    "climbs": {"mark": "*/../../../w/x"},
    "matches many": {"mark": "*-1"},
    "a new line": {"mark": "1-1\n"},
    "of another process": {"mark": "1-1"},
    "too long": {"mark": "1-" + "9" * 400},
    "no text": {"mark": ["1-1"]},
    "pid of init": {"pid": 0},
    "pid of a group": {"pid": -1},
    "huge pid": {"pid": 10**400},
    "pid a float": {"pid": 1e300},
    "no date": {"started": 1e300},
    "infinite": {"started": float("inf")},
    "not a number": {"started": float("nan")},
    "text": {"started": "now"},
    "more fields": {"command": "rm"},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_note_of_another_form_is_none(case, study, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    session = tmp_path / "ray" / "session_2026-01-01_12-00-01_000001_1"
    session.mkdir(parents=True)
    (tmp_path / "w" / "x").mkdir(parents=True)
    status = (study / "trials.jsonl").stat()
    note = {
        "pid": 2**30,
        "started": 1.0,
        "host": os.uname().nodename,
        "mark": f"{2**30}-1",
        "record": f"{status.st_dev}:{status.st_ino}",
    }
    (study / NOTE).write_text(json.dumps(note | HOSTILE[case]))
    assert read_note(study) is None
    assert resumed(study) is None
    assert session.is_dir()
    assert (tmp_path / "w" / "x").is_dir()
    assert not (study / NOTE).exists()  # ours replaced it, and is removed at the end


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b"{" * 9])
def test_a_note_that_is_none_is_passed_over(content, study):
    (study / NOTE).write_bytes(content)
    assert read_note(study) is None
    open_study(study).close()
