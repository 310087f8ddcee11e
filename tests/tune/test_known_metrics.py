"""Directions and targets of metrics: known ones bring them, unknown ones are asked for."""

import json

import pytest

from deepsight.config import UserError
from deepsight.metrics import evaluate
from deepsight.run_store import parse_header
from deepsight.space import uniform
from deepsight.tune.known_metrics import REPORTED, USUAL, known_metric
from deepsight.tune.plan import describe, plan_from_header, plan_to_json, resolve_study

OWN = {"study.trainable": "tests.trainables:curve"}


def settings_of(own=False, **values):
    given = {f"study.{name}": value for name, value in values.items()} | (OWN if own else {})
    return resolve_study("n", {"optim.lr": uniform(0.1, 1.0)}, given).settings


@pytest.mark.parametrize(
    ("metric", "mode", "target"),
    [
        ("val_accuracy", "max", 0.65),
        ("val_macro_f1", "max", 0.65),
        ("val_loss", "min", None),
        ("train_loss", "min", None),
        ("val_ece", "min", None),
    ],
)
def test_a_known_metric_brings_its_direction_and_target(metric, mode, target):
    for own in (False, True):
        settings = settings_of(own, metric=metric)
        assert (settings.mode, settings.target) == (mode, target)
    assert settings_of(metric=metric, mode=mode, target=0.3).target == 0.3


def test_what_training_reports_is_known():
    """The names of val metrics are those that `evaluate` makes; recall is a list, no score."""
    import numpy as np

    made = {f"val_{name}" for name in evaluate(np.eye(2), np.array([0, 1]))}
    assert set(REPORTED) == (made - {"val_recall"}) | {"val_loss", "train_loss"}
    assert {known_metric(f"valid_{name}").mode for name in USUAL} == {"max", "min"}


@pytest.mark.parametrize("metric", ["reward", "neg_mean_squared_error", "val_lossy"])
def test_an_unknown_metric_is_asked_for_its_direction(metric):
    with pytest.raises(UserError, match="whether more or less of it is better") as caught:
        settings_of(own=True, metric=metric)
    assert "study.mode=max" in caught.value.remedy
    for mode in ("max", "min"):
        settings = settings_of(own=True, metric=metric, mode=mode)
        assert (settings.mode, settings.target) == (mode, None)


def test_what_training_does_not_report_is_refused():
    for metric, remedy in (("val_acuracy", "val_accuracy"), ("reward", "val_loss")):
        with pytest.raises(UserError, match="unknown study.metric") as caught:
            settings_of(metric=metric, mode="max")
        assert remedy in caught.value.remedy


def test_the_wrong_direction_is_refused_where_the_metric_is_ours():
    with pytest.raises(UserError, match="would look for the worst val_loss"):
        settings_of(metric="val_loss", mode="max")
    settings = settings_of(own=True, metric="val_loss", mode="max")  # theirs may be anything
    assert (settings.mode, settings.target) == ("max", None)


@pytest.mark.parametrize("none", ["none", None])
def test_a_target_may_be_none(none):
    assert settings_of(target=none).target is None
    assert settings_of(target="auto").target == 0.65
    for wrong in ("high", True):
        with pytest.raises(UserError, match="study.target must be a float"):
            settings_of(target=wrong)


@pytest.mark.parametrize("values", [{"metric": "val_loss"}, {"target": None}, {"target": 1}, {}])
def test_direction_and_target_are_stored_as_decided(values):
    given = {f"study.{name}": value for name, value in values.items()}
    plan = resolve_study("n", {"optim.lr": uniform(0.1, 1.0)}, given)
    stored = json.loads(json.dumps(plan_to_json(plan)))
    header = parse_header({"schema_version": 1} | stored, "")
    assert plan_from_header(header) == plan
    assert header.target == plan.settings.target
    assert f"{plan.settings.mode} {plan.settings.metric}" in describe(plan)


def test_a_stored_study_keeps_what_it_looked_for():
    """One that maximised its loss, before there was a table, goes on as it began."""
    stored = json.loads(json.dumps(plan_to_json(resolve_study("n", {"x": uniform(0, 1)}, OWN))))
    stored |= {"schema_version": 1, "metric": "val_loss", "mode": "max", "target": 0.65}
    for settings in ({"study.metric": "val_loss", "study.mode": "max", "study.target": 0.65}, {}):
        plan = plan_from_header(parse_header(stored | {"settings": settings}, ""))
        kept = (plan.settings.metric, plan.settings.mode, plan.settings.target)
        assert kept == ("val_loss", "max", 0.65)
