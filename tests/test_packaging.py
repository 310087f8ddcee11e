"""What `pip install` brings, away from the repository and beside folders of the same names."""

import json
import os
import re
import shutil
import site
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import setuptools

import analysis
import deepsight
from deepsight.__main__ import COMMANDS
from deepsight.installed import folder, own_analysis
from deepsight.models import weights
from deepsight.tune.preflight import make_header
from tests.tune.plans import make_plan

ROOT = Path(__file__).parent.parent
V1 = ROOT / "tests" / "data" / "studies" / "v1" / "smoke"
BUNDLED = {"deepsight.bundled.search_spaces", "deepsight.bundled.experiments"}
HELPERS = {"deepsight.tune.process_cleanup", "deepsight.data.toy_objects.dataset"}
"""Run by commands of ours, in processes of their own: the watchdog, and drawing."""
BUILD = (
    "import sys; from setuptools import build_meta\n"
    "build_meta.build_{kind}(sys.argv[1])\n"
)  # fmt: skip
TAKEN = "raise SystemExit('the folder in the current directory was imported')\n"


def test_every_package_is_named():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = setuptools.find_packages(ROOT, include=["deepsight*", "analysis*"])
    assert set(settings["packages"]) == {*found, *BUNDLED}


def run(command, cwd, code=0):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_the_command_knows_every_module_that_can_be_run():
    for module, _ in COMMANDS.values():
        assert find_spec(module), module
    run_directly = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for package in ("deepsight", "analysis")
        for path in (ROOT / package).rglob("*.py")
        if 'if __name__ == "__main__"' in path.read_text() or path.name == "__main__.py"
    }
    run_directly -= {"deepsight", *HELPERS}
    assert {module for module, _ in COMMANDS.values()} == run_directly


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that is made from it and nothing else."""
    place = tmp_path_factory.mktemp("build")
    source = place / "source"
    for name in ("deepsight", "analysis", "search_spaces", "experiments"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run([sys.executable, "-c", BUILD.format(kind="sdist"), str(place)], source)
    (sdist,) = place.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    run([sys.executable, "-c", BUILD.format(kind="wheel"), str(place)], unpacked)
    (wheel,) = place.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The folder of programs of an environment with the wheel; libraries are those of the tests.

    The environment stands in somebody's repository.
    """
    place = tmp_path_factory.mktemp("theirs")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost"]
    run([*git, "init", "--quiet"], place)
    run([*git, "commit", "--quiet", "--allow-empty", "-m", "theirs"], place)
    run([sys.executable, "-m", "venv", "--without-pip", "venv"], place)
    programs = place / "venv" / "bin"
    command = [sys.executable, "-m", "pip", "--python", str(programs / "python")]
    run([*command, "install", "--quiet", "--no-deps", "--no-index", str(built[1])], place)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = place / "venv" / "lib" / version / "site-packages"
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    return programs


