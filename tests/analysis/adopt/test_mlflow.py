"""Runs that MLflow's client logged, against what the client says of them."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from analysis.adopt.found import Wanted
from analysis.adopt.sources import mlflow_server
from analysis.adopt.sources.mlflow import read, recognises
from deepsight.config import UserError
from tests.analysis.adopt.source_folders import unchanged

needs_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed"
)
WRITE = """
import json, math, sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
sweep, other = client.create_experiment("sweep"), client.create_experiment("other: 2")
parent = client.create_run(sweep, run_name="lr search").info.run_id
for number in range(6):
    tags = {"mlflow.parentRunId": parent}
    if number == 5:
        tags["state"] = "PRUNED"
    run = client.create_run(sweep, tags=tags, run_name=f"trial-{number % 4}").info.run_id
    client.log_param(run, "optim.lr", 10.0 ** -number)
    client.log_param(run, "layers", [16, 32])
    client.log_param(run, "nesterov", number % 2 == 0)
    for epoch in range(4 if number < 4 else 2):
        client.log_metric(run, "val/accuracy", 0.1 * number + 0.01 * epoch, step=epoch)
        if epoch % 2:
            client.log_metric(run, "f1", 0.5 if number else math.nan, step=epoch)
    if number == 1:
        client.log_metric(run, "val/accuracy", 0.9, step=3)  # once more
        client.log_metric(run, "f1", math.inf, step=2)
    status = ["FINISHED", "FINISHED", "FAILED", "KILLED", None, "FINISHED"][number]
    if status:
        client.set_terminated(run, status)
gone = client.create_run(sweep, run_name="gone").info.run_id
client.delete_run(gone)
lone = client.create_run(other).info.run_id
client.log_metric(lone, "loss", 1.5)
client.set_terminated(lone)
runs = client.search_runs([sweep], f"tags.mlflow.parentRunId = '{parent}'")
json.dump({"experiment": sweep, "parent": parent, "runs": [
    {"id": r.info.run_id, "params": r.data.params, "status": r.info.status,
     "start": r.info.start_time / 1000,
     "history": {key: [[m.step, repr(m.value)]
                       for m in client.get_metric_history(r.info.run_id, key)]
                 for key in r.data.metrics}}
    for r in runs]}, open(sys.argv[2], "w"))
