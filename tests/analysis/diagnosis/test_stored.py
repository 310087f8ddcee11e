"""Maps, checks and interventions are computed once, kept part by part, and stand on the sheets."""

import shutil
from typing import Any

import numpy as np
import pytest

from analysis.diagnosis.build import make_diagnosis
from analysis.diagnosis.class_scores import confused_pairs
from analysis.diagnosis.maps.grad_cam import ClassMaps
from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.maps.passes import Floats
from analysis.diagnosis.page.sheet_figure import SheetMaps, draw_sheet
from analysis.diagnosis.page.sheets import class_rows, pair_rows
from analysis.diagnosis.stored import ABOUT, kept_or_computed
from analysis.statistics.intervals import Interval
from deepsight.imports import Permission
from tests.analysis.diagnosis.evaluations import counted

TRUST = Permission(trust=True)  # the data are made by code of tests/


COMPUTED = ("maps of", "checking maps", "maps of random models", "changing images")


@pytest.fixture(scope="module")
def folder(trained_study, tmp_path_factory):
    """A study's copy that has been diagnosed."""
    study = shutil.copytree(trained_study, tmp_path_factory.mktemp("kept") / "study")
    make_diagnosis(study, "t0000", permission=TRUST)
    return study / "diagnosis" / "t0000"


def titles(study, **options):
    """What a diagnosis reports that it computes."""
    told = []

    def note(items, title):
        told.append(title)
        return items

    make_diagnosis(study, "t0000", progress=note, permission=TRUST, **options)
    return [t for t in told if t.startswith(COMPUTED)]


def test_what_is_kept_is_not_computed_again(folder):
    names = ("maps", "map_checks", "interventions")
    before = {name: (folder / f"{name}.npz").stat().st_mtime_ns for name in names}
    assert titles(folder.parents[1]) == []
    assert before == {name: (folder / f"{name}.npz").stat().st_mtime_ns for name in names}


def test_another_layer_and_a_torn_file_are_computed_again(folder, tmp_path, caplog):
    study = shutil.copytree(folder.parents[1], tmp_path / "study")
    torn = study / "diagnosis/t0000/map_checks.npz"
    torn.write_bytes(torn.read_bytes()[:500])
    assert titles(study) == ["checking maps", "maps of random models"]
    assert "map_checks.npz is damaged and made again" in caplog.text
    again = titles(study, layer="blocks.0")
    assert [t for t in again if not t.startswith("maps of ")] == [
        "checking maps",
        "changing images",
    ]


def test_an_interruption_keeps_the_finished_parts(trained_study, tmp_path):
    study = shutil.copytree(trained_study, tmp_path / "study")

    def interrupt(items, title):
        if title == "changing images":
            raise KeyboardInterrupt
        return items

    with pytest.raises(KeyboardInterrupt):
        make_diagnosis(study, "t0000", progress=interrupt, permission=TRUST)
    assert titles(study) == ["changing images"]


def test_files_give_back_what_was_written(tmp_path):
    value = {
        "all": (Layer("conv", 8, 4, 4), [Interval(0.5, 0.25, 0.75, 9), None]),
        "maps": np.arange(8, dtype=np.float32).reshape(2, 2, 2),
    }
    path = tmp_path / "kept.npz"
    kept_or_computed(path, {"code": "1"}, dict[str, Any], lambda: value)
    again = kept_or_computed(path, {"code": "1"}, dict[str, Any], lambda: pytest.fail("again"))
    assert again["all"] == value["all"]
    np.testing.assert_array_equal(again["maps"], value["maps"])
    assert again["maps"].dtype == np.float32
    assert kept_or_computed(path, {"code": "2"}, int, lambda: 7) == 7


def test_a_file_that_unpacks_to_more_than_it_takes_is_made_again(tmp_path, caplog):
    path = tmp_path / "kept.npz"
    made_from = {"code": "1"}
    kept_or_computed(path, made_from, Floats, lambda: np.zeros(100_000))
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez_compressed(path, **arrays)
    assert kept_or_computed(path, made_from, int, lambda: 7) == 7
    assert "unpacks to more than it takes" in caplog.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"value": 0.5', '"value": "0.5"'),
        ('"n": 9', '"n": null'),
        ('"kind": "tuple"', '"kind": "list"'),
        ('"name": "conv"', '"name": [1]'),
        ('{"kind": "array", "name": "array_0"}', "1"),
    ],
)
def test_a_file_that_holds_other_types_is_made_again(tmp_path, caplog, old, new):
    path = tmp_path / "kept.npz"
    value = (Layer("conv", 8, 4, 4), [Interval(0.5, 0.25, 0.75, 9), None], np.zeros(3))
    declared = tuple[Layer, list[Interval | None], Floats]
    kept_or_computed(path, {}, declared, lambda: value)
    kept_or_computed(path, {}, declared, lambda: pytest.fail("computed again"))
    with np.load(path) as stored:
        arrays = dict(stored)
    about = str(arrays.pop(ABOUT))
    changed = about.replace(old, new)
    assert changed != about
    np.savez(path, **{ABOUT: np.array(changed)}, **arrays)
    assert kept_or_computed(path, {}, declared, lambda: 7) == 7
    assert "is damaged and made again" in caplog.text


def test_a_sheet_has_three_maps_for_an_error_and_one_for_a_hit():
    evaluation = counted([[1, 1], [0, 2]])
    rng = np.random.default_rng(0)
    true, predicted = rng.random((2, 4, 4, 4), np.float32)
    predicted[evaluation.hits] = true[evaluation.hits]
    layer = Layer("blocks.2", 8, 4, 4)
    maps = ClassMaps(layer, evaluation.labels, evaluation.predicted, true, predicted)
    looks = SheetMaps(maps, "No evidence: it does not beat a blob.")
    images = rng.integers(0, 255, (4, 8, 8, 3), np.uint8)
    rows = class_rows(evaluation, 0, ("a", "b"))
    axes = draw_sheet(rows, evaluation, images, ("a", "b"), looks).axes[0]
    texts = [t.get_text() for t in axes.texts]
    assert texts.count("for the\ntrue class") == 2
    assert texts.count("predicted\n− true") == 1
    assert texts.count("the same\nclass") == 1
    assert "blocks.2, 4x4 cells" in " ".join(texts)
    assert "No evidence: it does not beat a blob." in " ".join(texts)
    drawn = [np.asarray(i.get_array()) for i in axes.images]
    wrong = int(np.flatnonzero(~evaluation.hits)[0])
    for shown in (true[wrong], predicted[wrong], predicted[wrong] - true[wrong]):
        assert any(d.shape == (4, 4) and np.allclose(d, shown) for d in drawn)
    plain = draw_sheet(rows, evaluation, images, ("a", "b")).axes[0]
    assert len(plain.images) == 3


def test_a_direction_without_errors_takes_a_line_of_a_pairs_sheet():
    confusion = np.array([[1, 1], [0, 2]])
    evaluation = counted(confusion, classes=("5", "6"))
    images = np.zeros((4, 8, 8, 3), np.uint8)
    rows = pair_rows(evaluation, confused_pairs(confusion)[0], ("5", "6"))
    figure = draw_sheet(rows, evaluation, images, ("5", "6"))
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert "no such error" in texts
    assert any(t.startswith("6: ") and t.endswith(" %") for t in texts)
    full, empty = (draw_sheet([row], evaluation, images, ("5", "6")) for row in rows)
    assert empty.get_figheight() < full.get_figheight() - 1
