"""Accuracies of a table by the values of a hyperparameter: known answers on a table of six."""

import dataclasses

import numpy as np
import pytest

from benchmarks.real_curves.table import load_table
from benchmarks.real_curves.values import groups
from deepsight.space import INACTIVE, choice, loguniform, when

RATES = np.geomspace(1e-4, 1e-1, 12)


@pytest.fixture
def table():
    """Twelve configs, whose final score is 0.01 times their number, and 0.5 more with norm."""
    configs = [
        {"norm": i % 2 == 0, "rate": rate, "extra": "a" if i % 2 == 0 else INACTIVE}
        for i, rate in enumerate(RATES)
    ]
    scores = [(0.0, i / 100 + (0.5 if c["norm"] else 0.0)) for i, c in enumerate(configs)]
    space = {
        "norm": choice(True, False),
        "rate": loguniform(1e-4, 1e-1),
        "extra": when("norm", True, choice("a", "b")),
    }
    return dataclasses.replace(
        load_table("cnn_digits"), space=space, fixed={}, epochs=2, configs=configs, scores=scores
    )


def test_a_choice_has_a_group_for_each_value(table):
    on, off = groups(table, "norm")
    assert (on.what, on.configs, on.median) == ("True", 6, pytest.approx(0.55))
    assert (off.what, off.configs, off.median) == ("False", 6, pytest.approx(0.06))
    assert on.ninth_decile == pytest.approx(0.59)


def test_a_number_has_six_groups_of_equal_size(table):
    found = groups(table, "rate")
    assert [g.configs for g in found] == [2] * 6
    assert found[0].what.startswith("0.0001 to")
    assert [g.median for g in found] == pytest.approx([0.255 + 0.02 * i for i in range(6)])


def test_what_is_inactive_is_in_no_group_and_where_keeps_what_has_the_value(table):
    (only,) = groups(table, "extra")
    assert (only.what, only.configs) == ("a", 6)
    (off,) = groups(table, "norm", {"norm": False})
    assert off.configs == 6
    assert groups(table, "extra", {"norm": False}) == []
