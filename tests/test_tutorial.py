"""The pages that are followed from the first command to the last, each in a folder of its own."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deepsight.run_store import load_openings, load_study

ROOT = Path(__file__).parent.parent
SCRIPT = re.compile(r"`(\w+\.py)`(?:(?!```).)*?```python\n(.*?)```", re.DOTALL)
NOT_RUN = {"make": "it installs", "source": "of the shell", "tensorboard": "runs until stopped"}


def follow(page, directory):
    """Write the scripts of a page, run its commands in order, and return what each printed.

    Trackers, *the other way*, are followed by tests/track/.
    """
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition("## The other way")[0]
    for name, code in SCRIPT.findall(text):
        (directory / name).write_text(code)
    printed = {}
    blocks = re.findall(r"```sh\n(.*?)```", text.replace("\\\n", " "), re.DOTALL)
    for line in [line for block in blocks for line in block.splitlines()]:
        command, *words = shlex.split(line)
        if command in NOT_RUN:
            continue
        assert command == "python", line
        done = subprocess.run(
            [sys.executable, *words],
            cwd=directory,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        printed[line] = done.stdout + done.stderr
    return printed


def shown(page, beside):
    """The output that a page shows below a command."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (block,) = re.findall(
        re.escape(beside) + r"\n```\n(?:(?!```).)*?```text\n(.*?)```", text, re.DOTALL
    )
    return block.splitlines()


@pytest.mark.long
def test_the_tutorial_can_be_followed(tmp_path):
    printed = follow("tutorial.md", tmp_path)
    assert len(printed) == 9
    study = tmp_path / "runs" / "photos"
    assert len(load_study(study).records) == 8
    assert {opening.command for opening in load_openings(study)} == {"diagnose"}
    for file in ("report/index.html", "confirm/report/index.html"):
        assert (study / file).is_file()
    assert list(study.glob("diagnosis/*/recommendations.md"))
    assert len(json.loads((tmp_path / "model" / "config.json").read_text())["classes"]) == 4
    assert (tmp_path / "model" / "model.onnx").is_file()
    summary, predict = "python -m analysis.summary runs/photos", "python -m deepsight.predict"
    begins = [line.split()[0] for line in shown("tutorial.md", summary) if line[0].isalpha()]
    found = [line.split()[0] for line in printed[summary].splitlines() if line[:1].isalpha()]
    assert [word for word in begins if word not in found] == []
    files = [line.split()[0] for line in shown("tutorial.md", f"{predict} runs/photos new")]
    answers = printed[f"{predict} runs/photos new"].splitlines()
    assert files == [line.split()[0] for line in answers if line.startswith("new/")]
    data = next(line for line in shown("tutorial.md", "--dry-run") if line.startswith("data "))
    assert any(data in text for text in printed.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "library", "trials"),
    [("optuna", "optuna", 40), ("mlflow", "mlflow", 12), ("wandb", "wandb", 12)]
    + [pytest.param("ray_tune", "ray", 12, marks=pytest.mark.long)],
)
def test_pages_for_users_of_other_tools_can_be_followed(
    page, library, trials, tmp_path, monkeypatch
):
    pytest.importorskip(library)
    monkeypatch.setenv("WANDB_MODE", "offline")
    printed = follow(f"howto/{page}_users.md", tmp_path)
    assert len(load_study(tmp_path / "runs" / "mine").records) == trials
    assert (tmp_path / "runs" / "mine" / "report" / "index.html").is_file()
    adopt = next(line for line in printed if "analysis.adopt" in line)
    shows = shown(f"howto/{page}_users.md", "python -m analysis.report runs/mine")
    said = [begin(line) for line in printed[adopt].splitlines()]
    assert [line for line in shows if begin(line) not in said] == []


def begin(line):
    """What every run says: ASHA is asynchronous, so the rungs at which trials end differ."""
    words = line.split()
    return words[:1] if words[:1] == ["Rungs"] else words[:3]
