"""Ray Tune's experiment folders: a real one against what Ray reports, odd ones by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.adopt.command import adopt_source, write_adopted
from analysis.adopt.found import Wanted
from deepsight.config import UserError
from tests.analysis.adopt.folders import ramp, result, write_plain, write_state, write_trial

ROOT = Path(__file__).parents[3]
PLAIN = Wanted()
BY_HAND = Wanted(metric="acc", mode="max")


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """A real run, adopted; and what Ray reports of it."""
    folder = tmp_path_factory.mktemp("stock")
    command = [sys.executable, "-m", "tests.analysis.adopt.ray_run", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    source = str(folder / "stock")
    study = write_adopted(adopt_source(source, PLAIN), source, folder / "adopted")
    return study, json.loads((folder / "reported.json").read_text()), folder / "stock"


def test_every_value_of_a_real_run_comes_over(stock):
    study, reported, _ = stock
    assert {r.origin for r in study.records} == set(reported["trials"])
    for record in study.records:
        told = reported["trials"][record.origin]
        assert [row["epoch"] for row in record.rows] == list(range(1, len(told["values"]) + 1))
        assert [row["accuracy"] for row in record.rows] == told["values"]
        assert [row["eval/loss"] for row in record.rows] == told["losses"]
        config = told["config"]
        nested = {"optim.lr": config["optim"]["lr"], "optim.name": config["optim"]["name"]}
        assert record.config == {**nested, "width": config["width"]}
    assert study.fixed == {"blocks": "[2, 2]"}


def test_states_and_the_best_of_a_real_run_are_those_that_ray_reports(stock):
    study, reported, _ = stock
    states = {r.origin: r.state for r in study.records}
    assert [name for name, state in states.items() if state == "failed"] == reported["errors"]
    for name, told in reported["trials"].items():
        if name in reported["errors"]:
            continue
        ended = "completed" if len(told["values"]) == study.max_epochs else "stopped"
        assert states[name] == ("diverged" if told["values"][-1] is None else ended)
    assert list(states.values()).count("diverged") == 1
    assert reported["trials"][study.incumbent().origin]["id"] == reported["best"]
    assert (study.metric, study.mode, study.max_epochs) == ("accuracy", "max", 9)
    assert set(study.rungs) <= {1, 3, 9}


def test_a_real_run_is_read_without_its_pickles_and_left_as_it_was(stock, tmp_path):
    study, _, source = stock
    copy = tmp_path / "stock"
    for path in source.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".txt"):
            place = copy / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*")}
    again = write_adopted(adopt_source(str(copy), PLAIN), str(copy), tmp_path / "again")
    assert [r.rows for r in again.records] == [r.rows for r in study.records]
    assert [r.state for r in again.records] == [r.state for r in study.records]
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*")} == before


def test_progress_csv_alone_tells_the_same_results(stock, tmp_path):
    study, _, source = stock
    for path in [*source.rglob("progress.csv"), *source.rglob("params.json")]:
        place = tmp_path / "stock" / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    adopted = adopt_source(str(tmp_path / "stock"), Wanted("accuracy", "max"))
    scores = {r.extra["origin"]: [row["accuracy"] for row in r.rows] for r in adopted.records}
    expected = {r.origin: [row["accuracy"] for row in r.rows] for r in study.records}
    assert scores == {k: v for k, v in expected.items() if k in scores}
    assert len(scores) == len(expected)


def name_of(value):
    """Of a row of a table of cases."""
    return getattr(value, "__name__", None) or "-"


def adopted(root, wanted=BY_HAND):
    """States, epochs and scores by trial, and the notes."""
    found = adopt_source(str(root), wanted)
    told = [(r.state, [(row["epoch"], row["acc"]) for row in r.rows]) for r in found.records]
    return told, " ".join(found.notes)


def torn_end(root):
    folder = write_trial(root, 9, ramp(3, done=False), {"lr": 0.3})
    with (folder / "result.json").open("a") as file:
        file.write('{"acc": 0.9, "training_iter')


def torn_inside(root):
    lines = [json.dumps(r) for r in ramp(4)]
    lines[1] = lines[1][:20] + lines[1]  # a killed writer's half line, and the next run's first
    write_trial(root, 9, None, {"lr": 0.3}, files={"result.json": "\n".join(lines) + "\n"})


def resumed(root):
    again = [result(2, 0.5), result(3, 0.6), result(4, 0.7, done=True)]
    write_trial(root, 9, ramp(3, done=False) + again, {"lr": 0.3})


def doubled(root):
    write_trial(root, 9, [r for r in ramp(4) for _ in range(2)], {"lr": 0.3})


def lost(root):
    """As Ray's logger leaves it when a paused trial goes on before its results were copied."""
    write_trial(root, 9, [ramp(4)[0], ramp(4)[3]], {"lr": 0.3})


