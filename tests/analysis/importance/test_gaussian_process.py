import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from threadpoolctl import threadpool_limits

from analysis.importance.gaussian_process import JITTER, Kernel, Process, Rows
from analysis.importance.kernel_posterior import OTHERS, Posterior

GROUPS = np.array([0, 1, 1])


@pytest.fixture(autouse=True)
def one_thread():
    """As `fit_surrogate` does: small matrices on two threads take several times as long."""
    with threadpool_limits(1):
        yield


def rows(num_trials=20, num_features=3, seed=0, groups=None):
    rng = np.random.default_rng(seed)
    trial = np.repeat(np.arange(num_trials), 2)
    features = rng.random((num_trials, num_features)) - 0.5
    time = np.tile([0.3, 1.0], num_trials)
    target = np.sin(5 * features[trial, 0]) * time + 0.1 * rng.standard_normal(len(trial))
    return Rows(features, trial, time, target, *([] if groups is None else [groups]))


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_the_gradient_is_the_slope(groups):
    posterior, rng = Posterior(rows(groups=groups)), np.random.default_rng(1)
    theta = posterior.start() + 0.3 * rng.standard_normal(len(posterior.start()))
    _, gradient = posterior.loss(theta)
    steps = 1e-5 * np.eye(len(theta))
    slopes = [(posterior.loss(theta + s)[0] - posterior.loss(theta - s)[0]) / 2e-5 for s in steps]
    assert gradient == pytest.approx(slopes, abs=1e-4)


def test_the_density_is_of_the_covariance_that_predicts():
    posterior = Posterior(rows(groups=GROUPS))
    theta = posterior.start()
    covariance = Kernel.of(theta, GROUPS).of_rows(posterior.rows)
    target = posterior.rows.target
    value = -0.5 * target @ np.linalg.solve(covariance, target)
    value -= 0.5 * np.linalg.slogdet(covariance)[1]
    away = (theta - posterior.mean) / posterior.spread
    assert posterior.loss(theta)[0] == pytest.approx(0.5 * away @ away - value)


def test_likelihood_and_prediction_are_scikit_learns():
    """At time 1 only, without the parts that it has no name for, the model is a plain process."""
    data = rows()
    data = Rows(data.features, np.arange(20), np.ones(20), data.target[data.time == 1.0])
    posterior = Posterior(data)
    theta = posterior.start()
    names = list(OTHERS)
    for name in ("alone", "trial_effect", "curve"):
        theta[6 + names.index(name)] = -40.0  # of no account
    process = posterior.process(theta)
    kernel = process.kernel
    peer = GaussianProcessRegressor(
        ConstantKernel(kernel.final) * RBF(kernel.final_scales)
        + WhiteKernel(kernel.noise + JITTER),
        alpha=0.0,
        optimizer=None,
    ).fit(data.features, data.target)
    value, _ = posterior.loss(theta)
    value -= 0.5 * (((theta - posterior.mean) / posterior.spread) ** 2).sum()
    assert -value - 0.5 * 20 * np.log(2 * np.pi) == pytest.approx(
        peer.log_marginal_likelihood_value_
    )
    at = np.random.default_rng(2).random((7, 3))
    expected, deviation = peer.predict(at, return_std=True)
    assert process.mean(at, 1.0) == pytest.approx(expected)
    variance = process.variance(at, 1.0) + kernel.noise + JITTER
    assert variance == pytest.approx(deviation**2)


