"""The main job on real Ray: the smoke space on digits and on a folder of image files.

These tests start Ray; every one of them is a process as a user starts it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepsight.config import DEFAULTS
from deepsight.run_store import load_study

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def tune(directory, *arguments, wait=True):
    command = [sys.executable, "-m", "deepsight.tune", *arguments]
    process = subprocess.Popen(
        command,
        cwd=directory,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    if not wait:
        return process
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A finished study of the smoke space on real scans."""
    directory = tmp_path_factory.mktemp("digits")
    code, out, err = tune(
        directory,
        "--space",
        "smoke",
        "--data",
        "digits",
        "--trials",
        "8",
        "--name",
        "first",
        "--set",
        "augment.flip=false",
        "--set",
        "study.max_epochs=9",
    )
    assert code == 0, err
    assert out == "runs/first\n"
    return directory / "runs" / "first", err


def test_the_search_learns(digits):
    study = load_study(digits[0])
    assert len(study.records) == 8
    assert {r.state for r in study.records} <= {"completed", "stopped", "diverged"}
    best = study.incumbent()
    assert best.num_epochs == 9
    assert best.rows[-1]["val_accuracy"] > 0.6
    assert study.records[0].config["optim.lr"] == DEFAULTS["optim.lr"]
    assert sum(study.header.data["counts"]["train"].values()) > 1000
    assert study.header.hardware["device"] in ("cpu", "cuda")


def test_every_row_has_every_metric(digits):
    for record in load_study(digits[0]).records:
        for epoch, row in enumerate(record.rows, start=1):
            assert row["epoch"] == epoch
            for name in (
                "train_loss",
                "val_loss",
                "val_accuracy",
                "val_macro_f1",
                "val_ece",
                "lr",
                "images_per_s",
                "wall_s",
                "busy_s",
            ):
                assert isinstance(row[name], float), name
            assert len(row["val_recall"]) == 10


def test_files_of_trials(digits):
    study = load_study(digits[0])
    for record in study.records:
        folder = digits[0] / "trials" / record.trial_id
        assert (folder / "predictions.npz").exists()
        assert (folder / "augmented.png").exists()
        full = record.state == "completed" and record.num_epochs == 9
        assert (folder / "checkpoint.pt").exists() == full
    best = study.incumbent()
    with np.load(digits[0] / "trials" / best.trial_id / "predictions.npz") as stored:
        hits = stored["probabilities"].argmax(1) == stored["labels"]
    assert hits.mean() == pytest.approx(best.rows[-1]["val_accuracy"], abs=0.01)


def test_progress_is_quiet_and_whole(digits):
    lines = digits[1].strip().splitlines()
    assert lines[-1].startswith("8/8 trials")
    assert not [line for line in lines if "Warning" in line or "ray" in line.lower()]


def test_nothing_of_the_study_is_a_pickle_of_ours(digits):
    ours = [p for p in digits[0].rglob("*") if p.is_file() and "ray" not in p.parts]
    assert not [p for p in ours if p.suffix in (".pkl", ".pickle")]


def test_tensorboard_reads_scalars_and_hyperparameters(digits):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    study = load_study(digits[0])
    for record in study.records:
        events = EventAccumulator(str(digits[0] / "trials" / record.trial_id))
        events.Reload()
        scalars = [e.value for e in events.Scalars("accuracy/val")]
        assert scalars == pytest.approx([row["val_accuracy"] for row in record.rows], abs=1e-6)
        assert "inputs/augmented" in events.Tags()["images"]
        stored = events.summary_metadata
        start = plugin_data_pb2.HParamsPluginData.FromString(
            stored["_hparams_/session_start_info"].plugin_data.content
        ).session_start_info
        assert start.hparams["optim.lr"].number_value == record.config["optim.lr"]
        assert ("optim.momentum" in start.hparams) == (record.config["optim.name"] == "sgd")
        columns = plugin_data_pb2.HParamsPluginData.FromString(
            stored["_hparams_/experiment"].plugin_data.content
        ).experiment
        assert {c.name for c in columns.hparam_infos} >= set(study.space)
        assert "_hparams_/session_end_info" in stored