def bare_nan(root):
    write_trial(root, 9, [*ramp(3, done=False), result(4, float("nan"), True)], {"lr": 0.3})


def infinite(root):
    write_trial(root, 9, [*ramp(1, done=False), result(2, float("inf"), True)], {"lr": 0.3})


def texts(root):
    lines = [{k: str(v) for k, v in r.items()} for r in ramp(4)]
    write_trial(root, 9, lines, {"lr": "0.3"})


def without_results(root):
    write_trial(root, 9, None, {"lr": 0.3}, files={"result.json": ""})


def failed(root):
    error = 'Traceback (most recent call last):\n  File "x"\nValueError: no\n'
    write_trial(root, 9, ramp(2, done=False), {"lr": 0.3}, error=error)


def failed_once(root):
    write_trial(root, 9, ramp(4), {"lr": 0.3}, error="ValueError: no")


def unfinished(root):
    write_trial(root, 9, ramp(2, done=False), {"lr": 0.3})


def full_but_not_done(root):
    write_trial(root, 9, ramp(4, done=False), {"lr": 0.3})


def sparse(root):
    """The metric is reported every other epoch."""
    lines = ramp(4)
    for line in lines[::2]:
        del line["acc"]
    write_trial(root, 9, lines, {"lr": 0.3})


ODD = [
    # what is odd, state, epochs, last score, a note
    (torn_end, "running", [1, 2, 3], 0.8 - 0.5 / 3, "1 damaged lines"),
    (torn_inside, "completed", [1, 3, 4], 0.675, "1 damaged lines"),
    (resumed, "completed", [1, 2, 3, 4], 0.7, "2 results were repeated"),
    (doubled, "completed", [1, 2, 3, 4], 0.675, "4 results were repeated"),
    (lost, "completed", [1, 4], 0.675, "2 epochs before the last one of their trial are missing"),
    (bare_nan, "diverged", [1, 2, 3, 4], None, ""),
    (infinite, "diverged", [1, 2], None, ""),
    (texts, "completed", [1, 2, 3, 4], 0.675, ""),
    (without_results, "running", [], None, "1 trials have no end on record"),
    (failed, "failed", [1, 2], 0.55, ""),
    (failed_once, "completed", [1, 2, 3, 4], 0.675, ""),
    (unfinished, "running", [1, 2], 0.55, "1 trials have no end on record"),
    (full_but_not_done, "completed", [1, 2, 3, 4], 0.675, ""),
    (sparse, "completed", [2, 4], 0.675, "2 results without acc"),
]


@pytest.mark.parametrize(
    ("make", "state", "epochs", "last", "note"), ODD, ids=lambda x: str(x)[:20]
)
def test_odd_input_gives_the_right_study(make, state, epochs, last, note, tmp_path):
    root = write_plain(tmp_path / "odd")
    make(root)
    told, notes = adopted(root)
    assert [t[0] for t in told[:4]] == ["completed", "stopped"] * 2
    ended, rows = told[4]
    assert (ended, [epoch for epoch, _ in rows]) == (state, epochs)
    assert (rows[-1][1] if rows else None) == (last if last is None else pytest.approx(last))
    assert note in notes


def test_the_error_is_the_last_line_that_says_something(tmp_path):
    failed(write_plain(tmp_path / "odd"))
    record = adopt_source(str(tmp_path / "odd"), BY_HAND).records[-1]
    assert record.error == "ValueError: no"


