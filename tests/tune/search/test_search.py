"""The search itself, driven without Ray by trainables that are formulae."""

import collections
import dataclasses
import json
import math

import optuna
import pytest
from optuna.trial import TrialState

from deepsight.run_store import create_study, load_study, open_study
from deepsight.space import INACTIVE
from deepsight.tune.preflight import make_header
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Searcher, is_explorer
from tests import trainables
from tests.tune.plans import make_plan


def begin(plan, directory, journal=False):
    writer = create_study(directory, make_header(plan, {}))
    return Search(plan, Searcher(plan, directory / "study.journal" if journal else None), writer)


def go_on(plan, directory):
    search = Search(plan, Searcher(plan), open_study(directory))
    search.replay(load_study(directory))
    return search


def drive(search, slots=1, epochs=math.inf, trainable=trainables.curve):
    """Workers that take turns: `slots` trials at a time, at most `epochs` epochs."""
    running = {}
    while epochs > 0:
        while len(running) < slots and not search.exhausted:
            proposal = search.next()
            if proposal is None:
                break
            known = search.epochs_of(proposal.trial_id)
            running[proposal.trial_id] = trainable(proposal.config, {"epoch": known})
        if not running:
            return
        for trial_id in list(running):
            epoch = search.epochs_of(trial_id) + 1
            metrics, _ = next(running[trial_id])
            epochs -= 1
            if not search.result(trial_id, {"epoch": epoch} | metrics):
                del running[trial_id]
            if epochs <= 0:
                return


def history(directory):
    """What happened, without times."""
    study = load_study(directory)
    return [
        (r.trial_id, r.config, r.explorer, r.budget, r.state, [row["score"] for row in r.rows])
        for r in study.records
    ]


def test_a_search_finds_the_optimum_and_counts_right(tmp_path):
    plan = make_plan(trials=40)
    search = begin(plan, tmp_path / "s")
    drive(search, slots=2)
    study = load_study(tmp_path / "s")
    assert len(study.records) == 40
    assert {r.state for r in study.records} == {"completed", "stopped"}
    best = study.incumbent()
    assert best.num_epochs == 9
    assert best.rows[-1]["score"] == search.progress.best
    assert abs(best.config["x"] - 0.3) < 0.1
    assert search.progress.epochs == sum(len(r.rows) for r in study.records)
    assert search.progress.num_ended == 40


def test_the_first_trial_is_the_defaults(tmp_path):
    plan = make_plan(trials=3)
    search = begin(plan, tmp_path / "s")
    drive(search)
    first = load_study(tmp_path / "s").records[0]
    assert first.config == plan.default_config() == {"x": 0.5, "kind": "plain", "extra": INACTIVE}
    assert not first.explorer


def test_explorers_keep_their_budget_whatever_they_score(tmp_path):
    plan = make_plan(trials=100, explore=0.3)
    drive(begin(plan, tmp_path / "s"), slots=4)
    explorers = [r for r in load_study(tmp_path / "s").records if r.explorer]
    assert len(explorers) == 30
    assert {r.budget for r in explorers} == set(plan.rungs)
    assert all(r.num_epochs == r.budget and r.state == "completed" for r in explorers)


def test_explorers_are_uniform_and_fixed_beforehand(tmp_path):
    plan = make_plan(trials=400, explore=1.0)
    drive(begin(plan, tmp_path / "s"))
    records = load_study(tmp_path / "s").records[1:]
    xs = sorted(r.config["x"] for r in records)
    assert max(abs(x - (i + 0.5) / len(xs)) for i, x in enumerate(xs)) < 0.08  # Kolmogorov
    assert 0.42 < sum(r.config["kind"] == "fancy" for r in records) / len(records) < 0.58
    assert all((r.config["extra"] is INACTIVE) == (r.config["kind"] == "plain") for r in records)
    # the same seed draws the same explorers, whatever the others did
    other = make_plan(trials=400, explore=1.0, scheduler="fifo", searcher="random")
    searcher = Searcher(other)
    assert [searcher.propose(n).config for n in range(1, 9)] == [r.config for r in records[:8]]


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 10), (0.2, 20), (0.25, 25)])
def test_explorers_are_spread_evenly(share, count):
    numbers = [n for n in range(100) if is_explorer(n, share)]
    assert len(numbers) == count
    assert 0 not in numbers


