import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from analysis.importance.importance import (
    RANKED,
    TOO_FEW,
    Share,
    _interval,
    _places,
    compute_cost_importance,
    compute_fanova,
    compute_importance,
    compute_survival_importance,
)
from analysis.importance.indices import Obstacle
from analysis.importance.sobol import Indices
from analysis.importance.surrogate import NoSurrogate, fit_surrogate
from analysis.statistics.intervals import Interval
from deepsight.space import INACTIVE, choice, uniform, when
from tests.analysis.random_studies import METRIC, make_study, study_of

SPACE = {
    "main": uniform(0.0, 1.0),
    "early": uniform(0.0, 1.0),
    "kind": choice("a", "b"),
    "only_a": when("kind", "a", uniform(0.0, 1.0)),
    "idle": uniform(0.0, 1.0),
}


def score(config, share):
    """The end is `main`'s; `early` rules the first epochs and has no part in the end."""
    final = 0.8 - 1.2 * (config["main"] - 0.4) ** 2 - 0.1 * (config["kind"] == "b")
    if config["only_a"] is not INACTIVE:
        final -= 0.1 * config["only_a"]
    return final * (1 - (1 - share) * (0.2 + 0.8 * config["early"]))


@pytest.fixture(scope="module")
def study():
    return make_study(SPACE, score, num=90, noise=0.003)


@pytest.fixture(scope="module")
def surrogate(study):
    return fit_surrogate(study)


@pytest.fixture(scope="module")
def importance(study, surrogate):
    return compute_importance(study, surrogate=surrogate)


def test_the_ranking_is_that_of_the_final_score(importance):
    shares = {s.name: s for s in importance.shares}
    assert importance.verdict == RANKED
    assert importance.shares[0].name == "main"
    assert shares["main"].above_noise
    assert shares["main"].rank_low == shares["main"].rank_high == 1
    assert shares["early"].total.value < 0.03
    assert not shares["idle"].above_noise
    assert not shares["early"].above_noise


def test_shares_are_shares(importance):
    for share in importance.shares:
        for estimate in (share.main, share.total):
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert share.main.value <= share.total.value + 0.05
        assert 1 <= share.rank_low <= share.rank_high <= len(importance.shares)
    assert sum(s.main.value for s in importance.shares) == pytest.approx(1, abs=0.15)
    json.dumps(asdict(importance), allow_nan=False)


@pytest.mark.whole_chains
def test_the_same_seed_gives_the_same(study, importance):
    assert compute_importance(study) == importance


def test_the_surrogate_predicts(surrogate):
    config = {"main": 0.4, "early": 0.5, "kind": "b", "only_a": INACTIVE, "idle": 0.1}
    for epoch in (1, 3, 9):
        mean, deviation = surrogate.predict([config], epoch)
        assert mean[0] == pytest.approx(score(config, epoch / 9), abs=0.03)
        assert 0 < deviation[0] < 0.1
        drawn = surrogate.samples([config], epoch, 50, 0)
        assert drawn.shape == (50, 1)
        assert drawn.mean() == pytest.approx(mean[0], abs=0.05)
    assert surrogate.quality.holds_out
    assert surrogate.quality.r2 > 0.9
    with pytest.raises(ValueError, match="epoch must be 1 to 9"):
        surrogate.predict([config], 10)


def test_a_metric_to_be_minimised_has_the_same_shares(study, importance):
    rows = [[row | {METRIC: -row[METRIC]} for row in r.rows] for r in study.records]
    records = [replace(r, rows=turned) for r, turned in zip(study.records, rows, strict=True)]
    turned = compute_importance(study_of(SPACE, records, mode="min"))
    assert turned.shares[0].name == "main"
    assert turned.shares[0].total.value == pytest.approx(importance.shares[0].total.value, abs=0.05)


def test_among_good_configs(study, surrogate):
    good = compute_importance(study, region="good", surrogate=surrogate)
    assert good.region == "good"
    assert {s.name for s in good.shares} == set(SPACE)
    assert all(math.isfinite(s.total.value) for s in good.shares)
    with pytest.raises(ValueError, match="region"):
        compute_importance(study, region="best", surrogate=surrogate)


