from dataclasses import replace

import numpy as np
import pytest

from deepsight.config import DataConfig, UserError
from deepsight.data.raw import SPLITS, RawData
from deepsight.data.split import MIN_PER_CLASS, digests, plan_split


def noise(labels, classes=None, seed=0, **more):
    labels = np.asarray(labels)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
    classes = classes or [f"class_{i}" for i in range(labels.max() + 1)]
    return RawData(images, labels, classes, **more)


def plan(raw, **config):
    return plan_split(raw, DataConfig(**config), "mine")


def test_every_class_has_its_share_in_every_split():
    raw = noise(np.repeat([0, 1, 2], [100, 40, 10]))
    rows = plan(raw, val_fraction=0.2, test_fraction=0.1).rows
    counts = {name: np.bincount(raw.labels[rows[name]]).tolist() for name in SPLITS}
    assert counts == {"train": [70, 28, 7], "val": [20, 8, 2], "test": [10, 4, 1]}


def test_a_class_of_few_images_gives_val_ten_or_a_fifth():
    raw = noise(np.repeat(np.arange(6), [1000, 200, 60, 40, 20, 5]))
    rows = plan(raw, val_fraction=0.05, test_fraction=0.05).rows
    counts = {name: np.bincount(raw.labels[rows[name]]).tolist() for name in SPLITS}
    assert counts["val"] == [50, 10, 10, 8, 4, 1]
    assert counts["test"] == [50, 10, 3, 2, 1, 1]
    assert counts["train"] == [900, 180, 47, 30, 15, 3]


def test_a_val_set_of_the_source_is_not_enlarged():
    split = np.repeat(["train", "val"], [40, 4])
    rows = plan(noise(np.arange(44) % 2, split=split)).rows
    assert len(rows["val"]) == 4


def test_splits_are_disjoint_complete_and_sorted():
    rows = plan(noise(np.repeat([0, 1], 50))).rows
    assert sorted(np.concatenate(list(rows.values()))) == list(range(100))
    assert all((np.diff(rows[name]) > 0).all() for name in SPLITS)


def test_the_seed_decides_and_repeats():
    raw = noise(np.repeat([0, 1], 50))
    same = [plan(raw, split_seed=3).rows["val"].tolist() for _ in range(2)]
    assert same[0] == same[1] != plan(raw, split_seed=4).rows["val"].tolist()


@pytest.mark.parametrize("fractions", [(0.01, 0.01), (0.5, 0.49), (0.2, 0.2), (0.33, 0.5)])
@pytest.mark.parametrize("num", [MIN_PER_CLASS, 6, 7, 11])
def test_no_class_is_lost_however_small_or_large_its_share(num, fractions):
    raw = noise(np.repeat([0, 1], [num, 30]))
    rows = plan(raw, val_fraction=fractions[0], test_fraction=fractions[1]).rows
    assert all(set(raw.labels[rows[name]]) == {0, 1} for name in SPLITS)


def test_a_class_that_is_too_small_is_named_with_its_count():
    with pytest.raises(UserError, match=r"'cat' of mine has 4 usable images") as caught:
        plan(noise(np.repeat([0, 1], [20, 4]), ["dog", "cat"]))
    assert "5" in caught.value.remedy


def test_a_train_split_of_copies_is_told_as_such():
    raw = noise(np.repeat([0, 1, 0, 1], 10), ["cat", "dog"], split=np.repeat(["train", "val"], 20))
    raw.images[20:] = raw.images[:20]
    with pytest.raises(UserError, match=r"0 usable images to train on; 10 are copies") as caught:
        plan(raw)
    assert "take the images of val and test out of train" in caught.value.remedy


def test_fractions_that_leave_nothing_are_refused():
    with pytest.raises(UserError, match="nothing"):
        plan(noise(np.repeat([0, 1], 20)), val_fraction=0.5, test_fraction=0.5)