@pytest.mark.parametrize("time", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("groups", [None, GROUPS])
def test_draws_have_the_posteriors_mean_and_variance(time, groups):
    posterior = Posterior(rows(groups=groups))
    process = posterior.process(posterior.maximum(max_steps=5))
    at = np.random.default_rng(2).random((6, 3)) - 0.5
    values = process.draws(4000, np.random.default_rng(3), num_waves=3000)(at, time)
    assert values.mean(1) == pytest.approx(process.mean(at, time), abs=0.04)
    assert values.var(1) == pytest.approx(process.variance(at, time), rel=0.2)


def test_the_most_probable_kernel_knows_the_feature_that_matters():
    posterior = Posterior(rows(40))
    scales = posterior.process(posterior.maximum()).kernel.final_scales
    assert scales[0] < scales[1:].min() / 5


def test_without_scores_kernels_are_drawn_from_the_prior():
    """One row says nothing of a length scale: draws have the prior's mean and spread."""
    data = Rows(np.zeros((1, 2)), np.zeros(1, dtype=int), np.ones(1), np.zeros(1))
    posterior = Posterior(data)
    drawn = posterior.draw(posterior.mean, np.random.default_rng(0), warm_up=200, num=3000)
    away = (drawn[:, :4] - posterior.mean[:4]) / posterior.spread[:4]
    assert away.mean(0) == pytest.approx(np.zeros(4), abs=0.15)
    assert away.std(0) == pytest.approx(np.ones(4), abs=0.15)


def test_drawn_kernels_are_those_of_a_grid():
    """The head start's distribution by the chain, against one computed on a grid."""
    rng = np.random.default_rng(0)
    posterior = Posterior(rows(12, 1))
    best = posterior.maximum()

    class Others(Posterior):
        """The same density with everything but the head start held."""

        def loss(self, theta):
            value, gradient = posterior.loss(np.append(best[:-1], theta[-1]))
            held = theta[:-1]
            return value + 0.5 * held @ held, np.append(held, gradient[-1])

    held = Others(posterior.rows)
    drawn = held.draw(np.append(0 * best[:-1], best[-1]), rng, warm_up=100, num=2000)[:, -1]
    grid = np.linspace(-1.0, 2.0, 601)
    losses = np.array([posterior.loss(np.append(best[:-1], x))[0] for x in grid])
    weights = np.exp(losses.min() - losses)
    mean = np.average(grid, weights=weights)
    spread = np.sqrt(np.average((grid - mean) ** 2, weights=weights))
    assert drawn.mean() == pytest.approx(mean, abs=0.2 * spread)
    assert drawn.std() == pytest.approx(spread, rel=0.15)


def test_what_the_data_are_silent_about_is_not_surely_irrelevant():
    """A feature that never varied keeps its prior; one that was found idle has long scales."""
    rng = np.random.default_rng(0)
    data = rows(40, 3)
    features = data.features.copy()
    features[:, 2] = 0.1
    posterior = Posterior(Rows(features, data.trial, data.time, data.target))
    drawn = posterior.draw(posterior.maximum(), rng, warm_up=100, num=400)
    assert drawn[:, 2].mean() == pytest.approx(posterior.mean[2], abs=1.0)
    assert drawn[:, 2].std() > 0.5 * posterior.spread[2]
    assert drawn[:, 0].max() < drawn[:, 2].mean()


def test_twins_leave_a_likelihood_at_every_corner_of_the_bounds():
    """A search that has found its optimum proposes hardly anything else, without noise."""
    rng = np.random.default_rng(0)
    data = rows(num_trials=150, num_features=6)
    features = np.where(rng.random((150, 1)) < 0.5, data.features[:1], data.features)
    features = features + 1e-9 * rng.random(features.shape)
    posterior = Posterior(Rows(features, data.trial, data.time, data.target))
    bounds = posterior.bounds.copy()
    bounds[-1] = 0.0, 1.0  # the head start: what it does far outside is no question
    for _ in range(200):
        corner = np.where(rng.random(len(bounds)) < 0.5, bounds[:, 0], bounds[:, 1])
        assert np.isfinite(posterior.loss(corner)[0])


def test_a_process_without_groups_has_one_a_feature():
    posterior = Posterior(rows())
    assert posterior.num_groups == 3
    assert isinstance(posterior.process(posterior.start()), Process)
