"""Runs of Weights & Biases: its own folders, and the exports that people make of them."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import time

import pandas as pd
import pytest

from analysis.adopt.found import Wanted
from analysis.adopt.sources.wandb import read, recognises
from deepsight.config import UserError
from tests.analysis.adopt.source_folders import unchanged

needs_wandb = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="wandb is not installed"
)
WRITE = """
import math, wandb
for number in range(4):
    run = wandb.init(project="digits", name=f"trial-{number % 3}", group="sweep", config={
        "optim": {"lr": 10.0 ** -number, "name": "sgd"}, "layers": [16, 32], "wide": number > 1},
        settings=wandb.Settings(console="off", x_disable_stats=True))
    for epoch in range(1 + number):
        accuracy = math.nan if (number, epoch) == (2, 1) else number + epoch / 10
        run.log({"val": {"accuracy": accuracy}, "loss": 2, "picture": wandb.Html("<p>")})
    run.finish(exit_code=int(number == 1))
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """The folder of four runs that W&B wrote without a network."""
    folder = tmp_path_factory.mktemp("wandb")
    own = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(folder)}
    subprocess.run([sys.executable, "-c", WRITE], check=True, env=os.environ | own, timeout=120,
                   cwd=folder)  # fmt: skip
    return folder


@needs_wandb
def test_every_value_of_offline_runs_comes_over(offline):
    with unchanged(offline):
        assert recognises(str(offline))
        found = read(str(offline), Wanted(metric="val.accuracy"))
    assert (found.tool, found.name, found.metric) == ("wandb", "digits", "val.accuracy")
    by_lr = sorted(found.trials, key=lambda trial: -trial.config["optim.lr"])
    assert [t.key.partition(" ")[0] for t in by_lr] == ["trial-0", "trial-1", "trial-2", "trial-0"]
    assert len({t.key for t in by_lr}) == 4
    assert by_lr[3].config == {
        "optim.lr": 0.001,
        "optim.name": "sgd",
        "layers": "[16, 32]",
        "wide": True,
    }
    assert [t.state for t in by_lr] == [None, "failed", None, None]
    assert [[(r.epoch, r.metrics["val.accuracy"]) for r in t.rows] for t in by_lr] == [
        [(1, 0.0)],
        [(1, 1.0), (2, 1.1)],
        [(1, 2.0), (2, None), (3, 2.2)],
        [(1, 3.0), (2, 3.1), (3, 3.2), (4, 3.3)],
    ]
    assert set(by_lr[0].rows[0].metrics) == {"val.accuracy", "loss"}
    now = time.time()
    assert all(now - 600 < t.started <= r.time < now for t in by_lr for r in t.rows)
    assert read(str(offline), Wanted(study="sweep")).trials == found.trials
    with pytest.raises(UserError, match="no project, group or sweep 'x'"):
        read(str(offline), Wanted(study="x"))


