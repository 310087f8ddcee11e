"""The seconds of a study before it begins: against exact sums, searches and records."""

import statistics

import pytest

from deepsight.run_store import create_study
from deepsight.tune.measure import EpochCost
from deepsight.tune.preflight import make_header
from deepsight.tune.search.forecast import describe_forecast, foretell
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Searcher
from tests.tune.plans import make_plan
from tests.tune.search.test_time_left import Replay

START_S = 5.0


def steady(**settings):
    values = {"scheduler": "fifo", "searcher": "random", "explore": 0.0, "trials": 4}
    return make_plan(**(values | settings))


def test_whole_trials_of_equal_epochs_are_a_sum():
    """Four trials of nine epochs in two slots: twice nine epochs and a start, one after another."""
    plan = steady(time_limit_s=16.0)
    forecast = foretell(plan, [EpochCost(0.5, 1.0)] * 3, 2, START_S)
    assert forecast.seconds == pytest.approx((START_S + 19.0,) * 3)
    assert (forecast.epochs, forecast.epoch_s) == (36, 1.0)
    assert forecast.fitting == (2, 2, 2)
    assert describe_forecast(forecast, 16.0) == [
        "estimate   about 24 s (24 s to 24 s): 4 trials, some 36 epochs of 1 s, in 2 slots",
        "time limit about 2 of 4 trials (2 to 2) fit into 16 s",
    ]


def test_a_large_study_is_foretold_in_proportion():
    forecast = foretell(steady(trials=1000), [EpochCost(0.0, 1.0)], 10, START_S)
    assert forecast.seconds[0] == pytest.approx(START_S + 900.0)


def test_configs_that_differ_widen_the_range():
    costs = [EpochCost(0.0, s) for s in (2.0, 1.0, 3.0, 1.0, 3.0)]
    middle, low, high = foretell(steady(trials=8), costs, 2, START_S).seconds
    assert low < middle < high
    assert low >= START_S + 4 * 9
    assert high <= START_S + 5 * 9 * 3


def test_the_epochs_of_a_search_are_foretold(tmp_path):
    """About a tenth too many where the order of trials never changes (docs/performance.md)."""
    trained, told = [], []
    for seed in range(2):
        plan = steady(trials=30, scheduler="asha", explore=0.2, seed=seed)
        directory = tmp_path / str(seed)
        search = Search(plan, Searcher(plan), create_study(directory, make_header(plan, {})))
        search.set_slots(1)
        while not search.exhausted:
            proposal, goes_on = search.next(), True
            while goes_on:
                epoch = search.epochs_of(proposal.trial_id) + 1
                row = {"epoch": epoch, "score": proposal.config["x"] + 0.01 * epoch}
                goes_on = search.result(proposal.trial_id, row)
        trained.append(search.progress.epochs)
        told.append(foretell(plan, [EpochCost(0.0, 1.0)], 1, START_S).epochs)
    assert sum(told) == pytest.approx(sum(trained), rel=0.25)


@pytest.mark.parametrize("name", ["idle", "busy"])
def test_the_time_of_a_study_on_record_is_in_the_range(name):
    """With epochs as its own, each trial's mean; the searcher learns, so that more are promoted."""
    replay, last, own = Replay(name), {}, {}
    for time, kind, trial_id, *_ in replay.events:
        if kind == "result" and trial_id in last:
            own.setdefault(trial_id, []).append(time - last[trial_id])
        last[trial_id] = time
    costs = [EpochCost(0.5, statistics.fmean(seconds)) for seconds in own.values()]
    plan = make_plan(trials=24, reduction_factor=2, searcher="gp", explore=0.2)
    _, low, high = foretell(plan, costs, 2, START_S).seconds
    assert low <= replay.end + START_S <= high
