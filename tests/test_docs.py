"""What the documentation shows is run as it stands there."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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


@pytest.mark.long
def test_the_example_of_the_notebook_runs(tmp_path):
    text = (ROOT / "docs" / "notebook.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= 12
    (tmp_path / "cell.py").write_text(code + "print(importance.verdict)\n")
    command = [sys.executable, "cell.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert len(load_study(tmp_path / "runs" / "first").records) == 6
    assert done.stdout == "too few trials to say\n"
    assert (tmp_path / "runs" / "first" / "report" / "index.html").is_file()


def yaml_blocks(page):
    text = (ROOT / "docs" / page).read_text()
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def test_the_cluster_of_the_docs_is_one_for_the_installed_ray():
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml_blocks("cluster.md")[0]
    validate_config(prepare_config(dict(config)))
    with pytest.raises(Exception, match="availabel_node_types"):  # it does look
        validate_config(prepare_config(config | {"availabel_node_types": {}}))
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token ray start" in commands[-1]


def test_the_pods_of_the_docs_are_guarded_and_share_their_storage():
    cluster = yaml_blocks("cluster.md")[1]
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec = cluster["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    containers = [pod["containers"][0] for pod in pods]
    for key in ("image", "env", "volumeMounts"):
        assert all(container[key] == containers[0][key] for container in containers)
    assert all(pod["volumes"] == pods[0]["volumes"] for pod in pods)


def test_links_between_documents_lead_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
            if not target.startswith("http"):
                assert (path.parent / target).exists(), f"{path.name}: {target}"


def names_of(tree):
    """Names that a module or a class defines."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))


def exists(dotted):
    """Whether ``package.module.name`` or ``package.module.Class.method`` is in the sources."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:cut])
        if path.is_dir() and cut == len(parts):
            return True
        if path.with_suffix(".py").is_file():
            node = ast.parse(path.with_suffix(".py").read_text())
            for name in parts[cut:]:
                node = dict(names_of(node)).get(name)
                if node is None:
                    return False
            return True
    return False


def test_the_architecture_names_what_exists_and_every_package():
    text = (ROOT / "docs" / "architecture.md").read_text()
    dotted = re.findall(r"`((?:deepsight|analysis|search_spaces)(?:\.\w+)+)`", text)
    assert len(dotted) > 25
    assert [name for name in dotted if not exists(name)] == []
    paths = re.findall(r"\b((?:deepsight|analysis|tests)(?:/\w+)+(?:\.py|/))", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    packages = [
        f.parent
        for root in ("deepsight", "analysis")
        for f in (ROOT / root).glob("*/**/__init__.py")
    ]
    named = [f"{folder.relative_to(ROOT).as_posix()}/" for folder in packages]
    assert [name for name in named if name not in paths] == []
    assert not exists("deepsight.space.no_such_name")


def test_the_files_that_pyproject_names_exist():
    text = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r"((?:deepsight|analysis|tests|benchmarks)(?:/\w+)+\.py)", text)
    assert len(named) > 12
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_decision_has_a_row_in_the_index():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name[:4] for name in files] == [f"{n:04d}" for n in range(1, len(files) + 1)]
    assert [name for name in files if f"({name})" not in index] == []
    for name in files:
        text = (folder / name).read_text()
        for part in ("Date: ", "## Context", "## Decision", "## Evidence"):
            assert part in text, f"{name}: {part}"
