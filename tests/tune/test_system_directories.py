"""Directories that a search needs outside the study: found before the start, with the remedy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepsight.config import UserError
from deepsight.tune.cli import main
from deepsight.tune.process_cleanup import ray_root
from deepsight.tune.system_directories import SESSION, check_directories

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    for name in ("RAY_TMPDIR", "TMPDIR", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_directory_too_long_for_sockets_names_the_variable(variable, monkeypatch):
    left = 107 - len(SESSION.format(pid=os.getpid())) - len("/ray/")
    monkeypatch.setenv(variable, "/tmp/" + "x" * (left - 5))
    check_directories(needs_cache=False)
    monkeypatch.setenv(variable, "/tmp/" + "x" * (left - 4))
    with pytest.raises(UserError, match=f"{variable}=/tmp/x.* paths of 108 bytes") as refused:
        check_directories(needs_cache=False)
    assert "Set RAY_TMPDIR" in refused.value.remedy


def test_the_longest_name_is_the_one_that_ray_makes():
    """Else SESSION is out of date."""
    from ray._private import node

    source = Path(node.__file__).read_text()
    assert 'f"session_{date_str}_{os.getpid()}"' in source
    assert '"%Y-%m-%d_%H-%M-%S_%f"' in source
    assert 'default_prefix="plasma_store"' in source
    assert ray_root() == Path("/tmp/ray")


@pytest.mark.parametrize(
    ("variable", "cache", "named"),
    [("RAY_TMPDIR", False, "RAY_TMPDIR"), ("HOME", False, "HOME"), ("HOME", True, "HOME")],
)
def test_what_cannot_be_written_is_found(monkeypatch, variable, cache, named):
    monkeypatch.setenv(variable, "/dev/null")  # no directory: root could write to any
    with pytest.raises(UserError, match="cannot be written") as refused:
        check_directories(cache)
    assert refused.value.remedy.startswith(f"Set {named} to")


def test_a_cache_that_cannot_be_made_is_found_and_one_that_is_there_may_be_read_only(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("DEEPSIGHT_CACHE", "/dev/null/cache")
    check_directories(needs_cache=False)
    with pytest.raises(UserError, match="the cache, /dev/null/cache, cannot be written") as refused:
        check_directories(needs_cache=True)
    assert refused.value.remedy.startswith("Set DEEPSIGHT_CACHE to")
    (tmp_path / "shared").mkdir(mode=0o555)
    monkeypatch.setenv("DEEPSIGHT_CACHE", str(tmp_path / "shared"))
    check_directories(needs_cache=True)


def test_the_cache_is_only_needed_with_our_training(tmp_path, monkeypatch):
    monkeypatch.delenv("DEEPSIGHT_CACHE", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 32)
    (tmp_path / ".cache").touch()
    check_directories(needs_cache=False)
    with pytest.raises(UserError, match="the cache, .*, cannot be written") as refused:
        check_directories(needs_cache=True)
    assert "DEEPSIGHT_CACHE" in refused.value.remedy
    monkeypatch.setenv("DEEPSIGHT_CACHE", str(tmp_path / "elsewhere"))
    check_directories(needs_cache=True)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root")
def test_a_user_without_entry_and_home_is_told(tmp_path):
    code = (
        "import os\n"
        "from deepsight.tune.system_directories import check_directories\n"
        "from deepsight.config import UserError\n"
        "os.setuid(54321)\n"
        "try: check_directories(True)\n"
        "except UserError as error: print(error.cause, error.remedy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT), "TMPDIR": "/tmp", "RAY_TMPDIR": "/var/tmp"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no home directory: HOME is not set, and user 54321" in done.stdout
    assert "Set HOME" in done.stdout


def test_a_directory_that_is_no_utf8_is_refused(tmp_path, monkeypatch, capsys):
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    monkeypatch.chdir(odd)
    assert main(["--space", "smoke", "--data", "digits"]) == 2
    assert "the name is not UTF-8" in capsys.readouterr().err
    assert list(odd.iterdir()) == []
