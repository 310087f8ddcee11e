"""Trials as a table: a CSV file, or a data frame."""

import numpy as np
import pandas as pd
import pytest

import deepsight
from analysis.adopt.command import adopt_source
from analysis.adopt.found import Wanted
from deepsight.config import UserError
from deepsight.space import Choice, Condition

HEAD = "trial,epoch,config.lr,config.kind,config.momentum,acc"
LINES = """\
a,1,0.1,sgd,0.9,0.5
a,2,0.1,sgd,0.9,0.6
b,1,0.01,adam,,0.4
c,1,0.3,sgd,0.8,0.7
c,2,0.3,sgd,0.8,nan
d,1,0.2,adam,,0.55
d,2,0.2,adam,,0.65"""
WANTED = Wanted("acc", "max")


def adopt_text(tmp_path, text, wanted=WANTED):
    path = tmp_path / "trials.csv"
    path.write_text(text)
    return adopt_source(str(path), wanted)


def test_a_table_gives_trials_states_and_a_conditional_space(tmp_path):
    adopted = adopt_text(tmp_path, f"{HEAD}\n{LINES}\n", Wanted())
    told = [(r.extra["origin"], r.state, r.num_epochs) for r in adopted.records]
    assert told == [
        ("a", "completed", 2), ("b", "stopped", 1), ("c", "diverged", 2), ("d", "completed", 2)
    ]  # fmt: skip
    assert adopted.settled.space["kind"] == Choice(("adam", "sgd"))
    assert adopted.settled.space["momentum"].condition == Condition("kind", ("sgd",))
    assert (adopted.judged.metric, adopted.judged.mode, adopted.timed) == ("acc", "max", False)
    times = [row["time"] for r in adopted.records for row in r.rows]
    assert times == sorted(times)
    assert len(set(times)) == len(times)


def test_a_data_frame_gives_the_same_study_as_its_csv(tmp_path):
    (tmp_path / "trials.csv").write_text(f"{HEAD}\n{LINES}\n")
    frame = pd.read_csv(tmp_path / "trials.csv")
    ours = deepsight.adopt(frame, tmp_path / "frame", mode="max")
    theirs = deepsight.adopt(tmp_path / "trials.csv", tmp_path / "file", mode="max")
    plain = [[{k: v for k, v in row.items()} for row in r.rows] for r in theirs.records]
    assert [r.rows for r in ours.records] == plain
    assert [r.config for r in ours.records] == [r.config for r in theirs.records]
    assert [r.state for r in ours.records] == [r.state for r in theirs.records]
    assert ours.space == theirs.space
    assert ours.header.origin["source"] == "DataFrame"


def test_columns_that_are_there_are_used(tmp_path):
    text = (
        "trial;epoch;config/lr;acc;note;state;error;time;wall_s\n"
        "1;0;0.1;0.5;x;failed;it broke;1000.5;2\n"
        "0;0;0.2;0.4;y;completed;;1010.5;3\n"
    )
    adopted = adopt_text(tmp_path, text)
    first, second = adopted.records
    assert (first.state, first.error, first.rows[0]["wall_s"]) == ("failed", "it broke", 2.0)
    assert first.rows == [{"epoch": 1, "time": 1000.5, "wall_s": 2.0, "acc": 0.5}]
    assert (second.state, second.started, adopted.timed) == ("completed", 1010.5, True)
    assert "Epochs counted from 0" in " ".join(adopted.notes)


def test_without_a_column_trial_every_row_is_one(tmp_path):
    adopted = adopt_text(tmp_path, "config.lr,acc\n0.1,0.5\n0.2,0.6\n")
    assert [(r.extra["origin"], r.state) for r in adopted.records] == [
        ("row 1", "completed"),
        ("row 2", "completed"),
    ]
    assert adopted.judged.max_epochs == 1


def test_values_of_numpy_and_pandas_become_plain(tmp_path):
    frame = pd.DataFrame(
        {
            "trial": [0, 1, 2],
            "config.n": np.array([1, 2, 9], dtype=np.int64),
            "config.flag": [True, False, True],
            "config.lr": np.array([0.5, np.nan, 0.25], dtype=np.float32),
            "loss": np.array([0.5, np.inf, 0.25], dtype=np.float32),
            "time": pd.to_datetime([1000, 1001, 1002], unit="s"),
        }
    )
    study = deepsight.adopt(frame, tmp_path / "study")
    assert [r.config["n"] for r in study.records] == [1, 2, 9]
    assert [r.config["flag"] for r in study.records] == [True, False, True]
    assert study.records[0].started == 1000.0
    assert [r.state for r in study.records] == ["completed", "diverged", "completed"]
    assert study.mode == "min"


def test_an_unknown_argument_is_refused(tmp_path):
    with pytest.raises(UserError, match="unknown argument 'metrics'"):
        deepsight.adopt(pd.DataFrame(), tmp_path / "study", metrics="acc")


REFUSED = [
    ("trial,epoch,lr,acc\na,1,0.1,0.5\n", "no column of a hyperparameter"),
    ("epoch,config.lr,acc\n1,0.1,0.5\n", "none that tells the trial"),
    ("trial,epoch,config.lr,acc\n,1,0.1,0.5\n", "row 1 names no trial"),
    ("trial,epoch,config.lr,acc\na,x,0.1,0.5\n", "epoch must be a whole number"),
    ("trial,epoch,config.lr,acc\na,1.5,0.1,0.5\n", "epoch must be a whole number"),
    ("trial,epoch,config.lr,acc\na,1,0.1,0.5\na,2,0.2,0.5\n", "row 2: config.lr is '0.2'"),
    ("trial,config.lr,acc,acc\na,0.1,0.5,0.5\n", "two columns 'acc'"),
    ("trial,config.lr,acc\n", "has no rows"),
    ("trial,config.lr,acc,state\na,0.1,0.5,done\n", "state must be running, completed"),
    ("trial,config.lr,acc\na,0.1,\n", "unknown metric 'acc'"),
    ("", "no column of a hyperparameter"),
]


@pytest.mark.parametrize(("text", "cause"), REFUSED)
def test_a_table_that_says_too_little_is_refused(text, cause, tmp_path):
    with pytest.raises(UserError) as caught:
        adopt_text(tmp_path, text)
    assert cause in caught.value.cause


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00config.x")
    with pytest.raises(UserError, match="cannot be read"):
        adopt_source(str(tmp_path / "x.csv"), WANTED)
