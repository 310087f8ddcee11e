"""The arithmetic of benchmarks/scheduling_overhead.py."""

import time

import pytest

from benchmarks.scheduling_overhead import Task, noted, sleeps, slope, spread, summed


def test_a_sleep_is_noted(tmp_path):
    config = {"user.seconds": 0.05, "user.folder": str(tmp_path), "x": 0.5}
    before = time.time()
    ((metrics, state),) = sleeps(config, None)
    ((began, ended),) = noted(str(tmp_path))
    assert before <= began <= ended - 0.05
    assert ended <= time.time()
    assert (metrics, state) == ({"score": 0.5}, {"epoch": 1})


def test_overhead_is_what_is_not_work():
    work = Task(trials=100, seconds=1.0, slots=2, folder="").work_s
    assert work == 50.0
    run = {"wall_s": 62.5, "start_s": 8.0, "search_s": 51.0, "end_s": 3.5}
    result = summed([run, run], work)
    assert result["overhead_s"] == [12.5, 12.5]
    assert result["overhead_share"] == pytest.approx([0.2, 0.2])
    assert result["search_overhead_share"] == pytest.approx([1 / 51, 1 / 51])


def test_the_slope_comes_with_an_interval_that_holds_the_truth():
    line = [(float(x), 3.0 + 0.5 * x) for x in range(10)]
    assert slope(line) == pytest.approx((0.5, 0.0))
    bent = [(x, y + (-1) ** int(x)) for x, y in line]
    value, half = slope(bent)
    assert half > 0
    assert abs(value - 0.5) < half


def test_a_spread_is_median_and_range():
    assert spread([3.0, 1.0, 2.0], ".1f") == "2.0 (1.0 to 3.0)"