def test_optuna_hears_every_epoch_and_no_low_fidelity_score_as_final(tmp_path):
    plan = make_plan(trials=40, trainable="tests.trainables:curve")
    search = begin(plan, tmp_path / "s")
    drive(search)
    records = {r.trial_id: r for r in load_study(tmp_path / "s").records}
    for told in search.searcher.optuna_study.trials:
        record = records[told.user_attrs["trial_id"]]
        assert told.intermediate_values == {row["epoch"]: row["score"] for row in record.rows}
        assert told.params == {k: v for k, v in record.config.items() if v is not INACTIVE}
        full = record.state == "completed" and record.num_epochs == 9
        assert told.state == (TrialState.COMPLETE if full else TrialState.PRUNED)
        if full:
            assert told.value == record.rows[-1]["score"]


def test_a_score_that_is_no_number_ends_the_trial_as_diverged(tmp_path):
    search = begin(make_plan(trials=2), tmp_path / "s")
    proposal = search.next()
    assert search.result(proposal.trial_id, {"epoch": 1, "score": 0.1})
    assert not search.result(proposal.trial_id, {"epoch": 2, "score": float("nan")})
    record = load_study(tmp_path / "s").records[0]
    assert record.state == "diverged"
    assert record.rows[-1]["score"] is None
    (told,) = search.searcher.optuna_study.trials
    assert told.state == TrialState.FAIL
    assert 2 not in told.intermediate_values


def test_a_metric_that_nobody_reports_ends_the_search_at_the_first_report(tmp_path):
    search = begin(make_plan(trials=20, metric="score_val", mode="max"), tmp_path / "s")
    proposal, other = search.next(), search.next()
    row = {"epoch": 1, "time": 1.0, "val_score": 0.1, "name": "a"}
    assert not search.result(proposal.trial_id, row)
    assert search.stopping
    assert search.next() is None
    assert not search.result(other.trial_id, row)
    assert (
        "no score_val, which study.metric names; it reports val_score." in search.wrong_metric.cause
    )
    assert "study.metric" in search.wrong_metric.remedy
    records = load_study(tmp_path / "s").records
    assert [r.error for r in records] == [search.wrong_metric.cause] * 2


def test_a_metric_that_one_trial_lacks_fails_that_trial(tmp_path):
    search = begin(make_plan(trials=20), tmp_path / "s")
    first, second = search.next(), search.next()
    assert search.result(first.trial_id, {"epoch": 1, "score": 0.1})
    assert not search.result(second.trial_id, {"epoch": 1, "scores": 0.1})
    assert not search.stopping
    assert search.wrong_metric is None
    assert "no score" in load_study(tmp_path / "s").records[1].error


def test_minimising_is_maximising_mirrored(tmp_path):
    up = make_plan(trials=30, searcher="random")
    down = dataclasses.replace(up, settings=dataclasses.replace(up.settings, mode="min"))
    drive(begin(up, tmp_path / "up"))

    def mirrored(config, state):
        for metrics, saved in trainables.curve(config, state):
            yield {"score": -metrics["score"]}, saved

    drive(begin(down, tmp_path / "down"), trainable=mirrored)
    states = [[r.state for r in load_study(tmp_path / d).records] for d in ("up", "down")]
    assert states[0] == states[1]


