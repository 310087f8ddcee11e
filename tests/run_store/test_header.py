"""The typed header: what is required, what is not stated, and the page that describes it."""

import json
import re
from pathlib import Path

import pytest

from deepsight.run_store import (
    Objective,
    StudyFormatError,
    describe_data,
    load_study,
    parse_header,
    score_text,
)
from deepsight.run_store.header import header_fields
from deepsight.space import loguniform, to_json
from deepsight.tune.preflight import make_header
from tests.tune.plans import make_plan

ROOT = Path(__file__).parents[2]
V1 = ROOT / "tests/data/studies/v1/smoke"
REQUIRED = {
    "schema_version": 1,
    "name": "s",
    "metric": "m",
    "mode": "min",
    "max_epochs": 9,
    "rungs": [1, 9],
    "fixed": {"a": 1},
    "space": to_json({"x": loguniform(0.1, 1.0)}),
}


def described() -> dict[str, bool]:
    """Fields of ``study.json`` that the page describes, and whether it calls them required."""
    page = (ROOT / "docs/run_format.md").read_text("utf-8")
    table = page[page.index("## study.json") : page.index("`space` maps")]
    rows = re.findall(r"^\| (\*\*)?`(\w+)`", table, flags=re.M)
    return {name: bool(bold) for bold, name in rows}


def test_the_page_describes_every_field_and_no_other():
    assert set(described()) == set(header_fields())
    assert {name for name, bold in described().items() if bold} == set(REQUIRED)


def test_what_a_search_writes_is_known_and_of_the_types_described():
    written = json.loads(json.dumps(make_header(make_plan(), {"fingerprint": "f"})))
    header = parse_header({"schema_version": 1} | written, "study.json")
    assert header.extra == {}
    for name, value in written.items():
        if name != "space" and value is not None:
            stated = getattr(header, name)
            assert (list(stated) if isinstance(stated, tuple) else stated) == value, name


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_field_is_missed(name):
    with pytest.raises(StudyFormatError, match=f"study.json: {name} must be"):
        parse_header({k: v for k, v in REQUIRED.items() if k != name}, "study.json")


def test_what_is_absent_or_of_another_type_is_not_stated():
    bare = parse_header(REQUIRED, "study.json")
    odd = {"reduction_factor": "3", "trials": True, "data": "x", "seeds": 3, "scheduler": None}
    for header in (bare, parse_header(REQUIRED | odd, "study.json")):
        assert header.reduction_factor is header.trials is header.scheduler is None
        assert (header.data, header.seeds, header.fingerprint) == ({}, {}, None)
        assert header.num_images("val") is None
    assert (bare.rungs, bare.space["x"].log, bare.fixed) == ((1, 9), True, {"a": 1})


def test_unknown_fields_are_kept():
    stored = REQUIRED | {"mood": "good"}
    assert parse_header(stored, "study.json").extra == {"mood": "good"}
    assert parse_header(stored, "study.json").stored == stored


def test_the_study_of_version_1_states_all_it_was_asked():
    header = load_study(V1).header
    assert header.stored == json.loads((V1 / "study.json").read_text())
    assert header.num_images("val") == sum(header.data["counts"]["val"].values())


@pytest.mark.parametrize(("mode", "best", "worst"), [("max", 3.0, 1.0), ("min", 1.0, 3.0)])
def test_better_and_best(mode, best, worst):
    objective = Objective("m", mode)
    scores = [2.0, 3.0, 1.0]
    assert (objective.best(scores), objective.worst(scores)) == (best, worst)
    assert sorted(scores, key=objective.sort_key)[0] == best
    assert objective.better(best, worst)
    assert not objective.better(best, best)
    assert objective.gain(best, worst) == 2.0
    assert objective.sign * best > objective.sign * worst
    assert objective.best([]) is None


@pytest.mark.parametrize(
    ("score", "shown"),
    [(0.975609, "0.9756"), (0.0, "0.0000"), (2.5e-7, "2.5e-07"), (-1234.567, "-1235")],
)
def test_scores_of_any_unit_keep_their_digits(score, shown):
    assert score_text(score) == shown


def test_data_in_a_line():
    counts = {"train": {"a": 60, "b": 3}, "val": {"a": 20, "b": 1}, "test": {"a": 20, "b": 1}}
    data = {"name": "folder:x", "counts": counts}
    line = "folder:x: 2 classes; 63 train, 21 val, 21 test; largest class a 95%"
    assert describe_data(data) == line  # a study from before anything was said of what is left out
    assert describe_data(data | {"left_out": {}}) == f"{line}; left out: nothing"
    left_out = {"unread_formats": 30, "broken_files": 1, "of_my_own": 2}
    assert describe_data(data | {"left_out": left_out}) == (
        f"{line}; left out: 1 broken files, 2 of my own, 30 images of formats that are not read"
    )
    assert describe_data({"counts": counts}) == line.removeprefix("folder:x: ")
    assert describe_data({"name": "x", "counts": 3, "left_out": 3}) == "x"
    assert describe_data({}) == ""
    assert describe_data({"name": "digits"}) == "digits"
