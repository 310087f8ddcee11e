"""Comparisons: what may be compared, and intervals that hold what they promise."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from analysis.report.cli import main
from analysis.statistics.comparison import compute_comparison
from analysis.statistics.intervals import (
    accuracy_interval,
    bootstrap,
    mean_difference,
    share_difference,
    share_interval,
    superiority_interval,
)
from tests.analysis.pages import EVIL, Page, words
from tests.analysis.studies import hand_study, ramp, trial, write_study

DATA = {"fingerprint": "f", "counts": {"val": {"a": 500, "b": 500}}}


def finals(scores, explorer=True):
    return [trial(ramp(score), explorer=explorer) for score in scores]


@pytest.fixture
def pair(tmp_path):
    """A worse study and a better one, six explorers each."""
    weak = hand_study(
        tmp_path / "weak", finals([0.1 * k for k in range(1, 7)]), name="weak", data=DATA
    )
    strong = hand_study(
        tmp_path / "strong", finals([0.5 + 0.08 * k for k in range(6)]), name="strong", data=DATA
    )
    return weak, strong


def test_the_better_study_is_told_with_intervals(pair):
    info = compute_comparison(pair)
    (contrast,) = info.pairs
    assert (contrast.label, contrast.against, contrast.obstacles) == ("strong", "weak", ())
    assert contrast.gain.value == pytest.approx(0.3)
    assert contrast.gain.low > 0.25
    # 36 pairs: 0.5 beats 4 of 6 and ties one, 0.58 beats 5, all others beat 6
    assert contrast.superiority.value == pytest.approx((4.5 + 5 + 4 * 6) / 36)
    assert contrast.by_explorers
    assert info.sides[0].quartiles == pytest.approx((0.225, 0.35, 0.475))


@pytest.mark.parametrize(
    ("header", "obstacle"),
    [
        ({"data": DATA | {"fingerprint": "g"}}, "data or splits differ"),
        ({"max_epochs": 10, "data": DATA}, "full budget is 9 epochs"),
        ({"mode": "min", "data": DATA}, "different metrics"),
    ],
)
def test_what_cannot_be_compared_is_not(tmp_path, pair, header, obstacle):
    other = hand_study(tmp_path / "other", finals([0.9] * 6), **header)
    (contrast,) = compute_comparison([pair[0], other]).pairs
    assert obstacle in contrast.obstacles[0]
    assert contrast.gain is None
    assert contrast.superiority is None


def test_the_page_of_a_comparison(tmp_path, pair, capsys):
    weak, strong = (study.directory for study in pair)
    assert main([str(weak), str(strong), str(weak)]) == 0
    page = weak / "report/comparison/index.html"
    assert capsys.readouterr().out == f"{page}\n"
    text = words(page.read_text())
    assert "strong against weak (1): its best is better by 0.300" in text
    assert "too few to tell them apart" in text  # weak against itself
    assert not (strong / "report").exists()
    found = json.loads((weak / "report/comparison/data/comparison.json").read_text())
    assert [side["label"] for side in found["sides"]] == ["weak (1)", "strong", "weak (2)"]


def test_names_are_escaped_and_empty_studies_compared(tmp_path):
    a = write_study(tmp_path / "a", [], name=EVIL)
    b = write_study(tmp_path / "b", [trial([], "failed", error=EVIL)], name="$x$")
    assert main([str(a), str(b)]) == 0
    page = Page((a / "report/comparison/index.html").read_text())
    assert len(page.scripts) == 1
    assert EVIL in "".join(page.text)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_intervals_hold_the_truth_as_often_as_they_say(shift):
    """At least 93 of 100 draws for each kind, over 400 draws of small samples."""
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    held = {"superiority": 0, "mean": 0, "share": 0, "difference": 0}
    p, q = 0.8, 0.8 + 0.1 * (shift > 0)
    for _ in range(400):
        a, b = rng.normal(shift, 1, 9), rng.normal(0, 1, 7)
        won, mean = superiority_interval(a, b), mean_difference(a, b)
        share = share_interval(int(rng.binomial(12, p)), 12)
        gap = share_difference(rng.binomial(200, q), 200, rng.binomial(200, p), 200)
        held["superiority"] += won.low <= norm.cdf(shift / 2**0.5) <= won.high
        held["mean"] += mean.low <= shift <= mean.high
        held["share"] += share.low <= p <= share.high
        held["difference"] += gap.low <= q - p <= gap.high
    assert min(held.values()) >= 0.93 * 400, held


def test_a_perfect_record_of_few_is_not_certain():
    assert superiority_interval([3, 4, 5], [0, 1, 2]).low < 0.6
    assert superiority_interval([0, 1, 2], [3, 4, 5]).high > 0.4
    assert share_interval(0, 3).high > 0.7


@pytest.mark.parametrize(("count", "total"), [(0, 3), (3, 3), (1, 2), (17, 4000), (3999, 4000)])
def test_intervals_of_shares_are_scipys(count, total):
    test, share = binomtest(count, total), share_interval(count, total)
    exact = test.proportion_ci(0.95, method="exact")
    assert (share.low, share.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    for level in (0.95, 0.999):
        wilson = test.proportion_ci(level, method="wilson")
        found = accuracy_interval(count / total, total, level)
        assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=1e-9)
        assert found.low <= count / total <= found.high


def test_the_bootstrap_resamples_each_sample_by_itself():
    told = bootstrap([[1.0, 2.0, 3.0], [10.0] * 4], lambda a, b: b.mean(-1) - a.mean(-1))
    assert told.value == 8.0
    assert 7.0 <= told.low < 8.0 < told.high <= 9.0
    assert told.n == 7
