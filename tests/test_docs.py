"""What the documentation shows is run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deepsight.run_store import load_study

ROOT = Path(__file__).parent.parent
NAMED_BLOCK = re.compile(r"`(\w+\.py)`[^`]*?```python\n(.*?)```", re.DOTALL)


@pytest.mark.slow
def test_the_example_of_an_own_trainable_runs(tmp_path):
    text = (ROOT / "docs" / "bring_your_own.md").read_text()
    files = dict(NAMED_BLOCK.findall(text))
    assert set(files) == {"ridge.py", "ridge_space.py"}
    assert sum(len(code.splitlines()) for code in files.values()) <= 30
    for name, code in files.items():
        (tmp_path / name).write_text(code)
    command = [sys.executable, "-m", "deepsight.tune", "--space", "ridge_space.py", "--name", "r"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    study = load_study(tmp_path / "runs" / "r")
    assert len(study.records) == 12
    assert study.incumbent().rows[-1]["val_accuracy"] > 0.85
    assert {r.state for r in study.records} <= {"completed", "stopped"}


def test_links_between_documents_lead_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
            if not target.startswith("http"):
                assert (path.parent / target).exists(), f"{path.name}: {target}"
