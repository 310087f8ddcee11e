"""A study in W&B's offline mode, read back by W&B's own reader."""

import json
import subprocess

import pytest

from deepsight.run_store import load_study, open_study
from deepsight.track import sinks
from deepsight.track.cli import main
from tests.track.studies import write_study

wandb = pytest.importorskip("wandb", reason="needs wandb")


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def records(path):
    """The records of a run, as `wandb leet inspect` prints them."""
    core = wandb.util.get_core_path()
    command = [core, "leet", "inspect", "-no-observability", "-json", "-run-file", str(path)]
    done = subprocess.run(
        [*command, str(path.parents[1])], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def runs(folder, study):
    """The finished runs of a study: by the last part of their ids, their records."""
    found = {}
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        run_id = path.stem.removeprefix("run-")
        assert run_id.startswith(study.header.id[:16])
        name = run_id[17:]
        assert name not in found  # nothing doubled
        found[name] = records(path)
    return found


def of_kind(kind, run):
    return [record[kind] for record in run if record["type"] == kind]


def histories(run):
    own = ("_runtime", "_timestamp", "_step")
    return {
        item["step"]["num"]: {n: v for n, v in item["item"].items() if n not in own}
        for item in of_kind("history", run)
    }


def test_a_study_arrives_whole_and_once(tmp_path, capsys):
    study = write_study(tmp_path / "s")
    (tmp_path / "s" / "report").mkdir()
    (tmp_path / "s" / "report" / "index.html").write_text("a report")
    assert main([str(tmp_path / "s"), "--to", "wandb"]) == 0
    assert "new: 5 runs, 16 epochs" in capsys.readouterr().out
    found = runs(tmp_path, study)
    reports = [name for name in found if name.startswith("report-")]
    assert len(reports) == 1
    assert set(found) - set(reports) == {"t0000", "t0001", "t0002", "t0003"}  # t0004 still runs
    for record in study.records[:4]:
        run = found[record.trial_id]
        (head,) = of_kind("run", run)
        assert head["run_group"] == f"planted {study.header.id[:8]}"
        assert head["config"]["update"]["x"] == record.config["x"]
        assert head.get("tags", []) == (["explorer"] if record.explorer else [])
        wanted = {
            row["epoch"]: {"epoch": row["epoch"], "score": row["score"], "recall/00": 0.5}
            for row in record.rows
        }
        seen = histories(run)
        assert set(seen) == {1, 2, 3, 4}
        for epoch, row in wanted.items():
            if row["score"] is None:  # it was not finite
                del row["score"]
            else:
                row["recall/01"] = row["score"]
            assert seen[epoch] == row
        (end,) = of_kind("exit", run)
        failed = record.state in ("failed", "diverged")
        assert end.get("exit_code", 0) == failed
    assert main([str(tmp_path / "s"), "--to", "wandb"]) == 0
    assert "new: 0 runs, 0 epochs" in capsys.readouterr().out
    assert runs(tmp_path, study) == found
    with open_study(tmp_path / "s") as writer:
        writer.result("t0004", {"epoch": 5, "score": 0.9})
        writer.ended("t0004", "stopped")
    (tmp_path / "wandb" / f".deepsight-unfinished-{study.header.id[:16]}" / "x").mkdir(parents=True)
    assert main([str(tmp_path / "s"), "--to", "wandb", "--no-report"]) == 0
    assert "new: 1 runs, 5 epochs" in capsys.readouterr().out
    assert set(runs(tmp_path, study)) == {*found, "t0004"}
    assert not list((tmp_path / "wandb").glob(".deepsight*"))


def test_nothing_of_the_machine_is_in_a_run(tmp_path):
    import getpass
    import socket

    study = write_study(tmp_path / "s", trials=1)
    assert main([str(tmp_path / "s"), "--to", "wandb", "--no-report"]) == 0
    text = json.dumps(runs(tmp_path, study)["t0000"])
    for own in (str(tmp_path), socket.gethostname() + '"', f'"{getpass.getuser()}"', __file__):
        assert own not in text
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert not list(folder.glob("files/*"))


@pytest.mark.parametrize(
    ("mode", "said"), [("online", "has no API key"), ("disabled", "is switched off")]
)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    mode, said, tmp_path, monkeypatch, capsys
):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_MODE", mode)
    write_study(tmp_path / "s", trials=1)
    assert main([str(tmp_path / "s"), "--to", "wandb"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 2
    assert load_study(tmp_path / "s").records
    (tmp_path / "keys").write_text("machine api.wandb.ai login user password key")
    monkeypatch.setenv("NETRC", str(tmp_path / "keys"))
    if mode == "online":
        sinks.require_ready("wandb")
