"""Where settings come from and which wins."""

import dataclasses
import json
import random
from pathlib import Path

import pytest

from deepsight.config import DEFAULTS, UserError, trial_config
from deepsight.overrides import parse_set
from deepsight.run_store import StudyFormatError, parse_header
from deepsight.space import INACTIVE, active, choice, loguniform, randint, sample, uniform, when
from deepsight.track.sinks import targets
from deepsight.tune.plan import (
    describe,
    parse_duration,
    plan_from_header,
    plan_to_json,
    resolve_study,
)
from deepsight.tune.plan_files import load_experiment, load_space, space_names
from deepsight.tune.preflight import check_plan
from tests.tune.plans import make_plan

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SPACE = {"optim.lr": loguniform(1e-4, 1e-1), "optim.name": choice("sgd", "adamw")}


def test_later_layers_win():
    fixed = {"model.width": 16, "model.depth": 2, "optim.batch_size": 32}
    experiment = {"model.depth": 4, "optim.batch_size": 128, "study.trials": 5}
    plan = resolve_study("a", SPACE, fixed, experiment, {"optim.batch_size": 256})
    assert plan.fixed["model.width"] == 16
    assert plan.fixed["model.depth"] == 4
    assert plan.fixed["optim.batch_size"] == 256
    assert plan.settings.trials == 5
    assert plan.fixed["model.dropout"] == DEFAULTS["model.dropout"]


def test_a_given_value_pins_a_searched_name():
    plan = resolve_study("a", SPACE, {"optim.lr": 0.01})
    assert list(plan.space) == ["optim.name"]
    assert plan.fixed["optim.lr"] == 0.01


@pytest.mark.parametrize(
    ("pins", "left_out"),
    [
        ({"model.dense_layers": 0}, {"model.dense_width", "model.dense_strategy", "user.deepest"}),
        ({"model.dense_layers": 1}, {"model.dense_strategy", "user.deepest"}),
        ({"model.dense_layers": 2}, set()),
        ({"model.dense_strategy": "same"}, {"user.deepest"}),
        ({"model.dense_width": 64}, set()),
    ],
)
def test_what_can_never_be_active_is_not_searched(pins, left_out):
    """By the value that is fixed, not by the default; nor what waits for such a hyperparameter."""
    space = {
        "user.deepest": when("model.dense_strategy", "halving", uniform(0.0, 1.0)),
        "model.dense_strategy": when("model.dense_layers", [2, 3], choice("same", "halving")),
        "model.dense_width": when("model.dense_layers", [1, 2, 3], choice(64, 128)),
        "model.dense_layers": randint(0, 3),
        "optim.lr": loguniform(1e-4, 1e-1),
    }
    plan = resolve_study("study", space, pins)
    assert set(plan.space) == set(space) - set(pins) - left_out
    assert left_out - {"user.deepest"} <= set(plan.fixed)
    rng = random.Random(0)
    configs = [sample(plan.space, plan.fixed, rng) for _ in range(50)]
    seen = {name for c in configs for name in active(plan.fixed | c, plan.space)}
    assert seen == set(plan.space)
    assert plan.pinned == tuple(pins)


def test_epochs_follow_the_budget():
    plan = resolve_study("a", SPACE, {"study.max_epochs": 27, "study.reduction_factor": 3})
    assert trial_config(plan.full_config(plan.default_config())).train.epochs == 27
    assert plan.rungs == (1, 3, 9, 27)


@pytest.mark.parametrize(
    ("layer", "cause"),
    [
        ({"optim.lrr": 0.1}, "unknown hyperparameter 'optim.lrr'"),
        ({"optim.lr": "1e-4"}, "optim.lr must be a float, got '1e-4'"),
        ({"optim.batch_size": 0}, r"optim.batch_size must lie in \[1, 65536\], got 0"),
        ({"model.name": "resnet19"}, "unknown model.name 'resnet19'"),
        ({"train.epochs": 3}, "train.epochs is the fidelity"),
        ({"study.trails": 3}, "unknown hyperparameter 'study.trails'"),
        ({"study.min_epochs": 20}, "study.min_epochs .20. exceeds"),
        ({"optim.lr": 0.1, "optim.name": "sgd"}, "nothing is left to search"),
        ({"model.kernel_size": 4}, "model.kernel_size must be odd"),
        ({"study.trainable": "nonsense"}, "unknown study.trainable"),
    ],
)
def test_mistakes_are_named(layer, cause):
    with pytest.raises(UserError, match=cause) as caught:
        resolve_study("a", SPACE, layer)
    assert caught.value.remedy.endswith((".", "?"))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "-a", "a b", "a" * 101])
def test_a_name_never_leaves_the_directory_of_studies(name):
    with pytest.raises(UserError, match="is no name for a study"):
        resolve_study(name, SPACE)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("optim.lr=1e-4", ("optim.lr", 1e-4)),
        ("optim.lr=1", ("optim.lr", 1)),
        ("optim.batch_size=64", ("optim.batch_size", 64)),
        ("model.batch_norm=false", ("model.batch_norm", False)),
        ("data.name=folder:/a=b", ("data.name", "folder:/a=b")),
        ("user.alpha=0.5", ("user.alpha", 0.5)),
        ("user.kind=true", ("user.kind", True)),
        ("user.kind=red", ("user.kind", "red")),
    ],
)
def test_set_reads_the_declared_type(text, parsed):
    assert parse_set(text) == parsed


