"""A search that is sent to a tracker while it runs: faults of the tracker cost it nothing."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepsight.run_store import load_study
from deepsight.track.cli import main
from deepsight.tune.observers import trackers
from deepsight.tune.observers.trackers import WAITING, Waiting, tracked
from tests import trainables
from tests.track.mlflow_counts import require_same
from tests.track.server import Slow
from tests.tune.plans import make_plan
from tests.tune.search.test_search import begin, drive, go_on

mlflow = pytest.importorskip("mlflow", reason="needs mlflow or mlflow-skinny")
pytest.importorskip("flask", reason="MLflow's server needs flask")
EPOCH_S = 0.01


def paced(config, state):
    for answer in trainables.curve(config, state):
        time.sleep(EPOCH_S)
        yield answer


def search_for(directory, epochs=10**6, then=None, trials=6):
    """Search with a tracker; returns how long the search itself took and its study."""
    plan = make_plan(trials=trials, max_epochs=3, trackers="mlflow")
    search = go_on(plan, directory) if directory.exists() else begin(plan, directory)
    with search.writer, tracked(search, search.writer.study.header, lambda: False):
        began = time.monotonic()
        drive(search, slots=2, epochs=epochs, trainable=paced)
        took = time.monotonic() - began
        if then:
            then()
            drive(search, slots=2, trainable=paced)
    return took, load_study(directory)


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    monkeypatch.setattr(trackers, "made_report", lambda *_: None)
    monkeypatch.setattr(trackers, "CATCH_UP_S", 500.0)  # also on a machine with other work


def use(monkeypatch, url):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    return mlflow.MlflowClient(url)


@pytest.mark.slow
def test_a_search_and_its_resumption_arrive_as_one(server, tmp_path, monkeypatch):
    client = use(monkeypatch, server.url)
    _, study = search_for(tmp_path / "s", epochs=5)
    parent, before = require_same(client, study)
    assert parent.info.status == "KILLED"  # it can be resumed
    _, study = search_for(tmp_path / "s")
    parent, runs = require_same(client, study)
    assert parent.info.status == "FINISHED"
    assert {n: runs[n].info.run_id for n in before} == {n: r.info.run_id for n, r in before.items()}


@pytest.mark.slow
def test_a_server_that_is_not_there_costs_one_warning(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(trackers, "CATCH_UP_S", 3.0)
    use(monkeypatch, "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, "deepsight"):
        began = time.monotonic()
        _, study = search_for(tmp_path / "s")
        assert time.monotonic() - began < 30
    said = [r.getMessage() for r in caplog.records if r.name == "deepsight.tune.observers.trackers"]
    assert len(said) == 2
    assert "mlflow takes nothing: " in said[0]
    assert f"python -m deepsight.track {tmp_path / 's'} --to mlflow" in said[1]
    client = use(monkeypatch, server.url)
    assert main([str(tmp_path / "s"), "--to", "mlflow", "--no-report"]) == 0
    require_same(client, study)


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back_has_everything(server, tmp_path, monkeypatch, caplog):
    client = use(monkeypatch, server.url)
    plan = make_plan(trials=6, max_epochs=3, trackers="mlflow")
    search = begin(plan, tmp_path / "s")
    with search.writer, tracked(search, search.writer.study.header, lambda: False):
        drive(search, slots=2, epochs=4, trainable=paced)
        time.sleep(2)
        server.kill()
        try:
            assert not server.answers()
            drive(search, slots=2, trainable=paced)
            time.sleep(1)
        finally:
            server.start()
    assert "mlflow takes nothing" in caplog.text
    require_same(client, load_study(tmp_path / "s"))


@pytest.mark.slow
def test_a_slow_server_does_not_slow_the_search(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(trackers, "CATCH_UP_S", 1.0)
    slow = Slow(server, 5.0)
    use(monkeypatch, slow.url)
    took, study = search_for(tmp_path / "s")
    assert slow.num_requests > 0
    assert took < slow.seconds, "the search waited for a request"
    assert "to send it: python -m deepsight.track" in caplog.text
    client = use(monkeypatch, server.url)
    time.sleep(5.5)  # the request that was on its way
    assert main([str(tmp_path / "s"), "--to", "mlflow", "--no-report"]) == 0
    require_same(client, study)


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_in_the_same_runs(server, tmp_path, monkeypatch):
    client = use(monkeypatch, server.url)
    code = (
        "import os, time\nfrom pathlib import Path\nfrom tests.track.test_live import search_for\n"
        f"search_for(Path({str(tmp_path / 's')!r}), epochs=5, "
        "then=lambda: (time.sleep(4), os.kill(os.getpid(), 9)))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ, timeout=120)
    assert done.returncode == -9
    _, study = search_for(tmp_path / "s")
    require_same(client, study)


def test_what_waits_is_bounded():
    waiting = Waiting()
    study = load_study(Path(__file__).parents[1] / "data" / "studies" / "v1" / "smoke")
    for number in range(3 * WAITING):
        waiting.put(type(study.records[0])(f"t{number:04}", {}, False, 1, 0.0))
    assert len(waiting.trials) == WAITING
    assert waiting.take().trial_id == f"t{2 * WAITING:04}"
    waiting.close()
    assert waiting.take() is None
