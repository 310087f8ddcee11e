"""The order in which TPE sees trials of different budgets, and what it makes of it."""

import random

from deepsight.optuna_distributions import to_distribution
from deepsight.space import INACTIVE, choice, sample, uniform, when
from deepsight.tune.search.observed_trial import ObservedTrial
from deepsight.tune.search.tpe import Shown, propose, ranked
from tests.tune.plans import SPACE


def past(name, scores, explorer=False, state="running"):
    return ObservedTrial({"name": name}, explorer, scores, state)


def names(trials):
    return [trial.config["name"] for trial in ranked(trials)]


def test_a_higher_rung_comes_before_a_better_score_at_a_lower_one():
    trials = [past("low", {1: 0.9}), past("high", {1: 0.5, 3: 0.6}), past("next", {1: 0.8})]
    assert names(trials) == ["high", "low", "next"]


def test_paused_trials_stand_where_they_are():
    trials = [past("stopped", {1: 0.4}, state="stopped"), past("paused", {1: 0.7})]
    assert names(trials) == ["paused", "stopped"]


def test_an_explorer_stands_where_its_score_belongs():
    earned = [past(f"e{i}", {1: 0.5, 3: 0.6 + i / 100, 9: 0.7 + i / 100}) for i in range(3)]
    poor = past("poor", {1: 0.2, 3: 0.3, 9: 0.4}, explorer=True, state="completed")
    good = past("good", {1: 0.1, 3: 0.5, 9: 0.9}, explorer=True, state="completed")
    fresh = past("fresh", {1: 0.45})
    assert names([poor, fresh, good, *earned]) == ["good", "e2", "e1", "e0", "fresh", "poor"]


def test_what_is_being_tried_comes_last_but_for_the_diverged_and_failures_are_unknown():
    trials = [
        past("diverged", {1: 0.9}, state="diverged"),
        past("running", {}),
        past("bad", {1: 0.1}),
        past("failed", {1: 0.9}, state="failed"),
    ]
    assert names(trials) == ["bad", "running", "diverged"]


def test_tpe_looks_where_the_best_are():
    rng = random.Random(0)
    points = [sample(SPACE, {}, rng) for _ in range(60)]
    trials = [ObservedTrial(p, False, {1: -((p["x"] - 0.3) ** 2)}) for p in points]
    drawn = [propose(SPACE, {}, trials, 1, seed)["x"] for seed in range(20)]
    assert sum(abs(x - 0.3) < 0.15 for x in drawn) >= 16


def test_none_is_shown_as_a_value_and_what_is_inactive_is_not():
    space = {"mix": choice(None, "mixup"), "rate": when("mix", "mixup", uniform(0.0, 1.0))}
    known = {name: to_distribution(domain) for name, domain in space.items()}
    assert Shown(0, {"mix": None, "rate": INACTIVE}, known).params == {"mix": None}
    good = [ObservedTrial({"mix": None, "rate": INACTIVE}, False, {9: 0.9})] * 12
    bad = [ObservedTrial({"mix": "mixup", "rate": 0.5}, False, {9: 0.1})] * 12
    drawn = [propose(space, {}, good + bad, 9, seed)["mix"] for seed in range(20)]
    assert drawn.count(None) > 14