@pytest.mark.parametrize("text", ["optim.lr", "=3", "optim.lr=fast", "optim.batch_size=1.5"])
def test_set_refuses(text):
    with pytest.raises(UserError):
        parse_set(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86_400)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-3m", "0s", "3 weeks", "1h30m"])
def test_no_durations(text):
    with pytest.raises(UserError, match="is no duration"):
        parse_duration(text)


def stored_header(plan):
    return parse_header({"schema_version": 1} | json.loads(json.dumps(plan_to_json(plan))), "")


@pytest.mark.parametrize("name", space_names())
def test_a_plan_survives_json(name):
    plan = resolve_study("a", *load_space(name))
    assert plan_from_header(stored_header(plan)) == plan


def test_a_resumed_plan_may_be_given_more_trials():
    stored = stored_header(make_plan())
    assert plan_from_header(stored, trials=99).settings.trials == 99


def test_the_space_of_an_own_trainable_has_names_of_its_own():
    plan = make_plan(space={"x": uniform(0, 4), "y": choice("b", "a")})
    assert plan.default_config() == {"x": 2.0, "y": "b"}
    assert set(plan.fixed) == set()


def test_dry_run_shows_what_will_happen():
    text = describe(make_plan(trials=7))
    assert "7, 20% of them explorers\n" in text
    assert "explorers; fewer if they do not fit into 90 s\n" in describe(make_plan(time_limit_s=90))
    assert text.count("sample") == 3
    assert "rungs 1, 3, 9" in text


def test_experiments_are_tables_of_values(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("space: smoke\nfixed: {optim.lr: 0.01}\nstudy: {trials: 3}\n")
    read = load_experiment(str(path))
    assert read["space"] == "smoke"
    assert read["values"] == {"optim.lr": 0.01, "study.trials": 3}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("space: [", "cannot be read"),
        ("- a\n- b\n", "holds no table"),
        ("spaec: smoke\n", "unknown key in .*: 'spaec'"),
        ("fixed: 3\n", "fixed in .* is no table"),
        ("space: {optim.lr: 0.1}\n", "space in .* is no text"),
        ("x: !!python/object:os.system {}\n", "cannot be read"),
    ],
)
def test_experiments_that_cannot_be(tmp_path, text, cause):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=cause):
        load_experiment(str(path))


def test_yaml_text_that_looks_like_a_number_is_explained(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("space: smoke\nfixed: {optim.weight_decay: 1e-4}\n")
    with pytest.raises(UserError, match="got '1e-4'") as caught:
        resolve_study("a", *load_space("smoke"), load_experiment(str(path))["values"])
    assert "1.0e-4" in caught.value.remedy


@pytest.mark.parametrize("bundled", [p.stem for p in EXPERIMENTS.glob("*.yaml")])
def test_bundled_experiments_resolve(bundled):
    read = load_experiment(bundled)
    plan = resolve_study("a", *load_space(read["space"]), read["values"])
    assert plan.settings.trials > 0


def test_a_space_by_path(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from deepsight.space import uniform\nSPACE = {'model.dropout': uniform(0, 0.5)}\n"
    )
    space, fixed = load_space(str(path))
    assert list(space) == ["model.dropout"]
    assert fixed == {}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("SPACE = {}", "declares no SPACE"),
        ("import nothing_of_that_name", "cannot be read: ModuleNotFoundError"),
        ("SPACE = 3", "declares no SPACE"),
    ],
)
def test_spaces_that_cannot_be(tmp_path, text, cause):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UserError, match=cause):
        load_space(str(path))


def test_unknown_space_names_the_known_ones():
    with pytest.raises(UserError) as caught:
        load_space("fintune")
    assert "finetune" in caught.value.remedy


def test_a_study_may_list_its_trials():
    from deepsight.tune.search.searcher import Searcher

    plain = make_plan()
    listed = tuple({"x": x, "kind": "plain", "extra": INACTIVE} for x in (0.5, 0.25, 0.5))
    settings = dataclasses.replace(plain.settings, searcher="planned", trials=3)
    plan = dataclasses.replace(plain, planned=listed, settings=settings)
    header = parse_header({"schema_version": 1} | plan_to_json(plan), "study.json")
    assert plan_from_header(header).planned == listed
    searcher = Searcher(plan)
    proposals = [searcher.propose(number) for number in range(3)]
    assert [p.config for p in proposals] == list(listed)
    assert {(p.explorer, p.budget) for p in proposals} == {(False, 9)}
    with pytest.raises(UserError, match="lists its 3 trials; 4 cannot be asked for"):
        plan_from_header(header, trials=4)
    with pytest.raises(UserError, match="planned is for studies that list their trials"):
        make_plan(searcher="planned")
    with pytest.raises(StudyFormatError, match="planned must be a list of configs"):
        parse_header(dict(header.stored) | {"planned": [1]}, "study.json")


def test_trackers_are_named_with_commas_and_unknown_or_missing_ones_refused(monkeypatch):
    assert targets(make_plan(trackers="mlflow, wandb,mlflow").settings.trackers) == (
        "mlflow",
        "wandb",
    )
    assert targets(make_plan().settings.trackers) == ()
    with pytest.raises(UserError, match="tensorboard"):
        make_plan(trackers="mlflow,tensorboard")
    monkeypatch.setattr("deepsight.track.sinks.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the library mlflow") as refused:
        check_plan(make_plan(trackers="mlflow"))
    assert "pip install 'deepsight[mlflow]'" in refused.value.remedy
