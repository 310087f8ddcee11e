"""Searches on a table of curves: what the simulator promises, and the report's arithmetic."""

import math
import random

import numpy as np
import pytest

from benchmarks.real_curves import search
from benchmarks.real_curves.search import Outcome, Results, compare, report, summarise
from benchmarks.real_curves.simulator import PEERS, STUDIES, Ours, Shelf, measure, simulate
from benchmarks.real_curves.table import Table
from deepsight.space import choice, loguniform, sample, to_stored, uniform, when

SPACE = {
    "kind": choice("plain", "fancy"),
    "rate": loguniform(1e-4, 1.0),
    "extra": when("kind", "fancy", uniform(0.0, 1.0)),
}
EPOCHS = 9


def curve_of(config):
    """Rises towards the best rate; a high rate breaks down after two epochs."""
    final = 1 - 0.1 * abs(math.log10(config["rate"]) + 2) - 0.1 * (config["extra"] or 0.0)
    length = 2 if config["rate"] > 0.5 else EPOCHS
    return tuple(round(final * (1 - 0.5**epoch), 5) for epoch in range(1, length + 1))


@pytest.fixture(scope="module")
def table():
    rng = random.Random(0)
    configs = [sample(SPACE, {}, rng) for _ in range(300)]
    curves = [curve_of(to_stored(config)) for config in configs]
    fixed = {"kind": "plain", "size": 8}  # a recipe may fix what the table's space varies
    return Table("small", "formulae", SPACE, fixed, EPOCHS, 0, configs, curves, curves, {})


def shelf_of(table):
    return Shelf(table, np.ones(len(table.encoder.owners)))


def build(name, table, trials=20):
    if name in STUDIES:
        return Ours(shelf_of(table), 0, trials=trials, **STUDIES[name])
    return PEERS[name](shelf_of(table), 0)


class Watched:
    """A strategy whose orders and answers are written down."""

    def __init__(self, strategy):
        self.strategy, self.configs, self.heard = strategy, {}, {}

    def next(self):
        order = self.strategy.next()
        if order:
            trial, config, done = order
            assert self.configs.setdefault(trial, config) is config
            assert len(self.heard.setdefault(trial, [])) == done
        return order

    def result(self, trial, epoch, score):
        self.heard[trial].append(score)
        assert len(self.heard[trial]) == epoch
        on = self.strategy.result(trial, epoch, score)
        assert not (on and math.isnan(score))
        return on


@pytest.mark.parametrize("name", [*STUDIES, *PEERS])
@pytest.mark.parametrize("slots", [1, 3])
def test_every_search_gets_the_curves_of_configs_that_nobody_else_has(table, name, slots):
    watched = Watched(build(name, table))
    run = simulate(table, watched, slots, 60)
    assert run.epochs == 60 or name in STUDIES
    assert run.epochs == sum(map(len, watched.heard.values()))
    configs = list(watched.configs.values())
    assert run.trials == len(configs) == len({id(c) for c in configs})
    for trial, config in watched.configs.items():
        curve = [*curve_of(to_stored(config)), math.nan]
        heard = watched.heard[trial]
        np.testing.assert_array_equal(heard, curve[: len(heard)])
    assert run.steps
    assert [r for _, r in run.steps] == sorted((r for _, r in run.steps), reverse=True)
    ends = [h[-1] for h in watched.heard.values() if len(h) == EPOCHS]
    assert run.steps[-1][1] == pytest.approx(table.finals.max() - max(ends), abs=1e-6)


@pytest.mark.parametrize("name", PEERS)
def test_a_search_ends_when_no_config_is_left(table, name):
    few = Table("few", "", SPACE, {}, EPOCHS, 0, table.configs[:12], table.scores[:12], [], {})
    assert simulate(few, build(name, few), 2, 10_000).trials == 12


def test_our_study_ends_with_its_trials_and_begins_with_its_defaults(table):
    strategy = Ours(shelf_of(table), 0, trials=20)
    run = simulate(table, strategy, 2, 10**9)
    assert run.trials == 20
    assert not strategy.search.unfinished
    for seed, percentile in ((0, 80), (1, 5)):
        first = Ours(shelf_of(table), seed, trials=20).next()[1]
        score = table.finals[[c is first for c in table.configs].index(True)]
        assert (table.finals < score).mean() == pytest.approx(percentile / 100, abs=0.05)


def test_the_shelf_hands_out_the_nearest_that_is_left(table):
    shelf = shelf_of(table)
    wanted = table.configs[5]
    assert shelf.take(wanted) is wanted
    assert shelf.take(wanted) is not wanted


def test_distances_count_by_how_much_the_score_changes_along_them(table):
    encoder, weights = table.encoder, measure(table)
    by_name = {name: weights[part].max() for name, part in encoder.columns.items()}
    assert by_name["rate"] > 3 * by_name["extra"]


def results_of(regrets, steps=((9, 0.5),)):
    """Studies of 24 trials and 100 epochs that end with these regrets, by search."""
    return Results(
        {
            (name, "small", "all", 1, 24, seed): Outcome([*steps, (50, regret)], 100, 0.0)
            for name, values in regrets.items()
            for seed, regret in enumerate(values)
        }
    )


def test_the_report_says_who_is_worse_beyond_the_error():
    spread = np.linspace(-0.01, 0.01, 20)
    results = results_of(
        {
            "ours": 0.1 + spread,
            "random + asha": 0.05 + spread,
            "ours, tpe": 0.2 + spread,
            "ours, no model": 0.1 + spread,
        }
    )
    text = report(summarise(results), results.names)
    row = next(line for line in text.splitlines() if line.startswith("| small"))
    assert [cell.strip()[-1] for cell in row.split("|")[5:-1]] == ["]", "]", "+", "!"]


def test_a_peer_is_looked_at_after_as_many_epochs_as_our_study_took():
    results = results_of({"ours": [0.1] * 5})
    peer = Outcome([(60, 0.3), (100, 0.2), (101, 0.0)], 500, 0.0)
    results.runs["random + asha", "small", 1, 150] = [peer] * 5
    case = ("small", 1, 24)
    assert results.medians("random + asha", case)[0, -1] == 0.2


def test_two_versions_are_compared_where_their_studies_end():
    before, now = results_of({"ours": [0.1] * 5}), results_of({"ours": [0.05] * 5})
    assert "geometric mean 0.50 [0.50, 0.50]" in compare(now, before).replace("0.51", "0.50")


def test_a_run_on_file_is_not_done_again(table, tmp_path, monkeypatch):
    monkeypatch.setattr(search, "load_table", lambda name, part: table)
    job = ("random + asha", "small", "all", 1, 24, 0)
    (tmp_path / "runs.jsonl").write_text("")
    file = tmp_path / "runs.jsonl"
    _, outcome = search.run_job(job)
    file.write_text(search.to_line(job, outcome))
    assert search.run_all([job], 1, file) == {job: outcome}
    assert len(file.read_text().splitlines()) == 1
