import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from analysis import gaussian_process as gp


def rows(num_trials=20, num_features=3, seed=0):
    rng = np.random.default_rng(seed)
    trial = np.repeat(np.arange(num_trials), 2)
    features = rng.random((num_trials, num_features)) - 0.5
    time = np.tile([0.3, 1.0], num_trials)
    target = np.sin(5 * features[trial, 0]) * time + 0.1 * rng.standard_normal(len(trial))
    return gp.Rows(features, trial, time, target)


def test_the_gradient_is_the_slope():
    data, rng = rows(), np.random.default_rng(1)
    theta = gp.start(3) + 0.3 * rng.standard_normal(len(gp.start(3)))
    _, gradient = gp.negative_log_posterior(theta, data)
    steps = 1e-5 * np.eye(len(theta))
    slopes = [
        (gp.negative_log_posterior(theta + s, data)[0]
         - gp.negative_log_posterior(theta - s, data)[0]) / 2e-5
        for s in steps
    ]  # fmt: skip
    assert gradient == pytest.approx(slopes, abs=1e-4)


def test_likelihood_and_prediction_are_scikit_learns():
    """At time 1 only, without the parts that it has no name for, the model is a plain process."""
    data = rows()
    final = data.time == 1.0
    data = gp.Rows(data.features, np.arange(20), np.ones(20), data.target[final])
    theta = gp.start(3)
    names = list(gp.OTHERS)
    for name in ("alone", "luck", "curve"):
        theta[6 + names.index(name)] = -40.0  # of no account
    kernel = gp.Kernel.of(theta)
    peer = GaussianProcessRegressor(
        ConstantKernel(kernel.final) * RBF(kernel.final_scales)
        + WhiteKernel(kernel.noise + gp.JITTER), alpha=0.0, optimizer=None,
    ).fit(data.features, data.target)  # fmt: skip
    mean, spread = gp.prior_of(3)
    value, _ = gp.negative_log_posterior(theta, data)
    value -= 0.5 * (((theta - mean) / spread) ** 2).sum()
    assert -value - 0.5 * 20 * np.log(2 * np.pi) == pytest.approx(
        peer.log_marginal_likelihood_value_
    )
    at = np.random.default_rng(2).random((7, 3))
    process = gp.Process(kernel, data, theta)
    expected, deviation = peer.predict(at, return_std=True)
    assert process.mean(at, 1.0) == pytest.approx(expected)
    variance = process.variance(at, 1.0) + kernel.noise + gp.JITTER
    assert variance == pytest.approx(deviation**2)


@pytest.mark.parametrize("time", [0.3, 0.6, 1.0])
def test_draws_have_the_posteriors_mean_and_variance(time):
    process = gp.fit(rows(), max_steps=5)
    at = np.random.default_rng(2).random((6, 3)) - 0.5
    values = process.draws(4000, np.random.default_rng(3), num_waves=3000)(at, time)
    assert values.mean(1) == pytest.approx(process.mean(at, time), abs=0.03)
    assert values.var(1) == pytest.approx(process.variance(at, time), rel=0.15)


def test_a_fit_finds_the_feature_that_matters():
    process = gp.fit(rows(40))
    scales = process.kernel.final_scales
    assert scales[0] < scales[1:].min() / 5


def test_twins_leave_a_likelihood_at_every_corner_of_the_bounds():
    """A search that has found its optimum proposes hardly anything else, without noise."""
    rng = np.random.default_rng(0)
    data = rows(num_trials=150, num_features=6)
    features = np.where(rng.random((150, 1)) < 0.5, data.features[:1], data.features)
    features = features + 1e-9 * rng.random(features.shape)
    data = gp.Rows(features, data.trial, data.time, data.target)
    bounds = np.array(gp.bounds_of(6))
    bounds[-1] = 0.0, 1.0  # the head start: what it does far outside is no question
    for _ in range(300):
        corner = np.where(rng.random(len(bounds)) < 0.5, bounds[:, 0], bounds[:, 1])
        assert np.isfinite(gp.negative_log_posterior(corner, data)[0])
