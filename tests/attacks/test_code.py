"""Code that a study, an experiment or a checkpoint of a stranger names does not run unasked.

The code of these tests leaves a file behind when it is imported.
"""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

import deepsight
from analysis.diagnosis.build import make_diagnosis
from analysis.report.build import read, study_document
from deepsight import checkpoint
from deepsight.config import DEFAULTS, UserError
from deepsight.imports import Permission, imports_in
from deepsight.run_store import CHECKPOINT_FILE, create_study
from deepsight.space import choice, uniform
from deepsight.tune.cli import main
from deepsight.tune.plan import plan_to_json, resolve_study
from tests.attacks.studies import copied

EVIL = "import pathlib\npathlib.Path(%r).touch()\ndef harm(*_, **__):\n    return {}\nSPACE = {}\n"
NAMES = ("study.trainable", "study.searcher", "model.name", "data.name", "loss.name")


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Tells whether the stranger's module has run; it can be imported from here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    mark = tmp_path / "it_ran"
    (tmp_path / "stranger.py").write_text(EVIL % str(mark))
    yield mark.exists
    sys.modules.pop("stranger", None)


def strange_plan(name, kind):
    values = {"data.name": "digits", "study.trials": 2, "study.max_epochs": 2}
    space = {"optim.lr": uniform(0.1, 0.2)}
    if kind == "fixed":
        values[name] = "stranger:harm"
    elif kind == "space":
        values.pop(name, None)
        space[name] = choice(DEFAULTS[name], "stranger:harm")
    if values.get("study.trainable"):
        values = {n: v for n, v in values.items() if n.startswith("study.")}
        values |= {"study.metric": "val_accuracy"}
    return resolve_study("s", space, values)


def write_study(directory, name, kind):
    plan = strange_plan(name, kind)
    header = json.loads(json.dumps(plan_to_json(plan)))
    with create_study(directory, header) as writer:
        if kind == "record":
            writer.started("t0000", {"optim.lr": 0.1, name: "stranger:harm"}, False, 2)