STATUSES = [
    # status in the state file, lines, error.txt, state
    ("TERMINATED", ramp(2, done=False), None, "completed"),  # its function returned
    ("TERMINATED", ramp(2, done=True), None, "stopped"),
    ("TERMINATED", ramp(4, done=True), "boom", "completed"),  # tried again after a failure
    ("ERROR", ramp(2, done=False), "boom", "failed"),
    ("ERROR", None, None, "failed"),
    ("RUNNING", ramp(2, done=False), None, "running"),
    ("PAUSED", ramp(2, done=False), None, "running"),
    ("RUNNING", ramp(2, done=True), None, "stopped"),  # the snapshot is older than the results
    ("RUNNING", ramp(2, done=False), "boom", "running"),  # it is tried again
]


@pytest.mark.parametrize(("status", "lines", "error", "state"), STATUSES)
def test_the_state_file_tells_how_trials_ended(status, lines, error, state, tmp_path):
    root = write_plain(tmp_path / "told")
    write_trial(root, 9, lines, {"lr": 0.3}, error=error)
    write_state(root, ["TERMINATED"] * 4 + [status])
    study = adopt_source(str(root), PLAIN)
    assert study.records[-1].state == state
    assert study.judged.metric == "acc"


@pytest.mark.parametrize(
    "damage", ["{", '{"trial_data": 3}', '{"trial_data": [["{", "{}"]]}', "[]"]
)
def test_a_damaged_state_file_is_done_without(damage, tmp_path):
    root = write_plain(tmp_path / "told")
    (root / "experiment_state-2026.json").write_text(damage)
    told, notes = adopted(root)
    assert [state for state, _ in told] == ["completed", "stopped"] * 2
    assert "state file cannot be read" in notes


def test_ray_2_5_names_its_trials_otherwise(tmp_path):
    root = write_plain(tmp_path / "old")
    names = sorted(path.name for path in root.iterdir())
    entries = [json.dumps({"status": "ERROR", "logdir": f"/x/{name}"}) for name in names]
    stored = {"checkpoints": entries, "runner_data": {"_metric": "acc"}}
    (root / "experiment_state-1.json").write_text(json.dumps(stored))
    assert {r.state for r in adopt_source(str(root), PLAIN).records} == {"failed"}


def test_configs_are_flat_and_plain(tmp_path):
    root = tmp_path / "nested"
    for number in range(4):
        config = {"a": {"b": {"lr": 0.1 + number}}, "units": [8, 8 + number], "off": None}
        write_trial(root, number, ramp(2), config)
    found = adopt_source(str(root), BY_HAND)
    assert found.records[1].config == {"a.b.lr": 1.1, "units": "[8, 9]"}
    assert found.settled.fixed == {"off": None}


def test_a_config_without_params_json_is_taken_from_the_results_or_the_tag(tmp_path):
    for number in range(3):
        lines = [dict(r, config={"lr": 0.1 * (number + 1)}) for r in ramp(2)]
        write_trial(tmp_path / "inside", number, lines)
        tagged = [dict(r, experiment_tag=f"{number}_lr=0.{number + 1},kind=a") for r in ramp(2)]
        write_trial(tmp_path / "tagged", number, tagged)
    inside = adopt_source(str(tmp_path / "inside"), BY_HAND)
    assert [r.config["lr"] for r in inside.records] == pytest.approx([0.1, 0.2, 0.3])
    tagged = adopt_source(str(tmp_path / "tagged"), BY_HAND)
    assert [r.config["lr"] for r in tagged.records] == [0.1, 0.2, 0.3]
    assert "which rounds numbers" in " ".join(tagged.notes)


