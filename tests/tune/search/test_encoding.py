"""Configs as rows: back and forth, and what is not active makes no distance."""

import random

import numpy as np
import pytest

from deepsight.space import (
    INACTIVE,
    Float,
    choice,
    default_point,
    loguniform,
    randint,
    sample,
    uniform,
    when,
)
from deepsight.tune.search.encoding import Encoder
from search_spaces import finetune, finetune_full, scratch_full

MIXED = {
    "kind": choice("plain", "fancy", "plainer"),
    "depth": randint(1, 4),
    "width": randint(8, 512, log=True),
    "lr": loguniform(1e-5, 1.0),
    "constant": uniform(0.5, 0.5),
    "extra": when("kind", "fancy", uniform(0.0, 1.0)),
    "deep": when("depth", [3, 4], choice(True, False)),
    "deeper": when("deep", True, randint(0, 9)),
    "mix": choice("cutmix", None, "mixup"),
    "blend": when("kind", ["plain", "fancy"], choice("a", None)),
}
SPACES = {
    "mixed": (MIXED, {}),
    "finetune": (finetune.SPACE, finetune.FIXED),
    "finetune_full": (finetune_full.SPACE, finetune_full.FIXED),
    "scratch_full": (scratch_full.SPACE, scratch_full.FIXED),
}


def same(first, second):
    return all(
        first[n] == second[n] or abs(first[n] - second[n]) <= 1e-9 * abs(first[n]) for n in first
    )


@pytest.fixture(params=SPACES)
def encoder(request):
    return Encoder(*SPACES[request.param])


def test_a_config_comes_back_from_its_row(encoder):
    rng = random.Random(0)
    configs = [sample(encoder.space, encoder.fixed, rng) for _ in range(50)]
    configs.append(default_point(encoder.space, encoder.fixed, {}))
    rows = encoder.encode(configs)
    assert rows.min() >= 0
    assert rows.max() <= 1
    assert all(same(c, encoder.decode(r)) for c, r in zip(configs, rows, strict=True))


@pytest.mark.parametrize("how", ["draw", "from_unit", "perturb"])
def test_what_is_drawn_or_moved_lies_in_the_space(encoder, how):
    rng = np.random.default_rng(0)
    rows = encoder.draw(60, rng)
    if how == "from_unit":
        rows = encoder.from_unit(rng.random((60, len(encoder.space))))
    if how == "perturb":
        rows = encoder.perturb(rows, rng)
    configs = [encoder.decode(row) for row in rows]
    for config in configs:
        for name, value in config.items():
            assert value is INACTIVE or encoder.space[name].contains(value)
    np.testing.assert_allclose(encoder.encode(configs), rows, atol=1e-9)


def test_draws_are_uniform_in_each_domain():
    encoder = Encoder(MIXED, {})
    configs = [encoder.decode(row) for row in encoder.draw(4000, np.random.default_rng(0))]
    assert abs(sum(c["kind"] == "plain" for c in configs) - 4000 / 3) < 120
    assert abs(sum(c["lr"] < 10**-2.5 for c in configs) - 2000) < 130
    assert abs(sum(c["depth"] == 1 for c in configs) - 1000) < 110


def test_a_neighbour_stays_near_its_parent_more_often_than_not():
    encoder = Encoder({f"x{i}": Float(0.0, 1.0) for i in range(4)}, {})
    rows = np.full((500, 4), 0.5)
    moved = np.abs(encoder.perturb(rows, np.random.default_rng(0)) - 0.5)
    assert 0.2 < (moved == 0).mean() < 0.6
    assert np.median(moved[moved > 0]) < 0.1


def test_a_condition_on_something_fixed_is_read_there():
    space = {"x": when("kind", "fancy", uniform(0.0, 1.0)), "y": uniform(0.0, 1.0)}
    for kind, active in (("fancy", True), ("plain", False)):
        encoder = Encoder(space, {"kind": kind})
        config = encoder.decode(encoder.draw(1, np.random.default_rng(0))[0])
        assert (config["x"] is not INACTIVE) == active