@needs_wandb
def test_one_run_and_a_torn_one_are_read(offline, tmp_path):
    (whole,) = [
        p for p in offline.rglob("*.wandb") if len(read(str(p), Wanted()).trials[0].rows) > 3
    ]
    raw = whole.read_bytes()
    counts = []
    for end in range(8, len(raw), len(raw) // 200):
        torn = tmp_path / "run-x.wandb"
        torn.write_bytes(raw[:end])
        try:
            found = read(str(torn), Wanted())
        except UserError:
            assert not counts  # torn before the run began
            continue
        counts.append(len(found.trials[0].rows))
        assert found.trials[0].state == "running"
    assert counts == sorted(counts)
    assert {0, 2, 4} <= set(counts)
    (tmp_path / "run-x.wandb").write_bytes(b"text")
    with pytest.raises(UserError, match=r"run-x.wandb is no record of W&B"):
        read(str(tmp_path), Wanted())


RUNS = [
    {"name": "a", "id": "1", "state": "finished", "project": "p",
     "config": {"lr": {"value": 0.1, "desc": None}, "_wandb": {"value": {}}},
     "summary": {"acc": 0.5, "_step": 9, "gone": math.nan}},
    {"name": "b", "id": "2", "state": "killed", "project": "p",
     "config": {"lr": {"value": 0.2, "desc": None}},
     "summary": {"acc": 0.25, "_step": 3, "gone": 1}},
]  # fmt: skip


def frame():
    """What the script of W&B's documentation makes."""
    flat = [{"summary": r["summary"], "config": {"lr": r["config"]["lr"]["value"]},
             "name": r["name"], "state": r["state"]} for r in RUNS]  # fmt: skip
    return pd.DataFrame(flat)


@pytest.mark.parametrize("form", ["csv", "records", "columns", "lines", "objects"])
def test_runs_with_their_last_values_are_one_row_each(tmp_path, form):
    path = tmp_path / ("runs.csv" if form == "csv" else "runs.json")
    if form == "csv":
        frame().to_csv(path)
    elif form == "objects":
        path.write_text(json.dumps(RUNS))
    elif form == "lines":
        path = tmp_path / "runs.jsonl"
        frame().to_json(path, orient="records", lines=True)
    else:
        frame().to_json(path, orient=form)
    with unchanged(tmp_path):
        assert recognises(str(path))
        found = read(str(path), Wanted(metric="acc"))
    assert [dict(t.config) for t in found.trials] == [{"lr": 0.1}, {"lr": 0.2}]
    assert [t.state for t in found.trials] == [None, "stopped"]
    rows = [[(r.epoch, r.metrics["acc"]) for r in t.rows] for t in found.trials]
    assert rows == [[(9, 0.5)], [(3, 0.25)]]
    assert any("2 of 2 runs have no history" in note for note in found.notes)


def test_histories_beside_runs_are_joined_by_name_or_id(tmp_path):
    (tmp_path / "runs.json").write_text(json.dumps(RUNS))
    (tmp_path / "histories").mkdir()
    times = [1.7e9, 1.7e9 + 1, 1.7e9 + 2]
    history = {"_step": [0, 1, 2], "acc": [0.1, None, 0.3], "loss": [3, 2, 1], "_timestamp": times}
    frames = [pd.DataFrame(history) for _ in RUNS]
    frames[0].to_csv(tmp_path / "histories" / "a_history.csv", index=False)
    frames[1].to_json(tmp_path / "histories" / "2.json", orient="records")
    (tmp_path / "notes.json").write_text('{"author": 1}')
    found = read(str(tmp_path), Wanted(metric="acc"))
    assert [[(r.epoch, dict(r.metrics), r.time) for r in t.rows] for t in found.trials] == [
        [(1, {"acc": 0.1, "loss": 3.0}, 1.7e9), (3, {"acc": 0.3, "loss": 1.0}, 1.7e9 + 2)]
    ] * 2
    assert [t.config["lr"] for t in found.trials] == [0.1, 0.2]
    assert "1 files are no export of W&B, as notes.json." in found.notes


def test_a_folder_a_run_and_one_long_history(tmp_path):
    for name in ("a", "b"):
        folder = tmp_path / "folders" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"lr": {"value": 1}}')
        (folder / "history.csv").write_text("_step,acc\n0,0.5\n")
        (folder / "wandb-summary.json").write_text('{"acc": 7}')
    found = read(str(tmp_path / "folders"), Wanted())
    assert [(t.key, dict(t.config), len(t.rows)) for t in found.trials] == [
        ("a", {"lr": 1}, 1),
        ("b", {"lr": 1}, 1),
    ]
    assert found.metric == "acc"
    long = tmp_path / "long.csv"
    long.write_text("run,_step,acc\na,0,0.1\na,1,0.2\nb,0,0.3\n")
    assert [len(t.rows) for t in read(str(long), Wanted()).trials] == [2, 1]


