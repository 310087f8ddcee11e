"""A command whose output nobody reads any more goes on to its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepsight.__main__ import COMMANDS
from tests.attacks.studies import finished_study
from tests.source_modules import within

ROOT = Path(__file__).parent.parent

PROBE = """
import sys
from pathlib import Path
from deepsight.standard_streams import take_streams
take_streams()
for number in range(2000):
    print("x" * 99)
    print("x" * 99, file=sys.stderr)
print("na\\udce4me")
with open("record", "w") as record:  # takes the lowest number that is free
    sys.stderr.write("not of the record")
    sys.stderr.flush()
    record.write("whole")
"""


@pytest.mark.parametrize(
    "shell", ["2>&1 | head -1", "2>&1 >&- | head -1", ">&- 2>&-", "<&- >&- 2>&-"]
)
def test_closed_streams_cost_the_output_only(shell, tmp_path):
    (tmp_path / "probe.py").write_text(PROBE)
    command = f"({sys.executable} probe.py; echo $? > code) {shell}"
    said = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (tmp_path / "code").read_text() == "0\n", said.stderr
    assert (tmp_path / "record").read_text() == "whole"
    assert "Error" not in said.stderr


def test_an_open_stream_holds_names_that_are_no_text(tmp_path):
    (tmp_path / "probe.py").write_text(PROBE)
    said = subprocess.run([sys.executable, "probe.py"], cwd=tmp_path, capture_output=True)
    assert said.stdout.endswith(b"na\xe4me\n")
    assert said.stdout.count(b"x" * 99) == said.stderr.count(b"x" * 99) == 2000


def test_every_command_begins_in_the_same_way():
    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text()
        for package in ("deepsight", "analysis")
        for path in (ROOT / package).rglob("*.py")
    }
    calling = [name for name, source in sources.items() if "return run_command(" in source]
    for command, _ in COMMANDS.values():
        assert any(within(name, command) for name in calling), command
    starting = [name for name, source in sources.items() if "    start_command(" in source]
    assert starting == ["deepsight.command_line"]
    setting_up = [name for name, source in sources.items() if "basicConfig" in source]
    assert setting_up == ["deepsight.standard_streams"]


def test_the_log_of_a_command_obeys_no_name():
    code = (
        "import logging; from deepsight.standard_streams import start_command\n"
        "start_command()\n"
        "for name in ('deepsight.x', 'analysis.x', '__main__', 'library'):\n"
        "    logging.getLogger(name).warning('%s', name + '\\x1b]0;owned\\x07')\n"
        "logging.getLogger('library').info('not shown')\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.stderr.count("\\x1b]0;owned\\x07\n") == 4
    assert "\x1b" not in said.stderr
    assert "not shown" not in said.stderr


def test_a_closed_output_does_not_end_a_confirmation(tmp_path):
    finished_study(tmp_path / "s", **{"data.name": "digits"})
    command = f"{sys.executable} -m deepsight.confirm s --top 1 --seeds 2 --dry-run >&-"
    said = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (said.returncode, said.stderr) == (0, "")
