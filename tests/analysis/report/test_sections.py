"""The contract of every section of a report."""

import json
from collections import Counter
from pathlib import Path

import pytest

from analysis.page.document import Interactive, Picture, Table
from analysis.report.build import study_document
from analysis.report.study_sections import SECTIONS
from deepsight.run_store import load_study

V1 = Path(__file__).parents[2] / "data/studies/v1/smoke"


@pytest.fixture(scope="module")
def sections():
    """The sections of one report, in order."""
    return study_document(load_study(V1), ()).sections


def pictures(section):
    blocks = [b.fallback if isinstance(b, Interactive) else b for b in section.blocks]
    return [b for b in blocks if isinstance(b, Picture)]


@pytest.mark.parametrize("index", range(len(SECTIONS)), ids=[s.__name__ for s in SECTIONS])
def test_a_section_says_what_it_shows(index, sections):
    section = sections[index]
    assert section.key.isidentifier()
    assert section.title
    assert section.lead
    json.dumps(section.data, default=str)
    for picture in pictures(section):
        assert picture.alt
        assert picture.figure.axes
    for table in (b for b in section.blocks if isinstance(b, Table)):
        assert {len(row) for row in table.rows} <= {len(table.columns)}


def test_no_two_sections_write_the_same_file(sections):
    assert len(sections) == len(SECTIONS)
    names = Counter(s.key for s in sections)
    names += Counter(f"{p.name}.png" for s in sections for p in pictures(s))
    names += Counter(f"{b.name}.csv" for s in sections for b in s.blocks if isinstance(b, Table))
    names += Counter(f"{name}.json" for s in sections for name in s.data)
    assert [name for name, count in names.items() if count > 1] == []