@pytest.mark.parametrize("stop_after", [1, 2, 7, 20, 33])
@pytest.mark.parametrize(
    ("scheduler", "brackets"), [("asha", 1), ("asha", 2), ("asha_stop", 1), ("fifo", 1)]
)
def test_resumed_equals_uninterrupted_with_one_slot(tmp_path, stop_after, scheduler, brackets):
    plan = make_plan(trials=25, scheduler=scheduler, brackets=brackets)
    whole = begin(plan, tmp_path / "whole")
    drive(whole)
    drive(begin(plan, tmp_path / "cut"), epochs=stop_after)
    for _ in range(2):  # and interrupted once more while it goes on
        search = go_on(plan, tmp_path / "cut")
        drive(search, epochs=stop_after)
        search.writer.close()
    resumed = go_on(plan, tmp_path / "cut")
    drive(resumed)
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    assert resumed.scheduler == whole.scheduler
    assert resumed.progress.ended == whole.progress.ended
    trials = [
        [(t.params, t.state, t.intermediate_values) for t in s.searcher.optuna_study.trials]
        for s in (whole, resumed)
    ]
    assert trials[0] == trials[1]


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_paused_trials_are_promoted_or_stopped_and_started_once(tmp_path, slots):
    plan = make_plan(trials=60, scheduler="asha", explore=0.0, searcher="random")
    search = begin(plan, tmp_path / "s")
    drive(search, slots=slots)
    assert search.exhausted
    assert not search.unfinished
    study = load_study(tmp_path / "s")
    reached = [r.num_epochs for r in study.records]
    assert set(reached) == {1, 3, 9}
    # a third of each rung, and those whom later and better ones have pushed out
    assert 60 // 3 <= sum(n > 1 for n in reached) <= 60 // 3 + 60**0.5
    assert all((r.state == "completed") == (r.num_epochs == 9) for r in study.records)
    assert {r.state for r in study.records} == {"completed", "stopped"}
    lines = [json.loads(line) for line in (tmp_path / "s" / "trials.jsonl").open()]
    starts = collections.Counter(t["trial_id"] for t in lines if t["event"] == "started")
    rungs = {1: 0, 3: 1, 9: 2}  # each promotion leaves a line
    expected = {r.trial_id: 1 + rungs[r.num_epochs] for r in study.records}
    assert starts == expected | {"t0000": 1}  # the defaults go to the end without a pause
    assert all(len(r.restarts) == starts[r.trial_id] - 1 for r in study.records)
    assert all(t.state.is_finished() for t in search.searcher.optuna_study.trials)


def test_a_trial_whose_worker_died_is_handed_out_next(tmp_path):
    search = begin(make_plan(trials=2, scheduler="fifo", explore=0.0), tmp_path / "s")
    first, last = search.next(), search.next()
    assert search.result(first.trial_id, {"epoch": 1, "score": 0.5})
    assert search.exhausted
    search.requeue(first.trial_id)
    assert not search.exhausted
    assert search.next() == first
    assert search.epochs_of(first.trial_id) == 1
    assert search.exhausted
    search.stop()
    search.requeue(last.trial_id)  # stays on record as unfinished
    assert search.next() is None
    assert search.unfinished


@pytest.mark.parametrize(
    ("errors", "gives_up"),
    [
        ([f"died at lr 1e-{n}, actor {c}{n}ff of 0x{n}f" for n, c in enumerate("abc")], True),
        (["no file a", "no file a", "no file b"], False),
        (["no file a", None, "no file a"], False),
    ],
)
def test_three_first_failures_of_one_cause_end_the_search(errors, gives_up, tmp_path):
    search = begin(make_plan(trials=9, scheduler="fifo", explore=0.0), tmp_path / "s")
    for error in errors:
        trial_id = search.next().trial_id
        search.result(trial_id, {"epoch": 1, "score": 0.5})
        if error:
            search.failed(trial_id, error)
        else:
            search.finished(trial_id)
    assert search.exhausted == gives_up
    assert (search.repeated_failure is not None) == gives_up


def test_a_paused_trial_is_running_on_record_and_gives_its_slot_back(tmp_path):
    search = begin(make_plan(trials=6, scheduler="asha", explore=0.0), tmp_path / "s")
    seen = []

    class Watch:
        def started(self, proposal):
            seen.append(("started", proposal.number))

        def reported(self, proposal, row):
            pass

        def paused(self, proposal):
            seen.append(("paused", proposal.number))

        def ended(self, proposal, state, error):
            seen.append((state, proposal.number))

    search.add_observer(Watch())
    first, second, third, *others = (search.next() for _ in range(6))
    assert search.result(first.trial_id, {"epoch": 1, "score": 0.5})  # the best so far
    assert not search.result(second.trial_id, {"epoch": 1, "score": 0.4})
    assert (search.num_running, search.num_paused) == (5, 1)
    assert load_study(tmp_path / "s").records[1].state == "running"
    (told,) = [t for t in search.searcher.optuna_study.trials if t.number == 1]
    assert (told.state, told.intermediate_values) == (TrialState.RUNNING, {1: 0.4})
    assert search.next() is None  # nothing to do until the others report
    assert not search.exhausted
    search.failed(first.trial_id, "planted")
    assert not search.result(third.trial_id, {"epoch": 1, "score": 0.3})
    assert search.num_paused == 1  # at best two will have a place, and it is the third
    for other in others:
        search.failed(other.trial_id, "planted")
    assert search.exhausted
    assert not search.unfinished
    assert seen == [
        *(("started", n) for n in range(6)),
        ("paused", 1),
        ("failed", 0),
        ("paused", 2),
        ("stopped", 2),
        ("failed", 3),
        ("failed", 4),
        ("failed", 5),
        ("stopped", 1),
    ]


