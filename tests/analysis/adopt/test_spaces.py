"""The space of an adopted study: stated, declared or inferred, and as text that may be edited."""

import random

import pytest

from analysis.adopt.space_files import read_space, space_text
from analysis.adopt.spaces import is_logarithmic, read_numbers, settle_space
from deepsight.config import UserError
from deepsight.space import (
    Choice,
    Condition,
    Float,
    Int,
    choice,
    loguniform,
    randint,
    uniform,
    when,
)

RNG = random.Random(0)
DRAWN = [loguniform(1e-4, 1.0).sample(RNG) for _ in range(40)]
INFERRED = [
    # values of one hyperparameter, and its domain
    ([0.1, 0.25, 0.5, 0.9], Float(0.1, 0.9)),
    (DRAWN, Float(min(DRAWN), max(DRAWN), log=True)),
    ([32, 64, 128] * 3, Choice((32, 64, 128))),
    ([1, 2, 3, 4] * 3, Int(1, 4)),
    ([16, 40, 77, 90, 300], Int(16, 300)),
    ([2**k for k in range(1, 21)], Int(2, 2**20, log=True)),
    (["b", "a"], Choice(("a", "b"))),
    ([True, False], Choice((False, True))),
    ([None, 0.5], Choice((None, 0.5))),
    (["none", 3], Choice((3, "none"))),
    ([0.5, 1, 2.5], Float(0.5, 2.5)),
]


@pytest.mark.parametrize(("values", "domain"), INFERRED)
def test_a_domain_is_inferred_from_what_was_tried(values, domain):
    settled = settle_space([{"x": value} for value in values], {}, {})
    assert repr(settled.space["x"]) == repr(domain)
    assert "x" in settled.reasons
    assert all(settled.space["x"].contains(value) for value in values)


def test_a_logarithmic_scale_is_told_from_a_linear_one_by_sixty_draws():
    right = {True: 0, False: 0}
    for seed in range(200):
        rng = random.Random(seed)
        for domain in (loguniform(1e-4, 1e-1), uniform(0.0, 1.0)):
            values = [domain.sample(rng) for _ in range(60)]
            right[domain.log] += is_logarithmic(values) == domain.log
    assert min(right.values()) >= 195


def test_what_never_changes_is_fixed_and_a_label_is_left_out():
    configs = [{"seed": 3, "id": f"run-{n}", "x": n / 9} for n in range(9)]
    settled = settle_space(configs, {}, {})
    assert settled.fixed == {"seed": 3}
    assert list(settled.space) == ["x"]
    assert "id is left out" in settled.notes[0]


def test_what_is_missing_together_is_conditional():
    configs = [
        {"kind": "sgd", "nesterov": n % 2 == 0, "momentum": 0.5 + n / 99} for n in range(8)
    ] + [{"kind": kind, "beta": 0.9 + n / 999} for n in range(4) for kind in ("adam", "lion")]
    configs[0]["damping"] = 0.1
    settled = settle_space(configs, {}, {})
    assert settled.space["momentum"].condition == Condition("kind", ("sgd",))
    assert settled.space["beta"].condition == Condition("kind", ("adam", "lion"))
    assert settled.space["nesterov"].condition == Condition("kind", ("sgd",))
    assert settled.space["damping"].condition is None
    assert settled.notes[0].startswith("damping is missing in 15 of 16 trials")


def test_stated_domains_win_and_must_hold_the_values():
    configs = [{"lr": 0.1, "width": 32}, {"lr": 0.2, "width": 64}]
    wide = loguniform(1e-5, 1.0)
    settled = settle_space(configs, {"lr": wide}, {"width": choice(16, 32)})
    assert settled.space == {"lr": wide, "width": choice(16, 32, 64)}
    assert settled.reasons == {}
    with pytest.raises(UserError, match=r"lr was 0\.2 in a trial, outside"):
        settle_space(configs, {"lr": uniform(0.0, 0.1)}, {})
    with pytest.raises(UserError, match="the space names rate, which no trial has"):
        settle_space(configs, {"rate": wide}, {})


WIDENED = [
    (uniform(0.0, 1.0), [0.5, 2.0], Float(0.0, 2.0)),
    (randint(1, 4), [2, 9], Int(1, 9)),
    (randint(1, 4), [2, 2.5], Float(2.0, 2.5)),
    (loguniform(0.1, 1.0), [0.0, 0.5], Float(0.0, 0.5)),
    (when("kind", "a", choice("x")), ["x", "y"], Choice(("x", "y"), Condition("kind", ("a",)))),
]


@pytest.mark.parametrize(("declared", "values", "domain"), WIDENED)
def test_a_declared_domain_is_widened_to_hold_what_was_tried(declared, values, domain):
    configs = [{"x": value, "kind": "a"} for value in values]
    assert settle_space(configs, {}, {"x": declared}).space["x"] == domain


def test_texts_of_numbers_are_numbers_unless_a_choice_of_texts_is_stated():
    configs = [{"lr": "1e-3", "n": "18"}, {"lr": 0.1, "n": "50"}, {"lr": "0.5"}]
    assert read_numbers(configs, {}) == [{"lr": 0.001, "n": 18}, {"lr": 0.1, "n": 50}, {"lr": 0.5}]
    kept = read_numbers(configs, {"n": choice("18", "50")})
    assert [config.get("n") for config in kept] == ["18", "50", None]
    assert read_numbers([{"k": "18"}, {"k": "big"}], {}) == [{"k": "18"}, {"k": "big"}]


SPACE = {
    "optim.lr": loguniform(1e-5, 1e-1),
    "kind": choice("sgd", "yes", "1", "a: b", None, True, 1.5),
    "odd name": uniform(0.0, 1e16),
    "momentum": when("kind", "sgd", uniform(0.0, 0.99)),
    "width": randint(8, 64, log=True),
}


def test_the_text_of_a_space_reads_back_as_the_space(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(space_text(SPACE, {"kind": "7 values"}))
    assert repr(read_space(path)) == repr((SPACE, ()))


def test_the_space_of_a_study_can_be_given(tmp_path):
    path = tmp_path / "study.json"
    path.write_text('{"schema_version": 1, "space": {"x": {"type": "int", "low": 1, "high": 3}}}')
    assert read_space(path) == ({"x": randint(1, 3)}, ())


REFUSED = [
    ("space.py", "SPACE = {}", "is Python, which is code"),
    ("space.yaml", "[1, 2]", "states no space"),
    ("space.yaml", "x: uniform", "x must be a domain or ignore"),
    ("space.yaml", "x: {type: float, low: 2, high: 1}", "out of order"),
    ("space.yaml", "x: {type: float, low: 1e-4, high: 1.0}", "bounds must be numbers, got '1e-4'"),
    ("space.yaml", "x: {type: normal}", "is not readable"),
    ("space.yaml", "x: !!python/object/apply:os.getcwd []", "cannot be read"),
    ("space.yaml", "x: {type: choice, values: [a], when: {name: x, in: [a]}}", "circle"),
]


@pytest.mark.parametrize(("name", "content", "cause"), REFUSED)
def test_a_file_that_is_no_sound_space_is_refused(name, content, cause, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_space(path)
    assert cause in caught.value.cause


def test_a_file_may_leave_a_hyperparameter_out(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("seed: ignore\nx: {type: float, low: 0, high: 1}\n")
    space, ignored = read_space(path)
    configs = [{"seed": 1, "x": 0.5}, {"seed": 2, "x": 0.7}]
    settled = settle_space(configs, space, {}, ignored)
    assert list(settled.space) == ["x"]
    assert settled.fixed == {}
