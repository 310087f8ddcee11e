"""A time limit: how many trials are begun, and that what was begun is brought to its end."""

import pytest

from deepsight.run_store import create_study, load_study
from deepsight.tune.observers import time_limit
from deepsight.tune.observers.progress import describe
from deepsight.tune.observers.time_limit import TimeLimit
from deepsight.tune.preflight import make_header
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Searcher
from tests.tune.plans import make_plan

EPOCH_S = 10.0


def run(directory, limit_s, follow=True, **settings):
    """A search with two slots in which every epoch takes `EPOCH_S`; when it ended, in seconds."""
    plan = make_plan(time_limit_s=limit_s, searcher="random", **settings)
    search = Search(plan, Searcher(plan), create_study(directory, make_header(plan, {})))
    search.set_slots(2)
    clock = [0.0]
    if follow:
        search.add_observer(TimeLimit(search, lambda: clock[0]))
    running = []
    while clock[0] < limit_s:
        while len(running) < 2 and (proposal := search.next()):
            running.append(proposal)
        if not running:
            break
        clock[0] += EPOCH_S
        for proposal in list(running):
            epoch = search.epochs_of(proposal.trial_id) + 1
            row = {"epoch": epoch, "score": proposal.config["x"] + 0.01 * epoch}
            if not search.result(proposal.trial_id, row):
                running.remove(proposal)
    return search, clock[0]


@pytest.mark.parametrize("limit_s", [200.0, 400.0])
def test_what_is_begun_before_the_limit_is_brought_to_its_end(limit_s, tmp_path):
    """Without a plan trials are begun to the last second, and the good ones do not get on."""
    search, ended = run(tmp_path / "s", limit_s, trials=60, reduction_factor=2)
    assert 0.7 * limit_s <= ended <= limit_s
    assert search.num_running <= 1  # scores are random: the last promotion may come unforeseen
    assert search.unfinished
    assert 3 < search.most_trials < 60
    assert "fit into the time" in describe(search, ended)
    unplanned, _ = run(tmp_path / "u", limit_s, follow=False, trials=60, reduction_factor=2)
    assert len(unplanned.live) > len(search.live)
    assert unplanned.progress.num_ended + len(unplanned.live) > search.most_trials


def test_where_all_trials_fit_nothing_changes(tmp_path):
    search, _ = run(tmp_path / "s", 10_000.0, trials=8)
    assert search.most_trials == 8
    assert not search.unfinished
    assert "fit into" not in describe(search, 1.0)


def test_more_time_goes_on_with_the_trials_that_did_not_fit(tmp_path):
    run(tmp_path / "s", 100.0, trials=60, reduction_factor=2)
    study = load_study(tmp_path / "s")
    assert len(study.records) < 60
    plan = make_plan(trials=60, searcher="random", reduction_factor=2)
    search = Search(plan, Searcher(plan), _NoWriter())
    search.replay(study)
    assert search.most_trials == 60
    assert not search.exhausted
    assert search.next() is not None


class _NoWriter:
    """Records nothing: the study on disk belongs to the search that has the lock."""

    def started(self, *_):
        """Nothing."""

    def ended(self, *_):
        """Nothing."""


def test_it_plans_no_more_often_than_needed(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(TimeLimit, "_most_trials", lambda self, now: calls.append(now) or 30)
    monkeypatch.setattr(time_limit, "EVERY_S", 25.0)
    run(tmp_path / "s", 300.0)
    assert len(calls) <= 300 / 25
