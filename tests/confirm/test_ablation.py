"""Choices of a winner taken back one at a time."""

import dataclasses

import pytest

from analysis.figures.confirmation import draw_waterfall
from analysis.report.confirmation import ablation_sentences
from deepsight.config import UserError
from deepsight.confirm.ablation import ablation_pairs, ablations, within_budget
from deepsight.confirm.cli import main
from deepsight.confirm.record import Comparison, Confirmation, ConfirmedConfig, Estimate
from deepsight.confirm.runs import choose_contenders
from deepsight.space import INACTIVE
from deepsight.tune.plan import plan_from_header
from tests.analysis.studies import hand_study, ramp, trial

SGD = {"optim.name": "sgd", "optim.lr": 0.02, "optim.momentum": 0.6}


@pytest.fixture
def study(tmp_path):
    return hand_study(tmp_path / "s", [trial(ramp(0.6)), trial(ramp(0.9), config=SGD)])


def taken_back(study):
    winner, defaults = choose_contenders(study, 1)
    return ablations(plan_from_header(study.header), winner, defaults)


def test_one_choice_goes_back_and_what_depends_on_it_goes_along(study):
    found = taken_back(study)
    assert set(found) == {"optim.name", "optim.lr", "optim.momentum"}
    assert found["optim.name"].config == {
        "optim.name": "adamw",
        "optim.lr": 0.02,
        "optim.momentum": INACTIVE,
    }
    assert found["optim.lr"].config == SGD | {"optim.lr": 0.001}
    assert found["optim.momentum"].config == SGD | {"optim.momentum": 0.9}  # of deepsight.config
    assert found["optim.lr"].name == "optim.lr = 0.001"


def test_what_becomes_active_has_its_default(tmp_path):
    trials = [trial(ramp(0.6), config=SGD), trial(ramp(0.9), config={"optim.lr": 0.02})]
    found = taken_back(hand_study(tmp_path / "s", trials))
    assert set(found) == {"optim.name"}
    assert found["optim.name"].config == SGD


def test_the_defaults_are_not_asked_about_twice(tmp_path, study):
    winner, defaults = choose_contenders(study, 1)
    every = [winner, *taken_back(study).values(), defaults]
    assert [b for _, b in ablation_pairs(every)][-2:] == ["optim.momentum = 0.9", "defaults"]
    trials = [trial(ramp(0.6)), trial(ramp(0.9), config={"optim.lr": 0.02})]
    other = hand_study(tmp_path / "one", trials)
    winner, defaults = choose_contenders(other, 1)
    pairs = ablation_pairs([winner, *taken_back(other).values(), defaults])
    assert pairs == [("t0001", "optim.lr = 0.001")]


def test_a_budget_pays_for_what_matters_most(study):
    found = taken_back(study)
    shares = {"optim.momentum": 0.5, "optim.lr": 0.3}
    names = [c.name.split()[0] for c in within_budget(found, shares, None, 10)]
    assert names == ["optim.momentum", "optim.lr", "optim.name"]
    assert len(within_budget(found, shares, 49, 10)) == 2
    with pytest.raises(UserError, match="--budget 29 does not pay for one ablation"):
        within_budget(found, shares, 29, 10)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--ablate", "--until", "0.1"], "--ablate is about one config"),
        (["--budget", "9"], "--budget is for --ablate"),
        (["--until", "no"], "--until must be a positive number"),
    ],
)
def test_flags_that_do_not_fit_are_refused(study, arguments, cause, capsys):
    assert main([str(study.directory), *arguments]) == 2
    assert cause in capsys.readouterr().err


def config(name, mean):
    return ConfirmedConfig(
        name, "t0001", {}, (1, 2), (mean, mean), (), 0, None, Estimate(mean, None, None, 2), None,
        None, None,
    )  # fmt: skip


def taken_back_by_hand():
    def pair(second, gain, verdict):
        return Comparison("w", second, "val", Estimate(gain, None, None, 2), 0.01, 0.02, verdict)

    return Confirmation(
        "s", "ablation", "val_accuracy", "max", None, 9, False, "x", "w", "defaults", None, 0, 0, 9,
        (config("w", 0.9), config("lr = 1", 0.7), config("flip = no", 0.95),
         config("defaults", 0.6)),
        (pair("lr = 1", 0.2, "better"), pair("flip = no", -0.05, "undecided"),
         pair("defaults", 0.3, "better")),
    )  # fmt: skip


def test_the_waterfall_ends_at_the_winner():
    found = taken_back_by_hand()
    figure = draw_waterfall(found)
    (axes,) = figure.axes
    bars = [(round(bar.get_x(), 6), round(bar.get_width(), 6)) for bar in axes.patches]
    assert bars == [(0.6, 0.2), (0.8, -0.05), (0.75, 0.15)]
    assert [t.get_text() for t in axes.get_yticklabels()][-2:] == ["only together", "winner"]
    fewer = dict(zip("abc", (1, 2, 3), strict=True)), dict(zip("abc", (4, 5, 6), strict=True))
    winner, *others, defaults = found.configs
    some = (dataclasses.replace(winner, config=fewer[0]), others[0], others[1])
    told = dataclasses.replace(
        found, configs=(*some, dataclasses.replace(defaults, config=fewer[1]))
    )
    (axes,) = draw_waterfall(told).axes
    assert axes.get_yticklabels()[-2].get_text() == "left out, or together"
    sentences = " ".join(ablation_sentences(found))
    assert "Worth something: lr = 1 loses 0.2." in sentences
    assert "Not decided by these seeds: flip = no." in sentences


def test_a_winner_without_a_run_has_no_mean_to_tell():
    found = taken_back_by_hand()
    lost = dataclasses.replace(found.configs[0], mean=None, num_lost=2)
    found = dataclasses.replace(found, configs=(lost, *found.configs[1:]))
    assert ablation_sentences(found) == ("No run of w completed 9 epochs.",)
