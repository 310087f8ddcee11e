"""Known answers of the schedulers."""

import random

import pytest

from deepsight.tune.scheduler import SCHEDULERS, AshaStop, Fifo
from deepsight.tune.study import make_rungs


@pytest.mark.parametrize(
    ("low", "high", "factor", "rungs"),
    [
        (1, 9, 3, (1, 3, 9)),
        (1, 243, 3, (1, 3, 9, 27, 81, 243)),  # a float logarithm loses the last one
        (1, 20, 3, (1, 3, 9, 20)),
        (2, 16, 2, (2, 4, 8, 16)),
        (5, 5, 4, (5,)),
    ],
)
def test_rungs(low, high, factor, rungs):
    assert make_rungs(low, high, factor) == rungs


def test_asha_keeps_the_best_third_of_what_it_has_seen():
    asha = AshaStop((1, 3, 9), 3)
    scores = [0.5, 0.4, 0.6, 0.55, 0.7, 0.65]
    kept = [asha.goes_on(f"t{i}", 1, s) for i, s in enumerate(scores)]
    # one place while fewer than six have come, two from the sixth on
    assert kept == [True, False, True, False, True, True]


def test_asha_decides_at_rungs_only():
    asha = AshaStop((1, 3, 9), 3)
    assert asha.goes_on("a", 1, 1.0)
    assert asha.goes_on("b", 2, 0.0)
    assert asha.goes_on("b", 9, 0.0)
    assert list(asha.seen) == [1]


def test_asha_lets_through_about_one_in_reduction_factor():
    rng = random.Random(0)
    asha = AshaStop((1, 4, 16), 4)
    kept = sum(asha.goes_on(str(i), 1, rng.random()) for i in range(4000))
    assert 0.24 < kept / 4000 < 0.27


def test_ties_all_go_on():
    asha = AshaStop((1, 3), 3)
    assert all(asha.goes_on(str(i), 1, 0.1) for i in range(10))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_lets_the_first_trial_go_on(name):
    scheduler = SCHEDULERS[name]((1, 3, 9), 3)
    assert all(scheduler.goes_on("t0000", epoch, 0.0) for epoch in range(1, 9))


def test_fifo_stops_nobody():
    assert all(Fifo().goes_on(str(i), 1, -i) for i in range(9))
