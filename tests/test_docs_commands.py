"""Every command and example in the documentation is run by a test, parsed, or has its reason here.

Commands of ours are parsed by their real parsers: modules, flags, settings, spaces and experiments
exist. What a test also runs is in `RUN`. A new block of Python or YAML gets a line there.
"""

import ast
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepsight.__main__ import COMMANDS

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(p for p in sorted((ROOT / "docs").rglob("*.md")) if p.parent.name != "decisions"),
]
"""Decisions are left out: they record what was run at their time."""
LANGUAGES = {"sh", "python", "yaml", "text", "html"}

RUN = {
    "test_docs.py::test_the_example_of_an_own_trainable_runs": (
        ("bring_your_own.md", "SGDClassifier"),
        ("bring_your_own.md", "FIXED ="),
    ),
    "test_docs.py::test_the_example_of_the_notebook_runs": (("notebook.md", "deepsight.search"),),
    "test_docs.py::test_the_cluster_of_the_docs_is_one_for_the_installed_ray": (
        ("cluster.md", "cluster_name:"),
    ),
    "test_docs.py::test_the_pods_of_the_docs_are_guarded_and_share_their_storage": (
        ("cluster.md", "apiVersion:"),
    ),
    "test_docs_commands.py::test_short_examples_run": (
        ("importance.md", "fit_surrogate"),
        ("run_format.md", "study.incumbent()"),
        ("toy_objects.md", "draw_toy_objects"),
        ("training.md", "train_trial"),
    ),
    "test_export.py::test_the_example_of_the_docs_runs": (("diagnosis.md", "onnxruntime"),),
    "test_tutorial.py::test_the_tutorial_can_be_followed": (("tutorial.md", "draw_toy_objects"),),
    "test_tutorial.py::test_pages_for_users_of_other_tools_can_be_followed": (
        ("howto/mlflow_users.md", "mlflow.start_run"),
        ("howto/optuna_users.md", "study.optimize"),
        ("howto/ray_tune_users.md", "tune.Tuner"),
        ("howto/wandb_users.md", "wandb.init"),
    ),
    "analysis/claims/test_verdicts.py::test_the_example_of_the_docs_is_read": (
        ("claims.md", "description:"),
    ),
    "data_sets/test_datasets.py::test_the_examples_in_the_docs_run": (
        ("data.md", "def stripes"),
        ("data.md", "load_dataset("),
    ),
    "tune/search/test_plain_optuna.py::"
    "test_the_example_of_the_docs_runs_and_finds_what_it_planted": (
        ("samplers.md", "LearningCurveSampler"),
    ),
}
"""The blocks that a test runs, by page and by something that stands in this block alone."""
UNRUN = {
    ("howto/optuna_users.md", "pruner=pruner)"): "two lines of samplers.md, whose example is run",
    ("ray_tune.md", "tuner.fit()"): "tests/tune/external_runs/test_callback.py runs such a Tuner",
    ("ray_tune.md", "explorers=0.2"): "tests/tune/external_runs/test_callback.py runs explorers",
    ("bring_your_own.md", 'trials=8, name="ridge"'): "the search above, which is run, from Python",
}
"""Blocks that no test runs, with the reason. Their names exist all the same."""
OPTIONAL = ("mlflow", "wandb")
"""Libraries of examples that only extras install."""
OTHERS = {
    ".venv/bin/python": "pytest, for developers: as this test is run",
    "cd": "of the shell",
    "cp": "of the shell",
    "export": "of the shell",
    "kubectl": "needs a Kubernetes cluster; its YAML is checked by test_docs.py",
    "mkdir": "of the shell",
    "python": "a script that the page shows; tests/test_tutorial.py follows these pages",
    "ray": "needs several machines; tests/tune/ray_backend/test_cluster.py starts two nodes",
    "source": "of the shell",
    "tensorboard": "runs until it is stopped; its files are read in tests/tune/observers/",
}
"""First words of commands that are not ours, and why no test parses them."""


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def split(path: Path) -> tuple[list[Block], str]:
    """The fenced blocks of a page, and the page without them."""
    name = path.name if path.parent in (ROOT, ROOT / "docs") else f"{path.parent.name}/{path.name}"
    blocks: list[Block] = []
    rest: list[str] = []
    kept: list[str] = []
    opened, language = 0, ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r" *```(\w*)$", line)
        if not fence and opened:
            kept.append(line)
        elif not fence:
            rest.append(line)
        elif opened:
            assert not fence[1], f"{name}:{number}: a block in a block"
            blocks.append(Block(name, opened, language, "\n".join(kept) + "\n"))
            opened, kept = 0, []
        else:
            opened, language = number, fence[1]
    assert not opened, f"{name}:{opened}: a block without an end"
    return blocks, "\n".join(rest)


BLOCKS = [block for path in PAGES for block in split(path)[0]]