@pytest.fixture
def hostile(tmp_path):
    """A directory whose folders have our names."""
    for name in ("search_spaces", "analysis", "experiments"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(TAKEN)
        (tmp_path / name / "cifar10_finetune.yaml").write_text("space: theirs\n")
    shutil.copytree(V1, tmp_path / "runs" / "smoke")
    return tmp_path


@pytest.mark.slow
def test_the_wheel_holds_the_embedded_weights(built):
    with zipfile.ZipFile(built[1]) as packed:
        for path in weights.PACKAGED.iterdir():
            assert packed.read(str(path.relative_to(ROOT))) == path.read_bytes()


def test_wheel_and_sdist_hold_spaces_and_experiments_under_names_of_our_own(built):
    sdist, wheel = built
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {
        "deepsight",
        "analysis",
    }
    for kind, pattern in (("search_spaces", "*.py"), ("experiments", "*.yaml")):
        for path in (ROOT / kind).glob(pattern):
            assert f"deepsight/bundled/{kind}/{path.name}" in names
    with tarfile.open(sdist) as archive:
        packed = archive.getnames()
    for path in (ROOT / "experiments").iterdir():
        assert any(name.endswith(f"/experiments/{path.name}") for name in packed)


@pytest.mark.slow
def test_the_commands_of_the_readme_run_from_an_empty_directory(installed, tmp_path):
    python = str(installed / "python")
    told = (ROOT / "README.md").read_text().partition("## Use it")[2]
    modules = set(re.findall(r"^python -m ([\w.]+)", told, re.MULTILINE))
    assert modules >= {"deepsight.tune", "analysis.report", "deepsight.predict"}
    for module in sorted(modules):
        assert "usage" in run([python, "-m", module, "--help"], tmp_path).lower()
    tune = [python, "-m", "deepsight.tune"]
    assert "optim.lr" in run([*tune, "--space", "finetune", "--dry-run"], tmp_path)
    run([*tune, "--experiment", "quickstart", "--dry-run"], tmp_path)
    shutil.copytree(V1, tmp_path / "runs" / "smoke")
    assert "incumbent" in run([python, "-m", "analysis.summary", "runs/smoke"], tmp_path)


@pytest.mark.slow
def test_installed_commands_find_their_own_beside_folders_of_the_same_names(installed, hostile):
    python, command = str(installed / "python"), str(installed / "deepsight")
    shown = run([python, "-m", "deepsight.tune", "--space", "finetune_input", "--dry-run"], hostile)
    assert "model.freeze_fraction" in shown
    flags = ["--experiment", "cifar10_finetune", "--data", "digits", "--dry-run"]
    shown = run([command, "tune", *flags], hostile)
    assert "model.freeze_fraction" in shown
    assert "incumbent" in run([python, "-m", "deepsight", "summary", "runs/smoke"], hostile)
    assert "analysis.report" in run([command, "report", "--help"], hostile)
    assert "deepsight has no command 'x'" in run([command, "x"], hostile, code=2)


@pytest.mark.slow
def test_installed_in_somebodys_repository_no_commit_is_recorded(installed, tmp_path):
    code = (
        "import json, deepsight; from deepsight.tune import preflight\n"
        "print(json.dumps([deepsight.__file__, preflight._git_state()]))\n"
    )
    place, state = json.loads(run([str(installed / "python"), "-c", code], tmp_path))
    assert Path(place).is_relative_to(installed.parent)
    assert state is None


def test_the_commit_is_ours_whatever_the_environment_says(tmp_path, monkeypatch):
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("the tests do not run in a repository")
    run(["git", "init", "--quiet"], tmp_path)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))  # as in hooks of another repository
    assert make_header(make_plan(), {})["git"]["commit"] == done.stdout.strip()


@pytest.mark.slow
def test_a_notebook_has_our_analysis_and_keeps_its_own(tmp_path, monkeypatch):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("OWNER = 'theirs'\n")
    monkeypatch.chdir(tmp_path)
    code = (
        "import sys; sys.path.insert(0, '')\n"
        f"sys.path.append({str(ROOT)!r})\n"
        "import deepsight\n"
        f"importance = deepsight.compute_importance({str(V1)!r})\n"
        "import analysis\n"
        "assert analysis.OWNER == 'theirs'\n"
        "assert 'analysis.importance' not in sys.modules\n"
        f"print(deepsight.compute_importance({str(V1)!r}).verdict, importance)\n"
    )
    assert "too few" in run([sys.executable, "-c", code], tmp_path)


def test_our_analysis_stays_where_no_other_is_there():
    with own_analysis():
        import analysis as inside
    assert inside is analysis


def test_spaces_can_be_imported_and_lie_beside_the_package():
    from deepsight import search_spaces
    from deepsight.search_spaces import finetune, finetune_input

    assert search_spaces.finetune is finetune
    assert finetune.SPACE.items() <= finetune_input.SPACE.items()
    with pytest.raises(AttributeError, match="there is no space 'nothing'"):
        _ = search_spaces.nothing
    assert folder("experiments") == Path(deepsight.__file__).parents[1] / "experiments"


BLOCKED = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in {blocked}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.mark.slow
def test_the_sampler_in_the_wheel_needs_what_its_page_installs(installed, tmp_path):
    text = (ROOT / "docs" / "samplers.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (named,) = re.findall(r"pip install (optuna .*)\n", text)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = {re.split(r"[\[><=]", line)[0] for line in settings["dependencies"]}
    other_names = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml"}
    other_names |= {"scikit-learn": "sklearn", "grpcio": "grpc"}
    blocked = {other_names.get(name, name) for name in ours - set(named.split())}
    assert blocked > {"ray", "torch", "pandas"}
    (tmp_path / "own.py").write_text(BLOCKED.format(blocked=blocked) + code)
    run([str(installed / "python"), "own.py"], tmp_path)
