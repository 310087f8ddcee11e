"""What every searcher promises, ours and Optuna's own, in a study that is driven without Ray."""

import collections
import random

import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from deepsight.config import UserError
from deepsight.space import INACTIVE, choice, is_active, loguniform, randint, uniform, when
from deepsight.tune.preflight import check_searcher
from deepsight.tune.search.named_samplers import SAMPLERS
from deepsight.tune.search.searcher import Searcher
from tests.tune.plans import make_plan

SPACE = {
    "x": uniform(0.0, 1.0),
    "lr": loguniform(1e-4, 1.0),
    "mix": choice(None, "mixup", "cutmix", "both"),
    "alpha": when("mix", ["mixup", "both"], uniform(0.1, 2.0)),
    "depth": randint(1, 4),
    "last": when("depth", 4, choice(True, False)),
}
OPTUNAS = [
    f"optuna.samplers:{name}"
    for name in (
        "TPESampler",
        "RandomSampler",
        "CmaEsSampler",
        "GPSampler",
        "QMCSampler",
        "NSGAIISampler",
    )
]
OWN = "tests.tune.search.test_searchers:Annealing"


class Annealing(BaseSampler):
    """Keeps its state in memory: steps from the last complete trial, shorter with every one."""

    def __init__(self, seed):
        self._rng = random.Random(seed)
        self._step, self._at = 0.5, 0.5

    def infer_relative_search_space(self, study, trial):
        return {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}

    def sample_relative(self, study, trial, search_space):
        self._step *= 0.9
        return {"x": min(max(self._at + self._rng.uniform(-self._step, self._step), 0.0), 1.0)}

    def sample_independent(self, study, trial, param_name, param_distribution):
        draw = RandomSampler(self._rng.randrange(2**31)).sample_independent
        return draw(study, trial, param_name, param_distribution)

    def after_trial(self, study, trial, state, values):
        if values:
            self._at = trial.params["x"]


class NeedsMore(Annealing):
    def __init__(self, seed, temperature):
        super().__init__(seed)


class LacksAPackage(Annealing):
    def sample_relative(self, study, trial, search_space):
        import nowhere_to_be_found

        return nowhere_to_be_found


class Wanders(Annealing):
    def sample_relative(self, study, trial, search_space):
        return {"x": "far away"}


NO_SAMPLER = object()


@pytest.fixture(params=[*SAMPLERS, *OPTUNAS, OWN])
def name(request):
    if request.param.endswith("CmaEsSampler"):
        pytest.importorskip("cmaes", reason="a development dependency that is not installed")
    return request.param


def plan_for(name, **settings):
    explore = settings.pop("explore", 0.2)
    return make_plan(space=SPACE, searcher=name, explore=explore, seed=3, **settings)


def drive(searcher, numbers):
    """One slot: every third trial stops early, one diverges, one fails, the others are complete."""
    proposals = []
    for number in numbers:
        proposals.append(searcher.propose(number))
        tell(searcher, number, proposals[-1].config)
    return proposals


def outcome(number):
    if number in (5, 6):
        return {5: "diverged", 6: "failed"}[number], 1
    return ("stopped", 1) if number % 3 == 0 else ("completed", 9)


def tell(searcher, number, config):
    state, epochs = outcome(number)
    score = -((config["x"] - 0.3) ** 2) - 0.1 * (config["mix"] is None)
    for epoch in range(1, epochs + 1):
        searcher.report(number, epoch, score - 0.5 / epoch)
    searcher.ended(number, state, epochs, score - 0.5 / epochs)


def check_config(config):
    assert set(config) == set(SPACE)
    for key, domain in SPACE.items():
        if is_active(domain, config):
            assert domain.contains(config[key])
        else:
            assert config[key] is INACTIVE


def test_proposals_lie_in_the_space_and_the_same_seed_proposes_the_same(name):
    check_searcher(plan_for(name))
    first = drive(Searcher(plan_for(name)), range(30))
    for proposal in first:
        check_config(proposal.config)
    assert first == drive(Searcher(plan_for(name)), range(30))
    assert len({p.config["x"] for p in first}) > 20
    assert {p.number for p in first if p.explorer} == {4, 9, 14, 19, 24, 29}


@pytest.mark.parametrize("cut", [1, 12, 23])
def test_a_restored_searcher_proposes_what_an_uninterrupted_one_would_have(name, cut):
    whole = drive(Searcher(plan_for(name)), range(30))
    restored = Searcher(plan_for(name))
    for proposal in whole[:cut]:
        restored.restore(proposal)
        tell(restored, proposal.number, proposal.config)
    assert [p.config for p in drive(restored, range(cut, 30))] == [p.config for p in whole[cut:]]


