"""What a refactoring may not change: proposals, decisions, scores and the numbers of a report.

The expected values are in `tests/data/unchanged.json`. A commit that means to change the search
or the report makes them again, and says so: ``python -m tests.test_unchanged``.
"""

import csv
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from analysis.report.build import make_report
from tests.faults.simulated import history, run
from tests.tune.plans import make_plan

HERE = Path(__file__).parent
EXPECTED = HERE / "data" / "unchanged.json"
V1 = HERE / "data" / "studies" / "v1" / "smoke"
TABLES = ("study", "trials", "rungs", "incumbent")
"""Tables of the report that no random draw goes into."""


def record_search(searcher, directory):
    """Every trial of a study at one slot, without times."""
    plan = make_plan(trials=20, seed=3, searcher=searcher)
    run(plan, directory / searcher, directory / "witness")
    return [list(trial) for trial in history(directory / searcher)]


def record_report(directory):
    """The tables of a stored study's report, as texts."""
    study = shutil.copytree(V1, directory / "v1")
    data = make_report(study).parent / "data"
    return {name: list(csv.reader((data / f"{name}.csv").open())) for name in TABLES}


@pytest.mark.parametrize("searcher", ["gp", "tpe", "random"])
def test_a_search_with_a_seed_does_what_it_did(searcher, tmp_path):
    expected = json.loads(EXPECTED.read_text())[searcher]
    found = json.loads(json.dumps(record_search(searcher, tmp_path)))
    for trial, before in zip(found, expected, strict=True):
        number, config, *decided, scores = trial
        number_before, config_before, *decided_before, scores_before = before
        assert (number, decided) == (number_before, decided_before)
        assert config == pytest.approx(config_before, abs=1e-6)
        assert scores == pytest.approx(scores_before, abs=1e-6)


def test_a_report_says_what_it_said(tmp_path):
    assert record_report(tmp_path) == json.loads(EXPECTED.read_text())["report"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        found = {s: record_search(s, root) for s in ("gp", "tpe", "random")}
        EXPECTED.write_text(json.dumps(found | {"report": record_report(root)}, indent=1) + "\n")