def test_survival_and_cost_are_questions_of_their_own(study):
    records = []
    for record in study.records:
        seconds = math.exp(2 * record.config["idle"])
        epochs = 1 if record.config["early"] > 0.5 else 9
        rows = [row | {"wall_s": seconds} for row in record.rows[:epochs]]
        records.append(replace(record, rows=rows, explorer=False))
    turned = study_of(SPACE, records)
    cost = compute_cost_importance(turned)
    assert cost.what == "seconds per epoch"
    assert cost.shares[0].name == "idle"
    assert cost.shares[0].total.value > 0.9
    survival = compute_survival_importance(turned)
    assert survival.what == "survival"
    assert survival.shares[0].name == "early"


def test_fanovas_view(study):
    view = compute_fanova(study)
    assert "fANOVA" in view.method
    assert not view.has_intervals
    assert view.shares[0].name == "main"
    assert dict(view.left_out).keys() == {"only_a"}
    assert sum(s.main.value for s in view.shares) == pytest.approx(1)


@pytest.mark.whole_chains
def test_noise_alone_is_not_ranked():
    study = make_study(SPACE, lambda config, share: 0.5, num=60, noise=0.1)
    importance = compute_importance(study)
    assert importance.verdict == TOO_FEW
    assert "held-out" in importance.reason


def changed(study, change):
    return study_of(SPACE, [change(record) for record in study.records])


def no_result(record):
    return replace(record, rows=[], state="failed")


def first_epoch(record, **metrics):
    return replace(record, rows=[record.rows[0] | metrics], state="stopped")


@pytest.mark.parametrize(
    "change",
    [
        lambda s: study_of(SPACE, []),
        lambda s: study_of(SPACE, s.records[:1]),
        lambda s: changed(s, no_result),
        lambda s: changed(s, first_epoch),
        lambda s: changed(s, lambda r: first_epoch(r, score=None)),
        lambda s: changed(s, lambda r: replace(r, config=r.config | {"main": 0.3})),
        lambda s: study_of(SPACE, [r for r in s.records if r.config["kind"] == "b"]),
        lambda s: changed(s, lambda r: replace(r, config=s.records[0].config)),
        lambda s: changed(s, lambda r: replace(r, rows=[x | {METRIC: 0.5} for x in r.rows])),
        lambda s: study_of(
            {"main": uniform(0.0, 1.0)},
            [replace(r, config={"main": r.config["main"]}) for r in s.records],
        ),
    ],
    ids=[
        "no trial",
        "one trial",
        "all failed",
        "one epoch each",
        "no score",
        "one constant",
        "one class seen",
        "all the same",
        "one score",
        "one hyperparameter",
    ],
)
def test_degenerate_studies_get_an_answer(study, change):
    degenerate = change(study_of(SPACE, study.records[:24]))
    surrogate = fit_surrogate(degenerate)
    importances = [
        compute_importance(degenerate, surrogate=surrogate),
        compute_importance(degenerate, surrogate=surrogate, region="good"),
        compute_survival_importance(degenerate),
        compute_cost_importance(degenerate),
        compute_fanova(degenerate),
    ]
    for importance in importances:
        json.dumps(asdict(importance), allow_nan=False)
        assert importance.reason.endswith(".")
    if isinstance(surrogate, NoSurrogate):
        assert importances[0].verdict == TOO_FEW
        assert importances[0].shares == ()


@pytest.mark.parametrize(
    ("low", "high", "above", "said"),
    [
        (0.0, 0.76, False, "cannot be told from chance"),
        (0.0, 0.04, False, "hardly matters"),
        (0.3, 0.6, True, "matters"),
    ],
)
def test_a_wide_interval_is_not_said_to_hardly_matter(low, high, above, said):
    """In a small study random numbers get large shares too; that makes no share a small one."""
    total = Interval(0.5 * (low + high), low, high)
    assert Share("x", total, total, above, 1, 3).text.startswith(f"x {said}:")


