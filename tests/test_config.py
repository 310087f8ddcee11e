"""Every hyperparameter is checked for name, type and range, and the error says what to write."""

import dataclasses
import math
import pickle

import pytest
import yaml

from deepsight.config import (
    DEFAULTS,
    PARAMS,
    SECTIONS,
    STUDY_PARAMS,
    TrialConfig,
    UserError,
    check_value,
    flatten,
    is_import_path,
    study_settings,
    trial_config,
)

ALL = PARAMS | STUDY_PARAMS
NUMBERS = [n for n, f in ALL.items() if type(f.default) in (int, float)]


def refused(name, value):
    with pytest.raises(UserError) as caught:
        check_value(name, value)
    for line in (caught.value.cause, caught.value.remedy):
        assert line.endswith((".", "?"))
        assert "\n" not in line
    return caught.value


@pytest.mark.parametrize("name", ALL)
def test_every_declaration_is_sound(name):
    field = ALL[name]
    assert type(field.default) in (bool, int, float, str)
    assert check_value(name, field.default) == field.default
    assert field.metadata["doc"]
    assert "\n" not in field.metadata["doc"]


@pytest.mark.parametrize("name", ALL)
def test_what_needs_memory_is_declared_for_every_value(name):
    """`gpu_sharing.heaviest_point` reads it: a list has all values, a number has a direction."""
    rule, kind = ALL[name].metadata, type(ALL[name].default)
    if isinstance(rule["memory"], tuple):
        values = (False, True) if kind is bool else rule["choices"]
        assert sorted(rule["memory"]) == sorted(values)
    else:
        assert rule["memory"] in (-1, 0, 1)
        assert rule["memory"] == 0 or kind in (int, float)


@pytest.mark.parametrize("name", ALL)
def test_every_name_refuses_other_types(name):
    rule = ALL[name].metadata
    kind = rule["kind"] or type(ALL[name].default)
    for value in (True, 1, 1.5, "text of nobody", [1], None):
        fits = type(value) is kind or (kind is float and type(value) is int)
        fits = fits or value in rule["words"]
        if not fits:
            assert name in refused(name, value).cause


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_refuses_what_is_out_of_range(name):
    kind, rule = type(ALL[name].default), ALL[name].metadata
    for bound, beyond in ((rule["low"], -1), (rule["high"], 1)):
        if math.isfinite(bound):
            assert check_value(name, kind(bound)) == bound
            assert "must lie in" in refused(name, kind(bound) + beyond).cause
    if kind is float:
        refused(name, math.nan)


def test_the_defaults_build_and_flatten_back():
    assert trial_config({}) == TrialConfig()
    assert flatten(TrialConfig()) == DEFAULTS
    flat = DEFAULTS | {"optim.lr": 0.5, "user.tail": "long", "model.depth": 5}
    assert flatten(trial_config(flat)) == flat


def test_null_takes_the_default_and_an_int_is_a_float():
    config = trial_config({"optim.momentum": None, "optim.lr": 1})
    assert config.optim.momentum == DEFAULTS["optim.momentum"]
    assert type(config.optim.lr) is float


def test_yaml_reads_1e4_as_text_and_the_remedy_says_so():
    value = yaml.safe_load("1e-4")
    error = refused("optim.lr", value)
    assert error.cause == "optim.lr must be a float, got '1e-4'."
    assert "1.0e-4" in error.remedy
    assert check_value("optim.lr", yaml.safe_load("1.0e-4")) == 1e-4


def test_unknown_names_offer_the_nearest():
    for name, meant in (("optim.l", "optim.lr"), ("modle.depth", "model.depth")):
        assert meant in refused(name, 1).remedy
    assert "toy_objects" in refused("data.name", "toy_object").remedy
    with pytest.raises(UserError, match=r"study\.trials"):
        trial_config({"study.trials": 3})
    with pytest.raises(UserError, match=r"optim\.lr"):
        study_settings({"optim.lr": 0.1})


def test_texts_take_choices_prefixes_and_import_paths():
    assert check_value("data.name", "folder:/a b") == "folder:/a b"
    assert check_value("model.name", "my.models:build") == "my.models:build"
    refused("optim.name", "my.optimisers:build")
    refused("model.name", "my.models:")
    refused("study.trainable", "mine")
    assert is_import_path("a.b:c")
    assert not any(is_import_path(t) for t in ("a.b", "a b:c", ":c", "a.:c", "a:b.c", ""))


def test_user_values_are_single():
    assert trial_config({"user.k": 3}).user == {"k": 3}
    refused("user.k", [1])


def test_kernels_are_odd():
    with pytest.raises(UserError, match="odd"):
        trial_config({"model.kernel_size": 4})


def test_configs_are_frozen_and_their_sections_are_named():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrialConfig().optim.lr = 1.0
    assert [f.name for f in dataclasses.fields(TrialConfig)] == [*SECTIONS, "user"]


def test_study_settings():
    settings, resources = study_settings({"study.trials": 3, "resources.cpus_per_trial": 2})
    assert (settings.trials, resources.cpus_per_trial) == (3, 2.0)
    with pytest.raises(UserError, match="exceeds"):
        study_settings({"study.min_epochs": 10, "study.max_epochs": 9})


def test_a_user_error_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(UserError("It broke.", "Fix it.")))
    assert (error.cause, error.remedy, str(error)) == ("It broke.", "Fix it.", "It broke.")


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, math.nan, 10**400], ids=["inf", "-inf", "nan", "huge"]
)
@pytest.mark.parametrize("name", ["study.target", "study.time_limit_s", "user.x", "study.trials"])
def test_numbers_that_no_file_can_hold_are_refused_where_they_are_set(name, value):
    with pytest.raises(UserError, match=f"{name}: .* is no value"):
        check_value(name, value)
