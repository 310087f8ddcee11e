"""What every searcher promises, and what the model of all curves finds."""

import random

import pytest

from deepsight.config import STUDY_PARAMS
from deepsight.space import choice, sample, uniform
from deepsight.tune.search.learning_curve_gp import propose
from deepsight.tune.search.named_samplers import SAMPLERS
from deepsight.tune.search.observed_trial import ObservedTrial
from tests.tune.plans import SPACE


def test_the_setting_names_the_samplers():
    assert set(SAMPLERS) == set(STUDY_PARAMS["study.searcher"].metadata["choices"])


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_proposal_depends_on_its_arguments_only(name):
    rng = random.Random(0)
    trials = [ObservedTrial(sample(SPACE, {}, rng), False, {1: rng.random()}) for _ in range(30)]
    trials.append(ObservedTrial(sample(SPACE, {}, rng), False, {}, "failed"))
    trials.append(ObservedTrial(sample(SPACE, {}, rng), False, {}, "diverged"))
    trials.append(ObservedTrial(sample(SPACE, {}, rng), False, {}))
    first = SAMPLERS[name]().propose(SPACE, {}, trials, 9, 5)
    assert first == SAMPLERS[name]().propose(SPACE, {}, trials, 9, 5)
    assert first != SAMPLERS[name]().propose(SPACE, {}, trials, 9, 6)
    assert set(first) == set(SPACE)
    assert (first["extra"] is None) == (first["kind"] == "plain")


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("scores", [{}, {1: 0.5}])
def test_there_is_a_proposal_when_nothing_is_known_or_everything_scores_alike(name, scores):
    rng = random.Random(0)
    trials = [ObservedTrial(sample(SPACE, {}, rng), False, dict(scores)) for _ in range(12)]
    assert set(SAMPLERS[name]().propose(SPACE, {}, trials, 1, 0)) == set(SPACE)


def drawn_near(trials, optimum, epochs):
    found = [propose(LINE, {}, trials, epochs, seed)["x"] for seed in range(10)]
    return sum(abs(x - optimum) < 0.1 for x in found)


LINE = {"x": uniform(0.0, 1.0), "idle": uniform(0.0, 1.0)}


def test_the_model_looks_where_the_best_are():
    rng = random.Random(0)
    points = [sample(LINE, {}, rng) for _ in range(20)]
    trials = [ObservedTrial(p, False, {1: -((p["x"] - 0.7) ** 2)}, "completed") for p in points]
    assert drawn_near(trials, 0.7, 1) == 10


def test_the_first_proposals_spread_over_the_space():
    space = {"x": uniform(0.0, 1.0), "kind": choice("a", "b", "c", "d"), "y": uniform(0.0, 1.0)}
    past, study_seed = [], 300
    for number in range(8):
        past.append(ObservedTrial(propose(space, {}, past, 9, study_seed + number), False))
    assert sorted(int(8 * t.config["x"]) for t in past) == list(range(8))
    assert sorted(t.config["kind"] for t in past) == sorted("abcd" * 2)
    other = propose(space, {}, [], 9, study_seed + 1000)
    assert other != past[0].config


def test_one_score_far_off_hides_nothing_from_every_other_proposal():
    rng = random.Random(0)
    points = [sample(LINE, {}, rng) for _ in range(20)]
    trials = [ObservedTrial(p, False, {1: -((p["x"] - 0.7) ** 2)}, "completed") for p in points]
    trials.append(ObservedTrial({"x": 0.1, "idle": 0.5}, False, {1: -1e6}, "completed"))
    found = [propose(LINE, {}, trials, 1, seed)["x"] for seed in range(1, 20, 2)]
    assert sum(abs(x - 0.7) < 0.1 for x in found) == 10


def test_the_model_learns_that_the_first_epoch_misleads():
    """Small x is best after one epoch, large x after nine; few trials went so far."""
    rng = random.Random(0)
    trials = []
    for number in range(30):
        point = sample(LINE, {}, rng)
        scores = {1: 0.5 - 0.3 * point["x"]}
        if number % 3 == 0:
            scores |= {3: 0.55, 9: 0.6 - (point["x"] - 0.8) ** 2}
        trials.append(ObservedTrial(point, number % 3 == 0, scores, "completed"))
    assert drawn_near(trials, 0.8, 9) >= 8


def test_the_model_does_not_try_again_what_is_being_tried():
    rng = random.Random(0)
    points = [sample(LINE, {}, rng) for _ in range(8)]
    trials = [ObservedTrial(p, False, {1: p["x"]}, "completed") for p in points]
    running = []
    for seed in range(4):
        proposal = propose(LINE, {}, trials + running, 1, seed)
        running.append(ObservedTrial(proposal, False, {}))
    places = [(t.config["x"], t.config["idle"]) for t in running]
    apart = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for i, a in enumerate(places) for b in places[:i]]
    assert min(apart) > 0.02