@pytest.mark.parametrize("how", ["json", "csv"])
def test_a_trial_ends_where_population_based_training_changes_it(how, tmp_path):
    """Ray overwrites params.json with the new config."""
    root = write_plain(tmp_path / "changed", last=6)
    lines = [dict(r, config={"lr": 0.5 if r["training_iteration"] < 4 else 0.6}) for r in ramp(6)]
    files = {}
    if how == "csv":
        rows = [{**r, "config/lr": r.pop("config")["lr"]} for r in lines]
        text = [rows[0], *(r.values() for r in rows)]
        files["progress.csv"] = "".join(",".join(map(str, line)) + "\n" for line in text)
    write_trial(root, 9, None if how == "csv" else lines, {"lr": 0.6}, files=files)
    kept = adopt_source(str(root), BY_HAND).records[4]  # a trainable may change its own config
    assert (kept.state, kept.num_epochs, kept.config["lr"]) == ("completed", 6, 0.6)
    (root / "pbt_global.txt").touch()
    found = adopt_source(str(root), BY_HAND)
    changed = found.records[4]
    assert (changed.state, [row["epoch"] for row in changed.rows]) == ("stopped", [1, 2, 3])
    assert changed.config["lr"] == 0.5
    assert "1 trials were given another config" in " ".join(found.notes)


def two_metrics(root):
    for number in range(2):
        lines = [dict(r, loss=1 - r["acc"]) for r in ramp(2)]
        write_trial(root, number, lines, {"lr": 0.1 * (number + 1)})


def nameless(root):
    for number in range(2):
        lines = [{"x": r.pop("acc"), **r} for r in ramp(2)]
        write_trial(root, number, lines, {"lr": 0.1 * (number + 1)})


def several(root):
    write_plain(root / "one")
    write_plain(root / "two")


def linked_trial(root):
    write_plain(root)
    other = write_trial(root.parent / "elsewhere", 1, ramp(2), {"lr": 0.1})
    (root / "train_link").symlink_to(other)


def linked_file(root):
    write_plain(root)
    secret = root.parent / "secret.json"
    secret.write_text("{}")
    folder = write_trial(root, 9, ramp(2))
    (folder / "params.json").symlink_to(secret)


def pipe(root):
    write_plain(root)
    folder = write_trial(root, 9, None, {"lr": 0.1})
    os.mkfifo(folder / "result.json")


def no_number(root):
    for number in range(2):
        write_trial(root, number, [result(1, "good")], {"lr": 0.1 * (number + 1)})


REFUSED = [
    # input, what the user said, the cause, the remedy
    (two_metrics, PLAIN, "2 metrics and does not state by which", "--mode: acc, loss"),
    (two_metrics, Wanted("accuracy"), "unknown metric 'accuracy'", "acc"),
    (nameless, PLAIN, "does not state whether more or less of x", "--mode max or --mode min"),
    (several, PLAIN, "holds 2 experiments", "--study: one, two"),
    (several, Wanted(study="three"), "none of them 'three'", "--study: one, two"),
    (linked_trial, BY_HAND, "is a link", "take it away"),
    (linked_file, BY_HAND, "params.json is a link", "take it away"),
    (pipe, BY_HAND, "result.json is a pipe", "take it away"),
    (no_number, PLAIN, "no result with a number", "at least one trial"),
    (write_plain, Wanted("acc", "max", 2), "a trial has 4 epochs", "--max-epochs 4"),
]


@pytest.mark.parametrize(("make", "wanted", "cause", "remedy"), REFUSED, ids=name_of)
def test_what_cannot_be_known_or_trusted_is_one_line_of_cause_and_remedy(
    make, wanted, cause, remedy, tmp_path
):
    make(tmp_path / "odd")
    with pytest.raises(UserError) as caught:
        adopt_source(str(tmp_path / "odd"), wanted)
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy


def test_the_budget_may_be_stated(tmp_path):
    root = write_plain(tmp_path / "short")
    adopted = adopt_source(str(root), Wanted("acc", "max", 8))
    assert adopted.judged.max_epochs == 8
    assert {r.state for r in adopted.records} == {"stopped"}
    assert adopted.judged.rungs == (1, 4, 8)


def test_an_experiment_is_found_in_the_folder_above_it(tmp_path):
    write_plain(tmp_path / "results" / "exp")
    (tmp_path / "results" / "notes").mkdir()
    assert adopt_source(str(tmp_path / "results"), BY_HAND).found.name == "exp"
    assert Path(tmp_path / "results" / "exp").is_dir()
