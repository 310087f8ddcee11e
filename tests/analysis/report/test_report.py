"""The report's files: whatever the study, a page that says so; nothing else is touched."""

import csv
import hashlib
import json
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from analysis.report.cli import main
from deepsight.config import UserError
from deepsight.run_store import load_study
from deepsight.space import choice, to_json, uniform
from tests.analysis.pages import EVIL, Page, words
from tests.analysis.studies import CONFIG, SMALL, hand_study, ramp, trial, write_study

V1 = Path(__file__).parents[2] / "data/studies/v1/smoke"


def report(directory):
    """The page of a study's report, made by the command line."""
    assert main([str(directory)]) == 0
    return (directory / "report/index.html").read_text("utf-8")


def files(directory):
    return {
        p: p.read_bytes()
        for p in directory.rglob("*")
        if p.is_file() and "report" not in p.relative_to(directory).parts
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A study of hand-written trials with its report."""
    path = write_study(tmp_path_factory.mktemp("runs") / "small", SMALL)
    before = files(path)
    page = report(path)
    assert files(path) == before
    return path, page


def test_the_report_has_a_page_a_twin_figures_and_numbers(small):
    path, page = small
    names = {str(p.relative_to(path / "report")) for p in (path / "report").rglob("*.*")}
    assert {
        "index.html",
        "report.md",
        "data/trials.csv",
        "data/trajectory.json",
        "figures/parallel_coordinates.png",
    } <= names
    linked = [a for a in Page(page).addresses if not a.startswith(("#", "data:"))]
    assert linked
    assert all((path / "report" / a).is_file() for a in linked)
    markdown = (path / "report/report.md").read_text()
    for target in re.findall(r"\]\(([^)]+)\)", markdown):
        assert (path / "report" / target).is_file()
    for file in (path / "report/data").glob("*.json"):
        json.loads(file.read_text(), parse_constant=lambda c: pytest.fail(c))


def test_the_numbers_on_the_page_are_the_studys(small):
    path, page = small
    text = words(page)
    assert "Best val_accuracy: 0.9 after 9 epochs (trial t0001)" in text
    assert "2 trials of 10 failed or diverged" in text
    rows = list(csv.DictReader((path / "report/data/trials.csv").open()))
    study = load_study(path)
    assert len(rows) == 10
    for row in rows:
        record = study.record(row["trial"])
        full = row["val_accuracy at 9 epochs"]
        assert (full != "") == study.has_full_budget(record)
        assert float(full or 0) == (study.score(record) if full else 0)
    assert [r["trial"] for r in rows[:3]] == ["t0001", "t0009", "t0005"]


def test_the_policy_admits_our_scripts_and_nothing_else(small):
    page = Page(small[1])
    rules = dict(r.strip().split(" ", 1) for r in page.policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in page.policy
    for kind, texts in (("script-src", page.scripts), ("style-src", page.styles)):
        allowed = rules[kind].split()
        for text in texts:
            digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in allowed
    assert len(page.scripts) == 2
    assert page.handlers == []
    assert not [a for a in page.addresses if a.startswith(("http", "//", "javascript"))]


def test_pictures_are_inside_the_page(small):
    inline = [a for a in Page(small[1]).addresses if a.startswith("data:image/png")]
    assert len(inline) >= 5
    assert all(b64decode(a.partition(",")[2]).startswith(b"\x89PNG") for a in inline)


def test_everything_users_wrote_is_escaped(tmp_path):
    space = {EVIL: choice(EVIL, "plain"), "x.y": uniform(0, 1)}
    config = {EVIL: EVIL, "x.y": 0.5}
    trials = [dict(trial(ramp(f), config=config), config=config) for f in (0.5, 0.9)]
    trials.append(dict(trial([0.1], "failed", error=EVIL), config=config))
    path = write_study(
        tmp_path / "evil",
        trials,
        name=EVIL,
        space=to_json(space),
        fixed={"user.a": EVIL},
        data={"name": EVIL, "classes": [EVIL, "b"], "counts": {"val": {EVIL: 10, "b": 10}}},
    )
    page = Page(report(path))
    assert len(page.scripts) == 2  # plotly and ours
    assert not [s for s in page.scripts if "alert('x')" in s]
    assert EVIL in "".join(page.text)
    raw = (path / "report/index.html").read_text()
    assert "<script>alert" not in raw.replace(page.scripts[0], "")
    assert "<script>" not in (path / "report/report.md").read_text().replace("\\<", "")


def test_a_spreadsheet_takes_no_text_for_a_formula(tmp_path):
    config = {"f": "=1+1", "x": 0.5}
    trials = [dict(trial(ramp(0.5)), config=config)]
    space = to_json({"f": choice("=1+1", "b"), "x": uniform(0, 1)})
    path = write_study(tmp_path / "formula", trials, space=space)
    report(path)
    assert ",'=1+1," in (path / "report/data/trials.csv").read_text()


DEGENERATE = {
    "no trial": ([], {}, "No trial has a val_accuracy yet"),
    "one trial": ([trial(ramp(0.5))], {}, "These are the defaults"),
    "one running trial": ([trial([], "running")], {}, "No trial has a val_accuracy yet"),
    "none finished": ([trial([0.1, 0.2], "running")] * 3, {}, "No trial has completed 9 epochs"),
    "only failed": ([trial([], "failed", error="OSError: gone")] * 4, {}, "OSError: gone"),
    "only diverged": ([trial([None], "diverged")] * 4, {}, "4 trials of 4 failed or diverged"),
    "only stopped": ([trial([0.1])] * 4, {}, "No trial has completed 9 epochs"),
    "only explorers": ([trial(ramp(0.2 * k), explorer=True) for k in range(1, 5)], {}, "explorers"),
    "equal scores": ([trial(ramp(0.5))] * 4, {}, "Best val_accuracy: 0.5"),
    "one class seen": (
        [trial(ramp(0.1 * k), config={"optim.lr": 10**-k}) for k in (1, 2, 3)],
        {},
        "adamw",
    ),
    "one constant": (
        [trial(ramp(0.1 * k)) for k in (1, 2, 3)],
        {"space": to_json({"optim.lr": uniform(0.001, 0.001)})},
        "0.001",
    ),
    "empty space": ([dict(trial(ramp(0.5)), config={})], {"space": {}}, "Best val_accuracy: 0.5"),
    "one epoch": (
        [trial([0.1 * k], budget=1) for k in (1, 2, 3)],
        {"max_epochs": 1, "rungs": [1]},
        "after 1 epoch (trial",
    ),
    "own metric": (
        [trial(ramp(0.5))] * 2,
        {"metric": "cost", "mode": "min"},
        "No trial has a cost",
    ),
    "odd header": (
        [trial(ramp(0.5))],
        {"data": "x", "seeds": 3, "reduction_factor": "y", "created": 5, "settings": []},
        "0.5",
    ),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_a_degenerate_study_gets_a_report_that_says_so(tmp_path, name):
    trials, header, expected = DEGENERATE[name]
    path = write_study(tmp_path / "study", trials, **header)
    assert expected in words(report(path))


def test_odd_values_on_record_are_shown_and_not_fatal(tmp_path):
    trials = [
        trial(ramp(0.5)),
        trial(ramp(0.9), config={"optim.lr": "text", "optim.name": 7}),
        trial(ramp(0.7), config={"optim.lr": -1.0}),
        dict(trial(ramp(0.6)), config={}),
    ]
    trials += [trial(ramp(0.4 + 0.01 * k), config={"optim.lr": 10**-k}) for k in range(1, 5)]
    path = write_study(tmp_path / "odd", trials)
    assert "0.9" in words(report(path))


def test_damaged_lines_are_named_and_left_out(tmp_path):
    path = write_study(tmp_path / "damaged", SMALL)
    results = (path / "results.jsonl").read_bytes().split(b"\n")
    results[1] = b'{"trial_id": "t0000", "epoch": NaN'
    results[2] = b'{"trial_id": "t0099", "epoch": 1, "time": 1.0}'
    results[3] = b"\xff\xfe"
    (path / "results.jsonl").write_bytes(b"\n".join(results) + b'{"trial_id": "t00')
    events = (path / "trials.jsonl").read_text()
    (path / "trials.jsonl").write_text('{"trial_id": "../../x"}\n[]\n' + events)
    before = files(path)
    text = words(report(path))
    assert files(path) == before
    for place in (
        "results.jsonl:2: not JSON",
        "results.jsonl:3: a result of trial t0099",
        "results.jsonl:4: not JSON",
        "trials.jsonl:1: not an object",
        "trials.jsonl:2: not an object",
        "the last line is torn",
    ):
        assert place in text
    assert "Best val_accuracy: 0.9" in text
    with pytest.raises(UserError):
        load_study(path)


def test_no_pickle_is_opened(tmp_path):
    path = write_study(tmp_path / "trap", SMALL[:4])
    trap = b"cos\nsystem\n(S'touch " + str(tmp_path / "sprung").encode() + b"'\ntR."
    for name in ("tuner.pkl", "error.pkl", "trials/t0001/params.pkl", "ray/searcher-state-x.pkl"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(trap)
    report(path)
    assert not (tmp_path / "sprung").exists()


def test_a_second_report_replaces_the_first(tmp_path):
    path = write_study(tmp_path / "again", SMALL[:4])
    report(path)
    listed = json.loads((path / "report/files.json").read_text())
    (path / "report/files.json").write_text(json.dumps([*listed, "data/left_over.json"]))
    for name in ("left_over", "of_the_user"):
        (path / f"report/data/{name}.json").write_text("{}")
    report(path)
    assert not (path / "report/data/left_over.json").exists()
    assert (path / "report/data/of_the_user.json").exists()
    assert not (path / "report/.index.html").exists()


def test_user_errors_are_two_lines(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 2


def test_the_study_of_version_1_by_the_command(tmp_path):
    import shutil

    path = shutil.copytree(V1, tmp_path / "v1")
    done = subprocess.run(
        [sys.executable, "-m", "analysis.report", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.strip() == str(path / "report/index.html")
    assert "0.9206" in words((path / "report/index.html").read_text())


def test_the_configuration_of_the_helper_is_a_config():
    """The hand-written studies name what their space names."""
    assert set(CONFIG) == {"optim.name", "optim.lr", "optim.momentum"}


def test_hand_study_reads_back(tmp_path):
    assert len(hand_study(tmp_path / "s", SMALL).records) == len(SMALL)
