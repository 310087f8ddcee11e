"""A record that is written in one go reads as if it had been written a line at a time."""

import pytest

from deepsight.run_store import (
    StudyExistsError,
    StudyFormatError,
    TrialRecord,
    create_study,
    load_study,
    write_study,
)
from deepsight.space import choice as one_of
from deepsight.space import loguniform, to_json, uniform, when

HEADER = {
    "name": "whole",
    "metric": "score",
    "mode": "max",
    "max_epochs": 2,
    "rungs": [1, 2],
    "fixed": {},
    "space": to_json(
        {
            "lr": loguniform(0.01, 1.0),
            "kind": one_of("a", "b"),
            "only_a": when("kind", "a", uniform(0.0, 1.0)),
        }
    ),
}


def record(name, state="completed", **values):
    rows = [{"epoch": 1, "time": 11.0, "score": 0.5}, {"epoch": 2, "time": 12.0, "score": None}]
    ended = None if state == "running" else 13.0
    fields = {"explorer": False, "budget": 2, "started": 10.0, "state": state, "ended": ended}
    return TrialRecord(
        trial_id=name, config={"lr": 0.1, "kind": "b"}, rows=rows, **(fields | values)
    )


def test_a_record_written_at_once_reads_as_one_written_line_by_line(tmp_path):
    records = [
        record("t0000", error="it broke", state="failed"),
        record("t0001", state="running", extra={"origin": "run 7"}),
    ]
    write_study(tmp_path / "whole", HEADER, records)
    whole = load_study(tmp_path / "whole")
    with create_study(tmp_path / "lines", HEADER) as writer:
        for r in records:
            writer.started(r.trial_id, r.config, r.explorer, r.budget, r.started)
            for row in r.rows:
                writer.result(r.trial_id, row)
        writer.ended("t0000", "failed", "it broke", 13.0)
    lines = load_study(tmp_path / "lines")
    assert [r.rows for r in whole.records] == [r.rows for r in lines.records]
    assert [(r.state, r.error, r.ended) for r in whole.records] == [
        (r.state, r.error, r.ended) for r in lines.records
    ]
    assert [r.config for r in whole.records] == [r.config for r in lines.records]
    assert whole.records[1].origin == "run 7"
    assert whole.records[0].origin is None


def test_nothing_appears_where_a_record_is_refused_or_the_place_is_taken(tmp_path):
    with pytest.raises(StudyFormatError):
        write_study(tmp_path / "bad", HEADER, [record("t0000", budget=0)])
    assert list(tmp_path.iterdir()) == []
    write_study(tmp_path / "good", HEADER, [record("t0000")])
    with pytest.raises(StudyExistsError):
        write_study(tmp_path / "good", HEADER, [])
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


def test_trial_0_of_an_adopted_study_is_neither_the_defaults_nor_spared(tmp_path):
    adopted = [record("t0000", extra={"origin": "run 0"})]
    write_study(
        tmp_path / "theirs", HEADER | {"origin": {"tool": "table", "times": "order"}}, adopted
    )
    write_study(tmp_path / "ours", HEADER, [record("t0000")])
    theirs, ours = load_study(tmp_path / "theirs"), load_study(tmp_path / "ours")
    assert (theirs.defaults, theirs.is_exempt(theirs.records[0])) == (None, False)
    assert (theirs.adopted, theirs.timed) == (True, False)
    assert ours.defaults is ours.records[0]
    assert ours.is_exempt(ours.records[0])
    assert (ours.adopted, ours.timed) == (False, True)
