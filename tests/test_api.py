"""The face of the package: what a notebook calls, what it loads, and what it leaves as it was."""

import dataclasses
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import deepsight
from analysis.diagnosis.build import make_diagnosis
from deepsight import api
from deepsight.run_store import load_study
from deepsight.space import choice
from deepsight.tune.driver import Outcome

ROOT = Path(__file__).parent.parent
SMOKE = ROOT / "tests" / "data" / "studies" / "v1" / "smoke"
HEAVY = ("torch", "ray", "pandas", "numpy", "optuna", "scipy", "rich", "yaml", "deepsight.config")
MARKS_OF_IMPORTS = {
    "_MLFLOW_TELEMETRY_SESSION_ID",
    "KMP_DUPLICATE_LIB_OK",
    "RAY_CLIENT_MODE",
}
"""Variables by which libraries tell a second import of theirs: those stay."""


def python(*arguments, cwd=ROOT, timeout=60):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_importing_the_package_loads_nothing():
    probe = f"import deepsight, sys; print([m for m in {HEAVY} if m in sys.modules])"
    assert python("-c", probe).stdout == "[]\n"
    light = "from deepsight import choice, UserError; import sys; print('numpy' in sys.modules)"
    assert python("-c", light).stdout == "False\n"


def test_every_name_is_found_and_offered():
    for name in deepsight.__all__:
        assert getattr(deepsight, name).__name__ == name
        assert name in dir(deepsight)
    assert sorted(n for names in deepsight._HOME.values() for n in names) == sorted(
        deepsight.__all__
    )
    with pytest.raises(AttributeError, match="no attribute 'tunes'"):
        deepsight.tunes  # noqa: B018


@pytest.mark.parametrize(
    ("call", "cause"),
    [
        (lambda: deepsight.search("smok"), "unknown space 'smok'"),
        (lambda: deepsight.search(), "nothing to search"),
        (lambda: deepsight.search("smoke", trails=3), "unknown argument 'trails'"),
        (lambda: deepsight.search("smoke", trials=0), "study.trials must lie in"),
        (lambda: deepsight.search("smoke", data="folder:nowhere"), "nowhere"),
        (lambda: deepsight.search("smoke", time_limit="soon"), "is no duration"),
        (lambda: deepsight.resume("nowhere"), "nowhere is not a study"),
        (lambda: deepsight.resume(SMOKE, **{"optim.lr": 1.0}), "optim.lr cannot change a study"),
        (lambda: deepsight.load_study("nowhere"), "nowhere"),
        (lambda: deepsight.report("nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_errors_with_a_remedy(call, cause, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(deepsight.UserError, match=cause) as caught:
        call()
    assert caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_a_notebook_can_ask_of_a_diagnosis_what_the_command_can():
    command, here = (inspect.signature(f).parameters for f in (make_diagnosis, api.diagnose))
    assert command.keys() - here.keys() == {"progress", "permission"}
    assert here.keys() - command.keys() == {"trust"}
    assert all(here[n].default == command[n].default for n in here.keys() & command.keys())


def test_a_study_shows_itself_and_escapes_what_others_wrote(tmp_path):
    study = load_study(SMOKE)
    assert repr(study).startswith("<Study smoke: best val_accuracy: 0.")
    page = study._repr_html_()
    best = study.incumbent()
    assert best.trial_id in page
    assert all(name in page for name in study.space)
    assert page.count("<tr>") == 1 + min(5, sum(map(study.has_full_budget, study.records)))
    header = dataclasses.replace(
        study.header, metric="<script>", space=dict(study.space) | {"<b>": choice("<i>&")}
    )
    evil = dataclasses.replace(study, header=header, directory=tmp_path / "<img>")
    for record in evil.records:
        record.rows[-1]["<script>"] = 0.5
        record.config["<b>"] = "<i>&"
    page = evil._repr_html_()
    assert not [tag for tag in ("<script>", "<img>", "<b>&", "<i>", "<b></th>") if tag in page]
    assert "&lt;i&gt;&amp;" in page


def test_a_study_without_a_score_shows_itself():
    study = dataclasses.replace(load_study(SMOKE), records=[])
    assert "no trial has a score yet" in study._repr_html_()
    assert "none yet" in repr(study)


def test_an_interruption_says_how_to_go_on(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="before the search began"):
        api._study_of(Outcome(tmp_path, None, 2))
    progress = object()
    with pytest.raises(KeyboardInterrupt, match=r"go on with deepsight.resume\('"):
        api._study_of(Outcome(tmp_path, progress, 2))


@pytest.mark.slow
def test_a_search_leaves_its_process_as_it_was(tmp_path):
    """The user's own Ray Tune writes its results afterwards, and a Ray of the user's lives on."""
    done = python("-m", "tests.after_search", cwd=tmp_path, timeout=500)
    assert done.returncode == 0, done.stderr
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer["trials"] == [4, 6]
    before, after = answer["before"], answer["after"]
    environments = [state.pop("environment") for state in (before, after)]
    changed = dict(environments[1].items() ^ environments[0].items())
    assert changed.keys() <= MARKS_OF_IMPORTS, changed
    assert before == after
    assert answer["no_ray"]
    assert "Ray is already initialised" in answer["cause"]
    assert answer["alive"]
    assert not answer["second"]
    assert answer["scores"] == [1, 2]
    assert len(done.stderr.splitlines()) < 60
