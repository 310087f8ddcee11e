"""The command: what it prints, what it writes, and how it refuses."""

import subprocess
import sys

import pytest

from analysis.adopt.command import main
from analysis.adopt.readers import find_reader
from analysis.adopt.sources import SOURCES
from deepsight.config import UserError
from deepsight.run_store import load_study
from tests.analysis.adopt.folders import ramp, write_plain, write_trial


def experiment(root):
    """Twelve trials of an experiment that states no metric."""
    for number in range(12):
        config = {"optim": {"lr": 0.001 * 2**number}, "kind": "ab"[number % 2], "const": 1}
        write_trial(root, number, ramp(4 if number % 3 == 0 else 1, high=0.5 + number / 40), config)
    return root


def test_every_reader_of_the_table_offers_what_is_asked_of_it():
    for module in SOURCES.values():
        reader = __import__(module, fromlist=["read"])
        assert callable(reader.read)
        assert reader.recognises("/nowhere/at/all") is False
        assert reader.recognises("x" * 5000) is False


def test_the_command_writes_a_study_and_prints_its_place_last(tmp_path, capsys):
    source, out = experiment(tmp_path / "exp"), tmp_path / "runs" / "mine"
    assert main([str(source), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    study = load_study(out)
    assert (study.header.name, study.metric, study.mode) == ("mine", "acc", "max")
    assert study.header.origin["tool"] == "ray_tune"
    assert study.header.origin["source"] == str(source)
    assert study.header.origin["inferred"] == [
        "metric",
        "mode",
        "max_epochs",
        "states",
        "rungs",
        "space.optim.lr",
        "space.kind",
    ]


def test_what_a_dry_run_prints_can_be_edited_and_given_as_the_space(tmp_path, capsys):
    source, file = experiment(tmp_path / "exp"), tmp_path / "space.yaml"
    assert main([str(source), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "# exp, of ray_tune: 12 trials (8 stopped, 4 completed), 24 results" in text
    assert "optim.lr: {type: float, low: 0.001, high: 2.048, log: true}  # inferred" in text
    assert [path.name for path in tmp_path.iterdir()] == ["exp"]
    file.write_text(text.replace("high: 2.048", "high: 10.0"))
    out = tmp_path / "mine"
    assert main([str(source), "--space", str(file), "--out", str(out)]) == 0
    study = load_study(out)
    assert study.space["optim.lr"].high == 10.0
    assert [n for n in study.header.origin["inferred"] if n.startswith("space")] == []


def refused(arguments, capsys):
    assert main(arguments) == 2
    cause, remedy = capsys.readouterr().err.splitlines()[-2:]
    return cause, remedy


def test_refusals_are_one_line_of_cause_and_one_of_remedy(tmp_path, capsys):
    source = str(experiment(tmp_path / "exp"))
    assert refused([source], capsys)[1] == "Give --out runs/NAME or --dry-run."
    assert refused([str(tmp_path / "no"), "--dry-run"], capsys)[0].endswith("does not exist.")
    (tmp_path / "x.txt").write_text("hello")
    cause, remedy = refused([str(tmp_path / "x.txt"), "--dry-run"], capsys)
    assert "is nothing that can be adopted" in cause
    assert "docs/adopt.md" in remedy
    out = tmp_path / "mine"
    assert main([source, "--out", str(out)]) == 0
    assert "exists already" in refused([source, "--out", str(out)], capsys)[0]
    assert "is a study of DeepSight already" in refused([str(out), "--dry-run"], capsys)[0]


@pytest.mark.parametrize("epochs", ["0", "many", "1.5", "10000001", "9" * 5000])
def test_a_wrong_number_of_epochs_is_told_by_the_rule(epochs, capsys):
    cause, remedy = refused(["SOURCE", "--dry-run", "--max-epochs", epochs], capsys)
    rule = f"{epochs!r} is no whole number from 1 to 10000000."
    assert cause == f"error: argument --max-epochs: {rule}"
    assert remedy == "See python -m analysis.adopt --help."


def test_nothing_is_left_where_the_source_is_refused(tmp_path, capsys):
    source = write_plain(tmp_path / "exp")
    (source / "link").symlink_to(tmp_path)
    assert refused([str(source), "--out", str(tmp_path / "mine")], capsys)[0].endswith(
        "links in an experiment are not followed."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["exp"]


def test_names_of_a_stranger_cannot_move_the_cursor(tmp_path, capsys):
    for number in range(4):
        config = {"lr\x1b[2J": 0.1 * (number + 1), "k": f"\x1b]0;{number % 2}"}
        write_trial(tmp_path / "exp", number, ramp(2), config)
    assert main([str(tmp_path / "exp"), "--dry-run"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_reading_needs_neither_ray_nor_pickle(tmp_path):
    """Importing the command and reading a folder loads no library of a tool."""
    experiment(tmp_path / "exp")
    code = (
        "import sys\nfrom analysis.adopt.command import main\n"
        f"main([{str(tmp_path / 'exp')!r}, '--dry-run'])\n"
        "sys.exit(bool({'ray', 'torch', 'optuna', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_source_that_no_reader_knows_is_refused(tmp_path):
    with pytest.raises(UserError, match="nothing that can be adopted"):
        find_reader(str(tmp_path))