def test_what_the_web_page_exports(tmp_path):
    """Two runs of one name; the chart of the page tells their curves."""
    table, chart = tmp_path / "table.csv", tmp_path / "chart.csv"
    table.write_text(
        '"Name","State","Created","Runtime","Tags","optim.lr","batch","val_acc","speed"\n'
        '"a","finished","2026-01-01T00:00:00.000Z","10","","0.1","32","0.5","9"\n'
        '"a","crashed","2026-01-01T00:00:00.000Z","10","","0.2","64","0.4","8"\n'
        '"b","finished","2026-01-01T00:00:00.000Z","10","","0.3","64","","8"\n'
    )
    found = read(str(table), Wanted(metric="val_acc"))
    assert [dict(t.config) for t in found.trials] == [
        {"optim.lr": 0.1, "batch": 32, "speed": 9},
        {"optim.lr": 0.2, "batch": 64, "speed": 8},
        {"optim.lr": 0.3, "batch": 64, "speed": 8},
    ]
    assert len({t.key for t in found.trials}) == 3
    assert [t.state for t in found.trials] == [None, "failed", None]
    assert [len(t.rows) for t in found.trials] == [1, 1, 0]
    assert any("taken for metrics: val_acc (inferred)" in note for note in found.notes)
    told = read(str(table), Wanted(metric="speed"))
    assert "speed" not in told.trials[0].config
    chart.write_text(
        '"Step","b - val_acc","b - val_acc__MIN","b - val_acc__MAX","c - val_acc"\n'
        '"1","0.1","0.1","0.1","0.5"\n"2","0.2","0.2","0.2",""\n'
    )
    both = read(str(tmp_path), Wanted(metric="val_acc"))
    assert {t.key: len(t.rows) for t in both.trials if t.key in "bc"} == {"b": 2, "c": 1}


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("runs.json", '[{"config": ', "runs.json cannot be read"),
        ("runs.json", "[" * 99_999, "runs.json cannot be read"),
        ("runs.json", '[{"config": 3}]', "no table: '3'"),
        ("runs.csv", "config,summary\n\"{'a': __import__('os').getpid()}\",{}\n", "no plain value"),
        ("runs.csv", "config,summary\n\"{'a': 1\",{}\n", "no table"),
        ("runs.csv", "config,summary\n" + "(" * 5000 + ",{}\n", "no table"),
        ("runs.csv", b"config,summary\n\xff\xff,{}\n", "runs.csv cannot be read"),
        ("nothing.json", '{"a": 1}', "holds no run"),
    ],
)
def test_what_is_damaged_is_one_line_of_cause_and_remedy(tmp_path, name, content, cause):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        read(str(path), Wanted())
    assert cause in error.value.cause
    assert "\n" not in error.value.cause


def test_what_others_wrote_is_not_taken_for_an_export(tmp_path):
    (tmp_path / "a.csv").write_text("config.lr,trial,epoch,acc\n1,a,1,0.5\n")
    (tmp_path / "b.json").write_text('{"config": {"lr": 1}}')
    (tmp_path / "c.txt").write_text("_step,acc\n")
    assert not recognises(str(tmp_path))
    assert not recognises(str(tmp_path / "nothing"))


def test_servers_are_not_asked():
    assert recognises("https://wandb.ai/me/project")
    with pytest.raises(UserError, match="on W&B's servers"):
        read("https://wandb.ai/me/project", Wanted())


def test_links_are_not_followed(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "runs.json").write_text(json.dumps(RUNS))
    (inside / "runs.json").symlink_to(outside / "runs.json")
    (inside / "more").symlink_to(outside)
    assert not recognises(str(inside))
    with pytest.raises(UserError, match="holds no run"):
        read(str(inside), Wanted())


def test_runs_of_several_projects_must_be_told_apart(tmp_path):
    path = tmp_path / "runs.json"
    path.write_text(json.dumps([*RUNS, RUNS[0] | {"name": "c", "id": "3", "project": "q"}]))
    with pytest.raises(UserError, match="2 projects: p, q"):
        read(str(path), Wanted())
    assert len(read(str(path), Wanted(study="q")).trials) == 1


@pytest.mark.slow
def test_ten_thousand_runs_take_seconds(tmp_path):
    many = [{"id": str(n), "config": {"lr": n, "wd": 1}, "state": "finished", "summary": {},
             "history": [{"_step": e, "acc": e / 10} for e in range(10)]}
            for n in range(10_000)]  # fmt: skip
    (tmp_path / "runs.json").write_text(json.dumps(many))
    start = time.process_time()
    found = read(str(tmp_path), Wanted())
    assert time.process_time() - start < 20
    assert sum(len(t.rows) for t in found.trials) == 100_000
