"""Risks that a person accepts by ``study.allow_*``: no file of a stranger's accepts them for us."""

import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import ray
from PIL import Image

import deepsight
from deepsight.confirm import cli as confirm
from deepsight.data import datasets
from deepsight.run_store import load_study
from deepsight.tune import plan
from deepsight.tune.cli import main
from deepsight.tune.plan import plan_from_header
from tests.attacks.studies import finished_study

GRANTS = ("study.allow_changed_data", "study.allow_unauthenticated", "study.trackers")
GRANTED = dict.fromkeys(GRANTS[:2], True)
EVERYBODY = "lets in everybody who reaches it"


@pytest.fixture
def open_cluster():
    """The address of a server that answers whoever asks, as a cluster without a token does."""
    address = ray.util.get_node_ip_address()  # what Ray makes of 127.0.0.1
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port(f"{address}:0")
    server.start()
    yield f"{address}:{port}"
    server.stop(None)


def test_these_are_all_grants():
    assert plan.GRANTS == GRANTS


def test_a_study_cannot_say_that_its_changed_data_are_accepted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in range(20):
        path = tmp_path / "photos" / ("blue", "red")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number, 2 * number, 3 * number)).save(path)
    datasets._load.cache_clear()
    finished_study(tmp_path / "s", **GRANTED, **{"data.name": "folder:photos"})
    assert load_study("s").header.settings["study.allow_changed_data"] is True
    Image.new("RGB", (16, 16), (255, 0, 0)).save(path)
    datasets._load.cache_clear()
    assert main(["--resume", "s"]) == 2
    assert "the data have changed" in capsys.readouterr().err
    with pytest.raises(deepsight.UserError, match="the data have changed"):
        deepsight.resume("s", progress=False)
    assert main(["--resume", "s", "--set", "study.allow_changed_data=true"]) == 0


def test_a_study_cannot_say_that_an_open_cluster_is_accepted(
    tmp_path, monkeypatch, capsys, open_cluster
):
    monkeypatch.chdir(tmp_path)
    finished_study(tmp_path / "s", **GRANTED, **{"data.name": "digits"})
    assert main(["--resume", "s", "--address", open_cluster]) == 5
    assert EVERYBODY in capsys.readouterr().err
    flags = ["s", "--top", "1", "--seeds", "2", "--no-test", "--address", open_cluster]
    assert confirm.main(flags) == 5
    assert EVERYBODY in capsys.readouterr().err
    header = load_study("s").header
    assert not plan_from_header(header).settings.allow_unauthenticated
    assert plan_from_header(header, allow_unauthenticated=True).settings.allow_unauthenticated


def test_a_confirmation_takes_that_grant_and_no_other_setting(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    finished_study(tmp_path / "s", **GRANTED, **{"data.name": "digits"})
    start = ["s", "--top", "1", "--seeds", "2", "--dry-run", "--set"]
    assert confirm.main([*start, "study.allow_unauthenticated=true"]) == 0
    assert confirm.main([*start, "study.trials=9"]) == 2
    assert "a confirmation trains as the search did" in capsys.readouterr().err


@pytest.mark.parametrize("name", GRANTS)
def test_an_experiment_cannot_grant_anything(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = "space: smoke\nfixed: {{data.name: digits}}\nstudy: {{{}: {}}}\n"
    key = name.removeprefix("study.")
    wanted, nothing = ("mlflow", '""') if key == "trackers" else ("true", "false")
    (tmp_path / "e.yaml").write_text(text.format(key, wanted))
    assert main(["--experiment", "e.yaml", "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert f"{name} in e.yaml" in error
    assert f"--set {name}={wanted}" in error
    (tmp_path / "e.yaml").write_text(text.format(key, nothing))
    assert main(["--experiment", "e.yaml", "--dry-run"]) == 0


def test_a_study_cannot_say_that_it_is_sent_to_a_server(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{listening.getsockname()[1]}")
        finished_study(tmp_path / "s", **{"study.trackers": "mlflow", "data.name": "digits"})
        assert not plan_from_header(load_study("s").header).settings.trackers
        assert main(["--resume", "s"]) == 0
        assert "add --set study.trackers=mlflow" in caplog.text
        listening.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listening.accept()
