"""Statistics of a confirmation against known answers."""

import numpy as np
import pytest
from scipy import integrate, stats

from deepsight.confirm.results import _bounded_mean
from deepsight.confirm.statistics import (
    EFFECT,
    anytime_half_width,
    anytime_interval,
    compare,
    gains,
    holm,
    is_settled,
    mean_estimate,
    optimism,
    target_verdict,
    within,
)

SCORES = [0.90, 0.92, 0.91, 0.95]


def test_the_interval_of_a_mean_is_that_of_student():
    found = mean_estimate([*SCORES, None])
    exact = stats.ttest_1samp(SCORES, 0).confidence_interval(0.95)
    assert (found.value, found.n) == (pytest.approx(0.92), 4)
    assert (found.low, found.high) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_seeds_without_spread_are_not_taken_for_certainty():
    assert mean_estimate([0.9, 0.9]).low is None
    assert mean_estimate([0.9]).low is None
    assert mean_estimate([None]) is None
    (same,) = compare({"a": [0.9, 0.8], "b": [0.8, 0.7]}, [("a", "b")], "val", 1.0)
    assert (same.p, same.verdict) == (None, "undecided")
    assert same.gain.value == pytest.approx(0.1)
    assert anytime_half_width([0.1, 0.1, 0.1]) is None


def test_an_interval_leaves_out_what_no_accuracy_can_be():
    plain = mean_estimate([0.4, 0.975])
    assert plain.low < 0
    assert plain.high > 1
    found = _bounded_mean([0.4, 0.975], "val_accuracy")
    assert (found.value, found.low, found.high, found.n) == (plain.value, 0.0, 1.0, 2)
    assert _bounded_mean([40.0, 97.5], "val_accuracy").high > 100  # percent: unknown bounds
    assert _bounded_mean([0.4, 0.975], "val_loss") == mean_estimate([0.4, 0.975])
    assert _bounded_mean([0.9], "val_accuracy") == mean_estimate([0.9])
    assert within(None, 0.0, 1.0) is None


def test_pairs_are_those_of_equal_seeds():
    assert gains([0.5, None, 0.7], [0.4, 0.1, None], 1.0) == [pytest.approx(0.1)]
    assert gains([0.5], [0.4], -1.0) == [pytest.approx(-0.1)]


def test_a_paired_test_sees_what_seeds_share():
    shared = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    a = list(shared + [0.021, 0.019, 0.02, 0.022, 0.018])
    (found,) = compare({"a": a, "b": list(shared)}, [("a", "b")], "val", 1.0)
    assert found.verdict == "better"
    assert found.p == pytest.approx(stats.ttest_rel(a, shared).pvalue)
    (worse,) = compare({"a": a, "b": list(shared)}, [("a", "b")], "val", -1.0)
    assert worse.verdict == "worse"


def test_holm_corrects_for_all_that_were_asked():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.03, None]) == [pytest.approx(0.06), None]
    assert holm([]) == []


@pytest.mark.parametrize(("sign", "score"), [(1.0, 0.96), (-1.0, 0.88)])
def test_the_curse_is_what_the_search_promised_too_much(sign, score):
    mean = mean_estimate(SCORES)
    found = optimism(score, mean, sign)
    assert found.value == pytest.approx(0.04)
    assert found.high - found.low == pytest.approx(mean.high - mean.low)
    assert found.low < 0.04 < found.high
    assert optimism(None, mean, sign) is None


def test_a_target_is_met_by_the_cautious_end():
    mean = mean_estimate(SCORES)
    assert target_verdict(mean, mean.low - 0.001, 1.0) == "met"
    assert target_verdict(mean, 0.92, 1.0) == "undecided"
    assert target_verdict(mean, mean.high + 0.001, 1.0) == "missed"
    assert target_verdict(mean, mean.high + 0.001, -1.0) == "met"
    assert target_verdict(mean_estimate([0.9]), 0.5, 1.0) is None


def test_looking_after_every_seed_keeps_the_error():
    rng = np.random.default_rng(0)
    studies, wrong, naive = 400, 0, 0
    for _ in range(studies):
        drawn = rng.normal(size=30)
        looks = [drawn[:n] for n in range(2, 31)]
        halves = [anytime_half_width(seen) for seen in looks]
        wrong += any(
            h is not None and abs(s.mean()) > h for s, h in zip(looks, halves, strict=True)
        )
        naive += any(stats.ttest_1samp(seen, 0).pvalue < 0.05 for seen in looks)
    assert wrong / studies <= 0.05
    assert naive / studies > 0.15  # what the boundary is for


def test_an_interval_for_all_times_is_wider_and_shrinks():
    drawn = np.random.default_rng(1).normal(0.02, 0.01, 20)
    short, long = anytime_interval(list(drawn[:8])), anytime_interval(list(drawn))
    assert long.high - long.low < short.high - short.low
    plain = mean_estimate(list(drawn))
    assert long.low < plain.low < plain.high < long.high


def test_a_difference_is_settled_by_its_sign_or_its_smallness():
    far = anytime_interval([0.05, 0.051, 0.049, 0.05, 0.052, 0.048])
    near = anytime_interval([0.001, -0.001, 0.0, 0.0005, -0.0005, 0.0002])
    assert is_settled(far, 0.01)
    assert is_settled(near, 0.01)
    assert not is_settled(near, 0.00001)
    assert not is_settled(anytime_interval([0.1, 0.2]), 0.01)
    assert not is_settled(None, 0.01)


@pytest.mark.parametrize(("n", "alpha"), [(4, 0.05), (9, 0.025), (30, 0.05)])
def test_the_interval_ends_where_the_mixture_reaches_its_bound(n, alpha):
    """Against the integral of likelihoods, and the closed form of Wang and Ramdas (2025)."""
    values = np.random.default_rng(n).normal(0.3, 1.0, n)
    end = values.mean() - anytime_half_width(values, alpha)
    t = np.sqrt(n) * (values.mean() - end) / values.std(ddof=1)
    effects = stats.norm(0, EFFECT)
    mixture, _ = integrate.quad(
        lambda d: stats.nct.pdf(t, n - 1, np.sqrt(n) * d) * effects.pdf(d), -8, 8, limit=200
    )
    assert mixture / stats.t.pdf(t, n - 1) == pytest.approx(1 / alpha, rel=1e-3)
    c, s, v = 1 / EFFECT**2, (values - end).sum(), ((values - end) ** 2).sum()
    closed = np.sqrt(c / (n + c)) * ((n + c) * v / ((n + c) * v - s**2)) ** (n / 2)
    assert closed == pytest.approx(1 / alpha)
