"""A study in MLflow: counted by the API of MLflow's own server."""

import json

import pytest

from deepsight.run_store import load_study, open_study
from deepsight.track.cli import main
from deepsight.track.content import study_content, trial_content
from deepsight.track.send import send_study
from deepsight.track.sinks import make_sink
from tests.track.mlflow_counts import require_same, runs_of
from tests.track.studies import write_study

mlflow = pytest.importorskip("mlflow", reason="needs mlflow or mlflow-skinny")
pytest.importorskip("flask", reason="MLflow's server needs flask")
pytestmark = pytest.mark.slow  # the server takes seconds to start


@pytest.fixture
def client(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    return mlflow.MlflowClient(server.url)


def test_the_command_sends_a_study_and_the_second_time_nothing(client, tmp_path, capsys):
    study = write_study(tmp_path / "s")
    (tmp_path / "s" / "report").mkdir()
    (tmp_path / "s" / "report" / "index.html").write_text("a report")
    assert main([str(tmp_path / "s"), "--to", "mlflow"]) == 0
    assert "5 trials, 20 epochs; new: 6 runs, 20 epochs" in capsys.readouterr().out
    parent, runs = require_same(client, study)
    assert runs["t0002"].data.tags["deepsight.explorer"] == "true"
    assert (
        len(client.get_metric_history(runs["t0002"].info.run_id, "score")) == 3
    )  # its last one is not finite
    assert [f.path for f in client.list_artifacts(parent.info.run_id, "report")] == [
        "report/index.html"
    ]
    assert main([str(tmp_path / "s"), "--to", "mlflow"]) == 0
    assert "new: 0 runs, 0 epochs" in capsys.readouterr().out
    require_same(client, study)


def test_a_study_that_goes_on_goes_on_in_the_same_runs(client, tmp_path):
    study = write_study(tmp_path / "s")
    sink = make_sink("mlflow")
    send_study(study, sink)
    before = {name: run.info.run_id for name, run in runs_of(client, study)[1].items()}
    with open_study(tmp_path / "s") as writer:
        writer.result("t0004", {"epoch": 5, "score": 0.9})
        writer.ended("t0004", "stopped")
    study = load_study(tmp_path / "s")
    send_study(study, make_sink("mlflow"))
    _, runs = require_same(client, study)
    assert {name: run.info.run_id for name, run in runs.items()} == before


def test_a_sender_that_was_killed_in_an_epoch_leaves_nothing_doubled(client, tmp_path):
    study = write_study(tmp_path / "s")
    sink = make_sink("mlflow")
    sink.begin(study_content(study.header))
    record = study.records[0]
    sink.send(trial_content(record, study.header))
    with open_study(tmp_path / "s") as writer:
        writer.result("t0004", {"epoch": 5, "score": 0.9, "recall": [0.25, 0.75]})
    study = load_study(tmp_path / "s")
    sink.send(trial_content(load_study(tmp_path / "s").records[4], study.header))
    # half of an epoch, and a second run of a trial whose answer was lost
    _, runs = runs_of(client, study)
    with open_study(tmp_path / "s") as writer:
        writer.result("t0004", {"epoch": 6, "score": 0.95, "recall": [0.25, 0.75]})
        client.log_metric(runs["t0004"].info.run_id, "score", 0.95, step=6)
        tags = {**runs["t0004"].data.tags}
        client.create_run(runs["t0004"].info.experiment_id, tags=tags)
    study = load_study(tmp_path / "s")
    send_study(study, make_sink("mlflow"))
    require_same(client, study)


def test_names_of_a_stranger_arrive_within_the_limits_of_mlflow(client, tmp_path):
    write_study(tmp_path / "s")
    header = json.loads((tmp_path / "s" / "study.json").read_text())
    header["fixed"] |= {
        "../../etc": "x" * 9000,
        "ü\n": "\x1b[31m",
        "data.name": "folder:/home/ada/p",
    }
    header["name"] = "n" * 900
    (tmp_path / "s" / "study.json").write_text(json.dumps(header))
    assert main([str(tmp_path / "s"), "--to", "mlflow", "--no-report"]) == 0
    parent, _ = runs_of(client, load_study(tmp_path / "s"))
    assert parent.data.params["data.name"] == "folder:p"
    assert len(parent.data.params) == len(header["fixed"])


def test_a_server_that_is_away_is_a_line_and_a_remedy(tmp_path, capsys, monkeypatch):
    write_study(tmp_path / "s")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main([str(tmp_path / "s"), "--to", "mlflow", "--no-report"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 2
    assert "the same command sends the rest" in error


def test_a_report_that_links_elsewhere_is_not_sent(client, tmp_path, capsys):
    write_study(tmp_path / "s")
    secret = tmp_path / "secret"
    secret.write_text("a key")
    (tmp_path / "s" / "report").mkdir()
    (tmp_path / "s" / "report" / "index.html").write_text("a report")
    (tmp_path / "s" / "report" / "figure.png").symlink_to(secret)
    assert main([str(tmp_path / "s"), "--to", "mlflow"]) == 2
    assert "figure.png" in capsys.readouterr().err