"""


def written(folder, uri):
    """What the client says of a store that it filled, in a process of its own."""
    told = folder / "told.json"
    subprocess.run(
        [sys.executable, "-c", WRITE, uri, str(told)],
        check=True,
        env={**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"},
        cwd=folder,
        timeout=300,
    )
    return json.loads(told.read_text())


@pytest.fixture(scope="module", params=["folder", pytest.param("database", marks=pytest.mark.slow)])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    path = folder / ("mlruns" if request.param == "folder" else "mlflow.db")
    scheme = "file:" if request.param == "folder" else "sqlite:///"
    return path, written(folder, f"{scheme}{path}")


def finite(text):
    return float(text) if abs(float(text)) < sys.float_info.max else None  # which means infinity


def check_against_client(found, told):
    assert (found.tool, found.name) == ("mlflow", "lr search")
    assert len(found.trials) == len(told["runs"]) == 6
    theirs = {run["id"]: run for run in told["runs"]}
    for trial in found.trials:
        run = theirs[trial.key.rpartition("(")[2].rstrip(")")]
        assert {name: str(value) for name, value in trial.config.items()} == run["params"]
        assert trial.started == run["start"]
        for name, points in run["history"].items():
            last = {step + 1: finite(value) for step, value in points}
            ours = {r.epoch: r.metrics[name] for r in trial.rows if name in r.metrics}
            assert ours == last, name
    states = Counter(trial.state for trial in found.trials)
    assert states == {None: 2, "failed": 2, "running": 1, "stopped": 1}
    assert any("later ones count" in note for note in found.notes)
    assert any("FINISHED" in note for note in found.notes)


@needs_mlflow
def test_every_value_of_nested_runs_comes_over(made):
    path, told = made
    with unchanged(path.parent):
        assert recognises(str(path))
        found = read(str(path), Wanted(study="lr search"))
    check_against_client(found, told)
    assert read(str(path), Wanted(study=told["parent"])) == found
    assert read(str(path), Wanted(study="sweep")) == found
    assert found.metric is None
    config = found.trials[0].config
    assert [type(config[name]) for name in ("optim.lr", "layers", "nesterov")] == [float, str, bool]
    accuracy = read(str(path), Wanted(study="sweep", metric="val/accuracy"))
    assert accuracy.metric == "val/accuracy"
    assert [len(t.rows) for t in accuracy.trials] == [4, 4, 4, 4, 2, 2]


@needs_mlflow
def test_one_of_several_groups_must_be_named(made):
    path, told = made
    with pytest.raises(UserError) as error:
        read(str(path), Wanted())
    assert "2 groups of runs: " in error.value.cause
    assert f"lr search (6 runs of sweep, id {told['parent']})" in error.value.cause
    assert error.value.remedy == "Say which one: --study NAME."
    with pytest.raises(UserError, match="no experiment and no parent run 'nothing'"):
        read(str(path), Wanted(study="nothing"))
    with pytest.raises(UserError, match="unknown metric 'acc'"):
        read(str(path), Wanted(study="sweep", metric="acc"))
    single = read(str(path), Wanted(study="other: 2"))
    assert (single.metric, len(single.trials)) == ("loss", 1)
    assert [(r.epoch, dict(r.metrics)) for r in single.trials[0].rows] == [(1, {"loss": 1.5})]


@needs_mlflow
def test_the_folder_of_one_experiment_is_a_source_of_its_own(made):
    path, told = made
    if path.is_dir():
        found = read(str(path / told["experiment"]), Wanted())
        assert len(found.trials) == 6


def folder_store(root: Path, runs: int, epochs: int = 3) -> Path:
    """A store as MLflow 2 lays it out, without MLflow."""
    experiment = root / "mlruns" / "7"
    experiment.mkdir(parents=True)
    (root / "mlruns" / "models").mkdir()
    for number in range(runs):
        run = experiment / f"a{number:031x}"
        for name in ("params", "metrics", "tags"):
            (run / name).mkdir(parents=True)
        (run / "meta.yaml").write_text(
            f"run_id: a{number:031x}\nrun_name: r{number}\nstatus: 3\nlifecycle_stage: active\n"
            f"start_time: {1_700_000_000_000 + number}\nend_time: null\nexperiment_id: '7'\n"
        )
        (run / "params" / "lr").write_text(str(0.1 + number))
        lines = [f"{1_700_000_000_000 + e} {e / 10} {e}\n" for e in range(1, epochs + 1)]
        (run / "metrics" / "acc").write_text("".join(lines))
    (experiment / "meta.yaml").write_text(
        "experiment_id: '7'\nname: mine\nlifecycle_stage: active\n"
    )
    return root / "mlruns"


def test_a_torn_last_line_is_left_out_and_others_are_named(tmp_path):
    root = folder_store(tmp_path, 2)
    metric = root / "7" / f"a{0:031x}" / "metrics" / "acc"
    metric.write_text(metric.read_text()[:-2])
    found = read(str(root), Wanted())
    assert [len(t.rows) for t in found.trials] == [2, 3]
    metric.write_text("1 0.5 1\nhello\n1 0.5 2\n")
    with pytest.raises(UserError, match="acc:2: no value of a metric: 'hello'"):
        read(str(root), Wanted())
    (root / "7" / f"a{1:031x}" / "meta.yaml").write_text("run_id: [\n")
    with pytest.raises(UserError, match="meta.yaml cannot be read"):
        read(str(root), Wanted())


def test_aliases_that_multiply_are_refused(tmp_path):
    levels = "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
    )
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "meta.yaml").write_text("experiment_id: '7'\na0: &a0 {x: 1}\n" + levels)
    with pytest.raises(UserError, match="has aliases"):
        recognises(str(tmp_path))


def test_links_are_not_followed(tmp_path):
    root = folder_store(tmp_path, 2)
    secret = tmp_path / "secret"
    secret.write_text("key")
    (root / "7" / f"a{0:031x}" / "params" / "password").symlink_to(secret)
    (root / "7" / "linked").symlink_to(root / "7" / f"a{1:031x}")
    params = root / "7" / f"a{1:031x}" / "params"
    params.rename(tmp_path / "elsewhere")
    params.symlink_to(tmp_path / "elsewhere")
    found = read(str(root), Wanted())
    assert [dict(t.config) for t in found.trials] == [{"lr": 0.1}, {}]


def test_runs_without_results_and_a_store_without_runs(tmp_path):
    root = folder_store(tmp_path, 2)
    (root / "7" / f"a{0:031x}" / "metrics" / "acc").unlink()
    found = read(str(root), Wanted(metric="acc"))
    assert [len(t.rows) for t in found.trials] == [0, 3]
    empty = folder_store(tmp_path / "empty", 0)
    with pytest.raises(UserError, match="holds no run"):
        read(str(empty), Wanted())
    assert not recognises(str(tmp_path))


def test_batches_become_epochs_by_the_metric_that_says_so(tmp_path):
    """As Lightning logs: steps are batches, `epoch` stands beside; the loss is logged oftener."""
    root = folder_store(tmp_path, 1)
    metrics = root / "7" / f"a{0:031x}" / "metrics"
    metrics.joinpath("acc").write_text("1 0.1 99\n2 0.2 199\n3 0.3 299\n")
    metrics.joinpath("epoch").write_text("1 0 49\n1 0 99\n2 1 199\n3 2 299\n")
    metrics.joinpath("loss").write_text("1 5 49\n2 4 99\n3 3 149\n3 2 299\n")
    rows = read(str(root), Wanted(metric="acc")).trials[0].rows
    assert [(r.epoch, dict(r.metrics)) for r in rows] == [
        (1, {"acc": 0.1, "loss": 4.0}),
        (2, {"acc": 0.2, "loss": 3.0}),
        (3, {"acc": 0.3, "loss": 2.0}),
    ]


@pytest.mark.slow
def test_ten_thousand_runs_in_a_database_take_seconds(tmp_path):
    path = tmp_path / "mlflow.db"
    raw = sqlite3.connect(path)
    raw.executescript(
        """
        CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT);
        CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, experiment_id INTEGER, status TEXT,
                           start_time BIGINT, end_time BIGINT, name TEXT, lifecycle_stage TEXT);
        CREATE TABLE params (run_uuid TEXT, key TEXT, value TEXT);
        CREATE TABLE tags (run_uuid TEXT, key TEXT, value TEXT);
        CREATE TABLE metrics (run_uuid TEXT, key TEXT, value FLOAT, timestamp BIGINT, step BIGINT,
                              is_nan BOOLEAN);
        INSERT INTO experiments VALUES (1, 'many', 'active');
        """
    )
    many = range(10_000)
    raw.executemany("INSERT INTO runs VALUES (?, 1, 'FINISHED', ?, NULL, '', 'active')",
                    [(str(n), n) for n in many])  # fmt: skip
    raw.executemany("INSERT INTO params VALUES (?, ?, '0.5')", [(n, p) for n in many for p in "ab"])
    raw.executemany("INSERT INTO metrics VALUES (?, 'acc', 0.5, ?, ?, 0)",
                    [(n, e, e) for n in many for e in range(10)])  # fmt: skip
    raw.commit()
    raw.close()
    start = time.process_time()
    found = read(str(path), Wanted())
    assert time.process_time() - start < 20
    assert sum(len(t.rows) for t in found.trials) == 100_000


@pytest.mark.slow
def test_a_thousand_runs_in_a_folder_take_seconds(tmp_path):
    root = folder_store(tmp_path, 1000)
    start = time.process_time()
    found = read(str(root), Wanted())
    assert time.process_time() - start < 6
    assert len(found.trials) == 1000


@pytest.fixture
def server():
    """A server with the answers that a test gives, and the requests that it got."""
    asked, answers = [], {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked.append((self.path, self.headers.get("Authorization"), body))
            status, answer = answers.get(self.path.partition("?")[0].rpartition("mlflow/")[2],
                                         (404, b"no"))  # fmt: skip
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://example.invalid/")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked, answers
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "answer", "cause", "remedy"),
    [
        (200, b"<html>", "does not answer as MLflow does", "MLFLOW_TRACKING_URI"),
        (200, b"[" * 99_999, "does not answer as MLflow does", "MLFLOW_TRACKING_URI"),
        (401, b"who?", "answers 401: who?", "MLFLOW_TRACKING_TOKEN"),
        (302, b"", "answers 302", "tracking server"),
        (500, b"a\nb", "answers 500: a b", "tracking server"),
    ],
)
def test_a_server_of_another_kind_is_one_line(server, status, answer, cause, remedy):
    address, _, answers = server
    answers["experiments/search"] = (status, answer)
    assert recognises(address)
    with pytest.raises(UserError) as error:
        read(address.replace("//", "//me:secret@"), Wanted())
    assert cause in error.value.cause
    assert remedy in error.value.remedy
    assert "secret" not in error.value.cause
    assert "\n" not in error.value.cause


def test_a_server_that_is_away_is_one_line(monkeypatch):
    monkeypatch.setattr(mlflow_server, "TIMEOUT_S", 2.0)
    for address in ("http://127.0.0.1:1", "http://127.0.0.1:no", "http://"):
        with pytest.raises(UserError, match="cannot be reached"):
            read(address, Wanted())


def test_a_token_goes_to_the_address_that_was_typed(server, monkeypatch):
    address, asked, answers = server
    answers["experiments/search"] = (200, b"{}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    with pytest.raises(UserError, match="holds no run"):
        read(address, Wanted())
    assert {authorization for _, authorization, _ in asked} == {"Bearer abc"}


@needs_mlflow
@pytest.mark.slow
def test_a_real_server_says_the_same_as_its_client(tmp_path):
    pytest.importorskip("flask", reason="mlflow's server needs flask")
    running = pytest.importorskip("tests.track.server").Server(tmp_path / "server").start()
    try:
        told = written(tmp_path, running.url)
        check_against_client(read(running.url, Wanted(study="lr search")), told)
    finally:
        running.kill()
