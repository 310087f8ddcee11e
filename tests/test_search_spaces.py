"""The contract of every module in search_spaces: data that can be checked, stored and drawn."""

import importlib
import json
import pkgutil
import random

import pytest

import search_spaces
from deepsight.config import DEFAULTS, PARAMS, check_value, flatten, trial_config
from deepsight.space import INACTIVE, active, default_point, from_json, sample, to_json, to_stored
from deepsight.space_checks import check_space

NAMES = sorted(m.name for m in pkgutil.iter_modules(search_spaces.__path__))
CONTRACT = pytest.mark.parametrize("name", NAMES)

# What FEATURES.md promises under S2 and S3; augmentation strength stands for its magnitudes.
SCRATCH = {
    "model.depth",
    "model.width",
    "model.activation",
    "model.dropout",
    "optim.lr",
    "optim.weight_decay",
    "optim.batch_size",
    "augment.strength",
}
SCRATCH_FULL = SCRATCH | {
    "model.kernel_size",
    "model.dense_activation",
    "model.dense_layers",
    "model.dense_width",
    "model.dense_strategy",
    "model.batch_norm",
    "optim.name",
    "optim.lr_schedule",
}
FINETUNE = {
    "model.freeze_fraction",
    "optim.backbone_lr_ratio",
    "optim.lr",
    "optim.batch_size",
    "model.dropout",
    "augment.strength",
    "augment.mix",
}
FINETUNE_FULL = FINETUNE | {
    "model.unfreeze",
    "model.unfreeze_epoch",
    "optim.layer_decay",
    "optim.lr_schedule",
    "augment.mix_alpha",
    "loss.name",
    "loss.focal_gamma",
    "loss.label_smoothing",
    "optim.accumulate",
}
FINETUNE_INPUT = FINETUNE | {"model.stem", "data.image_size", "data.interpolation"}
CHOICES = {
    "scratch_full": {
        "model.activation": {"relu", "mish", "gelu", "silu", "leaky_relu"},
        "model.dense_strategy": {"same", "halving", "doubling"},
    },
    "finetune_input": {
        "model.freeze_fraction": {0.0, 0.25, 0.5, 0.75, 1.0},
        "model.stem": {"imagenet", "no_pool", "cifar"},
        "data.interpolation": {"bilinear", "bicubic"},
    },
    "finetune_full": {
        "model.freeze_fraction": {0.0, 0.25, 0.5, 0.75, 1.0},
        "model.unfreeze": {"never", "at_once", "gradual"},
        "augment.mix": {"none", "mixup", "cutmix"},
        "optim.lr_schedule": {"onecycle", "cosine", "constant"},
        "loss.name": {"cross_entropy", "class_weighted", "focal", "label_smoothing"},
    },
}


def load(name):
    module = importlib.import_module(f"search_spaces.{name}")
    return module.SPACE, module.FIXED


@CONTRACT
def test_it_is_sound_data(name):
    space, fixed = load(name)
    check_space(space)
    assert importlib.import_module(f"search_spaces.{name}").__doc__
    assert not set(space) & set(fixed)
    for key, value in fixed.items():
        assert key in PARAMS
        assert check_value(key, value) == value


@CONTRACT
def test_it_survives_json(name):
    space, _ = load(name)
    assert from_json(json.loads(json.dumps(to_json(space)))) == space


@CONTRACT
def test_two_hundred_samples_build(name):
    space, fixed = load(name)
    rng = random.Random(0)
    for _ in range(200):
        drawn = sample(space, fixed, rng)
        flat = flatten(trial_config(fixed | to_stored(drawn)))
        live = active(fixed | drawn, space)
        for key, domain in space.items():
            if key in live:
                assert domain.contains(drawn[key])
                assert flat[key] == drawn[key]
            else:
                assert drawn[key] is INACTIVE
                assert flat[key] == DEFAULTS[key]
        assert fixed.items() <= flat.items()


@CONTRACT
def test_every_hyperparameter_is_active_in_some_sample(name):
    space, fixed = load(name)
    rng = random.Random(0)
    seen = {key for _ in range(200) for key in active(fixed | sample(space, fixed, rng), space)}
    assert seen == set(space)


@CONTRACT
def test_the_first_trial_is_the_defaults(name):
    """Where a default exists it lies in the domain, so that the baseline is the one people know."""
    space, fixed = load(name)
    point = default_point(space, fixed, DEFAULTS)
    live = active(fixed | point, space)
    for key in live:
        assert space[key].contains(DEFAULTS[key]), f"{key}: {DEFAULTS[key]} is outside"
        assert point[key] == DEFAULTS[key]
    assert {key for key in space if point[key] is INACTIVE} == set(space) - set(live)


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("scratch", SCRATCH),
        ("scratch_full", SCRATCH_FULL),
        ("finetune", FINETUNE),
        ("finetune_full", FINETUNE_FULL),
        ("finetune_input", FINETUNE_INPUT),
    ],
)
def test_it_holds_what_the_features_promise(name, promised):
    space, _ = load(name)
    assert promised <= set(space)
    for key, values in CHOICES.get(name, {}).items():
        assert values == set(space[key].values)


@pytest.mark.parametrize(("name", "number"), [("finetune", 19), ("scratch", 16)])
def test_the_default_space_is_a_part_of_the_full_one(name, number):
    """Nineteen hyperparameters and 24 trials ended with nothing to say."""
    narrow, _ = load(name)
    full, _ = load(f"{name}_full")
    assert 8 <= len(narrow) <= 10
    assert set(narrow) < set(full)
    assert len(full) == number
