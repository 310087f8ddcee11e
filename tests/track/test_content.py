"""What trackers are told: bounded, plain, and nothing that is not theirs to know."""

import doctest
from types import SimpleNamespace

import pytest

from deepsight.run_store import TrialRecord, load_study
from deepsight.space import INACTIVE
from deepsight.track import content
from deepsight.track.content import key, metrics_of, study_content, study_key, text, trial_content
from tests.track.studies import V1


def test_the_examples_hold():
    assert doctest.testmod(content).failed == 0


def test_a_studys_key_is_its_id_and_never_what_a_stranger_writes_there():
    header = load_study(V1).header
    own = "0123456789abcdef" * 2
    assert study_key(SimpleNamespace(id=own)) == own
    hostile = SimpleNamespace(id="x' or tags.a != '", name="n", created=None, space={})
    assert len(study_key(hostile)) == 32
    assert study_key(hostile).isalnum()
    assert study_key(header) == study_key(load_study(V1).header)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../../x", "/etc/x", "a//b", "a/../b", "a b\n", "ü" * 300, "a" * 300, "\udce9"],
)
def test_every_name_becomes_one_that_trackers_take_and_no_two_the_same(name):
    made = key(name)
    assert 0 < len(made) <= 200
    assert made.isascii()
    assert "//" not in made
    assert not made.startswith(("/", ".."))
    assert made != key(name + "x")
    made.encode()


def test_texts_are_short_lines_without_folders():
    assert text("folder:/home/ada/photos/") == "folder:photos"
    assert text("/home/ada/w.safetensors") == "w.safetensors"
    assert text("C:\\Users\\ada\\w") == "C:w"
    assert text("package.module:function") == "package.module:function"
    assert text("a\x1b[31mb\nc") == "a\\x1b[31mb c"
    assert len(text("x" * 9000)) == 500
    text("\udce9").encode()


def test_what_is_not_finite_is_no_metric():
    row = {"epoch": 3, "time": 1.0, "a": float("nan"), "b": None, "c": True, "d": 1, "e": "x"}
    assert metrics_of(row) == {"d": 1.0}
    assert len(metrics_of({"r": [0.5] * 10_000})) == content.MOST_METRICS


def test_a_trial_is_told_without_its_error_and_its_inactive_hyperparameters():
    header = load_study(V1).header
    record = TrialRecord(
        "t0001",
        {"a": 1, "b": INACTIVE, "c": None},
        True,
        9,
        5.0,
        state="failed",
        ended=7.0,
        error="secret",
    )
    told = trial_content(record, header)
    assert dict(told.params) == {"a": 1, "c": None}
    assert told.tags["explorer"] == "true"
    assert told.has_failed
    assert "secret" not in repr(told)


def test_a_study_is_told_without_where_it_lies():
    study = load_study(V1)
    told = study_content(study.header, study)
    assert told.finished
    assert told.outcome["best_trial"] == study.incumbent().trial_id
    assert str(study.directory.resolve().parent) not in repr(told)
    assert not study_content(study.header).outcome
