"""Patience: when a study may end early, what is on record then, and how it goes on."""

import json
import random

import pytest

from analysis.summary import compute_summary, summary_lines
from deepsight.run_store import create_study, load_header, load_study, open_study, parse_header
from deepsight.space import uniform
from deepsight.tune.observers.patience import LEAST_EXPLORERS, LEAST_TRIALS, Patience
from deepsight.tune.observers.progress import describe
from deepsight.tune.plan import plan_from_header
from deepsight.tune.preflight import make_header
from deepsight.tune.resume import update_header
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Searcher
from tests.tune.plans import make_plan

SPACE = {name: uniform(0.0, 1.0) for name in "abcd"}
NOISE = 0.002


def flat(config, epoch):
    return 0.5 + random.Random(f"{config} {epoch}").gauss(0.0, NOISE)


def rugged(config, epoch):
    """Four hyperparameters that all matter, and nowhere near explored after a few trials."""
    return 1 - sum((config[name] - 0.9) ** 2 for name in config) + flat(config, epoch) - 0.5


def search_of(plan, writer, header):
    search = Search(plan, Searcher(plan), writer)
    search.replay(writer.study)
    search.add_observer(Patience(search, header))
    return search


def drive(search, score):
    """One slot, to the end."""
    while proposal := search.next():
        epoch = search.epochs_of(proposal.trial_id)
        going = True
        while going:
            epoch += 1
            going = search.result(
                proposal.trial_id, {"epoch": epoch, "score": score(proposal.config, epoch)}
            )
    return search


def run(directory, score, **settings):
    plan = make_plan("patient", SPACE, max_epochs=4, reduction_factor=2, **settings)
    writer = create_study(directory, make_header(plan, {}))
    with writer:
        return drive(search_of(plan, writer, writer.study.header), score)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A study of an objective that nothing changes."""
    directory = tmp_path_factory.mktemp("patience") / "s"
    return run(directory, flat, trials=60, patience=0.01), directory


def test_a_flat_objective_ends_soon_but_not_before_enough_was_seen(ended):
    search, directory = ended
    study = load_study(directory)
    assert LEAST_TRIALS <= len(study.records) < 30
    assert sum(r.explorer for r in study.records) >= LEAST_EXPLORERS
    assert all(r.ended for r in study.records)
    assert not search.unfinished


def test_the_record_and_the_progress_say_why(ended):
    search, directory = ended
    header = load_header(directory)
    assert header.ended_early == search.progress.ended_early
    assert header.ended_early["trials"] == len(load_study(directory).records)
    assert 0 <= header.ended_early["gain"] <= header.ended_early["patience"] == 0.01
    assert "are enough" in describe(search, 1.0)
    lines = summary_lines(compute_summary(load_study(directory)))
    (said,) = [line for line in lines if line.startswith("early")]
    assert f"ended after {header.ended_early['trials']} of 60 trials" in said
    assert "score, less than study.patience=0.01" in said
    assert f"{60 - header.ended_early['trials']} trials saved" in said


def test_an_objective_that_still_improves_does_not_end(tmp_path):
    search = run(tmp_path / "s", rugged, trials=20, patience=0.01)
    assert search.progress.ended_early is None
    assert len(load_study(tmp_path / "s").records) == 20


def test_without_patience_nothing_ends(tmp_path):
    search = run(tmp_path / "s", flat, trials=20, patience=0.0)
    assert search.progress.num_ended == 20


@pytest.mark.parametrize(
    ("changes", "goes_on"),
    [({}, False), ({"trials": 60}, False), ({"trials": 70}, True), ({"patience": 0.0}, True)],
)
def test_it_goes_on_only_where_more_is_asked_for(ended, changes, goes_on):
    plan = plan_from_header(load_header(ended[1]), **changes)
    assert (plan.ended_early is None) == goes_on
    assert plan.most_trials == (plan.settings.trials if goes_on else ended[0].most_trials)


def test_resumed_it_begins_no_trial_or_all_that_are_left(ended):
    directory = ended[1]
    begun = len(load_study(directory).records)
    for changes, num in (({}, begun), ({"patience": 0.0, "trials": 34}, 34)):
        with open_study(directory) as writer:
            plan = plan_from_header(writer.study.header, **changes)
            header = update_header(writer, writer.study.header, plan, {})
            drive(search_of(plan, writer, header), flat)
        assert len(load_study(directory).records) == num
    assert load_header(directory).ended_early is None


@pytest.mark.parametrize("end", [{}, {"trials": "x", "gain": 0, "patience": 0}, {"trials": 3}])
def test_an_end_of_another_form_is_not_stated(end):
    stored = json.loads(json.dumps({"schema_version": 1} | make_header(make_plan(), {})))
    assert parse_header(stored | {"ended_early": end}, "study.json").ended_early is None
