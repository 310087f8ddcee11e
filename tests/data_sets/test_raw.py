from dataclasses import replace

import numpy as np
import pytest

from deepsight.config import UserError
from deepsight.data.raw import RawData, check_raw

GOOD = RawData(np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1]), ("a", "b"))


def test_good_data_pass_through():
    assert check_raw(GOOD, "mine") is GOOD
    with_all = replace(
        GOOD,
        masks=np.zeros((4, 8, 8), np.uint8),
        split=np.array(["train", "val", "test", "train"]),
        names=list("abcd"),
    )
    assert check_raw(with_all, "mine") is with_all


@pytest.mark.parametrize(
    ("change", "got", "expected"),
    [
        ({"images": np.zeros((4, 8, 8, 3), np.float32)}, "float32", "uint8"),
        ({"images": np.zeros((4, 3, 8, 8), np.uint8)}, "(4, 3, 8, 8)", "(N, H, W, 3)"),
        ({"images": np.zeros((4, 8, 6, 3), np.uint8)}, "(4, 8, 6, 3)", "H = W"),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8)}, "(0, 8, 8, 3)", "N > 0"),
        ({"images": [[1, 2]]}, "list", "uint8"),
        ({"labels": np.array([0, 1])}, "(2,)", "(4,)"),
        ({"labels": np.array([0.0, 1, 0, 1])}, "float64", "integers"),
        ({"labels": np.array([0, 1, 2, 1])}, "0..2", "0..1"),
        ({"labels": np.array([-1, 1, 0, 1])}, "-1..1", "0..1"),
        ({"classes": ("a", "a")}, "'a', 'a'", "different"),
        ({"classes": (1, 2)}, "[1, 2]", "texts"),
        ({"classes": ("a",), "labels": np.zeros(4, int)}, "1 class", "two"),
        ({"masks": np.zeros((4, 8, 8), bool)}, "bool", "uint8"),
        ({"masks": np.zeros((4, 4, 4), np.uint8)}, "(4, 4, 4)", "(4, 8, 8)"),
        ({"split": np.array(["train", "dev", "test", "val"])}, "dev", "train, val, test"),
        ({"split": np.array(["train"])}, "1 entries", "4"),
        ({"names": ["a"]}, "1", "4"),
    ],
)
def test_what_is_wrong_is_said_with_what_was_expected(change, got, expected):
    with pytest.raises(UserError) as caught:
        check_raw(replace(GOOD, **change), "mine")
    assert got in caught.value.cause
    assert "mine" in caught.value.cause
    assert expected in caught.value.remedy
    for line in (caught.value.cause, caught.value.remedy):
        assert line.endswith(".")
        assert "\n" not in line


def test_another_type_is_named():
    with pytest.raises(UserError, match="tuple"):
        check_raw((GOOD.images, GOOD.labels), "mine")
