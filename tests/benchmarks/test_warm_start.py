"""The benchmarks of warm starts and of patience: their pasts, their arithmetic."""

import random

import numpy as np
import pytest

from benchmarks import patience, warm_start
from benchmarks.planted import BEST, CHANCE, PROBLEMS
from deepsight.space import sample

SMOOTH = PROBLEMS["smooth"]
OPTIMUM = {"lr": 0.75, "momentum": 0.85, "decay": 0.2, "dropout": 0.25}


def at(**units):
    return {name: SMOOTH.space[name].from_unit(unit) for name, unit in units.items()}


def test_pasts_are_what_they_say():
    mirrored = warm_start.past_of(SMOOTH, "mirrored", 0)
    negated = warm_start.past_of(SMOOTH, "negated", 0)
    alike = warm_start.past_of(SMOOTH, "alike", 0)
    best, moved = at(**OPTIMUM), at(**{name: unit - 0.1 for name, unit in OPTIMUM.items()})
    other = at(**{name: 1 - unit for name, unit in OPTIMUM.items()})
    assert SMOOTH.final(best) == pytest.approx(BEST) == mirrored.final(other)
    assert negated.final(best) == pytest.approx(CHANCE)
    assert alike.final(moved) == pytest.approx(CHANCE + (BEST - CHANCE) / 2)


@pytest.mark.parametrize("name", ["smooth", "conditional", "many"])
def test_unrelated_pasts_are_scores_of_their_own(name):
    problem, rng = PROBLEMS[name], random.Random(0)
    configs = [sample(problem.space, {}, rng) for _ in range(300)]
    true = [problem.final_score(c) for c in configs]
    agreements = []
    for seed in range(20):
        unrelated = warm_start.past_of(problem, "unrelated", seed)
        scores = [unrelated.final_score(c) for c in configs]
        assert all(CHANCE <= score <= BEST for score in scores)
        agreements.append(np.corrcoef(true, scores)[0, 1])
    assert abs(np.mean(agreements)) < 0.25


def test_regrets_are_taken_half_way_and_at_the_end():
    assert warm_start.regrets_of([(4, 0.3), (11, 0.1)], 20) == (0.3, 0.1)
    assert warm_start.regrets_of([(11, 0.1)], 20) == (1.0, 0.1)
    assert warm_start.regrets_of([], 20) == (1.0, 1.0)


def test_a_past_that_is_always_worse_is_marked():
    regrets = {}
    for seed in range(10):
        cold = 0.01 * (1 + seed % 3)
        regrets["planted", "smooth", "cold", 24, seed] = (0.1, cold)
        regrets["planted", "smooth", "negated", 24, seed] = (0.1, cold + 0.01)
    summary = warm_start.summarise(regrets)["planted, 24 trials, end"]
    assert summary["against_cold"]["negated"][0] == pytest.approx(0.01)
    assert " !" in warm_start.report({"": summary})


def test_patience_counts_what_was_saved_and_lost():
    runs = {("flat", 0.0, 60, s): (0.01, 200) for s in range(4)}
    runs |= {("flat", 0.02, 60, s): (0.01 + 0.002 * (s > 1), 200 if s else 100) for s in range(4)}
    (line,) = patience.summarise(runs)
    assert (line["ended_early"], line["seeds"]) == (1, 4)
    assert line["saved"][0] == pytest.approx(0.125)
    assert line["lost"][0] == pytest.approx(0.001)
    assert patience.problem_of("flat").final({}) == BEST
