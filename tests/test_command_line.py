"""How commands end: a mistake in two lines with exit code 2, Ctrl-C with 130, never a traceback."""

import importlib
import importlib.util
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deepsight.__main__ import COMMANDS
from deepsight.__main__ import main as dispatch
from deepsight.command_line import Parser, run_command
from deepsight.run_store.format import StorageError
from deepsight.values import unknown

ROOT = Path(__file__).parent.parent

WORDS = {
    "tune": ([], ["--space"]),
    "adopt": (["SOURCE"], ["--dry-run"]),
    "summary": (["STUDY"], []),
    "report": (["STUDY"], []),
    "confirm": (["STUDY"], []),
    "claims": (["STUDY", "CLAIMS"], ["STUDY"]),
    "diagnose": (["STUDY"], []),
    "predict": (["STUDY", "IMAGE"], ["STUDY"]),
    "export": (["STUDY"], []),
    "track": (["STUDY", "--to", "mlflow"], ["STUDY"]),
    "pretrain": ([], ["--model"]),
    "find-lr": ([], ["--space"]),
}
"""For each command the words that it needs, and words that leave a needed one out."""

SAYS_MORE = {
    "diagnose": "stopped; what is finished is kept: the same command goes on from here\n",
}
"""What a command says to Ctrl-C; others say nothing."""

IMPORTS_FIRST = {
    "claims": "analysis.claims.claim_files",
    "diagnose": "analysis.diagnosis.build",
}
"""What a command imports before it reads its flags: seconds in which Ctrl-C may come."""

LIGHT = """
import sys
from deepsight.__main__ import COMMANDS
from tests.test_command_line import WORDS, main_of
for command in COMMANDS:
    words = WORDS[command][0]
    mistakes = [[*words, "--nonsense"]] + [words] * ("STUDY" in words)  # there is no STUDY
    for mistaken in mistakes:
        assert main_of(command)(mistaken) == 2
        assert not {"torch", "ray", "pandas", "scipy", "matplotlib"} & set(sys.modules), command
"""

SLEEPER = """
import signal, sys, time
from deepsight.command_line import Parser, run_command

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

def body(flags):
    print("begun", flush=True)
    time.sleep(60)
    return 0

sys.exit(run_command(Parser(), body, [], interrupted="stopped"))
"""


def main_of(command):
    """What ``python -m`` calls."""
    name = COMMANDS[command][0]
    spec = importlib.util.find_spec(name)
    inner = f"{name}.__main__" if spec.submodule_search_locations else name
    return importlib.import_module(inner).main


def lines_of_a_mistake(command, capsys):
    """The cause of what went wrong, once all else is as it has to be."""
    out, err = capsys.readouterr()
    assert out == ""
    cause, remedy = err.splitlines()
    assert cause.startswith("error: ")
    assert remedy == f"See python -m {COMMANDS[command][0]} --help."
    return cause


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_flag_is_told_in_two_lines(command, capsys):
    needed, _ = WORDS[command]
    assert main_of(command)([*needed, "--nonsense\x1b]0;owned\x07"]) == 2
    cause = lines_of_a_mistake(command, capsys)
    assert cause == r"error: unrecognized arguments: --nonsense\x1b]0;owned\x07."


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_argument_is_told_in_two_lines(command, capsys):
    assert main_of(command)(WORDS[command][1]) == 2
    cause = lines_of_a_mistake(command, capsys)
    assert re.search("arguments are required: |expected one argument", cause)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_deepsight_ends_in_the_same_way(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["deepsight", command, *WORDS[command][0], "--nonsense"])
    with pytest.raises(SystemExit) as ended:
        dispatch()
    assert ended.value.code == 2
    assert "--nonsense" in lines_of_a_mistake(command, capsys)


class Interrupted:
    """Flags, or a module, of which nothing can be read before Ctrl-C comes."""

    def __getattr__(self, name):
        raise KeyboardInterrupt


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_in_a_command_leaves_no_traceback(command, monkeypatch, capsys):
    monkeypatch.setattr(Parser, "parse_args", lambda self, arguments: Interrupted())
    if command in IMPORTS_FIRST:
        monkeypatch.setitem(sys.modules, IMPORTS_FIRST[command], Interrupted())
    assert main_of(command)([]) == 130
    assert capsys.readouterr() == ("", SAYS_MORE.get(command, ""))


def test_ctrl_c_while_a_command_is_imported_leaves_no_traceback(monkeypatch, capsys):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runpy, "run_module", interrupt)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["deepsight", "report", "STUDY"])
    assert dispatch() == 130
    assert capsys.readouterr() == ("", "")


def test_the_signal_itself_ends_a_command_with_130():
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "stopped\n")


def test_what_a_user_can_fix_is_told_with_its_exit_code(capsys):
    def body(flags):
        raise StorageError("the disk is\nfull\x1b[2J.", "Make room.")

    assert run_command(Parser(), body, []) == 4
    assert capsys.readouterr() == ("", "error: the disk is full\\x1b[2J.\nMake room.\n")


def test_mistakes_are_told_before_a_library_of_seconds_is_imported():
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_command_has_a_parser_of_its_own():
    sources = [path for p in ("deepsight", "analysis") for path in (ROOT / p).rglob("*.py")]
    own = [path.name for path in sources if "ArgumentParser(" in path.read_text()]
    assert own == []


@pytest.mark.parametrize(
    ("name", "known", "remedy"),
    [
        ("cta", ["cat", "dog"], "Did you mean cat?"),
        ("x", ["dog", "cat"], "Known: cat, dog."),
        ("x", map("t{:04d}".format, range(13)), ", t0011, t0012."),
        ("x", map("t{:04d}".format, range(60)), ", t0010, t0011 and 48 more."),
    ],
)
def test_an_unknown_name_is_answered_with_names_that_fit_a_line(name, known, remedy):
    error = unknown("trial", name, known)
    assert error.remedy.endswith(remedy)
    assert len(error.remedy) < 110