def test_a_search_is_not_exhausted_while_a_running_trial_may_pause(tmp_path):
    plan = make_plan(trials=2, scheduler="asha", explore=0.0)
    search = begin(plan, tmp_path / "s")
    first, second = search.next(), search.next()
    assert not search.exhausted
    assert search.next() is None
    assert search.result(first.trial_id, {"epoch": 1, "score": 0.5})
    assert not search.result(second.trial_id, {"epoch": 1, "score": 0.1})
    assert not search.exhausted
    for epoch in range(2, 10):
        search.result(first.trial_id, {"epoch": epoch, "score": 0.5})
    assert search.exhausted
    assert not search.unfinished


def test_a_trial_that_would_be_taken_up_again_at_once_goes_on(tmp_path):
    search = begin(make_plan(trials=9, scheduler="asha", explore=0.0), tmp_path / "s")
    for score, goes_on in ((0.2, True), (0.1, False), (0.3, True)):
        assert search.result(search.next().trial_id, {"epoch": 1, "score": score}) == goes_on
    assert (search.num_running, search.num_paused) == (2, 1)


@pytest.mark.parametrize("stop_after", [3, 11, 30])
def test_a_search_cut_at_several_slots_loses_and_doubles_nothing(tmp_path, stop_after):
    plan = make_plan(trials=25, scheduler="asha")
    drive(begin(plan, tmp_path / "s"), slots=4, epochs=stop_after)
    search = go_on(plan, tmp_path / "s")
    rungs = search.scheduler.seen
    assert sum(map(len, rungs.values())) <= stop_after
    drive(search, slots=4)
    study = load_study(tmp_path / "s")
    assert len(study.records) == 25
    assert all(r.state in ("completed", "stopped") for r in study.records)
    assert all(
        [row["epoch"] for row in r.rows] == list(range(1, r.num_epochs + 1)) for r in study.records
    )
    assert search.progress.epochs == sum(r.num_epochs for r in study.records)


def test_an_end_that_was_decided_but_not_written_is_written_on_resume(tmp_path):
    plan = make_plan(trials=5)
    drive(begin(plan, tmp_path / "s"))
    path = tmp_path / "s" / "trials.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert '"ended"' in lines[-1]
    path.write_text("".join(lines[:-1]))
    expected = history(tmp_path / "s")[:-1]
    search = go_on(plan, tmp_path / "s")
    assert search.exhausted
    assert history(tmp_path / "s")[:-1] == expected
    assert load_study(tmp_path / "s").records[-1].state in ("completed", "stopped")


def test_the_journal_is_a_study_that_optuna_opens(tmp_path):
    plan = make_plan(trials=12)
    drive(begin(plan, tmp_path / "s", journal=True))
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "s" / "study.journal"))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == 12
    assert all(t.state.is_finished() for t in study.trials)


def test_stopping_leaves_trials_that_can_be_resumed(tmp_path):
    plan = make_plan(trials=10)
    search = begin(plan, tmp_path / "s")
    proposal = search.next()
    search.stop()
    assert search.exhausted
    assert not search.result(proposal.trial_id, {"epoch": 1, "score": 0.1})
    assert search.unfinished
    search.writer.close()
    assert load_study(tmp_path / "s").records[0].state == "running"
    again = go_on(plan, tmp_path / "s").next()
    assert again.trial_id == proposal.trial_id
    assert again.config == proposal.config
