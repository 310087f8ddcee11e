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
    """Write the scripts of a page, run its commands in order, and return what each printed."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
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
    (block,) = re.findall(re.escape(beside) + r"\n```\n[^`]*?```text\n(.*?)```", text, re.DOTALL)
    return block.splitlines()


@pytest.mark.slow
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
