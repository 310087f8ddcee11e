"""A study without Ray whose driver can be killed at any write of its record.

Workers take turns in the driver's process. As in `ray_backend/worker.py`, an epoch is on disk (a
checkpoint with its row) before the driver hears of it, and a worker goes on from its newest
checkpoint, handing in first what the driver has not on record. The witness, a file outside the
study, gets a line for every epoch that is trained.
"""

import hashlib
import json
import math

from deepsight.run_store import create_study, load_study, open_study
from deepsight.space import to_stored
from deepsight.tune.preflight import make_header
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Searcher
from tests.trainables import curve


class Killed(BaseException):
    """The driver's end: nothing catches it, nothing cleans up after it."""


class Fuse:
    """A file of the record that kills the driver at its n-th write."""

    def __init__(self, file, countdown, share):
        self._file, self._countdown, self._share = file, countdown, share

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, content):
        self._countdown["left"] -= 1
        if self._countdown["left"] == 0:
            self._file.write(content[: math.floor(self._share * len(content))])
            raise Killed
        return self._file.write(content)


def arm(writer, at, share):
    """Kill the driver at write number `at`, after `share` of its line (1: all of it)."""
    countdown = {"left": at}
    writer._trials = Fuse(writer._trials, countdown, share)
    writer._results = Fuse(writer._results, countdown, share)


def digest(config):
    return hashlib.sha256(json.dumps(to_stored(config), sort_keys=True).encode()).hexdigest()[:12]


def steps(folder, witness, proposal, known):
    """The rows of one trial, as a worker hands them in."""
    path = folder / proposal.trial_id / "checkpoint.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    row = json.loads(path.read_text()) if path.exists() else {"epoch": 0}
    if row["epoch"] > known:
        yield row
    for metrics, state in curve(proposal.config, {"epoch": row["epoch"]}):
        with witness.open("a") as file:
            file.write(f"{proposal.trial_id} {state['epoch']} {digest(proposal.config)}\n")
        row = {"epoch": state["epoch"]} | metrics
        path.write_text(json.dumps(row))
        yield row


def run(plan, directory, witness, slots=1, at=0, share=0.0):
    """Begin a study or go on with it; killed at write `at`, if that comes.

    Returns:
        The search, and whether the driver was killed.
    """
    if directory.exists():
        writer = open_study(directory)
    else:
        writer = create_study(directory, make_header(plan, {}))
    search = Search(plan, Searcher(plan), writer)
    arm(writer, at, share)
    running = {}
    try:
        search.replay(load_study(directory))
        while True:
            while len(running) < slots and not search.exhausted:
                proposal = search.next()
                if proposal is None:
                    break
                known = search.epochs_of(proposal.trial_id)
                running[proposal.trial_id] = steps(directory / "trials", witness, proposal, known)
            if not running:
                return search, False
            for trial_id in list(running):
                if not search.result(trial_id, next(running[trial_id])):
                    del running[trial_id]
    except Killed:
        return search, True
    finally:
        writer._trials.close()  # what the system does for a killed process; no note is removed
        writer._results.close()


def history(directory):
    """What is on record, without times."""
    return [
        (
            r.trial_id,
            to_stored(r.config),
            r.explorer,
            r.budget,
            r.state,
            [row["score"] for row in r.rows],
        )
        for r in load_study(directory).records
    ]


def told(search):
    """What Optuna has heard, by trial."""
    return {
        t.user_attrs["trial_id"]: (t.params, t.state, t.value, t.intermediate_values)
        for t in search.searcher.optuna_study.trials
    }
