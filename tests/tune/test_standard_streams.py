"""A command whose output nobody reads any more goes on to its end."""

import subprocess
import sys

import pytest

PROBE = """
import sys
from pathlib import Path
from deepsight.tune.standard_streams import take_streams
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
