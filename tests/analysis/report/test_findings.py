"""Sentences are made where the numbers carry them, and nowhere else."""

import random
from dataclasses import replace

import pytest

from analysis.importance.effects import BestRegion, Effect, EffectPoint, Effects
from analysis.importance.importance import RANKED, TOO_FEW, Importance, Share
from analysis.importance.sensitivity import EPOCH_SECONDS, Sensitivity
from analysis.report.findings import compute_findings
from analysis.report.sensitivity_sections import _left_out
from analysis.report.study_results import compute_study_results
from analysis.statistics.intervals import Interval, rank_correlation
from tests.analysis.studies import SMALL, hand_study, ramp, trial

DATA = {"counts": {"val": {"a": 500, "b": 500}}}


def kinds(study, sensitivity=None):
    results = compute_study_results(study)
    if sensitivity:
        results = replace(results, sensitivity=sensitivity)
    return {o.kind: o for o in compute_findings(results)}


def test_a_small_study_says_little(tmp_path):
    found = kinds(hand_study(tmp_path / "s", SMALL))
    assert found == {}  # without validation images not even the gain has an interval


def test_the_gain_over_the_defaults_has_its_interval(tmp_path):
    gain = kinds(hand_study(tmp_path / "s", SMALL, data=DATA))["gain"]
    assert gain.effect.value == pytest.approx(0.3)
    assert 0.25 < gain.effect.low < gain.effect.value < gain.effect.high < 0.35
    assert gain.effect.n == 1000
    tiny = hand_study(tmp_path / "tiny", [trial(ramp(0.60)), trial(ramp(0.61))], data=DATA)
    assert "gain" not in kinds(tiny)


@pytest.mark.whole_chains
def test_no_sentence_on_equal_things(tmp_path):
    """Scores, states and configs drawn without any relation: eight studies, hardly a sentence."""
    sentences = 0
    for seed in range(8):
        rng = random.Random(seed)
        trials = [
            trial(
                ramp(0.5 + rng.gauss(0, 0.02)),
                "completed" if rng.random() < 0.8 else "failed",
                explorer=k % 2 == 0,
                config={
                    "optim.lr": 10 ** rng.uniform(-4, -1),
                    "optim.name": rng.choice(["adamw", "sgd"]),
                },
            )
            for k in range(40)
        ]
        found = kinds(hand_study(tmp_path / str(seed), trials))
        sentences += len(set(found) - {"ranks", "stopping"})  # ramps do foretell their end
    assert sentences <= 1


def test_what_was_lost_names_the_hyperparameter(tmp_path):
    trials = [trial([0.1], "diverged", config={"optim.lr": 0.05 + 0.001 * k}) for k in range(8)]
    trials += [trial(ramp(0.5), config={"optim.lr": 0.001 * (k + 1)}) for k in range(12)]
    loss = kinds(hand_study(tmp_path / "lr", trials))["losses"]
    assert loss.text == "Trials that failed or diverged had larger optim.lr than the others."
    assert (loss.effect.value, loss.effect.n) == (1.0, 20)
    assert loss.effect.low > 0.7
    sgd = {"optim.name": "sgd", "optim.momentum": 0.5}
    trials = [trial([0.1], "failed", config=sgd)] * 8 + [trial(ramp(0.5))] * 12
    loss = kinds(hand_study(tmp_path / "sgd", trials))["losses"]
    assert "name sgd 8 of 8 trials failed or diverged, of the others 0 of 12" in loss.text


def test_the_searchers_gain_over_explorers(tmp_path):
    trials = [trial(ramp(0.5))]
    trials += [trial(ramp(0.8 + 0.01 * k)) for k in range(5)]
    trials += [trial(ramp(0.4 + 0.02 * k), explorer=True) for k in range(6)]
    found = kinds(hand_study(tmp_path / "s", trials))["search"]
    assert found.effect.value == pytest.approx(0.82 - 0.45)
    assert "5 trials are better by 0.37 on" in found.text


def sensitivity_of(verdict):
    share = Share("optim.lr", Interval(0.6, 0.5, 0.7), Interval(0.7, 0.6, 0.8), True, 1, 1)
    stated = {
        "what": "val_accuracy",
        "method": "m",
        "region": "all",
        "epoch": 9,
        "shares": (share,),
        "pairs": (),
        "noise_threshold": 0.05,
        "verdict": verdict,
        "obstacle": None,
        "no_model": "",
        "leads": None,
        "quality": None,
        "num_trials": 40,
        "num_explorers": 8,
        "left_out": (),
        "has_intervals": True,
    }
    importance = Importance(
        **{k: v for k, v in stated.items() if k in Importance.__dataclass_fields__}
    )
    best = BestRegion(0.001, 0.01, (), 0.05, 0.03, 0.07)
    point = EffectPoint(0.003, "0.003", 0.8, 0.75, 0.85, 9)
    effect = Effect("optim.lr", "number", True, (point,), None, best)
    effects = Effects("val_accuracy", "max", 9, (effect,), "", None)
    return Sensitivity(importance, {EPOCH_SECONDS: importance}, effects, ())


def test_importance_is_told_only_when_it_is_ranked(tmp_path):
    study = hand_study(tmp_path / "s", SMALL)
    assert kinds(study, sensitivity_of(TOO_FEW)) == {}
    found = kinds(study, sensitivity_of(RANKED))
    assert (found["importance"].effect.value, found["importance"].effect.low) == (0.7, 0.6)
    assert found["effect"].text == (
        "optim.lr is best between 0.001 and 0.01: 0.05 [0.03, 0.07] better than its average."
    )
    assert found["cost"].effect.n == 40


def test_a_perfect_correlation_of_few_is_not_certain():
    told = rank_correlation([(k, k) for k in range(8)])
    assert told.value == pytest.approx(1.0)
    assert told.low < 0.9
    flat = rank_correlation([(1.0, k) for k in range(8)])
    assert (flat.value, flat.low, flat.high) == (0.0, -1.0, 1.0)


def test_hyperparameters_that_are_not_modelled_are_named_by_reason():
    many = tuple((f"x{i}", "only the first 30") for i in range(8))
    importance = replace(
        sensitivity_of(RANKED).importance, left_out=(("kind", "a choice of 500 values"), *many)
    )
    assert _left_out(importance) == (
        "Nothing is said of kind (a choice of 500 values); "
        "x0, x1, x2, x3, x4 and 3 more (only the first 30)."
    )
