"""Numbers, intervals, durations and values as text: known answers."""

import pytest

from analysis.page import formatting
from analysis.statistics.intervals import Interval
from deepsight.space import INACTIVE


@pytest.mark.parametrize(
    ("estimate", "shown"),
    [
        (Interval(0.7941, 0.7684, 0.8179), "0.794 [0.768, 0.818]"),
        (Interval(12.34, 8.1, 16.6), "12.3 [8.1, 16.6]"),
        (Interval(1234.5, 1000.0, 1500.0), "1234 [1000, 1500]"),
        (Interval(0.5, 0.5, 0.5), "0.5 [0.5, 0.5]"),
    ],
)
def test_an_interval_has_two_digits_of_its_half(estimate, shown):
    assert formatting.interval(estimate) == shown


def test_shares_and_bounds():
    share = Interval(0.62, 0.5, 0.71)
    assert formatting.percent_interval(share) == "62% [50%, 71%]"
    assert formatting.variance_share(share) == "62 % [50, 71]"
    assert formatting.variance_share(share, bounded=False) == "62 %"
    assert formatting.bounds(share) == "95 %: 0.500 to 0.710"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (61, "1 min 01 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90 * 3600, "90 h 00 min"),
    ],
)
def test_a_duration(seconds, shown):
    assert formatting.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "none"),
        (INACTIVE, "inactive"),
        (True, "true"),
        (3, "3"),
        (0.012345, "0.0123"),
        ("sgd", "sgd"),
    ],
)
def test_a_value(value, shown):
    assert formatting.text(value) == shown


def test_counts_and_names():
    assert formatting.count(1, "trial") == "1 trial"
    assert formatting.count(1200, "trial") == "1,200 trials"
    assert formatting.count(1200, "trial", grouped=False) == "1200 trials"
    assert formatting.time_unit(7200) == (3600.0, "hours")
    assert formatting.shorten("abcdef", 4) == "abc…"
    assert formatting.name_lines("optim.lr") == ("optim.", "lr")
    assert formatting.name_lines("val_accuracy at 9 epochs") == ("val_accuracy", "at 9 epochs")
    assert formatting.key_values({"a": 1, "b": None, "c": "x"}) == "a 1, c x"
    assert formatting.key_values(3) is None
