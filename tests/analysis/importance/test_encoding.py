import random

import numpy as np
import pytest

from analysis.importance.encoding import make_encoding
from deepsight.space import INACTIVE, choice, loguniform, randint, sample, uniform, when
from deepsight.space_checks import check_space

SPACE = {
    "optim": choice("sgd", "adam", "lion"),
    "lr": loguniform(1e-4, 1.0),
    "momentum": when("optim", "sgd", uniform(0.0, 1.0)),
    "layers": randint(0, 3),
    "width": when("layers", [1, 2, 3], randint(8, 128, log=True)),
    "shape": when("layers", [2, 3], choice("same", "halving")),
}


def draws(space, num=300, fixed=None):
    rng = random.Random(0)
    return [sample(space, fixed or {}, rng) for _ in range(num)]


def test_configs_come_back_from_their_units():
    configs = draws(SPACE)
    encoding = make_encoding(SPACE, {}, configs)
    assert set(encoding.names) == set(SPACE)
    for before, after in zip(configs, encoding.configs(encoding.units(configs)), strict=True):
        assert before == pytest.approx(after)


def test_a_design_is_the_space_as_it_is_drawn():
    configs = draws(SPACE, 4000)
    encoding = make_encoding(SPACE, {}, configs)
    uniforms = np.random.default_rng(0).random((4000, len(SPACE)))
    design = encoding.design(uniforms)
    drawn = encoding.units(configs)
    assert np.isnan(design).mean(0) == pytest.approx(np.isnan(drawn).mean(0), abs=0.03)
    assert np.nanmean(design, 0) == pytest.approx(np.nanmean(drawn, 0), abs=0.03)
    assert all(c["momentum"] is INACTIVE or c["optim"] == "sgd" for c in encoding.configs(design))


def test_what_is_inactive_makes_no_difference():
    configs = draws(SPACE)
    encoding = make_encoding(SPACE, {}, configs)
    base = encoding.units([{"optim": "adam", "lr": 0.1, "layers": 0}])
    assert np.isnan(base).sum() == 3
    uniforms = np.random.default_rng(1).random((50, len(SPACE)))
    uniforms[:, encoding.names.index("optim")] = 0.5  # adam
    uniforms[:, encoding.names.index("layers")] = 0.0
    uniforms[:, encoding.names.index("lr")] = 0.3
    features = encoding.features(encoding.design(uniforms))
    assert len(np.unique(features, axis=0)) == 1


def test_activity_is_a_feature_only_where_no_other_column_shows_it():
    encoding = make_encoding(SPACE, {}, draws(SPACE))
    # momentum's is the column of sgd; width's and shape's cannot be read off a number's column
    assert set(encoding.activity) == {"width", "shape"}


def test_what_does_not_vary_is_left_out_with_the_reason():
    space = SPACE | {"one": choice("a"), "same": uniform(2.0, 2.0)}
    configs = [c | {"lr": 0.1, "momentum": INACTIVE} for c in draws(space)]
    encoding = make_encoding(space, {}, configs)
    assert set(encoding.left_out) == {"one", "same", "lr", "momentum"}
    assert "0.1 in every trial" in encoding.left_out["lr"]
    assert "active in no trial" in encoding.left_out["momentum"]
    assert "one value only" in encoding.left_out["one"]
    assert encoding.configs(encoding.units(configs[:1]))[0]["lr"] == 0.1


def test_conditions_on_fixed_hyperparameters():
    space = {"x": when("kind", "a", uniform(0.0, 1.0)), "y": uniform(0.0, 1.0)}
    on = make_encoding(space, {"kind": "a"}, draws(space, fixed={"kind": "a"}))
    off = make_encoding(space, {"kind": "b"}, draws(space, fixed={"kind": "b"}))
    assert on.names == ("x", "y")
    assert off.names == ("y",)


def test_none_is_a_value_and_inactive_is_none_of_them():
    """A best None decides the score: it is in the encoding, and apart from what is inactive."""
    space = {
        "mix": choice(None, "mixup", "cutmix"),
        "blend": when("mix", "mixup", choice(0.5, None)),
        "off": when("mix", None, uniform(0.0, 1.0)),
    }
    configs = draws(space)
    encoding = make_encoding(space, {}, configs)
    assert encoding.names == ("mix", "blend", "off")
    units = encoding.units(configs)
    for config, (mix, blend, off) in zip(configs, units, strict=True):
        assert mix == [None, "mixup", "cutmix"].index(config["mix"])
        assert np.isnan(blend) == (config["blend"] is INACTIVE) == (config["mix"] != "mixup")
        assert blend != 1.0 or config["blend"] is None
        assert np.isnan(off) == (config["mix"] is not None)
    back = encoding.configs(units)
    assert [c["mix"] for c in back] == [c["mix"] for c in configs]
    assert [c["blend"] for c in back] == [c["blend"] for c in configs]


@pytest.mark.parametrize(
    ("values", "one"), [((0.0, 1.0), 1), ((0, 1), 1.0), ((False, True), 1), ((0, 1), True)]
)
def test_a_condition_holds_however_its_value_is_spelt(values, one):
    """The search trains the child; the report has to know it."""
    for parent in (choice(*values), randint(0, 1)):
        space = {"k": parent, "m": when("k", one, uniform(0.0, 1.0))}
        check_space(space, known=False)
        configs = draws(space)
        active = [c["m"] is not INACTIVE for c in configs]
        assert active == [c["k"] == 1 for c in configs]
        encoding = make_encoding(space, {}, configs)
        assert encoding.names == ("k", "m")
        assert (~np.isnan(encoding.units(configs)[:, 1])).tolist() == active
        assert (~np.isnan(encoding.design(np.random.default_rng(0).random((64, 2)))[:, 1])).any()


def test_what_would_cost_too_much_time_is_left_out_and_said():
    space = SPACE | {f"x{i}": uniform(0.0, 1.0) for i in range(60)}
    space |= {"many": choice(*range(500)), "fifty": choice(*range(50))}
    space = {"many": space.pop("many"), "fifty": space.pop("fifty")} | space
    encoding = make_encoding(space, {}, draws(space))
    assert len(encoding.names) == 24
    assert "fifty" in encoding.names
    assert encoding.left_out["many"] == "a choice of 500 values is not modelled, only up to 50"
    assert encoding.left_out["x59"] == "only the first 24 hyperparameters that vary are modelled"
    assert set(encoding.names) | set(encoding.left_out) == set(space)
