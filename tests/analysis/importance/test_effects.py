import json
from dataclasses import asdict

import numpy as np
import pytest

from analysis.importance.effects import compute_effects, compute_interaction_map
from analysis.importance.surrogate import fit_surrogate
from analysis.report.findings import best_sentence
from deepsight.space import INACTIVE, choice, loguniform, randint, when
from tests.analysis.random_studies import make_study, study_of

SPACE = {
    "lr": loguniform(1e-4, 1.0),
    "depth": randint(1, 4),
    "kind": choice("a", "b", "c"),
    "only_a": when("kind", "a", randint(0, 10)),
}


def score(config, share):
    """Best at lr = 0.01, depth 3 and kind b."""
    loss = 0.05 * (np.log10(config["lr"]) + 2) ** 2 + 0.02 * abs(config["depth"] - 3)
    loss += {"a": 0.05, "b": 0.0, "c": 0.1}[config["kind"]]
    return (0.8 - loss) * (0.5 + 0.5 * share)


@pytest.fixture(scope="module")
def study():
    return make_study(SPACE, score, num=90, noise=0.002)


@pytest.fixture(scope="module")
def surrogate(study):
    return fit_surrogate(study)


@pytest.fixture(scope="module")
def effects(study, surrogate):
    return {e.name: e for e in compute_effects(study, surrogate=surrogate).effects}


def test_an_effect_is_the_average_over_the_space(effects):
    lr, num = effects["lr"], 17
    assert (lr.kind, lr.log, len(lr.points)) == ("number", True, num)
    assert [p.value for p in lr.points] == pytest.approx(np.geomspace(1e-4, 1.0, num))
    others = 0.02 * np.mean([2, 1, 0, 1]) + np.mean([0.05, 0.0, 0.1])
    for point in lr.points:
        expected = 0.8 - 0.05 * (np.log10(point.value) + 2) ** 2 - others
        assert point.mean == pytest.approx(expected, abs=0.02)
        assert point.low <= point.mean <= point.high
    assert [p.value for p in effects["depth"].points] == [1, 2, 3, 4]
    assert [p.label for p in effects["kind"].points] == ["a", "b", "c"]


def test_the_best_region_holds_the_best_value(effects):
    lr = effects["lr"].best
    assert lr.low * (1 - 1e-9) <= 0.01 <= lr.high * (1 + 1e-9)  # grid points, in floats
    assert lr.high / lr.low < 100
    assert 0 < lr.gain_low <= lr.gain <= lr.gain_high
    assert effects["kind"].best.values == ("b",)
    assert "b: " in best_sentence(effects["kind"])
    assert "clearly" in best_sentence(effects["only_a"])


def test_trials_are_counted_where_they_are(study, effects):
    assert sum(p.num_near for p in effects["lr"].points) == 90
    kinds = [r.config["kind"] for r in study.records]
    assert [p.num_near for p in effects["kind"].points] == [kinds.count(k) for k in "abc"]


def test_inactive_stands_apart(study, effects):
    assert effects["lr"].inactive is None
    inactive = effects["only_a"].inactive
    assert inactive.value is None
    assert inactive.num_near == sum(r.config["only_a"] is INACTIVE for r in study.records)
    active = np.mean([p.mean for p in effects["only_a"].points])
    assert active == pytest.approx(inactive.mean, abs=0.02)  # 0.05 against (0 + 0.1) / 2


def test_a_map_over_two(study, surrogate):
    found = compute_interaction_map(study, "kind", "lr", surrogate=surrogate)
    assert found.a_values == ("a", "b", "c")
    assert (found.a_log, found.b_log) == (False, True)
    mean = np.array(found.mean)
    assert mean.shape == np.array(found.sd).shape == (3, len(found.b_values))
    assert mean.max(axis=1) == pytest.approx([0.73, 0.78, 0.68], abs=0.02)
    assert (np.array(found.sd) >= 0).all()
    with pytest.raises(ValueError, match="none of"):
        compute_interaction_map(study, "kind", "width", surrogate=surrogate)


def test_all_of_it_is_plain(study, surrogate):
    effects = compute_effects(study, surrogate=surrogate)
    json.dumps(asdict(effects), allow_nan=False)
    conditional = compute_interaction_map(study, "kind", "only_a", surrogate=surrogate)
    json.dumps(asdict(conditional), allow_nan=False)


def test_without_a_surrogate_there_is_a_reason():
    effects = compute_effects(study_of(SPACE, []))
    assert effects.effects == ()
    assert "takes 8" in effects.reason
    with pytest.raises(ValueError, match="takes 8"):
        compute_interaction_map(study_of(SPACE, []), "lr", "kind")
