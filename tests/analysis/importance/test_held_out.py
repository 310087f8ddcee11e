"""What held-out predictions are judged on."""

import numpy as np
import pytest

from analysis.importance import held_out
from analysis.importance.gaussian_process import Rows
from analysis.importance.score_transform import Scale

PLAIN = Scale("identity", 0.0, 1.0)


def test_trials_that_are_alike_are_held_out_together():
    rng = np.random.default_rng(0)
    twins = np.array([0.3, -0.2]) + 0.01 * rng.random((30, 2))
    features = np.concatenate([twins, [[-0.5, 0.5], [0.5, 0.5], [-0.5, -0.5]]])
    groups = held_out.alike(features)
    assert len(set(groups[:30])) == 1
    assert len(set(groups)) == 4
    parts = held_out.parts(groups, 3, rng)
    assert len(set(parts[:30])) == 1
    assert set(parts) == {0, 1, 2}


def test_parts_of_trials_that_are_all_different_are_equally_large():
    parts = held_out.parts(np.arange(23), 5, np.random.default_rng(0))
    assert sorted(np.bincount(parts)) == [4, 4, 5, 5, 5]


def quality(target, mean, groups, time=None):
    num = len(target)
    time = np.ones(num) if time is None else time
    rows = Rows(np.zeros((num, 1)), np.arange(num), time, np.array(target))
    predictions = held_out.Predictions(np.array(mean), np.full(num, 0.1))
    return held_out.quality(PLAIN, rows, predictions, np.array(groups))


def test_thirty_twins_count_once():
    """Twins that are predicted well do not make up for all others that are not."""
    target = np.r_[np.full(30, 0.9), 0.1, 0.5, 0.3, 0.7]
    mean = np.r_[np.full(30, 0.9), 0.7, 0.3, 0.5, 0.1]
    found = quality(target, mean, [0] * 30 + [1, 2, 3, 4])
    assert found.num_held_out == 5
    assert not found.holds_out
    assert quality(target, mean, range(34)).r2 > found.r2


def test_that_longer_training_scores_higher_explains_nothing():
    time = np.repeat([0.0, 1.0], 10)
    rng = np.random.default_rng(0)
    target = time + 0.1 * rng.standard_normal(20)
    found = quality(target, time, range(20), time)
    assert found.r2 == pytest.approx(0, abs=0.2)
    assert not found.holds_out
    assert quality(target, target, range(20), time).holds_out
