"""How many trials share a GPU: known answers."""

import pytest

from deepsight.config import DEFAULTS
from deepsight.hardware import parse_memory
from deepsight.space import INACTIVE, choice, randint, uniform, when
from deepsight.tune.plan import resolve_study
from deepsight.tune.plan_files import load_space, space_names
from deepsight.tune.ray_backend.gpu_sharing import (
    MARGIN,
    RESERVE_BYTES,
    as_fraction,
    best_number,
    heaviest_point,
    most_by_memory,
    numbers_to_try,
    pays,
    trials_on_node,
)

GIB = 2**30


@pytest.mark.parametrize(
    ("trial", "free", "most", "number"),
    [
        (4 * GIB, 80 * GIB, 16, 16),
        (4 * GIB, 80 * GIB, 8, 8),
        (10 * GIB, 80 * GIB, 16, 6),  # 79.5 / 11.5
        (40 * GIB, 80 * GIB, 16, 1),  # twice 40 is all there is, and the margin is not
        (100 * GIB, 80 * GIB, 16, 1),  # let it try
        (0, 0, 4, 4),  # nothing measured: memory is no bound
    ],
)
def test_memory_bounds_the_number(trial, free, most, number):
    assert most_by_memory(trial, free, most) == number
    assert number == 1 or number * trial * MARGIN <= free - RESERVE_BYTES or not trial


@pytest.mark.parametrize(
    ("throughput", "number"),
    [
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 198.0, 4: 390.0, 8: 780.0}, 8),
        ({1: 100.0, 2: 180.0, 4: 184.0, 8: 185.0}, 2),  # 180 is within 5 % of 185
        ({1: 100.0, 2: 103.0, 4: 101.0}, 1),
        ({1: 100.0, 2: 160.0, 4: 120.0, 8: 60.0}, 2),
    ],
)
def test_no_more_trials_than_help(throughput, number):
    assert best_number(throughput) == number


@pytest.mark.parametrize(
    ("throughput", "more"),
    [
        ({1: 100.0}, True),
        ({1: 100.0, 2: 127.0}, True),
        ({1: 100.0, 2: 104.0}, False),  # less than 5 % more
        ({1: 630.0, 2: 607.0}, False),  # a GPU that one trial fills (docs/performance.md)
        ({1: 100.0, 2: 198.0, 4: 200.0}, False),
    ],
)
def test_no_more_are_tried_than_pay(throughput, more):
    assert pays(throughput) is more


def test_what_is_tried():
    assert [numbers_to_try(n) for n in (1, 2, 3, 6, 8)] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [1, 2, 4, 6],
        [1, 2, 4, 8],
    ]


@pytest.mark.parametrize("number", range(1, 17))
def test_a_fraction_packs_what_it_stands_for(number):
    assert trials_on_node({"cpu": 1.0, "gpu": as_fraction(number)}, 64, 1) == number


@pytest.mark.parametrize(
    ("cpu", "gpu", "cpus", "gpus", "fit"),
    [
        (1.0, 0.0, 3.9, 0, 3),
        (0.5, 0.0, 2, 8, 4),
        (2.0, 0.5, 16, 4, 8),
        (2.0, 0.5, 6, 4, 3),  # CPUs run out first
        (1.0, 0.4, 16, 4, 8),  # two on each: a fraction spans no two GPUs
        (1.0, 2.0, 16, 5, 2),
        (1.0, 1.0, 16, 0, 0),
        (0.1, 0.0, 0.3, 0, 3),
    ],
)
def test_trials_on_a_node(cpu, gpu, cpus, gpus, fit):
    assert trials_on_node({"cpu": cpu, "gpu": gpu}, cpus, gpus) == fit


def test_the_heaviest_corner():
    space = {
        "optim.batch_size": choice(32, 256, 64),
        "model.depth": randint(2, 5),
        "optim.lr": uniform(0.1, 0.2),
        "model.freeze_fraction": choice(0.5, 0.0),
        "model.unfreeze": when("model.freeze_fraction", 0.5, choice("never", "at_once")),
        "model.stem": choice("imagenet", "cifar", "no_pool"),
        "optim.name": choice("adamw", "sgd"),
    }
    assert heaviest_point(space, {}, {"optim.lr": 0.15}) == {
        "optim.batch_size": 256,
        "model.depth": 5,
        "optim.lr": 0.15,
        "model.freeze_fraction": 0.0,
        "model.unfreeze": INACTIVE,
        "model.stem": "cifar",
        "optim.name": "adamw",
    }


@pytest.mark.parametrize("name", space_names())
def test_every_space_has_a_heaviest_corner(name):
    plan = resolve_study("a", *load_space(name))
    point = heaviest_point(plan.space, plan.fixed, DEFAULTS)
    for key, domain in plan.space.items():
        assert point[key] is INACTIVE or domain.contains(point[key])
    if "optim.batch_size" in plan.space:
        assert point["optim.batch_size"] == max(plan.space["optim.batch_size"].values)


def test_gpu_memory_is_read():
    assert parse_memory("512 MiB, 81559 MiB\n") == (512 * 2**20, 81559 * 2**20)
    assert parse_memory("512, 81559\n100, 200\n") == (512 * 2**20, 81559 * 2**20)
    assert parse_memory("") is None
    assert parse_memory("[N/A], [N/A]\n") is None
