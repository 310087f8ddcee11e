"""How a search went: counted and read back on a study on record."""

from pathlib import Path

import pytest

from benchmarks import search_course
from benchmarks.search_course import began, best_after, compute_course, line
from deepsight.run_store import load_study

STUDY = Path(__file__).parent.parent / "data" / "studies" / "v1" / "smoke"


@pytest.fixture(scope="module")
def study():
    return load_study(STUDY)


def test_the_course_counts_what_is_on_record(study):
    course = compute_course(study)
    assert course.trials == len(study.records)
    assert course.epochs == sum(len(record.rows) for record in study.records)
    assert course.best == study.score(study.incumbent())
    last = max(row["time"] for record in study.records for row in record.rows)
    assert course.seconds == last - began(study)
    assert line(STUDY, course).startswith(f"{STUDY}: {course.seconds:.0f} s, ")


def test_the_best_only_rises_and_needs_a_trial_of_full_budget(study):
    full = [r for r in study.records if study.has_full_budget(r)]
    ends = sorted(r.rows[-1]["time"] - began(study) for r in full)
    assert best_after(study, ends[0] - 0.001) is None
    scores = [best_after(study, end) for end in ends]
    assert scores == sorted(scores)
    assert scores[-1] == compute_course(study).best


def test_near_chance_is_counted_by_the_best_epoch(study, monkeypatch):
    monkeypatch.setattr(search_course, "NEAR", 0.6)
    rows = [[row[study.metric] or 0.0 for row in r.rows] for r in study.records]
    low = [scores for scores in rows if max(scores, default=0.0) <= 0.1 + 0.6]
    assert 0 < len(low) < len(rows)
    assert compute_course(study).near_chance == len(low)