CASES = [(name, "fixed") for name in NAMES]
CASES += [(name, kind) for name in NAMES[2:] for kind in ("space", "record")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_study_of_a_stranger_imports_nothing_on_resume(name, kind, tmp_path, ran, capsys):
    write_study(tmp_path / "s", name, kind)
    assert main(["--resume", "s"]) == 2
    error = capsys.readouterr().err
    assert "stranger:harm" in error
    assert name in error
    assert "add --trust" in error
    with pytest.raises(UserError, match="stranger:harm") as refused:
        deepsight.resume(tmp_path / "s", progress=False)
    assert "trust=True" in refused.value.remedy
    assert not ran()


@pytest.mark.parametrize("name", ["study.searcher", "data.name"])  # workers import the others
@pytest.mark.parametrize("how", ["trust", "named"])
def test_what_is_named_again_or_trusted_runs(name, how, tmp_path, ran):
    write_study(tmp_path / "s", name, "fixed")
    flags = ["--trust"] if how == "trust" else ["--set", f"{name}=stranger:harm"]
    assert main(["--resume", "s", *flags]) == 2  # it is no sampler, and no data set
    assert ran()


@pytest.mark.parametrize("name", NAMES)
def test_naming_other_code_than_the_study_has_is_refused(name, tmp_path, ran, capsys):
    write_study(tmp_path / "s", name, "fixed")
    assert main(["--resume", "s", "--set", f"{name}=somebody:else"]) == 2
    assert "a study keeps its" in capsys.readouterr().err
    assert not ran()


@pytest.mark.parametrize("dry", [["--dry-run"], ["--dry-run", "--measure"], []])
@pytest.mark.parametrize("name", [*NAMES, "space"])
def test_an_experiment_of_a_stranger_imports_nothing(name, dry, tmp_path, ran, capsys):
    section, _, key = name.partition(".")
    lines = ["space: smoke"]
    if name == "space":
        lines = ["space: ./stranger.py"]
    elif section == "study":
        lines += [f"study: {{{key}: 'stranger:harm', metric: val_accuracy}}"]
    else:
        lines += [f"fixed: {{{name}: 'stranger:harm'}}"]
    (tmp_path / "e.yaml").write_text("\n".join(lines))
    assert main(["--experiment", "e.yaml", *dry]) == 2
    error = capsys.readouterr().err
    assert "stranger" in error
    assert "add --trust" in error
    with pytest.raises(UserError, match="stranger"):
        deepsight.search(experiment="e.yaml", progress=False)
    assert not ran()
    if dry == ["--dry-run"] and name in ("space", "data.name", "study.searcher"):
        main(["--experiment", "e.yaml", *dry, "--trust"])
        assert ran()


def test_what_the_command_line_names_needs_no_other_word(tmp_path, ran, capsys):
    assert main(["--space", "stranger.py", "--dry-run"]) == 2  # it ran, and declares no SPACE
    assert "declares no SPACE" in capsys.readouterr().err
    assert ran()


@pytest.mark.parametrize(("name", "says"), [("model.name", "build"), ("data.name", "data")])
def test_a_checkpoint_of_a_stranger_imports_nothing(name, says, trained_study, tmp_path, ran):
    study = copied(trained_study, tmp_path / "s")
    file = study / "trials" / "t0000" / CHECKPOINT_FILE
    content = checkpoint.load(file)
    content[0]["config"][name] = "stranger:harm"
    checkpoint.save(file, *content, wait=True)
    with pytest.raises(UserError, match="stranger:harm"):
        make_diagnosis(study, "t0000", split="val")
    assert not ran()
    with pytest.raises(UserError, match="stranger:harm"):
        make_diagnosis(study, "t0000", split="val", permission=Permission(trust=True))
    assert ran(), says


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (deepsight.load_trained_model, {}),
        (deepsight.classify, {"images": "."}),
        (deepsight.export_model, {}),
        (deepsight.diagnose, {"split": "val"}),
    ],
)
def test_a_notebook_can_do_what_the_refusal_says(function, arguments, trained_study, tmp_path, ran):
    study = copied(trained_study, tmp_path / "s")
    file = study / "trials" / "t0000" / CHECKPOINT_FILE
    content = checkpoint.load(file)
    content[0]["config"]["model.name"] = "stranger:harm"
    checkpoint.save(file, *content, wait=True)
    with pytest.raises(UserError, match="stranger:harm") as refused:
        function(study, trial="t0000", **arguments)
    assert "pass trust=True" in refused.value.remedy
    assert not ran()
    with pytest.raises(UserError, match="stranger:harm"):  # it runs, and is no network
        function(study, trial="t0000", trust=True, **arguments)
    assert ran()


def test_a_report_imports_nothing(tmp_path, ran):
    write_study(tmp_path / "s", "model.name", "space")
    assert study_document(*read(tmp_path / "s")).sections
    assert not ran()


@pytest.mark.parametrize(("answer", "code"), [("yes\n", "data set"), ("no\n", "add --trust")])
def test_a_person_at_a_terminal_is_asked(answer, code, tmp_path, ran):
    write_study(tmp_path / "s", "data.name", "fixed")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "deepsight.tune", "--resume", "s"]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"anything else to stop" not in shown:
        shown += os.read(ours, 4096)
    assert not ran()
    os.write(ours, answer.encode())
    assert process.wait(60) == 2
    text = " ".join(re.split(r"\s+", shown.decode()))
    assert "anything on this computer that you can" in text
    assert ran() == (answer == "yes\n")
    os.close(ours)


def test_what_comes_with_deepsight_and_optuna_is_not_asked_about():
    assert imports_in([("study.searcher", "optuna.samplers:CmaEsSampler")]) == {}
    assert imports_in([("data.name", "folder:photos"), ("model.name", "resnet18")]) == {}
    assert imports_in([("study.searcher", "optuna.samplers:warnings")]) != {}
    assert imports_in([("study.searcher", "optuna.samplers.evil:XSampler")]) != {}
    assert imports_in([("data.name", "os:system")]) == {"os:system": "data.name"}
