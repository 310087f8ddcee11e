"""On which scale scores are modelled."""

import math

import numpy as np
import pytest

from analysis.importance.importance import compute_survival_importance
from analysis.importance.score_transform import Scale, scales_for
from analysis.importance.surrogate import NoSurrogate, fit_surrogate, fit_values
from deepsight.space import uniform
from tests.analysis.random_studies import make_study
from tests.analysis.studies import hand_study, ramp, trial

SPACE = {"x": uniform(0.0, 1.0), "speed": uniform(0.0, 1.0)}


def final(config):
    return math.exp(-2.0 * config["x"])


def multiplied(config, share):
    """What the config promises times what its speed lets show, over a factor of ten."""
    return final(config) * share ** (0.1 + config["speed"])


def added(config, share):
    return 0.6 + 0.2 * math.sin(6 * config["x"]) - 0.4 * (1 - share) * config["speed"]


@pytest.mark.parametrize("link", ["identity", "log", "logit"])
def test_scores_come_back_from_a_scale(link):
    scores = np.array([0.1, 0.5, 0.7, 0.95])
    scale = Scale.of(scores, link)
    targets = scale.targets(scores)
    assert (targets.mean(), targets.std()) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0))
    assert scale.scores(targets) == pytest.approx(scores)
    step = 1e-4  # targets are rounded
    slopes = (scale.targets(scores + step) - scale.targets(scores - step)) / (2 * step)
    assert np.exp(scale.log_slopes(targets)) == pytest.approx(slopes, rel=1e-4)


def percent(config, share):
    """Not a share between 0 and 1."""
    return 100 * multiplied(config, share)


def limited(config, share):
    """An accuracy that effects push towards 0 and 1 without reaching them."""
    logit = 7 * config["x"] - 3 - 4 * (1 - share) * config["speed"]
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize(
    ("score", "link"), [(percent, "log"), (limited, "logit"), (added, "identity")]
)
def test_the_scale_is_the_one_on_which_effects_add(score, link):
    unit = 100 if score is percent else 1
    surrogate = fit_surrogate(make_study(SPACE, score, num=60, noise=0.001 * unit))
    assert surrogate.data.scale.link == link
    configs = [{"x": x, "speed": 0.5} for x in (0.1, 0.5, 0.9)]
    mean, deviation = surrogate.predict(configs, 9)
    truth = np.array([score(config, 1.0) for config in configs])
    assert mean == pytest.approx(truth, abs=0.02 * unit)
    assert (np.abs(mean - truth) < 4 * deviation + 0.005 * unit).all()
    draws = surrogate.samples(configs, 9, 400, seed=0)
    assert draws.std(axis=0) == pytest.approx(deviation, rel=0.35)


def test_scores_that_may_be_negative_have_no_logarithm():
    study = make_study(SPACE, lambda c, s: added(c, s) - 0.7, num=40)
    assert fit_surrogate(study).data.scale.link == "identity"


@pytest.mark.parametrize(
    ("scores", "metric", "links"),
    [
        ([0.0, 0.5, 1.0], "val_accuracy", ["identity", "logit"]),
        ([0.1, 0.5, 1.0], "val_accuracy", ["identity", "logit", "log"]),
        ([0.1, 0.5, 1.1], "val_accuracy", ["identity", "log"]),
        ([-0.1, 0.5], "val_accuracy", ["identity"]),
        ([0.0, 0.5], "mse", ["identity"]),
        ([0.1, 0.5], "val_macro_f1", ["identity", "logit", "log"]),
    ],
)
def test_only_shares_have_a_logit_and_only_positive_scores_a_logarithm(scores, metric, links):
    assert [scale.link for scale in scales_for(np.array(scores), metric)] == links


def test_trials_that_are_all_alike_have_no_check_and_no_surrogate(tmp_path):
    """Among 12 near-twins none is far from the others; 8 diverged trials have no rung."""
    lost = [trial([0.1], "diverged", config={"optim.lr": 0.05 + 0.001 * k}) for k in range(8)]
    twins = [
        trial(ramp(0.5 + 0.01 * k), explorer=k % 2 == 0, config={"optim.lr": 0.001 * (k + 1)})
        for k in range(12)
    ]
    study = hand_study(tmp_path / "s", [*lost, *twins])
    assert compute_survival_importance(study).shares == ()
    alike = [r for r in study.records if not r.rows or r.num_epochs > 1]
    fitted = fit_values(study, alike[:3] * 3, [[(1.0, float(k))] for k in range(9)], 1, 0)
    assert isinstance(fitted, NoSurrogate)
