"""Studies on real Ray, as a user starts them, and what must be true of them afterwards."""

import collections
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from deepsight.run_store import load_study
from deepsight.tune.process_cleanup import VARIABLE
from tests.faults.trainables import digest

ROOT = Path(__file__).parents[2]
STARTED = []
"""Runs of the test that is running."""
GONE_S = 15.0
"""Seconds after which nothing of a run may be left."""


class Planted:
    """One study of planted trials in a directory, with its witness beside it."""

    def __init__(
        self,
        directory,
        trials=6,
        seconds=0.2,
        max_epochs=9,
        deadly=2.0,
        cpus=2,
        trainable="planted",
    ):
        self.root, self.trials, self.seconds = Path(directory), trials, seconds
        self.witness = self.root / "witness"
        self.path = self.root / "runs" / "s"
        (self.root / "planted.py").write_text(
            "from deepsight.space import uniform\n"
            f"FIXED = {{'study.trainable': 'tests.faults.trainables:{trainable}',"
            f" 'study.metric': 'score', 'study.max_epochs': {max_epochs},"
            f" 'study.trials': {trials}, 'resources.cpus': {cpus},"
            f" 'user.witness': {str(self.witness)!r}, 'user.seconds': {seconds},"
            f" 'user.deadly': {deadly}, 'user.bytes': 0}}\n"
            "SPACE = {'x': uniform(0, 1)}\n"
        )
        self.began = ["--space", "planted.py", "--name", "s"]

    def start(self, *arguments):
        """Start the command; `arguments` default to a new study."""
        return Run(self.root, arguments or self.began)

    def resume(self):
        """Go on with the study to its end."""
        code, out, err = self.start("--resume", "runs/s", "--trust").wait()
        assert code == 0, err
        assert out == "runs/s\n"

    def trained(self):
        """Epochs that the witness saw, as (digest, epoch, process)."""
        lines = self.witness.read_text().splitlines() if self.witness.exists() else []
        return [(d, int(e), int(p)) for d, e, p in (line.split() for line in lines)]

    def await_epochs(self, count, run, processes=1, timeout_s=120):
        """Wait for so many epochs, and for so many processes to have trained one."""
        deadline = time.monotonic() + timeout_s
        while len(self.trained()) < count or len({p for *_, p in self.trained()}) < processes:
            assert time.monotonic() < deadline
            assert run.process.poll() is None, run.wait()
            time.sleep(0.02)

    def check(self, most_repeated, states=("completed", "stopped")):
        """No trial or row lost or doubled, whatever was trained on record; returns repetitions."""
        records = load_study(self.path).records
        assert [r.trial_id for r in records] == [f"t{n:04d}" for n in range(self.trials)]
        assert {r.state for r in records} <= set(states)
        lines = [json.loads(line) for line in (self.path / "results.jsonl").open()]
        epochs = [(line["trial_id"], line["epoch"]) for line in lines]
        assert len(epochs) == len(set(epochs))
        names = {r.trial_id: digest(r.config) for r in records}  # two trials may be alike
        rows = collections.Counter((names[trial_id], epoch) for trial_id, epoch in epochs)
        trained = collections.Counter((d, e) for d, e, _ in self.trained())
        assert set(trained) == set(rows)
        assert trained >= rows
        repeated = trained.total() - rows.total()
        assert repeated <= most_repeated, trained
        return repeated


def _shared_memory():
    folder = Path("/dev/shm")
    return {p.name for p in folder.iterdir()} if folder.is_dir() else set()


def describe(pid):
    """What a process is: to say of one that should have ended."""
    folder = Path("/proc") / str(pid)
    with contextlib.suppress(OSError, IndexError):
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
        up_s = float(Path("/proc/uptime").read_text().split()[0])
        age_s = up_s - int(stat[19]) / os.sysconf("SC_CLK_TCK")
        environment = (folder / "environ").read_bytes().split(b"\0")
        marks = [e.decode() for e in environment if e.startswith(VARIABLE.encode() + b"=")]
        return (
            f"process {pid} ({stat[0]}, parent {stat[1]}, {age_s:.1f} s old, "
            f"{', '.join(marks) or 'without a mark'}): {command.strip()[:300]}"
        )
    return f"process {pid}, which ended since"


class Run:
    """One process of the command line, in a session of its own, and all that it starts."""

    def __init__(self, root, arguments):
        self.root = Path(root).resolve()
        self.tag = f"FAULTS={uuid.uuid4().hex}"
        name, _, value = self.tag.partition("=")
        self.shared = _shared_memory()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deepsight.tune", *arguments],
            cwd=root,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), name: value},
        )
        STARTED.append(self)

    def wait(self, timeout_s=300):
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out, err

    def processes(self):
        """All that were started from it and run still: they inherited the tag or its directory."""
        return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and self._has(p)]

    def _has(self, process):
        with contextlib.suppress(OSError):
            if self.tag.encode() in (process / "environ").read_bytes():
                return True
            return (process / "cwd").readlink() == self.root
        return False

    def left(self):
        """Processes, session directories, sockets and shared memory that are left."""
        pid = self.process.pid
        sockets = Path("/proc/net/unix").read_text().splitlines()
        return [
            *map(describe, self.processes()),
            *Path(tempfile.gettempdir(), "ray").glob(f"session_*_{pid}"),
            *(line for line in sockets if "session_" in line and f"_{pid}/" in line),
            *(n for n in _shared_memory() - self.shared if "ray" in n or "plasma" in n),
        ]

    def await_end(self):
        """Wait until nothing is left; returns the seconds that took."""
        began = time.monotonic()
        while left := self.left():
            assert time.monotonic() - began < GONE_S, left
            time.sleep(0.1)
        return time.monotonic() - began
