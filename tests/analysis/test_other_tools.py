"""The same study in TensorBoard's HParams tab and in optuna-dashboard: as many trials by state.

The search is driven without Ray, with all that the driver attaches to it; both tools run as servers
on the loopback and are asked as their pages ask them.
"""

import json
import threading
import urllib.request
from collections import Counter
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import pytest

from analysis.summary import compute_summary
from deepsight.run_store import create_study, load_study
from deepsight.tune.observers.tensorboard import TensorBoard
from deepsight.tune.preflight import make_header
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Searcher
from tests import trainables
from tests.tune.plans import make_plan

OPTUNA = {"Complete": "completed", "Pruned": "stopped", "Fail": "failed", "Running": "running"}
SUCCESS, FAILURE = "STATUS_SUCCESS", "STATUS_FAILURE"
RUNNING = "STATUS_UNKNOWN"  # TensorBoard's word for a session without an end


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study with trials in every state: two fail, two diverge, one is left running."""
    plan = make_plan(trials=24)
    directory = tmp_path_factory.mktemp("runs") / "s"
    writer = create_study(directory, make_header(plan, {}))
    board = TensorBoard(directory, plan.space, "score")
    journal = Searcher(plan, directory / "study.journal")
    search = Search(plan, journal, writer, [board])
    for number in range(23):
        proposal = search.next()
        scores = trainables.curve(proposal.config, None)
        for epoch in range(1, 10):
            score = next(scores)[0]["score"]
            if number in (5, 9):
                search.failed(proposal.trial_id, "RuntimeError: planted")
                break
            score = None if number in (6, 11) else score
            if not search.result(proposal.trial_id, {"epoch": epoch, "score": score}):
                break
    running = search.next()
    search.result(running.trial_id, {"epoch": 1, "score": 0.99})
    board.close()
    writer.close()
    states = compute_summary(load_study(directory)).states
    assert min(states.values()) > 0, states
    return directory, states


def ask(address, question=None):
    body = json.dumps(question).encode() if question else None
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_the_hparams_tab_has_as_many_trials_by_state(study):
    from tensorboard import program

    directory, states = study
    server = program.TensorBoard()
    server.configure(
        argv=[
            None,
            "--logdir",
            str(directory),
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--load_fast=false",
        ]
    )
    address = server.launch()
    question = {
        "experimentName": "",
        "colParams": [],
        "startIndex": 0,
        "sliceSize": 1000,
        "allowedStatuses": [SUCCESS, FAILURE, RUNNING, "STATUS_RUNNING"],
    }
    pause = threading.Event()
    for _ in range(100):  # it reads the event files in the background
        groups = ask(f"{address}data/plugin/hparams/session_groups", question)["sessionGroups"]
        found = Counter(s["status"] for g in groups for s in g["sessions"])
        if found.total() == sum(states.values()):
            break
        pause.wait(0.2)
    assert found == {
        SUCCESS: states["completed"] + states["stopped"],
        FAILURE: states["failed"] + states["diverged"],
        RUNNING: states["running"],
    }
    assert len(groups) == len({g["name"] for g in groups}) == sum(states.values())


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.mark.slow
def test_optuna_dashboard_has_as_many_trials_by_state(study):
    dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    directory, states = study
    backend = optuna.storages.journal.JournalFileBackend(str(directory / "study.journal"))
    application = dashboard.wsgi(optuna.storages.JournalStorage(backend))
    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/api/studies"
            (listed,) = ask(address)["study_summaries"]
            trials = ask(f"{address}/{listed['study_id']}")["trials"]
        finally:
            server.shutdown()
            serving.join()
    found = Counter(OPTUNA[trial["state"]] for trial in trials)
    short = sum(
        r.state == "completed" and r.num_epochs < 9 for r in load_study(directory).records
    )  # explorers of a smaller budget: Optuna must not compare their scores, hence Pruned
    assert found == {
        "completed": states["completed"] - short,
        "stopped": states["stopped"] + short,
        "failed": states["failed"] + states["diverged"],
        "running": states["running"],
    }
