"""A real confirmation on Ray, killed on its way; and what reports say of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.report.build import make_report
from analysis.summary import compute_summary, summary_lines
from benchmarks import fresh_accuracy
from deepsight.confirm.record import load_confirmation
from deepsight.data.datasets import load_dataset, open_test
from deepsight.run_store import load_openings, load_study
from tests.trained import train_study
from tests.training.tiny import SMALL

ROOT = Path(__file__).parents[2]
DIGITS = SMALL | {"data.name": "digits"}
pytestmark = pytest.mark.slow


def confirm(study, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "deepsight.confirm", str(study), *arguments],
        cwd=study.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def finish(process):
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    return out, err


def killed_on_its_way(study, *arguments):
    """Start, and kill the driver after the first epochs."""
    process, results = confirm(study, *arguments), study / "confirm/results.jsonl"
    while not (results.exists() and results.read_text().count("\n") >= 3):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def confirmed(cache, tmp_path_factory):
    """A search of two configs, its confirmation killed once and finished."""
    trials = [{"optim.lr": 0.003}, {"optim.lr": 0.01}]
    study = train_study(tmp_path_factory.mktemp("confirm") / "tiny", trials, DIGITS, epochs=2)
    asked = ("--top", "1", "--seeds", "3", "--resplit")
    out, _ = finish(confirm(study, *asked, "--dry-run"))
    assert "6 runs, 12 epochs, about 0." in out
    assert not (study / "confirm").exists()
    killed_on_its_way(study, *asked)
    _, err = finish(confirm(study, *asked))
    return study, asked, err


def test_a_killed_confirmation_ends_as_if_never_interrupted(confirmed):
    study, asked, err = confirmed
    cost = next(line for line in err.splitlines() if line.startswith("cost"))
    assert int(cost.split()[1]) <= 6
    assert err.count("data: digits") == 1
    done = load_study(study / "confirm")
    assert [r.state for r in done.records] == ["completed"] * 6
    assert [r.num_epochs for r in done.records] == [2] * 6
    runs = {(r.config["optim.lr"], r.config["train.seed"]) for r in done.records}
    assert len(runs) == 6
    assert all(r.config["train.seed"] == r.config["data.split_seed"] for r in done.records)
    for record in done.records:  # what the worker trained with is what is on record
        saved = load_model(done, record.trial_id).config
        assert saved.train.seed == saved.data.split_seed == record.config["train.seed"]
    assert len(load_openings(done.directory)) == 6
    _, err = finish(confirm(study, *asked))
    assert "nothing: all of it is done" in err
    assert len(load_openings(done.directory)) == 6
    (study / "confirm/confirmation.json").rename(study / "confirm/before.json")
    finish(confirm(study, *asked))
    stored = [study / "confirm" / f"{name}.json" for name in ("before", "confirmation")]
    assert json.loads(stored[0].read_text()) == json.loads(stored[1].read_text())


def load_model(study, trial_id):
    from deepsight.trained_model import load_trained_model

    return load_trained_model(study, trial_id)


def test_reports_say_what_was_confirmed(confirmed):
    study, *_ = confirmed
    found = load_confirmation(study)
    winner = found.config(found.winner)
    assert (winner.mean.n, winner.test_mean.n, len(found.comparisons)) == (3, 3, 2)
    assert found.resplit
    assert found.num_unfinished == 0
    assert (study / "confirm/report/figures/forest.png").stat().st_size > 10_000
    lines = summary_lines(compute_summary(load_study(study)))
    (place,) = [i for i, x in enumerate(lines) if x.startswith(f"confirmed  {winner.name}")]
    (gain,) = [c for c in found.comparisons if (c.second, c.split) == ("defaults", "val")]
    assert lines[place + 1].startswith(f"gain       {gain.gain.value:.4f} [")
    assert lines[place + 1].endswith(f"] over the defaults with the same seeds: {gain.verdict}")
    text = make_report(study).with_name("report.md").read_text()
    assert f"**Confirmed: {winner.name} reaches" in text
    assert "too good on average" not in text


def test_the_benchmark_pairs_the_models_as_the_confirmation_does(confirmed, monkeypatch):
    """Told that the test images are the fresh ones, it finds the gain on the test split."""

    def own_test(model, num):
        test = open_test(load_dataset(model.config.data))
        return test.images, test.labels

    study, *_ = confirmed
    found = load_confirmation(study)
    val, test = ({c.split: c.gain for c in found.comparisons}[name] for name in ("val", "test"))
    monkeypatch.setattr(fresh_accuracy, "fresh_images", own_test)
    row = fresh_accuracy.measure_confirmed(study, 10)
    assert row["fresh_gain"] == pytest.approx(test.value)
    assert row["gain"] == [val.value, val.low, val.high]


def test_changed_data_confirm_nothing(confirmed, tmp_path):
    study, *_ = confirmed
    other = tmp_path / "tiny"
    other.mkdir()
    for name in ("trials.jsonl", "results.jsonl"):
        (other / name).write_text((study / name).read_text())
    header = json.loads((study / "study.json").read_text())
    header["data"]["fingerprint"] = "0" * 64
    (other / "study.json").write_text(json.dumps(header))
    process = confirm(other, "--top", "1")
    _, err = process.communicate(timeout=200)
    assert process.returncode == 2
    assert "the data have changed since the search (fingerprint 000000000000" in err
    assert not (other / "confirm").exists()


@pytest.mark.long
def test_planned_runs_of_claims_go_on_after_a_kill(confirmed, tmp_path):
    study, *_ = confirmed
    (study.parent / "c.yaml").write_text(
        "matters: 0.2\nmost_seeds: 6\nclaims:\n"
        "  - {name: rate, kind: better, first: {optim.lr: 0.01}, second: {optim.lr: 0.003}}\n"
    )
    before = len(load_study(study / "confirm").records)
    lines = (study / "confirm/results.jsonl").read_text().count("\n")
    process = confirm(study, "--claims", "c.yaml")
    while (study / "confirm/results.jsonl").read_text().count("\n") < lines + 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    out, err = finish(confirm(study, "--claims", "c.yaml"))
    assert err.startswith("undecided  rate\n")
    assert "planned runs" in out
    done = load_study(study / "confirm")
    new = done.records[before:]
    assert {r.state for r in new} == {"completed"}
    runs = {(r.config["optim.lr"], r.config["train.seed"]) for r in new}
    assert len(runs) == len(new) == 12
    assert all(r.config["train.seed"] >= 2000 for r in new)
    page = study / "claims" / "c" / "index.html"
    assert out.splitlines()[-1] == str(page)
    _, err = finish(confirm(study, "--claims", "c.yaml"))
    assert "nothing: all of it is done" in err