@pytest.mark.parametrize("obstacle", [None, *Obstacle])
def test_every_verdict_has_its_sentence(importance, obstacle):
    found = replace(importance, obstacle=obstacle, no_model="no hyperparameter varied.")
    if obstacle is Obstacle.NO_MODEL:
        found = replace(found, quality=None, shares=())
    assert found.reason.endswith(".")
    assert found.reason != replace(found, obstacle=Obstacle.NOISE).reason or obstacle in (
        Obstacle.NOISE,
        Obstacle.NO_MODEL,
    )


@pytest.mark.parametrize("unit", [2.0**-30, 2.0**20])
def test_shares_do_not_depend_on_the_unit_of_the_metric(unit):
    """As an error in metres and in micrometres; powers of two, so that nothing is rounded."""
    space = {"main": uniform(0.0, 1.0), "idle": uniform(0.0, 1.0)}

    def found(unit, region):
        def error(config, share):
            return unit * (config["main"] + 0.3 - 0.3 * share)

        study = make_study(space, error, num=24, metric="mse", mode="min")
        return compute_importance(study, region=region)

    for region in ("all", "good"):
        one, other = found(1.0, region), found(unit, region)
        assert one.shares[0].total.value > 0.9
        assert (other.verdict, other.leads) == (one.verdict, one.leads)
        assert [s.name for s in other.shares] == [s.name for s in one.shares]
        for a, b in zip(one.shares, other.shares, strict=True):
            assert b.total.value == pytest.approx(a.total.value, abs=0.01)
            assert (b.total.low, b.total.high) == pytest.approx(
                (a.total.low, a.total.high), abs=0.01
            )


def test_an_estimate_is_the_mean_and_the_interval_of_all_draws():
    whole, draws = np.full(10, 0.5), np.linspace(0.0, 1.0, 1001)
    estimate = _interval(whole, draws)
    assert estimate.value == pytest.approx(0.5)
    assert (estimate.low, estimate.high) == (pytest.approx(0.01, 0.1), pytest.approx(0.99, 0.01))


def test_variance_that_was_not_seen_may_be_anybodys():
    """As much again: a share of 0.4 is then between 0.2 and 0.7."""
    share = _interval(np.full(10, 0.4), np.full(10, 0.4), unseen=1.0)
    assert (share.value, share.low, share.high) == pytest.approx((0.4, 0.2, 0.7))


def test_places_with_variance_that_was_not_seen():
    total = np.array([[0.6], [0.4], [0.1], [0.0]])  # the last is the random column
    draws = Indices(total, total, np.zeros((4, 4, 1)), np.ones(1), np.ones(1))
    best, worst = _places(draws, 0.0)
    assert best[:, 0].tolist() == worst[:, 0].tolist() == [1, 2, 3]
    best, worst = _places(draws, 0.35)
    assert best[:, 0].tolist() == [1, 1, 2]
    assert worst[:, 0].tolist() == [2, 3, 3]


@pytest.mark.whole_chains
def test_where_few_configs_fail_altogether_nothing_is_ranked():
    """One in 25 fails, and 18 explorers tell little of why: the variance itself is unknown."""
    space = {name: uniform(0.0, 1.0) for name in ("a", "b", "c")}

    def fails(config, share):
        return 0.9 + 0.02 * share * config["b"] - 0.8 * share * (config["a"] > 0.96)

    study = make_study(space, fails, num=90, noise=0.003)
    found = compute_importance(study)
    shares = {share.name: share.total for share in found.shares}
    assert found.verdict == TOO_FEW
    assert min(total.high for total in shares.values()) > 0.3


@pytest.mark.parametrize(("others", "left_out"), [(2, True), (3, False)])
def test_what_was_hardly_varied_has_no_share(study, others, left_out):
    """All but a few trials have about the same value: of such a thing nothing is known."""
    near = {r.trial_id: 0.4 + 0.01 * (i % 9) for i, r in enumerate(study.records[others:])}
    records = [
        replace(r, config=r.config | {"main": near.get(r.trial_id, 0.9)}) for r in study.records
    ]
    importance = compute_importance(study_of(SPACE, records))
    reasons = dict(importance.left_out)
    assert ("main" in reasons) == left_out
    if left_out:
        assert "hardly varied: 88 of 90 trials had" in reasons["main"]
        assert "main" not in {share.name for share in importance.shares}
