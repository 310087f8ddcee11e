"""The run format: what is written is read back, also what version 1 wrote when it was new."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deepsight.config import UserError
from deepsight.run_store import (
    STATES,
    StorageError,
    StudyFormatError,
    create_study,
    load_openings,
    load_study,
    open_study,
    record_opening,
    trial_id,
    trial_path,
)
from deepsight.space import INACTIVE, choice, loguniform, to_json, uniform, when

SPACE = {
    "optim.name": choice("adamw", "sgd"),
    "optim.lr": loguniform(1e-4, 1e-1),
    "optim.momentum": when("optim.name", "sgd", uniform(0.5, 0.95)),
}
HEADER = {
    "name": "small",
    "metric": "val_accuracy",
    "mode": "max",
    "max_epochs": 3,
    "rungs": [1, 3],
    "fixed": {"model.depth": 2},
    "space": to_json(SPACE),
}
CONFIG = {"optim.name": "adamw", "optim.lr": 0.01, "optim.momentum": INACTIVE}
START = (
    '{"trial_id": "t0000", "event": "started", "time": 1.0, "config": {}, "explorer": false, '
    '"budget": 3}'
)
END = '{"trial_id": "t0000", "event": "ended", "time": 2.0, "state": "completed", "error": null}'
V1 = Path(__file__).parents[1] / "data/studies/v1/smoke"


def write_scores(writer, name, scores, state=None, explorer=False, budget=3):
    writer.started(name, CONFIG, explorer, budget)
    for epoch, score in enumerate(scores, start=1):
        writer.result(name, {"epoch": epoch, "val_accuracy": score})
    if state:
        writer.ended(name, state, "it broke" if state == "failed" else None)


@pytest.fixture
def study(tmp_path):
    """A directory with one completed and one interrupted trial; the writer is closed."""
    with create_study(tmp_path / "runs" / "small", HEADER) as writer:
        write_scores(writer, "t0000", [0.2, 0.4, 0.6], "completed")
        write_scores(writer, "t0001", [0.3])
    return tmp_path / "runs" / "small"


def test_what_is_written_is_read_back(study):
    loaded = load_study(study)
    assert loaded.space == SPACE
    assert loaded.fixed == {"model.depth": 2}
    assert (loaded.metric, loaded.mode, loaded.max_epochs) == ("val_accuracy", "max", 3)
    assert loaded.rungs == (1, 3)
    first, second = loaded.records
    assert first.config == CONFIG
    assert (first.state, second.state) == ("completed", "running")
    assert first.budget == 3
    assert first.explorer is False
    assert first.started <= first.rows[0]["time"] <= first.ended
    assert [row["val_accuracy"] for row in first.rows] == [0.2, 0.4, 0.6]
    assert (first.num_epochs, second.num_epochs) == (3, 1)
    assert second.ended is None


def test_tables(study):
    loaded = load_study(study)
    trials = loaded.trials.set_index("trial_id")
    assert trials.loc["t0000", "last"] == 0.6
    assert trials.loc["t0000", "optim.lr"] == 0.01
    assert trials["optim.momentum"].isna().all()
    assert list(trials["state"]) == ["completed", "running"]
    assert list(trials["num_epochs"]) == [3, 1]
    assert list(loaded.epochs["epoch"]) == [1, 2, 3, 1]
    assert list(loaded.epochs["trial_id"].unique()) == ["t0000", "t0001"]


def test_tables_of_an_empty_study_have_their_columns(tmp_path):
    create_study(tmp_path / "s", HEADER).close()
    loaded = load_study(tmp_path / "s")
    assert set(SPACE) | {"state", "last", "best"} <= set(loaded.trials.columns)
    assert list(loaded.epochs.columns) == ["trial_id", "epoch", "time"]
    assert loaded.incumbent() is None


def test_values_become_json(tmp_path):
    with create_study(tmp_path / "s", HEADER) as writer:
        writer.started("t0000", CONFIG, False, 3)
        row = {
            "epoch": 1,
            "a": math.nan,
            "b": np.float32(0.5),
            "c": [math.inf, 1],
            "d": np.array([0.25, math.nan]),
            "e": "text\nof two lines \u2028",
            "f": np.int64(7),
        }
        writer.result("t0000", row)
        with pytest.raises(ValueError, match="object"):
            writer.result("t0000", {"epoch": 2, "bad": object()})
    text = (tmp_path / "s/results.jsonl").read_text("utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    read = load_study(tmp_path / "s").records[0].rows[0]
    kept = {k: v for k, v in read.items() if k not in ("trial_id", "time")}
    assert kept == {
        "epoch": 1,
        "a": None,
        "b": 0.5,
        "c": [None, 1],
        "d": [0.25, None],
        "e": "text\nof two lines \u2028",
        "f": 7,
    }


def test_an_existing_directory_is_refused(study, tmp_path):
    before = (study / "study.json").read_bytes()
    with pytest.raises(UserError) as caught:
        create_study(study, HEADER)
    assert "--resume" in caught.value.remedy
    assert "--name" in caught.value.remedy
    assert (study / "study.json").read_bytes() == before
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="holds no study"):
        create_study(tmp_path / "other", {})


def test_a_directory_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        create_study(tmp_path / "file" / "s", HEADER)
    assert caught.value.exit_code == 4


def test_a_header_that_could_not_be_read_is_not_written(tmp_path):
    with pytest.raises(StudyFormatError, match="mode"):
        create_study(tmp_path / "s", HEADER | {"mode": "best"})
    clash = HEADER | {"space": to_json({"state": uniform(0, 1)})}
    with pytest.raises(StudyFormatError, match="state"):
        create_study(tmp_path / "s", clash)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("bad", ["t1", "0001", "t0001/..", "../t0001", "t0001\n", "t\u0661234", ""])
def test_trial_ids_that_could_leave_their_folder_are_refused(study, bad):
    with open_study(study) as writer:
        with pytest.raises(ValueError, match="trial id"):
            writer.trial_directory(bad)
        with pytest.raises(ValueError, match="trial id"):
            writer.started(bad, CONFIG, False, 3)


def test_trial_folders(study):
    assert trial_id(7) == "t0007"
    assert trial_id(12345) == "t12345"
    with open_study(study) as writer:
        assert writer.trial_directory("t0007").is_dir()
    assert trial_path(study, "t0007") == study / "trials" / "t0007"


def test_the_writer_refuses_what_the_reader_would(study):
    with open_study(study) as writer:
        with pytest.raises(ValueError, match="has ended"):
            writer.started("t0000", CONFIG, False, 3)
        with pytest.raises(ValueError, match="not running"):
            writer.ended("t0000", "completed")
        with pytest.raises(ValueError, match="not started"):
            writer.result("t0009", {"epoch": 1})
        with pytest.raises(ValueError, match="epoch"):
            writer.result("t0001", {"loss": 1.0})
        with pytest.raises(ValueError, match="ends as"):
            writer.ended("t0001", "running")
    load_study(study)


def test_resuming_appends(study):
    with open_study(study) as writer:
        writer.started("t0001", CONFIG, False, 3)
        writer.result("t0001", {"epoch": 2, "val_accuracy": 0.7})
        writer.ended("t0001", "stopped")
    second = load_study(study).records[1]
    assert [row["epoch"] for row in second.rows] == [1, 2]
    assert second.state == "stopped"


def test_going_back_to_an_earlier_checkpoint_replaces_the_later_rows(tmp_path):
    with create_study(tmp_path / "s", HEADER) as writer:
        write_scores(writer, "t0000", [0.1, 0.2, 0.3])
        writer.result("t0000", {"epoch": 2, "val_accuracy": 0.25})
    rows = load_study(tmp_path / "s").records[0].rows
    assert [(r["epoch"], r["val_accuracy"]) for r in rows] == [(1, 0.1), (2, 0.25)]


def test_two_writers_are_refused(study):
    with open_study(study), pytest.raises(UserError, match="another process"):
        open_study(study)
    open_study(study).close()


def test_times_rise_whatever_the_clock_does(study):
    with open_study(study) as writer:
        writer.result("t0001", {"epoch": 2, "time": 4e9})
        writer.result("t0001", {"epoch": 3})
    times = [row["time"] for row in load_study(study).records[1].rows]
    assert times[0] < times[1]
    with open_study(study) as writer:
        writer.ended("t0001", "completed")
    assert load_study(study).records[1].ended > times[-1]


def test_openings_of_the_test_split_are_kept_in_order(tmp_path):
    assert load_openings(tmp_path) == []
    for trial in ("t0001", "t0000"):
        record_opening(tmp_path, "diagnose", trial, "ab" * 32)
    first, second = load_openings(tmp_path)
    assert (first.trial_id, second.trial_id) == ("t0001", "t0000")
    assert first.time <= second.time
    path = tmp_path / "test_openings.jsonl"
    path.write_text(path.read_text() + '{"trial_id": "t0002"}\n')
    with pytest.raises(StudyFormatError, match="test_openings.jsonl:3: lacks 'time'"):
        load_openings(tmp_path)
    stated = '{"trial_id": "t0002", "time": "now", "command": "diagnose", "sha256": ""}\n'
    path.write_text(stated)
    with pytest.raises(StudyFormatError, match="test_openings.jsonl:1: time must be a number"):
        load_openings(tmp_path)
    with pytest.raises(StorageError):
        record_opening(tmp_path / "nowhere", "diagnose", "t0000", "")


def test_a_torn_opening_is_left_out_and_cut_off_by_the_next(tmp_path, caplog):
    record_opening(tmp_path, "diagnose", "t0000", "ab" * 32)
    path = tmp_path / "test_openings.jsonl"
    path.write_text(path.read_text() + '{"time": 2.5, "comm')
    with pytest.warns(UserWarning, match=r"test_openings.jsonl:2: the last line is torn"):
        assert [o.trial_id for o in load_openings(tmp_path)] == ["t0000"]
    record_opening(tmp_path, "confirm", "t0001", "ab" * 32)
    assert [o.command for o in load_openings(tmp_path)] == ["diagnose", "confirm"]
    assert "cut off a torn last line" in caplog.text


@pytest.mark.parametrize("name", ["command", "sha256"])
def test_an_opening_that_says_no_text_is_named(name, tmp_path):
    line = {"time": 1.5, "command": "diagnose", "trial_id": "t0000", "sha256": ""} | {name: [1]}
    (tmp_path / "test_openings.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(StudyFormatError, match=f"test_openings.jsonl:1: {name} must be a text"):
        load_openings(tmp_path)


def scores_study(tmp_path, trials, **header):
    with create_study(tmp_path / "s", HEADER | header) as writer:
        for number, (scores, state) in enumerate(trials):
            write_scores(writer, trial_id(number), scores, state)
    return load_study(tmp_path / "s")


def test_the_incumbent_is_the_best_of_full_budget(tmp_path):
    loaded = scores_study(
        tmp_path,
        [
            ([0.1, 0.9, 0.5], "completed"),  # the last epoch counts, not the best
            ([0.8], "stopped"),
            ([0.1, 0.1, 0.6], "completed"),
            ([0.1, 0.1, 0.6], "completed"),  # a tie goes to the earlier
            ([0.9, 0.9], "completed"),  # ended before the full budget
            ([0.9, 0.9, 0.99], "failed"),
            ([0.9, 0.9, None], "completed"),
        ],
    )
    best = loaded.incumbent()
    assert best.trial_id == "t0002"
    assert loaded.has_full_budget(best)
    assert [r.trial_id for r in loaded.ranked(loaded.records)][:2] == ["t0005", "t0004"]


def test_the_smallest_is_best_where_less_is_better(tmp_path):
    trials = [([3.0, 2.0, -1.0], "completed"), ([3.0, 2.0, -2.0], "completed")]
    loaded = scores_study(tmp_path, trials, mode="min")
    assert loaded.incumbent().trial_id == "t0001"
    assert loaded.trials["best"].tolist() == [-1.0, -2.0]


def test_without_a_full_budget_a_healthy_trial_stands_in(tmp_path):
    trials = [([0.9], "failed"), ([0.95], "diverged"), ([0.2, 0.3], None), ([0.1], "stopped")]
    loaded = scores_study(tmp_path, trials)
    best = loaded.incumbent()
    assert best.trial_id == "t0002"
    assert not loaded.has_full_budget(best)
    with pytest.raises(UserError, match="t0099"):
        loaded.record("t0099")


def test_version_1_is_read_for_ever():
    """The study that version 1 wrote when it was new; these numbers never change."""
    loaded = load_study(V1)
    assert loaded.header.schema_version == 1
    counts = {state: sum(r.state == state for r in loaded.records) for state in STATES}
    assert counts == {"running": 0, "completed": 6, "stopped": 4, "diverged": 1, "failed": 1}
    assert [r.trial_id for r in loaded.records if r.explorer] == ["t0004", "t0009"]
    assert [len(r.rows) for r in loaded.records] == [9, 9, 1, 3, 3, 9, 1, 2, 2, 9, 3, 9]
    best = loaded.incumbent()
    assert best.trial_id == "t0005"
    assert loaded.score(best) == 0.9206
    assert best.config["optim.name"] == "sgd"
    assert loaded.records[0].config == {
        "optim.name": "adamw",
        "optim.lr": 0.001,
        "optim.momentum": INACTIVE,
    }
    assert loaded.records[7].rows[-1]["val_accuracy"] is None
    assert loaded.records[8].error == "RuntimeError: out of memory"
    assert loaded.space["optim.momentum"].condition.values == ("sgd",)
    assert loaded.epochs["val_accuracy"].count() == 59
    assert len(loaded.trials) == 12


def test_a_study_loads_in_a_few_times_the_time_of_parsing_its_lines(tmp_path):
    """A thousand trials, 0.5 s where `json.loads` of the lines takes 0.17 (n = 3)."""
    create_study(tmp_path / "s", HEADER).close()
    recall = ", ".join(["0.8125"] * 10)
    with (
        (tmp_path / "s/trials.jsonl").open("w") as trials,
        (tmp_path / "s/results.jsonl").open("w") as results,
    ):
        for number in range(1000):
            name = trial_id(number)
            trials.write(START.replace("t0000", name) + "\n")
            for epoch in range(1, 21):
                results.write(
                    f'{{"trial_id": "{name}", "epoch": {epoch}, "time": 1.5, "wall_s": 1.25, '
                    f'"train_loss": 0.5123, "val_loss": 0.6123, "val_accuracy": 0.8123, '
                    f'"val_recall": [{recall}], "lr": 0.001}}\n'
                )
            trials.write(END.replace("t0000", name) + "\n")
    began = time.process_time()
    loaded = load_study(tmp_path / "s")
    took = time.process_time() - began
    assert len(loaded.epochs) == 20_000
    began = time.process_time()
    for name in ("trials.jsonl", "results.jsonl"):
        with (tmp_path / "s" / name).open() as lines:
            assert [json.loads(line) for line in lines]
    assert took < 10 * (time.process_time() - began)


def test_importing_the_store_stays_light():
    code = "import sys, deepsight.run_store; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"torch", "ray", "pandas", "numpy", "optuna"} & set(loaded.stdout.split())


def test_the_documentation_names_every_field():
    """Of what a search writes, as the study of version 1 holds it."""
    page = (Path(__file__).parents[2] / "docs/run_format.md").read_text("utf-8")
    fields = set(json.loads((V1 / "study.json").read_text()))
    for file in ("trials.jsonl", "results.jsonl"):
        for line in (V1 / file).read_text().splitlines():
            fields |= set(json.loads(line))
    fields |= {*load_study(V1).header.data, *load_study(V1).header.resources}
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("value", [[2**63], -(2**63), {"a": "\ud800"}, {"\ud800": 1}])
def test_nothing_is_written_that_cannot_be_read(study, value):
    with open_study(study) as writer, pytest.raises(ValueError, match="results.jsonl: x: "):
        writer.result("t0001", {"epoch": 9, "x": value})
    assert load_study(study).records
    with open_study(study) as writer:
        writer.result("t0001", {"epoch": 9, "x": [2**63 - 1, "caf\udce9", [[[]]]]})
    assert load_study(study).records[1].rows[-1]["x"] == [2**63 - 1, "caf\udce9", [[[]]]]