def test_a_new_photograph_leaves_the_split_of_the_others():
    names = [f"c/{i}.jpg" for i in range(200)]
    raw = noise(np.zeros(200, int) + np.arange(200) % 2, names=names)
    less = replace(raw, images=raw.images[:-1], labels=raw.labels[:-1], names=names[:-1])
    before, after = ({s: set(plan(r).rows[s]) for s in SPLITS} for r in (less, raw))
    moved = [row for s in SPLITS for row in before[s] - after[s]]
    assert len(moved) <= 2  # at most one at each border of the class that grew


def test_of_exact_copies_the_first_is_kept():
    raw = noise(np.repeat([0, 1], 20))
    raw.images[13], raw.images[17] = raw.images[4], raw.images[4]
    found = plan(raw)
    assert found.dropped["duplicates"] == 2
    assert set(range(40)) - set(np.concatenate(list(found.rows.values()))) == {13, 17}


def test_the_same_image_under_two_labels_is_dropped_and_named(caplog):
    names = [f"{i}.png" for i in range(40)]
    raw = noise(np.repeat([0, 1], 20), names=names)
    raw.images[25], raw.images[6] = raw.images[5], raw.images[5]
    found = plan(raw)
    assert found.dropped["conflicting_labels"] == 3
    assert found.dropped["conflicting_names"] == ["5.png", "6.png", "25.png"]
    assert found.dropped["duplicates"] == 0
    assert "25.png" in caplog.text


def test_a_class_that_is_too_small_without_its_copies_is_refused():
    raw = noise(np.repeat([0, 1], [20, 6]))
    raw.images[25] = raw.images[24] = raw.images[23]
    with pytest.raises(UserError, match="has 4 usable"):
        plan(raw)


def test_a_test_set_of_the_source_is_never_changed():
    split = np.repeat(["train", "test"], [40, 20])
    raw = noise(np.arange(60) % 2, split=split)
    raw.images[50] = raw.images[48]  # a copy inside the test set
    raw.images[3] = raw.images[41]  # the same label
    raw.images[5] = raw.images[42]  # another label
    found = plan(raw, val_fraction=0.25)
    assert found.rows["test"].tolist() == list(range(40, 60))
    assert not {3, 5} & set(np.concatenate([found.rows["train"], found.rows["val"]]))
    assert (found.dropped["duplicates"], found.dropped["conflicting_labels"]) == (1, 1)
    assert len(found.rows["val"]) == 9  # a quarter of 20 and of the 18 left in the other class


def test_three_splits_of_the_source_stay_and_val_is_preferred_to_train():
    split = np.repeat(["train", "val", "test"], [20, 10, 10])
    raw = noise(np.arange(40) % 2, split=split)
    raw.images[0] = raw.images[22]
    rows = plan(raw).rows
    assert rows["train"].tolist() == list(range(1, 20))
    assert rows["val"].tolist() == list(range(20, 30))


def test_a_class_missing_in_a_split_of_the_source_is_named():
    split = np.repeat(["train", "val", "test"], [20, 10, 10])
    labels = np.r_[np.arange(30) % 2, np.zeros(10, int)]
    with pytest.raises(UserError, match="'class_1' of mine has no image in its test split"):
        plan(noise(labels, split=split))


def test_look_alikes_across_splits_are_counted():
    raw = noise(np.arange(60) % 2, split=np.repeat(["train", "val", "test"], 20))
    raw.images[...] //= 2
    raw.images[25] = raw.images[3] + 20  # brighter
    raw.images[45] = raw.images[25] + 20  # like one of val and one of train: counted once
    raw.images[46] = raw.images[47] + 1  # within a split: no leak
    found = plan(raw)
    assert found.near_duplicates == 2
    assert found.dropped["duplicates"] == 0
    assert plan(noise(np.arange(600) % 2)).near_duplicates == 0


@pytest.mark.parametrize("side", [1, 3, 8, 13, 32, 100])
def test_digests_work_at_every_size_and_do_not_depend_on_pieces(side, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (20, side, side, 3), dtype=np.uint8)
    whole = digests(images)
    monkeypatch.setattr("deepsight.data.split._CHUNK_BYTES", 1)
    for one, other in zip(whole, digests(images), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(set(whole[0].tolist())) == 20