def test_optuna_opens_the_journal_with_the_right_states(name, tmp_path):
    searcher = Searcher(plan_for(name), tmp_path / "study.journal")
    proposals = [*drive(searcher, range(12)), searcher.propose(12)]
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    trials = optuna.load_study(study_name=None, storage=storage).trials
    expected = {
        "completed": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "diverged": TrialState.FAIL,
        "failed": TrialState.FAIL,
    }
    assert [t.state for t in trials] == [
        *(expected[outcome(n)[0]] for n in range(12)),
        TrialState.RUNNING,
    ]
    for trial, proposal in zip(trials, proposals, strict=True):
        assert trial.user_attrs["trial_id"] == proposal.trial_id
        assert trial.user_attrs["explorer"] == proposal.explorer
        active = {k: v for k, v in proposal.config.items() if is_active(SPACE[k], proposal.config)}
        assert trial.params == active


def test_recorded_values_stand_whatever_a_sampler_says_now():
    whole = drive(Searcher(plan_for("random")), range(12))
    other = Searcher(plan_for(OWN))
    for proposal in whole:
        other.restore(proposal)
        tell(other, proposal.number, proposal.config)
    told = [t.params for t in other.optuna_study.trials]
    assert [params["x"] for params in told] == [p.config["x"] for p in whole]
    assert [params["mix"] for params in told] == [p.config["mix"] for p in whole]


def test_none_is_drawn_as_often_as_any_other_value():
    searcher = Searcher(plan_for("random", explore=1.0))
    trained = [searcher.propose(number).config for number in range(401)]
    counts = collections.Counter(config["mix"] for config in trained[1:])
    assert sum(counts.values()) == 400
    assert all(70 < counts[value] < 130 for value in SPACE["mix"].values)
    for config in trained:
        check_config(config)


@pytest.mark.parametrize("name", [*SAMPLERS, OWN])
def test_none_is_remembered_as_it_was_tried(name):
    plan = plan_for(name)
    searcher = Searcher(plan)
    first = searcher.propose(0)
    assert first.config == plan.default_config()
    assert first.config["mix"] is None
    tell(searcher, 0, first.config)
    proposals = [first, *drive(searcher, range(1, 25))]
    assert sum(p.config["mix"] is None for p in proposals) > 2
    restored = Searcher(plan)
    for proposal in proposals:
        restored.restore(proposal)
        tell(restored, proposal.number, proposal.config)
    told = [[t.params for t in s.optuna_study.trials] for s in (searcher, restored)]
    assert told[0] == told[1]
    assert [params["mix"] for params in told[1]] == [p.config["mix"] for p in proposals]


@pytest.mark.parametrize(
    ("path", "cause", "remedy"),
    [
        ("optuna.samplers:CmaEs", "unknown name", "CmaEsSampler"),
        ("optuna.pruners:MedianPruner", "is no sampler", "BaseSampler"),
        ("optuna.samplers:BaseSampler", "abstract", ""),
        ("optuna.samplers:GridSampler", "without search_space", "derives from it"),
        ("nowhere.at_all:Sampler", "no module 'nowhere'", "install it"),
        ("tests.tune.search.test_searchers:NO_SAMPLER", "is no sampler", "BaseSampler"),
        ("tests.tune.search.test_searchers:NeedsMore", "without temperature", "derives from it"),
        (
            "tests.tune.search.test_searchers:LacksAPackage",
            "the package nowhere_to_be_found",
            "pip install nowhere_to_be_found",
        ),
        ("tests.tune.search.test_searchers:Wanders", "raised", ""),
    ],
)
def test_what_cannot_propose_is_refused_before_the_study(path, cause, remedy):
    with pytest.raises(UserError, match=cause) as refused:
        check_searcher(plan_for(path))
    assert remedy in refused.value.remedy
    assert "\n" not in refused.value.cause + refused.value.remedy


def test_a_sampler_that_has_seen_the_whole_space_goes_on():
    space = {"x": choice(0.1, 0.2, 0.3)}
    plan = make_plan(space=space, searcher="optuna.samplers:BruteForceSampler")
    check_searcher(plan)
    searcher = Searcher(plan)
    for number in range(8):
        x = searcher.propose(number).config["x"]
        searcher.report(number, 9, x)
        searcher.ended(number, "completed", 9, x)
    assert {t.params["x"] for t in searcher.optuna_study.trials} == {0.1, 0.2, 0.3}


def test_an_error_in_a_sampler_is_one_line_of_cause():
    searcher = Searcher(plan_for("tests.tune.search.test_searchers:LacksAPackage"))
    searcher.propose(0)
    with pytest.raises(UserError, match="LacksAPackage raised ModuleNotFoundError"):
        searcher.propose(1)
