"""What a confirmation lists, costs and refuses; nothing is trained."""

import dataclasses

import pytest

from deepsight.config import UserError
from deepsight.confirm.cli import main
from deepsight.confirm.runs import (
    choose_contenders,
    confirm_plan,
    expected_cost,
    missing_runs,
    run_of,
    with_planned,
)
from deepsight.confirm.variants import fresh_seeds
from deepsight.run_store import parse_header
from deepsight.tune.plan import plan_from_header, plan_to_json
from tests.analysis.claims.studies import grid, search
from tests.analysis.studies import HEADER, SMALL, hand_study, ramp, trial, write_study


@pytest.fixture
def study(tmp_path):
    return hand_study(tmp_path / "s", list(SMALL))


def names(contenders):
    return [c.name for c in contenders]


def test_the_best_configs_come_first_and_the_defaults_last(tmp_path):
    trials = [
        trial(ramp(0.60)),
        trial(ramp(0.90), config={"optim.lr": 0.01}),
        trial(ramp(0.80), config={"optim.lr": 0.01}),  # the same config once more
        trial(ramp(0.85), config={"optim.lr": 0.02}),
        trial(ramp(0.99, 3), config={"optim.lr": 0.03}),  # stopped
        trial(ramp(0.70)),  # the defaults once more
    ]
    study = hand_study(tmp_path / "s", trials)
    found = choose_contenders(study, 2)
    assert names(found) == ["t0001", "t0003", "defaults"]
    assert [c.search_score for c in found] == [0.90, 0.85, 0.60]
    named = choose_contenders(study, 2, ["t0003", "t0004"])
    assert names(named) == ["t0003", "t0004", "defaults"]
    assert named[1].search_score is None
    with pytest.raises(UserError, match=r"--top 3: .* has 2 configs beside the defaults"):
        choose_contenders(study, 3)
    with pytest.raises(UserError, match="unknown trial 't0009'"):
        choose_contenders(study, 1, ["t0009"])


def test_seeds_are_fresh_and_stay_the_same(study):
    assert fresh_seeds(study, 3) == [1000, 1001, 1002]
    assert fresh_seeds(study, 5)[:3] == [1000, 1001, 1002]
    far = parse_header(HEADER | {"fixed": {"train.seed": 990}, "seeds": {"study": 5}}, "study.json")
    assert fresh_seeds(dataclasses.replace(study, header=far), 1) == [2000]  # 995 and ten trials


def test_runs_state_their_seed_and_split(study):
    plan = plan_from_header(study.header)
    best, *_ = choose_contenders(study, 1)
    plain, split = (run_of(plan, best, 1000, resplit) for resplit in (False, True))
    assert (plain["train.seed"], plain["data.split_seed"]) == (1000, 0)
    assert (split["train.seed"], split["data.split_seed"]) == (1000, 1000)
    assert missing_runs([plain], [plain, split, split]) == [split]


def test_a_plan_that_lists_its_trials_survives_its_file(study):
    plan = plan_from_header(study.header)
    runs = [run_of(plan, c, 1000, False) for c in choose_contenders(study, 2)]
    made = with_planned(confirm_plan(plan), runs)
    header = parse_header({"schema_version": 1} | plan_to_json(made), "study.json")
    again = plan_from_header(header)
    assert again.planned == tuple(runs)
    assert again.settings.scheduler == "fifo"
    assert again.settings.trials == 3
    with pytest.raises(UserError, match="lists its 3 trials; 9 cannot"):
        plan_from_header(header, trials=9)


def test_cost_is_what_is_left(study):
    plan = plan_from_header(study.header)
    contenders = choose_contenders(study, 1)
    runs = [(c, run_of(plan, c, s, False)) for s in (1000, 1001) for c in contenders]
    cost = expected_cost(study, None, runs)
    assert (cost.runs, cost.epochs, cost.seconds) == (4, 36, 54.0)  # t0009: 2 s an epoch


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--top", "99"], "has 2 configs beside the defaults"),
        (["--top", "0"], "--top must be a whole number from 1"),
        (["--top", "x"], "--top must be"),
        (["--seeds", "1"], "--seeds must be a whole number from 2"),
        (["--trials", "t0099"], "unknown trial"),
        (["--what"], "unrecognized arguments"),
    ],
)
def test_bad_requests_are_answered_in_two_lines(study, arguments, cause, capsys):
    assert main([str(study.directory), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert cause in err
    assert len(err.splitlines()) == 2


def test_a_study_without_a_trial_of_full_budget_has_nothing_to_confirm(tmp_path, capsys):
    write_study(tmp_path / "s", [trial(ramp(0.5, 3))])
    assert main([str(tmp_path / "s")]) == 2
    assert "completed 9 epochs: nothing was chosen" in capsys.readouterr().err
    assert main([str(tmp_path / "none")]) == 2
    assert "is not a study" in capsys.readouterr().err


def test_code_that_only_the_search_names_is_not_run(tmp_path, capsys):
    trials = [trial(ramp(0.6)), trial(ramp(0.9), config={"optim.lr": 0.01})]
    write_study(tmp_path / "s", trials, fixed={"model.name": "strangers:net"})
    assert main([str(tmp_path / "s"), "--top", "1"]) == 2
    err = capsys.readouterr().err
    assert "wants to run the Python code strangers:net (model.name)" in err
    assert err.rstrip().endswith("add --trust.")


def test_the_best_by_prediction_stand_beside_the_best_by_score(tmp_path, capsys):
    trials = grid()  # batch 32 is best, in every third trial
    stopped = trials[3] | {"scores": [0.8], "state": "stopped"}
    study = search(tmp_path / "s", [*trials[:3], stopped, *trials[4:]])
    best = names(choose_contenders(study, 9))
    main([str(study.directory), "--top", "9", "--predicted", "--dry-run"])
    told = capsys.readouterr().out.splitlines()[0]
    assert told.startswith(f"confirms   {best[0]} val_accuracy")
    assert "t0003 no score at full budget, defaults (t0000)" in told
    contenders = choose_contenders(study, 2, besides=["t0003", best[0]])
    assert names(contenders) == [*best[:2], "t0003", "defaults"]


def test_nothing_is_predicted_from_few_trials(study, capsys):
    assert main([str(study.directory), "--top", "1", "--predicted"]) == 2
    assert "--predicted: " in capsys.readouterr().err
