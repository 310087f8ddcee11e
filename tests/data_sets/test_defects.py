"""Planted defects: what they change, what they leave, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest

from deepsight.config import DataConfig, UserError
from deepsight.data import datasets
from deepsight.data.datasets import check_source, load_dataset, open_test
from deepsight.data.defects import KINDS, MARK, parse_defects, plant_defects
from deepsight.data.digits import build_digits
from deepsight.data.raw import RawData
from deepsight.data.toy_objects.dataset import CLASSES, build_toy_objects
from deepsight.training.prerequisites import describe

TOY = DataConfig(size=200)
CAT, DOG = CLASSES.index("cat"), CLASSES.index("dog")


@pytest.fixture(scope="module")
def toy() -> RawData:
    return build_toy_objects(TOY)


@pytest.fixture(scope="module")
def digits() -> RawData:
    return build_digits()


def planted(raw: RawData, defects: str, name: str = "toy_objects") -> RawData:
    return plant_defects(raw, dataclasses.replace(TOY, name=name, defects=defects))


def changed(before: RawData, after: RawData) -> np.ndarray:
    """Rows whose pixels differ."""
    return np.flatnonzero((before.images != after.images).any(axis=(1, 2, 3)))


def test_nothing_is_planted_without_defects(toy: RawData) -> None:
    assert plant_defects(toy, TOY) is toy
    none = planted(toy, "none")
    np.testing.assert_array_equal(none.images, toy.images)
    np.testing.assert_array_equal(none.masks, toy.masks)


def test_a_pack_without_defects_keeps_its_key() -> None:
    assert not any("defect" in name for name in datasets._made_from(TOY))
    keys = {datasets._pack_path(dataclasses.replace(TOY, defects=d), datasets.Path()) for d in
            ("", "none", "mark:cat:0.5", "mark:cat:0.6")}  # fmt: skip
    assert len(keys) == 4


def test_background_changes_only_the_background_of_the_class(toy: RawData) -> None:
    after = planted(toy, "background:cat:0.5")
    rows = changed(toy, after)
    assert len(rows) == 10
    assert set(toy.labels[rows]) == {CAT}
    inside = toy.masks[rows] > 0
    np.testing.assert_array_equal(after.images[rows][inside], toy.images[rows][inside])
    spread = [r.images[rows][~inside].std(axis=0).mean() for r in (toy, after)]
    assert spread[1] < 0.4 * spread[0]  # 0.3 of the old background, and one colour


def test_mark_is_a_square_in_the_corner(toy: RawData) -> None:
    after = planted(toy, "mark:cat:1")
    rows = changed(toy, after)
    assert set(toy.labels[rows]) == {CAT}
    differs = (after.images[rows] != toy.images[rows]).any(axis=3)
    assert not differs[:, :-5].any()
    assert not differs[:, :, :-5].any()
    assert 32 // MARK == 4
    assert len(np.unique(after.images[rows, -5:-1, -5:-1].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(("share", "count"), [("0.1", 2), ("0.3", 6), ("1", 20)])
def test_labels_are_swapped_in_both_directions(toy: RawData, share: str, count: int) -> None:
    after = planted(toy, f"labels:cat:dog:{share}")
    np.testing.assert_array_equal(after.images, toy.images)
    assert ((toy.labels == CAT) & (after.labels == DOG)).sum() == count
    assert ((toy.labels == DOG) & (after.labels == CAT)).sum() == count
    assert (toy.labels != after.labels).sum() == 2 * count


def test_rare_leaves_a_share_of_the_class(toy: RawData) -> None:
    after = planted(toy, "rare:cat:0.1")
    assert (after.labels == CAT).sum() == 2
    assert len(after.images) == len(after.masks) == 182


@pytest.mark.parametrize("kind", ["place", "size"])
def test_place_and_size_shrink_the_object(toy: RawData, kind: str) -> None:
    after = planted(toy, f"{kind}:cat:1")
    rows = changed(toy, after)
    assert set(toy.labels[rows]) == {CAT}
    area = [r.masks[rows].sum(axis=(1, 2)) for r in (toy, after)]
    assert (area[1] < 0.4 * area[0]).all()
    assert after.masks[rows, 17:, 17:].any() == (kind == "size")
    assert after.masks[rows, :3, :3].any(axis=(1, 2)).mean() > 0.2 or kind == "size"


@pytest.mark.parametrize("kind", ["blur", "shift", "duplicates"])
def test_only_test_images_are_changed(digits: RawData, kind: str) -> None:
    after = planted(digits, f"{kind}:0.5", "digits")
    rows = changed(digits, after)
    assert set(after.split[rows]) == {"test"}
    assert len(rows) == pytest.approx(0.5 * (after.split == "test").sum(), abs=1)
    np.testing.assert_array_equal(after.labels, digits.labels)


def test_duplicates_resemble_different_train_images(toy: RawData) -> None:
    after = planted(toy, "duplicates:0.5")
    train = np.flatnonzero(after.split == "train")
    found = []
    for row in changed(toy, after):
        error = np.abs(after.images[train].astype(float) - after.images[row]).mean(axis=(1, 2, 3))
        assert error.min() < 12
        found.append(int(train[error.argmin()]))
        assert toy.labels[found[-1]] == toy.labels[row]
    assert len(set(found)) == len(found) == 20


def test_blurred_images_are_smoother_and_shifted_ones_moved(toy: RawData) -> None:
    blurred, shifted = planted(toy, "blur:1"), planted(toy, "shift:1")
    rows = np.flatnonzero(blurred.split == "test")
    edges = [np.abs(np.diff(r.images[rows].astype(float), axis=2)).mean() for r in (toy, blurred)]
    assert edges[1] < 0.8 * edges[0]
    np.testing.assert_array_equal(shifted.images[rows, 6:, 6:], toy.images[rows, :-6, :-6])


def test_stronger_defects_contain_weaker_ones(toy: RawData) -> None:
    weak, strong = (changed(toy, planted(toy, f"mark:cat:{s}")) for s in (0.3, 0.8))
    assert set(weak) < set(strong)


def test_several_defects(toy: RawData) -> None:
    after = planted(toy, "mark:car:1+blur:0.5")
    rows = changed(toy, after)
    assert set(toy.labels[rows[after.split[rows] != "test"]]) == {CLASSES.index("car")}
    assert (after.split[rows] == "test").sum() > 4


def test_scans_get_the_mask_of_their_ink(digits: RawData) -> None:
    assert digits.masks is None
    after = planted(digits, "background:3:1", "digits")
    assert 0.1 < after.masks.mean() < 0.5
    rows = changed(digits, after)
    assert set(digits.labels[rows]) == {3}
    np.testing.assert_array_equal(planted(digits, "none", "digits").images, digits.images)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backgroud:cat:1", "background"),
        ("background:cta:1", "cat"),
        ("background:cat", "background:CLASS:STRENGTH"),
        ("background:cat:much", "background:CLASS:STRENGTH"),
        ("background:cat:0", "background:CLASS:STRENGTH"),
        ("background:cat:1.5", "background:CLASS:STRENGTH"),
        ("background:cat:nan", "background:CLASS:STRENGTH"),
        ("labels:cat:0.3", "labels:CLASS:CLASS:STRENGTH"),
        ("labels:cat:cat:0.3", "labels:CLASS:CLASS:STRENGTH"),
        ("blur:cat:1", "blur:STRENGTH"),
        ("mark:cat:1+", "none"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        check_source(dataclasses.replace(TOY, defects=text))
    assert said in refused.value.remedy


def test_other_data_take_no_defects() -> None:
    with pytest.raises(UserError, match="cannot be planted into cifar10"):
        check_source(DataConfig(name="cifar10", defects="blur:1"))


def test_every_kind_can_be_written() -> None:
    for name, kind in KINDS.items():
        text = ":".join([name, *CLASSES[: kind.num_classes], "0.5"])
        assert parse_defects(text, CLASSES)[0].labels == tuple(range(kind.num_classes))


def test_defects_are_on_record_and_in_the_fingerprint() -> None:
    config = DataConfig(name="digits", defects="mark:3:1")
    clean, dataset = load_dataset(DataConfig(name="digits")), load_dataset(config)
    assert describe(dataset)["defects"] == "mark:3:1"
    assert "defects" not in describe(clean)
    assert dataset.fingerprint != clean.fingerprint
    assert json.dumps(describe(dataset))
    assert dataset.train.masks is not None
    assert len(open_test(dataset).labels) == sum(clean.counts["test"].values())
