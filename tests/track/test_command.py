"""`study.trackers` from the command line to the tracker, the report included."""

import pytest

from deepsight.run_store import load_study
from deepsight.track.content import study_key
from deepsight.tune.cli import main
from deepsight.tune.observers import trackers
from tests.attacks.studies import finished_study
from tests.track.mlflow_counts import require_same

mlflow = pytest.importorskip("mlflow", reason="needs mlflow or mlflow-skinny")


@pytest.mark.slow
def test_a_resumed_study_ends_in_the_tracker_with_its_report(tmp_path, monkeypatch, capsys):
    store = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trackers, "CATCH_UP_S", 500.0)  # also on a machine with other work
    finished_study(tmp_path / "s", **{"data.name": "digits"})
    for _ in range(2):  # the second time nothing is doubled
        assert main(["--resume", "s", "--set", "study.trackers=mlflow"]) == 0
        client = mlflow.MlflowClient(store)
        study = load_study(tmp_path / "s")
        assert study_key(study.header) == study.header.id
        parent, runs = require_same(client, study)
        assert set(runs) == {"t0000", "t0001"}
        assert parent.info.status == "FINISHED"
        assert parent.data.tags["deepsight.best_trial"] == "t0000"
        sent = {file.path for file in client.list_artifacts(parent.info.run_id, "report")}
        assert {"report/index.html", "report/report.md"} <= sent