def test_a_finished_study_resumes_to_nothing(digits):
    before = {p: p.read_bytes() for p in digits[0].glob("*.jsonl")}
    code, out, err = tune(digits[0].parent.parent, "--resume", "runs/first")
    assert (code, out) == (0, "runs/first\n"), err
    assert {p: p.read_bytes() for p in digits[0].glob("*.jsonl")} == before


def test_a_folder_of_real_files(tmp_path):
    rng = np.random.default_rng(0)
    for label, colour in {"red": (200, 30, 30), "blue": (30, 30, 200)}.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(40):
            noise = rng.integers(-30, 30, (20 + number % 9, 24, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            kind = ("jpg", "png", "bmp", "webp")[number % 4]
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.{kind}")
    code, out, err = tune(
        tmp_path,
        "--space",
        "smoke",
        "--data",
        "folder:photos",
        "--trials",
        "3",
        "--name",
        "f",
        "--set",
        "data.image_size=16",
        "--set",
        "study.max_epochs=3",
    )
    assert code == 0, err
    study = load_study(tmp_path / "runs" / "f")
    assert study.header.data["classes"] == ["blue", "red"]
    assert study.incumbent().rows[-1]["val_accuracy"] > 0.9


def test_faults_cost_only_their_trial(tmp_path):
    space = tmp_path / "faults.py"
    space.write_text(
        "from deepsight.space import choice, uniform\n"
        "FIXED = {'study.trainable': 'tests.trainables:faulty', 'study.metric': 'score',"
        " 'study.max_epochs': 3, 'study.scheduler': 'fifo', 'study.searcher': 'random',"
        " 'study.explore': 0.0}\n"
        "SPACE = {'x': uniform(0, 1), 'fault': choice('none', 'raise', 'nan', 'memory', 'end')}\n"
    )
    code, _, err = tune(tmp_path, "--space", str(space), "--trials", "25", "--name", "faults")
    assert code == 0, err
    states = {
        "none": "completed",
        "raise": "failed",
        "nan": "diverged",
        "memory": "failed",
        "end": "completed",
    }
    records = load_study(tmp_path / "runs" / "faults").records
    assert len(records) == 25
    assert {r.config["fault"] for r in records} == set(states)
    for record in records:
        assert record.state == states[record.config["fault"]], record
        assert record.num_epochs == {"none": 3, "nan": 2}.get(record.config["fault"], 1)
        if record.config["fault"] == "raise":
            assert "planted failure" in record.error
        if record.config["fault"] == "memory":
            assert "out of memory" in record.error


@pytest.mark.parametrize("brackets", [pytest.param(1, marks=pytest.mark.faults), 2])
def test_paused_trials_go_on_from_their_checkpoints(tmp_path, brackets):
    space, witness = tmp_path / "curve.py", tmp_path / "witness"
    space.write_text(
        "from deepsight.space import uniform\n"
        "FIXED = {'study.trainable': 'tests.trainables:curve', 'study.metric': 'score',"
        " 'study.scheduler': 'asha', 'study.searcher': 'random', 'study.explore': 0.1,"
        " 'study.reduction_factor': 3,"
        f" 'study.brackets': {brackets}, 'user.witness': {str(witness)!r}}}\n"
        "SPACE = {'x': uniform(0, 1)}\n"
    )
    code, _, err = tune(tmp_path, "--space", str(space), "--trials", "30", "--name", "p")
    assert code == 0, err
    study = load_study(tmp_path / "runs" / "p")
    assert len(study.records) == 30
    assert {r.state for r in study.records} == {"completed", "stopped"}
    assert {r.num_epochs for r in study.records} == {1, 3, 9}
    # every epoch ran once: no paused trial began again
    seen = witness.read_text().splitlines()
    assert len(seen) == len(set(seen)) == sum(r.num_epochs for r in study.records)
    for record in study.records:  # a bracket begins at the first rung or at the second
        promotions = {1: {0}, 3: {0, 1}, 9: {1, 2}}[record.num_epochs]
        exempt = record.explorer or record.trial_id == "t0000"
        assert len(record.restarts) in ({0} if exempt else promotions)
    kept = {path.parent.name for path in study.directory.glob("trials/*/checkpoint.pt*")}
    assert kept == {r.trial_id for r in study.records if r.num_epochs == 9}


def test_all_failed_is_exit_code_1_and_says_why(tmp_path):
    space = tmp_path / "hopeless.py"
    space.write_text(
        "from deepsight.space import uniform\n"
        "FIXED = {'study.trainable': 'tests.trainables:hopeless', 'study.metric': 'score'}\n"
        "SPACE = {'x': uniform(0, 1)}\n"
    )
    code, out, err = tune(tmp_path, "--space", str(space), "--trials", "3", "--name", "h")
    assert code == 1
    assert out == "runs/h\n"
    assert "nothing works here" in err


def test_a_metric_that_nobody_reports_is_a_line_and_exit_code_2(tmp_path):
    space = tmp_path / "curve.py"
    space.write_text(
        "from deepsight.space import uniform\n"
        "FIXED = {'study.trainable': 'tests.trainables:curve', 'study.metric': 'scores',"
        " 'study.mode': 'max'}\n"
        "SPACE = {'x': uniform(0, 1)}\n"
    )
    code, out, err = tune(tmp_path, "--space", str(space), "--trials", "9", "--name", "m")
    assert code == 2
    assert out == ""
    assert err.splitlines()[-2:] == [
        "error: the trainable reports no scores, which study.metric names; it reports score.",
        "Start a new study with study.metric=score.",
    ]
    assert len(load_study(tmp_path / "runs" / "m").records) < 9


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.faults)],
)
def test_a_signal_ends_the_epoch_and_resume_goes_on(tmp_path, number, code):
    space = tmp_path / "slow.py"
    witness = tmp_path / "witness"
    space.write_text(
        "from deepsight.space import uniform\n"
        "FIXED = {'study.trainable': 'tests.trainables:slow', 'study.metric': 'score',"
        f" 'study.max_epochs': 9, 'user.witness': {str(witness)!r}, 'user.seconds': 0.2}}\n"
        "SPACE = {'x': uniform(0, 1)}\n"
    )
    process = tune(tmp_path, "--space", str(space), "--trials", "8", "--name", "s", wait=False)
    deadline = time.monotonic() + 120
    while not (witness.exists() and len(witness.read_text().splitlines()) >= 8):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "--resume runs/s" in err
    assert out == "runs/s\n"
    interrupted = load_study(tmp_path / "runs" / "s")
    assert any(r.state == "running" for r in interrupted.records)
    finished = {r.trial_id for r in interrupted.records if r.state != "running"}

    returned, _, err = tune(tmp_path, "--resume", "runs/s", "--trust")
    assert returned == 0, err
    study = load_study(tmp_path / "runs" / "s")
    assert len(study.records) == 8
    assert all(r.state in ("completed", "stopped") for r in study.records)
    assert all(
        [row["epoch"] for row in r.rows] == list(range(1, r.num_epochs + 1)) for r in study.records
    )
    # no epoch that was on record ran twice: the witness saw each once
    seen = witness.read_text().splitlines()
    assert len(seen) == len(set(seen)) == sum(r.num_epochs for r in study.records)
    events = [json.loads(line) for line in (study.directory / "trials.jsonl").open()]
    assert all(
        sum(e["trial_id"] == t and e["event"] == "ended" for e in events) == 1 for t in finished
    )
