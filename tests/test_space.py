"""Domains, conditions and their JSON form."""

import collections
import json
import math
import random

import numpy as np
import pytest

from deepsight.config import DEFAULTS, UserError
from deepsight.space import (
    INACTIVE,
    Choice,
    Int,
    active,
    choice,
    decide,
    default_point,
    from_json,
    from_stored,
    loguniform,
    ordered,
    randint,
    same,
    sample,
    to_json,
    to_stored,
    uniform,
    when,
)
from deepsight.space_checks import check_space
from deepsight.tune.plan import resolve_study

NESTED = {
    "user.c": when("user.b", ["deep"], uniform(0, 1)),
    "user.b": when("user.a", True, choice("flat", "deep")),
    "user.a": choice(True, False),
}
DOMAINS = {
    "uniform": uniform(-1, 2),
    "loguniform": loguniform(1e-4, 1e-1),
    "randint": randint(1, 5),
    "log int": randint(1, 1000, log=True),
    "choice": choice("a", "b", 3, None, True),
    "one value": randint(4, 4),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_draws_and_middles_lie_inside(name):
    domain, rng = DOMAINS[name], random.Random(0)
    draws = [domain.sample(rng) for _ in range(2000)]
    assert all(domain.contains(d) for d in draws)
    assert domain.contains(domain.middle())
    if isinstance(domain, Int) and domain.high < 10:
        assert set(draws) == set(range(domain.low, domain.high + 1))


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("name", DOMAINS)
def test_a_value_comes_back_from_the_unit_interval(name, padded):
    domain, rng = DOMAINS[name], random.Random(1)
    for value in [domain.sample(rng) for _ in range(300)]:
        unit = domain.to_unit(value, padded)
        assert 0.0 <= unit <= 1.0
        back = domain.from_unit(unit, padded)
        assert type(back) is type(value)
        assert back == (pytest.approx(value, rel=1e-12) if type(value) is float else value)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("name", DOMAINS)
def test_the_unit_interval_covers_the_domain_in_its_order(name, padded):
    domain = DOMAINS[name]
    values = [domain.from_unit(k / 1000, padded) for k in range(1001)]
    assert all(domain.contains(value) for value in values)
    if isinstance(domain, Choice):
        assert list(dict.fromkeys(values)) == list(domain.values)
        assert values.count(domain.values[0]) == pytest.approx(1000 / len(domain.values), abs=1)
    else:
        assert values == sorted(values)
        assert (values[0], values[-1]) == pytest.approx((domain.low, domain.high))


def test_whole_numbers_are_equally_wide_and_a_log_scale_has_equal_ratios():
    thirds = randint(1, 3)
    assert [thirds.to_unit(v) for v in (1, 2, 3)] == pytest.approx([1 / 6, 1 / 2, 5 / 6])
    assert [thirds.to_unit(v, padded=False) for v in (1, 2, 3)] == [0.0, 0.5, 1.0]
    assert loguniform(1e-4, 1e-2).to_unit(1e-3) == pytest.approx(0.5)
    assert loguniform(1e-4, 1e-2).from_unit(0.25) == pytest.approx(10**-3.5)
    wide = randint(1, 7, log=True)  # from 0.5 to 7.5
    assert wide.to_unit(2) == pytest.approx(math.log(4) / math.log(15))
    assert [uniform(2, 2).to_unit(2), randint(4, 4).to_unit(4)] == [0.5, 0.5]
    with pytest.raises(ValueError, match="not one of"):
        choice(1, 2).to_unit("1")


def test_bounds_are_included():
    assert uniform(0, 1).contains(1)
    assert not uniform(0, 1).contains("0.5")
    assert not uniform(0, 1).contains(math.nan)
    assert randint(1, 5).contains(5)
    assert not randint(1, 5).contains(2.5)
    assert not randint(1, 5).contains(math.inf)


@pytest.mark.parametrize(
    ("a", "b", "one"),
    [
        (1, 1.0, True),
        (1, True, True),
        (0.0, False, True),
        (1, "1", False),
        (None, None, True),
        (None, 0, False),
        (None, "None", False),
        (INACTIVE, INACTIVE, True),
        (INACTIVE, None, False),
        (INACTIVE, "inactive", False),
    ],
)
def test_every_domain_and_condition_has_the_one_rule_of_what_is_the_same(a, b, one):
    assert same(a, b) == same(b, a) == one
    assert choice(a).contains(b) == choice(b).contains(a) == one
    assert when("k", a, choice("x")).condition.holds(b) == one
    if not isinstance(a, int | float):
        return
    assert randint(-1, 2).contains(b) == uniform(-1, 2).contains(b) == one
    assert choice("first", a).contains(b) == one


def test_a_condition_on_none_holds_for_the_value_alone():
    """`mix` is inactive in half of the configs; there its child cannot be active."""
    space = {
        "arch": choice("a", "b"),
        "mix": when("arch", "a", choice(None, "mixup")),
        "child": when("mix", None, uniform(0, 1)),
        "lost": when("nowhere", None, uniform(0, 1)),
    }
    rng = random.Random(0)
    drawn = [sample(space, {}, rng) for _ in range(1000)]
    assert all((c["mix"] is INACTIVE) == (c["arch"] == "b") for c in drawn)
    assert all((c["child"] is not INACTIVE) == (c["mix"] is None) for c in drawn)
    assert 200 < sum(c["child"] is not INACTIVE for c in drawn) < 300
    assert all(c["lost"] is INACTIVE for c in drawn)
    for config in drawn[:100]:
        assert active(config, space) == [n for n in config if config[n] is not INACTIVE]
        assert from_stored(to_stored(config), space, {}) == config


def test_what_is_read_tells_null_from_inactive_and_keeps_what_was_trained():
    space = {"mix": choice(None, "a"), "rate": when("mix", "a", choice(None, 1))}
    assert from_stored({"mix": None, "rate": None}, space, {}) == {"mix": None, "rate": INACTIVE}
    assert from_stored({"mix": "a", "rate": None}, space, {}) == {"mix": "a", "rate": None}
    assert from_stored({"mix": None, "rate": 1, "x": 2}, space, {}) == {
        "mix": None,
        "rate": 1,  # of a version that had another rule
        "x": 2,
    }
    assert from_stored({}, space, {}) == {"mix": INACTIVE, "rate": INACTIVE}
    pinned = {"rate": when("mix", None, choice(None, 1))}
    assert from_stored({"rate": None}, pinned, {"mix": None}) == {"rate": None}
    assert from_stored({"rate": None}, pinned, {"mix": "a"}) == {"rate": INACTIVE}


def test_log_scales_are_uniform_in_the_logarithm():
    rng = random.Random(0)
    draws = [loguniform(1e-4, 1e-1).sample(rng) for _ in range(30_000)]
    decades = collections.Counter(math.floor(math.log10(d)) for d in draws)
    assert all(0.32 < decades[d] / 30_000 < 0.347 for d in (-4, -3, -2))
    assert loguniform(1e-4, 1e-2).middle() == pytest.approx(1e-3)


def test_log_ints_have_the_probabilities_of_optuna():
    """P(k) is proportional to log((k + 1/2) / (k - 1/2))."""
    rng = random.Random(0)
    counts = collections.Counter(randint(1, 8, log=True).sample(rng) for _ in range(40_000))
    for k in range(1, 9):
        expected = math.log((k + 0.5) / (k - 0.5)) / math.log(8.5 / 0.5)
        assert counts[k] / 40_000 == pytest.approx(expected, abs=0.01)


def test_nested_conditions():
    assert ordered(NESTED) == ["user.a", "user.b", "user.c"]
    assert active({"user.a": True, "user.b": "deep", "user.c": 0.5}, NESTED) == ordered(NESTED)
    assert active({"user.a": True, "user.b": "flat"}, NESTED) == ["user.a", "user.b"]
    # a parent that is itself inactive satisfies nothing, whatever value was left in the config
    assert active({"user.a": False, "user.b": "deep", "user.c": 0.5}, NESTED) == ["user.a"]


def test_samples_are_inactive_exactly_where_conditions_fail():
    rng, seen = random.Random(0), set()
    for _ in range(200):
        drawn = sample(NESTED, {}, rng)
        assert list(drawn) == list(NESTED)
        live = active(drawn, NESTED)
        assert {n for n in NESTED if drawn[n] is not INACTIVE} == set(live)
        seen.add(tuple(live))
    assert len(seen) == 3
    assert sample(NESTED, {}, random.Random(7)) == sample(NESTED, {}, random.Random(7))


def test_conditions_read_what_is_fixed():
    space = {"optim.momentum": when("optim.name", "sgd", uniform(0.5, 0.9))}
    assert sample(space, {"optim.name": "adamw"}, random.Random(0)) == {"optim.momentum": INACTIVE}
    assert sample(space, {"optim.name": "sgd"}, random.Random(0))["optim.momentum"] >= 0.5
    names = [name for name, _, _ in decide(space, {"optim.name": "adamw"})]
    assert names == []


def test_circles_are_refused():
    circle = {
        "user.a": when("user.b", 1, choice(1, 2)),
        "user.b": when("user.a", 1, choice(1, 2)),
    }
    with pytest.raises(UserError, match="circle: user.a, user.b"):
        check_space(circle)
    with pytest.raises(UserError, match="circle"):
        check_space({"user.a": when("user.a", 1, choice(1, 2))})


@pytest.mark.parametrize(
    ("space", "cause"),
    [
        ({"optim.lr": 0.1}, "no domain"),
        ({"optim.lr": uniform(1, 0)}, "out of order"),
        ({"optim.lr": loguniform(0, 1)}, "not positive"),
        ({"optim.lr": uniform(0.1, 1000)}, "must lie in"),
        ({"optim.lr": choice("fast")}, "must be a float"),
        ({"optim.l": uniform(0, 1)}, "unknown hyperparameter"),
        ({"optim.name": choice()}, "choice of nothing"),
        ({"optim.name": choice("sgd", "sgd")}, "distinct"),
        ({"train.epochs": randint(1, 9)}, "fidelity"),
        ({"model.depth": uniform(1, 3)}, "must be an int"),
        ({"optim.lr": when("optim.nam", "sgd", uniform(0.1, 1))}, "condition of optim.lr"),
        ({"study.trials": randint(1, 3)}, "unknown hyperparameter"),
        ({"optim.lr": when("optim.name", "sgdd", uniform(0.1, 1))}, "unknown optim.name 'sgdd'"),
        ({"optim.lr": when("model.depth", [], uniform(0.1, 1))}, "never be active"),
        (
            {
                "optim.momentum": when("optim.name", "sgd", uniform(0.5, 0.9)),
                "optim.name": choice("adam", "adamw"),
            },
            "optim.momentum can never be active: optim.name is never 'sgd'",
        ),
    ],
)
def test_unsound_spaces_are_refused(space, cause):
    with pytest.raises(UserError) as caught:
        check_space(space)
    assert cause in caught.value.cause


@pytest.mark.parametrize(
    ("domain", "cause", "remedy"),
    [
        (Int("1", "2"), "bounds must be numbers, got '1'", "1.0e-4"),
        (uniform("0.1", 1), "bounds must be numbers, got '0.1'", "1.0e-4"),
        (uniform(True, 2), "bounds must be numbers, got True", "1.0e-4"),
        (uniform(0, math.inf), "bounds must be finite, got inf", "worth a trial"),
        (uniform(0, 10**400), "is no value: it has no place", "Give a finite number"),
        (loguniform(1, 10**400), "is no value: it has no place", "Give a finite number"),
        (loguniform(math.nan, 1), "bounds must be finite, got nan", "worth a trial"),
        (randint(0, 2**63), "0x8000000000000000 is no value", "Give a finite number"),
        (randint(-(10**400), 1), "is no value: it has no place", "Give a finite number"),
        (randint(0.5, 3.5), "must be whole, got 0.5", "uniform(0.5, 3.5)"),
        (randint(1, np.float64(3)), "must be whole, got 3.0", "uniform(1, 3.0)"),
        (choice((3, 3), (5, 5)), "(3, 3) is of type tuple", "'3x3'"),
        (choice([16, 32, 64]), "[16, 32, 64] is of type list", "choice(*values)"),
        (choice(np.array([16, 32])), "is of type ndarray", "choice(*values)"),
        (choice({"a": 1}, {"a": 2}), "{'a': 1} is of type dict", "for each key"),
        (choice(print), "is of type builtin_function_or_method", "A value is a number"),
        (choice(math.inf, 1.0), "inf is no value", "'inf'"),
        (choice(1.0, math.nan), "nan is no value", "'nan'"),
        (choice(np.float32("inf"), 1), "inf is no value", "'inf'"),
        (choice(True, 1), "True and 1 are the same value", "'True', '1'"),
        (choice(1, 2, 1.0), "1 and 1.0 are the same value", "'1', '1.0'"),
        (choice(None, 4, None), "distinct, got None twice", "once"),
        (when("y", (math.nan,), choice(1, 2)), "condition of x: nan is no value", "'nan'"),
        (when("y", [(1, 2)], choice(1, 2)), "(1, 2) is of type tuple", "'1x2'"),
        (when("z", 1, choice(1, 2)), "unknown hyperparameter in the condition of x: 'z'", "y"),
        (when("y", [], choice(1, 2)), "x can never be active", "that y can have"),
    ],
)
def test_what_no_config_can_hold_is_refused_with_its_name_and_a_remedy(domain, cause, remedy):
    with pytest.raises(UserError) as caught:
        check_space({"x": domain, "y": choice(1, 2, 3)}, known=False)
    assert "x" in caught.value.cause
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy


def test_numpy_scalars_are_what_they_are():
    sizes = choice(*np.array([16, 32]), np.float32(0.5), np.bool_(False), np.str_("auto"))
    assert [repr(value) for value in sizes.values] == ["16", "32", "0.5", "False", "'auto'"]
    bounds = randint(np.int64(1), np.int32(3)), uniform(np.float32(0.5), np.int8(2))
    assert [type(b) for d in bounds for b in (d.low, d.high)] == [int, int, float, float]
    space = {"x": sizes, "y": when("x", list(np.array([16, 32])), bounds[1])}
    check_space(space, known=False)
    assert json.loads(json.dumps(to_json(space)))["y"]["when"] == {"name": "x", "in": [16, 32]}
    plan = resolve_study(
        "n", space, {"study.trainable": "tests.trainables:curve", "z": np.int64(3)}
    )
    assert type(plan.fixed["z"]) is int


@pytest.mark.parametrize("value", [math.inf, math.nan, (3, 3), [1], {"a": 1}])
def test_what_no_config_can_hold_cannot_be_fixed_either(value):
    with pytest.raises(UserError, match="^z: "):
        resolve_study("n", {"x": choice(1)}, {"study.trainable": "a:b", "z": value})


def test_a_space_of_ones_own_needs_no_known_names():
    space = {"x": uniform(-5, 5), "deep": when("x_kind", "a", randint(1, 3)), "x_kind": choice("a")}
    check_space(space, known=False)
    check_space({"deep": space["deep"]}, known=False, fixed=["x_kind"])
    with pytest.raises(UserError):
        check_space(space)


def test_the_default_point():
    space = {
        "optim.lr": loguniform(1e-4, 1e-1),
        "optim.batch_size": choice(8, 16),  # the default, 64, is not among them
        "optim.momentum": when("optim.name", "sgd", uniform(0.8, 0.98)),
        "user.width": randint(2, 5),
    }
    point = default_point(space, {"optim.name": "adamw"}, DEFAULTS)
    assert point == {
        "optim.lr": 2e-3,
        "optim.batch_size": 8,
        "optim.momentum": INACTIVE,
        "user.width": 3,
    }


def test_a_default_is_found_however_it_is_spelt():
    """0.0 among 5, 1 and 0; 0.5 among 1 and 0.5: what a study calls its defaults, it trains."""
    space = {
        "optim.clip_norm": choice(5, 1, 0),
        "augment.strength": choice(1, 0.5),
        "optim.weight_decay": choice(0.1, 0),  # the default, 1e-4, is not among them
    }
    point = default_point(space, {}, DEFAULTS)
    assert point == {"optim.clip_norm": 0, "augment.strength": 0.5, "optim.weight_decay": 0.1}
    assert type(point["optim.clip_norm"]) is int


def test_json_round_trip():
    space = NESTED | {f"user.{i}": domain for i, domain in enumerate(DOMAINS.values())}
    stored = json.loads(json.dumps(to_json(space)))
    assert from_json(stored) == space
    assert stored["user.c"] == {
        "type": "float",
        "low": 0.0,
        "high": 1.0,
        "log": False,
        "when": {"name": "user.b", "in": ["deep"]},
    }


@pytest.mark.parametrize("entry", [{}, {"type": "fuzzy"}, {"type": "float", "low": 1}, 3, None])
def test_unreadable_entries_are_refused(entry):
    with pytest.raises(UserError, match="space entry 'a'"):
        from_json({"a": entry})


def test_when_keeps_the_domain():
    assert when("a", 1, choice("x")) == Choice(("x",), when("a", 1, choice("y")).condition)
    assert when("a", (1, 2), randint(1, 9, log=True)).log
