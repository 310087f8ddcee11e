"""Names of strangers in terminals and spreadsheets, and experiment files that cost too much."""

import csv
import io
import json
import logging
import os
import threading
from pathlib import Path

import pytest
from rich.console import Console

from analysis.page.document import Table
from analysis.page.files import to_csv
from analysis.summary import compute_summary, render
from deepsight.config import PlainFormatter, UserError, single_value, without_controls
from deepsight.predict import Prediction, write_csv
from deepsight.run_store import load_study
from deepsight.tune.cli import main
from deepsight.tune.observers.progress import TerminalProgress
from tests.attacks.studies import V1, copied

TITLE = "\x1b]0;owned\x07"
SEQUENCES = [
    "\x1b[2J\x1b[H",
    TITLE,
    "\x9b31m",
    "\x1b]8;;http://x\x1b\\\\",
    "a\rb",
    "\x08" * 9,
    "\u202egnp",
]


@pytest.mark.parametrize("text", SEQUENCES)
def test_no_sequence_reaches_a_terminal(text):
    assert not set("\x1b\x9b\x07\x08\r\u202e") & set(without_controls(f"name {text}"))
    error = UserError(f"no study {text}\nerror: forged", f"Give {text}.")
    assert "\n" not in error.cause
    assert "\x1b" not in error.cause + error.remedy + str(error)
    record = logging.LogRecord("deepsight", logging.INFO, "", 0, "packing %s", (text,), None)
    assert not set("\x1b\x9b\x07\x08\r\u202e") & set(PlainFormatter().format(record))


def test_plain_names_stay_as_they_are():
    for text in ("قطة صغيرة", "小猫", "caf\u00e9", "a\tb\nc", "runs/s-1"):
        assert without_controls(text) == text


def test_a_summary_and_progress_obey_no_name(tmp_path):
    study = copied(V1, tmp_path / "s")
    header = json.loads((study / "study.json").read_text())
    header["data"]["name"] = header["name"] = f"smoke {TITLE}"
    (study / "study.json").write_text(json.dumps(header))
    out = io.StringIO()
    render([compute_summary(load_study(study))], Console(file=out))
    assert "owned" in out.getvalue()
    TerminalProgress(stream=out).say(f"t0000 failed: {TITLE}")
    assert not set("\x1b\x07") & set(out.getvalue())


def test_a_directory_with_a_sequence_in_its_name_is_shown_with_escapes(tmp_path, capsys):
    assert main(["--resume", str(tmp_path / TITLE)]) == 2
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert "\\x1b]0;owned" in error


FORMULAS = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "\uff1d1+1",
            "\uff0b1", "\uff0d1", "\uff20x", "\u200b=1", "\ufeff=1", "\0=1",
            "\tx", " @"]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_table_is_a_formula(text):
    table = to_csv(Table("t", (text, "b"), ((text, 1.0), ("a", -1.0))))
    rows = list(csv.reader(io.StringIO(table, newline="")))
    assert rows[0] == [f"'{without_controls(text)}", "b"]
    assert rows[1] == [f"'{without_controls(text)}", "1.0"]
    assert rows[2] == ["a", "-1.0"]  # numbers are numbers


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_predictions_is_a_formula(text):
    out = io.StringIO()
    found = Prediction(Path(text.replace("\0", "")), 0, text, -0.5, (-0.5,), text)
    write_csv([found], [text], out)
    header, row = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert header[1] == "class"
    for cell in (row[0], row[1], row[3]):
        assert cell.startswith("'")
    assert row[2] == row[4] == "-0.5"  # numbers are numbers


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
COSTLY = {
    "aliases": BOMB,
    "merged": "a: &a {x: 1}\nb: {<<: *a}\n",
    "itself": "fixed: &a [*a]\n",
    "5000 digits": f"fixed: {{optim.lr: {'9' * 5000}}}\n",
    "hexadecimal": f"fixed: {{optim.lr: 0x{'f' * 5000}}}\n",
    "sexagesimal": f"fixed: {{optim.lr: {'9:' * 20_000}9}}\n",
    "no date": "name: 2026-13-45\n",
    "no time": "name: 2026-01-01 99:99:99\n",
    "no truth": "name: !!bool x\n",
    "no timestamp": "name: !!timestamp x\n",
    "twice": "name: a\nname: b\n",
    "deep": "fixed: " + "[" * 30_000,
    "deeper": "fixed: " + "{a: " * 10_000,
    "large": "name: " + "x" * 10**6,
    "python": "fixed: !!python/object/apply:os.system ['touch it_ran']\n",
    "control": "name: '\x07'\n",
    "bytes": "name: !!binary aGFjaw==\n",
    "a set": "fixed: !!set {a, b}\n",
}


def test_a_name_too_long_for_a_file_is_one_line(capsys):
    assert main(["--experiment", "x" * 5000, "--dry-run"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("case", COSTLY)
def test_an_experiment_that_costs_too_much_is_one_line(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.yaml").write_text(f"space: smoke\n{COSTLY[case]}")
    assert main(["--experiment", "e.yaml", "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 2
    assert len(error) < 1500
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "/proc/self/mem", "/proc/kmsg", "folder"])
def test_an_experiment_that_is_no_file_is_refused_at_once(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if kind == "fifo":
        os.mkfifo(tmp_path / "e.yaml")
    elif kind == "folder":
        (tmp_path / "e.yaml").mkdir()
    else:
        (tmp_path / "e.yaml").symlink_to(kind)
    codes = []
    thread = threading.Thread(
        target=lambda: codes.append(main(["--experiment", "e.yaml", "--dry-run"])), daemon=True
    )
    thread.start()
    thread.join(20)
    assert codes == [2]


def test_a_value_of_more_digits_than_python_prints_is_refused():
    with pytest.raises(UserError, match="0x.* is no value"):
        single_value("x", 10**5000)