def inline_commands() -> Iterator[tuple[str, str]]:
    """Commands within sentences, each with its page."""
    ours = "|".join(COMMANDS)
    begins = re.compile(
        rf"(python -m (?!pip)\w+\.\w|python benchmarks/|deepsight ({ours})\b|make \w)"
    )
    for path in PAGES:
        for text in re.findall(r"`([^`\n]+)`", split(path)[1]):
            if begins.match(text):
                named = text.startswith("python -m") and len(text.split()) == 3
                yield path.name, f"{text} --help" if named else text


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every single command, as words, with where it stands."""
    texts = [
        (block.place, line)
        for block in BLOCKS
        if block.language == "sh"
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    for place, text in [*texts, *inline_commands()]:
        scanner = shlex.shlex(text, posix=True, punctuation_chars="&|;")
        scanner.whitespace_split = True
        words: list[str] = []
        for word in [*scanner, ";"]:
            if set(word) <= set("&|;"):
                yield from [(place, words)] if words else []
                words = []
            elif word != "..." and (words or not re.match(r"\w+=", word)):  # A=b before a command
                words.append(word)


def target_of(words: list[str]) -> tuple[str, list[str]] | None:
    """What Python runs, and the words for it; None where a command is not ours."""
    if words[:2] == ["python", "-m"]:
        return words[2], words[3:]
    if words[0] == "python" and "/" in words[1]:
        return words[1], words[2:]
    if words[0] == "deepsight":
        return COMMANDS[words[1]][0], words[2:]
    return None


def test_every_block_is_fenced_and_has_a_language():
    assert [b.place for b in BLOCKS if b.language not in LANGUAGES] == []
    indented = re.compile(r"\n\n {4,}(?:python|make|deepsight|pip|\w+=\S+ python) .*")
    assert [found for p in PAGES for found in indented.findall(split(p)[1])] == []
    assert len(BLOCKS) > 50


def test_every_example_is_run_by_a_test_that_exists_or_has_a_reason():
    listed = [*(key for blocks in RUN.values() for key in blocks), *UNRUN]
    for block in [b for b in BLOCKS if b.language in ("python", "yaml")]:
        keys = [(p, t) for p, t in listed if p == block.page and t in block.text]
        assert len(keys) == 1, f"{block.place}: give it a line in RUN or UNRUN; it has {keys}"
    for page, text in listed:
        found = [b.place for b in BLOCKS if b.page == page and text in b.text]
        assert found, f"{page} has no block with {text!r} any more"
    for test in RUN:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), test


def imports_of(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "python"], ids=Block.place.fget
)
def test_python_of_the_docs_imports_what_exists(block):
    for module, name in imports_of(ast.parse(block.text)):
        if module in OPTIONAL and not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed")
        assert importlib.util.find_spec(module), f"{block.place}: {module}"
        if name and module.split(".")[0] in ("deepsight", "analysis"):
            assert hasattr(importlib.import_module(module), name), f"{block.place}: {module}.{name}"


@pytest.mark.slow
def test_every_command_of_ours_is_taken_by_its_parser():
    found = [(place, target) for place, words in commands() if (target := target_of(words))]
    assert len(found) > 60
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs_commands"],
        cwd=ROOT,
        input=json.dumps([target for _, target in found]),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    refused = [
        f"{place}: {target} {' '.join(words)}: {answer}"
        for (place, (target, words)), answer in zip(found, json.loads(done.stdout), strict=True)
        if answer and "invalid choice: 'NAME'" not in answer  # stands for one that is chosen
    ]
    assert not refused, "\n".join(refused)


def test_what_is_no_command_of_ours_is_known():
    targets = set(re.findall(r"^([.\w]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for place, words in commands():
        if target_of(words):
            continue
        if words[0] == "make":
            assert set(words[1:]) <= targets, f"{place}: {words}"
        elif words[:2] == ["pip", "install"]:
            asked = re.findall(r"deepsight\[([\w,]+)\]", " ".join(words))
            assert {e for a in asked for e in a.split(",")} <= set(extras), f"{place}: {words}"
        else:
            assert words[0] in OTHERS, f"{place}: {' '.join(words)}: give it a reason in OTHERS"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["importance.md", "run_format.md", "toy_objects.md", "training.md"]
)
def test_short_examples_run(page, tmp_path, monkeypatch):
    (block,) = [b for b in BLOCKS if b.page == page and b.language == "python"]
    study = ROOT / "tests" / "data" / "studies" / "v1" / "smoke"
    shutil.copytree(study, tmp_path / "runs" / "quickstart")
    monkeypatch.chdir(tmp_path)
    exec(compile(block.text, page, "exec"), {})


def test_a_command_that_is_wrong_would_be_found():
    asked = [
        ("deepsight.tune", ["--space", "finetun"]),
        ("deepsight.tune", ["--sapce", "finetune"]),
        ("deepsight.tune", ["--set", "optim.lrr=1"]),
        ("deepsight.tune", ["--set", "optim.lr=fast"]),
        ("deepsight.tune", ["--data", "mnist"]),
        ("deepsight.no_such_module", []),
        ("deepsight.tune", ["--space", "finetune", "--set", "user.depth=3"]),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs_commands"],
        cwd=ROOT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=100,
    )
    answers = json.loads(done.stdout)
    assert [bool(answer) for answer in answers] == [True] * 6 + [False]
    assert "optim.lrr" in answers[2]
