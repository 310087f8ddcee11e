"""CONTRIBUTING.md names the files that an addition touches; what was forgotten is found here."""

import re
from pathlib import Path

import pytest

from deepsight.augment.build import BACKENDS
from deepsight.config import PARAMS, STUDY_PARAMS
from deepsight.data.datasets import DATASETS
from deepsight.losses import LOSSES
from deepsight.models.build import MODELS
from deepsight.schedulers import SCHEDULERS
from deepsight.track.sinks import SINKS
from deepsight.tune.search.named_samplers import SAMPLERS

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (an? [^|]+?) \| (.+) \|$", GUIDE, re.MULTILINE))
ADDITIONS = (
    "a hyperparameter",
    "a search space",
    "a model",
    "a loss",
    "a data set",
    "an augmentation",
    "a scheduler",
    "a searcher",
    "a report section with a figure",
    "a tracker",
    "a command",
    "an importer of other tools' studies",
)
TABLES = {
    "model.name": MODELS,
    "loss.name": LOSSES,
    "data.name": DATASETS.keys() - {"folder"},  # folder:PATH is a prefix
    "augment.backend": BACKENDS.keys() | {"auto"},
    "study.scheduler": SCHEDULERS,
    "study.searcher": SAMPLERS,
    "study.trackers": SINKS,
}


def paths(row):
    return re.findall(r"`([\w/]+(?:/|\.py|\.md|\.toml|\.txt))`", row)


@pytest.mark.parametrize("what", ADDITIONS)
def test_every_addition_has_a_row_whose_files_exist(what):
    row = ROWS[what]
    assert paths(row)
    if not row.startswith("to come"):
        assert [p for p in paths(row) if not (ROOT / p).exists()] == []
        assert any(p.startswith("tests/") for p in paths(row))


@pytest.mark.parametrize("what", [w for w in ADDITIONS if re.search(r"`[A-Z]{5,}`", ROWS[w])])
def test_every_table_is_where_the_row_says_and_has_a_contract_test(what):
    tables = [t for t in re.findall(r"`([A-Z]{5,})`", ROWS[what]) if t not in ("SPACE", "FIXED")]
    for table in tables:
        sources = [(ROOT / p).read_text() for p in paths(ROWS[what]) if p.endswith(".py")]
        assert any(re.search(rf"^{table}\b.* = ", source, re.MULTILINE) for source in sources)
        tests = [(ROOT / p).read_text() for p in paths(ROWS[what]) if p.startswith("tests/")]
        assert any(re.search(rf"parametrize\(.*\b{table}\b", source) for source in tests)


@pytest.mark.parametrize("name", TABLES)
def test_a_name_that_may_be_asked_for_is_one_of_its_table(name):
    declared = PARAMS.get(name) or STUDY_PARAMS[name]
    assert set(declared.metadata["choices"]) == set(TABLES[name])
