"""The process against scikit-learn's, its gradient against differences, its beliefs."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from deepsight.tune.search import gaussian_process
from deepsight.tune.search.gaussian_process import JITTER, fit


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    rows = rng.random((60, 3))
    scores = np.sin(6 * rows[:, 0]) + 0.3 * rows[:, 1] + 0.05 * rng.normal(size=60)
    return rows, scores


def test_it_predicts_what_scikit_learn_predicts_with_the_same_kernel(data):
    rows, scores = data
    model = fit(rows, scores, np.arange(3))
    kernel = ConstantKernel(model.kernel.signal) * Matern(model.kernel.scales, nu=2.5)
    peer = GaussianProcessRegressor(kernel, alpha=model.kernel.noise[0] + JITTER, optimizer=None)
    peer.fit(rows, (scores - scores.mean()) / scores.std())
    new = np.random.default_rng(1).random((20, 3))
    mean, spread = model.predict(new)
    expected, deviation = peer.predict(new, return_std=True)
    np.testing.assert_allclose(mean, scores.mean() + scores.std() * expected, atol=1e-6)
    np.testing.assert_allclose(spread, scores.std() * deviation, atol=1e-6)


def test_it_learns_which_columns_matter_and_how_noisy_the_scores_are(data):
    model = fit(*data, np.arange(3))
    assert model.kernel.scales[0] < model.kernel.scales[1] < model.kernel.scales[2]
    new = np.random.default_rng(2).random((200, 3))
    error = model.predict(new)[0] - (np.sin(6 * new[:, 0]) + 0.3 * new[:, 1])
    assert np.sqrt((error**2).mean()) < 0.05
    assert 0.02 < np.sqrt(model.kernel.noise[0]) * data[1].std() < 0.1


def test_the_gradient_is_that_of_the_loss(data):
    rows, scores = data
    groups = np.array([0, 1, 1])
    distances = gaussian_process._distances(rows, rows, groups)
    priors = np.array(
        [gaussian_process.SCALE_PRIOR] * 2
        + [gaussian_process.SIGNAL_PRIOR, gaussian_process.NOISE_PRIOR]
    )
    at = np.array([-0.3, 0.4, 0.2, -3.0])
    sources = np.zeros(len(rows), int)
    check_gradient(at, distances, scores, priors, sources, 0.0)


def check_gradient(at, *arguments):
    def loss(parameters):
        return gaussian_process._loss(parameters, *arguments)

    for number, slope in enumerate(loss(at)[1]):
        step = 1e-5 * np.eye(len(at))[number]
        assert slope == pytest.approx((loss(at + step)[0] - loss(at - step)[0]) / 2e-5, rel=1e-4)


def test_with_two_sources_too(data):
    rows, scores = data
    flagged = np.column_stack([rows, np.arange(len(rows)) % 2])
    distances = gaussian_process._distances(flagged, flagged, np.arange(4))
    at = np.array([-0.3, 0.4, 0.2, 0.1, 0.3, -3.0, -2.0])
    priors = np.column_stack([np.zeros(len(at)), np.ones(len(at))])
    sources = gaussian_process._source(flagged, 1)
    assert list(sources[:3]) == [0, 1, 0]
    level = gaussian_process._level(flagged, flagged, 1)
    check_gradient(at, distances, scores, priors, sources, level)


def sources_alike(sign):
    """Four rows of this source and forty of another, whose scores are `sign` times as good."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.random((48, 2)), [0] * 8 + [1] * 40])
    scores = np.sin(6 * rows[:, 0]) * np.where(rows[:, 2], sign, 1) + 0.02 * rng.normal(size=48)
    model = fit(rows, scores, np.arange(3), others=1)
    new = np.column_stack([rng.random((50, 2)), np.zeros(50)])
    return model, np.corrcoef(model.predict(new)[0], np.sin(6 * new[:, 0]))[0, 1]


def test_a_source_that_is_alike_teaches_and_one_that_contradicts_is_told_apart():
    alike, agreement = sources_alike(1)
    apart, disagreement = sources_alike(-1)
    assert agreement > 0.95
    assert disagreement > 0
    assert apart.kernel.scales[2] < 0.5 * alike.kernel.scales[2]


def test_each_source_has_its_own_noise(data):
    rng, (rows, scores) = np.random.default_rng(0), data
    flags = (np.arange(60) % 2)[:, None]
    noisy = scores + 0.5 * flags[:, 0] * rng.normal(size=60)
    quiet, loud = fit(np.column_stack([rows, flags]), noisy, np.arange(4), others=1).kernel.noise
    assert quiet < 0.2 * loud


def test_joint_draws_have_the_mean_and_the_spread_of_the_prediction(data):
    model, rng = fit(*data, np.arange(3)), np.random.default_rng(4)
    new = rng.random((6, 3))
    drawn, (mean, spread) = model.sample(new, 4000, rng), model.predict(new)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.1 * spread.max())
    np.testing.assert_allclose(drawn.std(0), spread, rtol=0.1)


def test_believing_changes_how_sure_it_is_and_not_what_it_expects(data):
    model = fit(*data, np.arange(3))
    new = np.random.default_rng(3).random((5, 3))
    believed = model.with_fantasies(new)
    np.testing.assert_allclose(believed.predict(new)[0], model.predict(new)[0], atol=1e-3)
    assert (believed.predict(new)[1] < model.predict(new)[1]).all()


@pytest.mark.parametrize("scores", [[0.5, 0.5, 0.5], [0.5]])
def test_scores_that_are_all_alike_are_no_trouble(scores):
    rows = np.linspace(0, 1, len(scores))[:, None]
    mean, spread = fit(rows, np.array(scores), np.zeros(1, int)).predict(rows)
    np.testing.assert_allclose(mean, 0.5, atol=1e-6)
    assert np.isfinite(spread).all()
