"""The samplers in Optuna studies that know nothing of DeepSight."""

import re
import statistics
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from deepsight.space import INACTIVE, Choice, Condition, Float, Int
from deepsight.tune.search.named_samplers import SAMPLERS
from deepsight.tune.search.observed_trial import observe
from deepsight.tune.search.optuna_space import seen_distributions, seen_space, to_step
from deepsight.tune.search.samplers import LearningCurveSampler

contract = pytest.importorskip("optuna.testing.pytest_samplers", reason="not in this Optuna")
X = FloatDistribution(0.0, 1.0)


class TestContract(
    contract.BasicSamplerTestCase,
    contract.RelativeSamplerTestCase,
    contract.SingleOnlySamplerTestCase,
):
    """Optuna's own tests of what a sampler owes a study."""

    @pytest.fixture(params=SAMPLERS)
    def sampler(self, request):
        return SAMPLERS[request.param]


def trial(state=TrialState.COMPLETE, value=None, params=None, curve=None, **named):
    params = params or {"x": 0.5}
    return create_trial(
        state=state,
        value=value,
        params=params,
        distributions={name: X for name in params},
        intermediate_values=curve or {},
        **named,
    )


def test_the_example_of_the_docs_runs_and_finds_what_it_planted():
    text = (Path(__file__).parents[3] / "docs" / "samplers.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= 25
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    held = {}
    exec(code, held)
    study = held["study"]
    assert {t.state for t in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(("momentum" in t.params) == (t.params["optimiser"] == "sgd") for t in study.trials)
    assert study.best_trial.params["optimiser"] == "sgd"
    assert study.best_value < 1 / 27 + 0.02  # the optimum is 1 / 27
    again = {}
    exec(code, again)
    assert [t.params for t in again["study"].trials] == [t.params for t in study.trials]


def test_it_beats_random_draws_without_any_report():
    def objective(trial):
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        return (x - 0.3) ** 2 + (y - 0.8) ** 2

    def best(sampler):
        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=20)
        return study.best_value

    ours = statistics.median(best(LearningCurveSampler(seed)) for seed in range(5))
    drawn = statistics.median(best(optuna.samplers.RandomSampler(seed)) for seed in range(5))
    assert ours < drawn / 3


def test_the_space_is_what_the_trials_have_shown_with_the_conditions_they_obeyed():
    kind = CategoricalDistribution(["a", "b", "c"])
    depth, rate = IntDistribution(1, 4), FloatDistribution(1e-4, 1.0, log=True)
    rows = [
        ({"kind": "a", "depth": 1, "rate": 0.1}, {}),
        ({"kind": "b", "depth": 2, "rate": 0.2}, {"extra": 0.5}),
        ({"kind": "c", "depth": 1, "rate": 0.3}, {"extra": 0.6}),
        ({"kind": "a", "depth": 4, "rate": 0.4}, {"deep": 0.7}),
        ({"kind": "b", "depth": 4, "rate": 0.5}, {"extra": 0.1, "deep": 0.7}),
    ]
    trials = [
        create_trial(
            value=1.0,
            params=common | more,
            distributions={"kind": kind, "depth": depth, "rate": rate} | {n: X for n in more},
        )
        for common, more in rows
    ]
    space = seen_space(seen_distributions(trials), trials)
    assert space == {
        "kind": Choice(("a", "b", "c")),
        "depth": Int(1, 4),
        "rate": Float(1e-4, 1.0, log=True),
        "extra": Float(0.0, 1.0, condition=Condition("kind", ("b", "c"))),
        "deep": Float(0.0, 1.0, condition=Condition("depth", (4,))),
    }


def test_ranges_that_change_are_united_and_steps_are_kept():
    trials = [
        create_trial(
            value=1.0, params={"n": n}, distributions={"n": IntDistribution(low, low + 4, step=2)}
        )
        for n, low in ((2, 0), (12, 10))
    ]
    assert seen_distributions(trials) == {"n": IntDistribution(0, 14, step=2)}
    assert to_step(IntDistribution(1, 10, step=3), 6) == 7
    assert to_step(FloatDistribution(-1.0, 1.0, step=0.5), 0.7) == pytest.approx(0.5)


def test_states_and_scores_of_optuna_are_read():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trials = [
            trial(value=0.2, curve={0: 0.9, 1: 0.8, 4: 0.5, 8: 0.3}),
            trial(TrialState.PRUNED, 0.7, curve={0: 0.9, 1: 0.7}),
            trial(TrialState.RUNNING, curve={0: 0.6}),
            trial(TrialState.FAIL, curve={0: 0.6, 1: float("nan")}),
            trial(TrialState.FAIL, curve={0: 0.6}),
            trial(TrialState.PRUNED, curve={0: 0.6}, user_attrs={"state": "diverged"}),
            trial(value=0.1, user_attrs={"explorer": True}),
        ]
    observed, full = observe(trials, ["x", "y"], maximise=False)
    assert full == 9  # steps count from 0
    assert [t.state for t in observed] == [
        "completed",
        "stopped",
        "running",
        "diverged",
        "failed",
        "diverged",
        "completed",
    ]
    assert observed[0].scores == {1: -0.9, 2: -0.8, 9: -0.2}  # halving from 9; its value at the end
    assert observed[1].scores == {1: -0.9, 2: -0.7}
    assert observed[2].scores == {1: -0.6}
    assert observed[6].scores == {9: -0.1}
    assert [t.explorer for t in observed] == [False] * 6 + [True]
    assert observed[0].config == {"x": 0.5, "y": INACTIVE}
    inside, full = observe(trials[:1], ["x"], maximise=True, max_epochs=9, rungs=(1, 4, 9))
    assert inside[0].scores == {1: 0.8, 4: 0.5}


def test_a_trial_that_breaks_a_constraint_counts_as_the_worst():
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        if x > 0.5:
            trial.set_constraint("bound", x - 0.5)
        return x

    study = optuna.create_study(direction="maximize", sampler=LearningCurveSampler(seed=0))
    if not hasattr(optuna.Trial, "set_constraint"):
        pytest.skip("Optuna has constraints of trials since version 5")
    study.optimize(objective, n_trials=30)
    last = [t.params["x"] for t in study.trials[15:]]
    assert 0.4 < study.best_value <= 0.5
    assert sum(x <= 0.55 for x in last) > 10
    states = [t.state for t in observe(study.trials, ["x"], True)[0]]
    assert states == ["diverged" if t.params["x"] > 0.5 else "completed" for t in study.trials]


@pytest.mark.parametrize("name", SAMPLERS)
def test_workers_that_share_a_study_and_a_seed_draw_differently(name):
    study = optuna.create_study(sampler=SAMPLERS[name](seed=7))
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=16, n_jobs=2)
    assert len({t.params["x"] for t in study.trials}) == 16


def test_values_that_were_enqueued_in_part_are_kept():
    study = optuna.create_study(sampler=LearningCurveSampler(seed=0))
    for x in (0.25, 0.75):
        study.enqueue_trial({"x": x})
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=12)
    assert [t.params["x"] for t in study.trials[:2]] == [0.25, 0.75]
