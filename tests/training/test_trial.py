import copy
import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from deepsight.config import DataConfig, TrialConfig, UserError, trial_config
from deepsight.data.datasets import Dataset, load_dataset
from deepsight.training.epoch_result import EpochResult
from deepsight.training.trial import train_trial
from tests.training.tiny import SMALL, config

TIMES = ("wall_s", "busy_s", "images_per_s")
ROW = {
    "epoch",
    "wall_s",
    "busy_s",
    "train_loss",
    "val_loss",
    "val_accuracy",
    "val_macro_f1",
    "val_recall",
    "val_ece",
    "lr",
    "images_per_s",
}


def without_times(result: EpochResult) -> dict:
    return {k: v for k, v in result.metrics.items() if k not in TIMES}


def run(trial: TrialConfig, resume: dict | None = None) -> list[EpochResult]:
    """All results; states are copied, since the next epoch changes their tensors."""
    return [copy.deepcopy(result) for result in train_trial(trial, resume)]


def assert_same_tensors(one: object, other: object) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_tensors(one[key], other[key])
    elif isinstance(one, list | tuple):
        for a, b in zip(one, other, strict=True):
            assert_same_tensors(a, b)
    else:
        assert one == other


def test_it_learns() -> None:
    results = run(config(train={"epochs": 6}))
    assert [r.metrics["epoch"] for r in results] == [1, 2, 3, 4, 5, 6]
    assert results[-1].metrics["val_accuracy"] > 0.8
    assert results[-1].metrics["train_loss"] < results[0].metrics["train_loss"]


def test_the_row_is_complete_and_plain() -> None:
    result = next(train_trial(config()))
    assert set(result.metrics) == ROW
    assert json.loads(json.dumps(result.metrics, allow_nan=False)) == result.metrics
    assert len(result.metrics["val_recall"]) == 4
    assert 0 < result.metrics["busy_s"] <= result.metrics["wall_s"]


def test_predictions_and_pictures() -> None:
    first, second = run(config(train={"epochs": 2}))
    dataset = load_dataset(config().data)
    assert first.predictions["probabilities"].dtype == np.float16
    assert first.predictions["probabilities"].shape == (len(dataset.val.labels), 4)
    assert (first.predictions["labels"] == dataset.val.labels).all()
    assert first.images.shape == (16, 16, 16, 3)
    assert first.images.dtype == np.uint8
    assert second.images is None


def test_pictures_look_like_the_data() -> None:
    plain = {"strength": 0.0}
    first = next(train_trial(config(augment=plain)))
    originals = load_dataset(config().data).train.images
    for picture in first.images:
        distance = np.abs(originals.astype(int) - picture.astype(int)).max(axis=(1, 2, 3)).min()
        assert distance <= 1


GOLDEN = [0.90350, 0.33989, 0.23234, 0.12351]


def test_golden_losses() -> None:
    """A guard against unintended changes: refactoring leaves these numbers where they are."""
    rows = [r.metrics for r in run(config(augment={"strength": 0.0}))]
    losses = [row["train_loss"] for row in rows] + [rows[-1]["val_loss"]]
    assert losses == pytest.approx(GOLDEN, rel=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_seed_determines_everything_but_times(precision: str) -> None:
    trial = config(model={"dropout": 0.3}, hardware={"precision": precision})
    one, other = run(trial), run(trial)
    assert [without_times(r) for r in one] == [without_times(r) for r in other]
    assert_same_tensors(one[-1].state, other[-1].state)
    changed = run(config(model={"dropout": 0.3}, train={"seed": 1}))
    assert without_times(changed[-1]) != without_times(one[-1])


RESUMED = {
    "plain": {},
    "everything": {
        "model": {"dropout": 0.3},
        "augment": {"mix": "mixup"},
        "optim": {"ema_decay": 0.9, "accumulate": 2, "clip_norm": 1.0, "name": "sgd"},
    },
    "resnet20": {
        "model": {"name": "resnet20_cifar", "freeze_fraction": 0.5, "unfreeze": "gradual"},
        "augment": {"mix": "cutmix"},
        "optim": {"ema_decay": 0.9, "accumulate": 2},
        "hardware": {"precision": "bf16"},
    },
    "rmsprop": {"optim": {"name": "rmsprop"}},
    "small maps": {  # the last blocks see 2x2: matrix products
        "model": {"depth": 5, "kernel_size": 5, "freeze_fraction": 0.5, "unfreeze": "at_once"},
        "optim": {"ema_decay": 0.9},
    },
}


@pytest.mark.parametrize("name", RESUMED)
def test_resuming_equals_going_on(name: str) -> None:
    trial = config(**RESUMED[name])
    whole = run(trial)
    for done in (1, 2):
        rest = run(trial, resume=whole[done - 1].state)
        assert [without_times(r) for r in rest] == [without_times(r) for r in whole[done:]]
        assert_same_tensors(rest[-1].state, whole[-1].state)


def test_a_checkpoint_says_which_values_became_black_and_white() -> None:
    trial = config(train={"epochs": 1})
    plain = load_dataset(trial.data)
    assert "value_range" not in next(train_trial(trial)).state
    wide = dataclasses.replace(plain, value_range={"low": 0.0, "high": 4095.0, "num_files": 500})
    state = next(train_trial(trial, None, wide)).state
    assert state["value_range"] == {"low": 0.0, "high": 4095.0, "num_files": 500}


def test_a_finished_trial_yields_nothing_more() -> None:
    trial = config(train={"epochs": 1})
    (only,) = run(trial)
    assert run(trial, resume=only.state) == []


def test_closing_puts_the_process_back() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        trial = train_trial(config(hardware={"threads": 1}))
        next(trial)
        assert torch.get_num_threads() == 1
        trial.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_divergence_ends_the_trial_at_once(accumulate: int) -> None:
    # weight decay multiplies the weights by 1 - 1000 a step: past float32 in the second epoch
    trial = config(
        optim={
            "name": "sgd",
            "lr": 100.0,
            "weight_decay": 10.0,
            "lr_schedule": "constant",
            "batch_size": 64,
            "accumulate": accumulate,
        },
        train={"epochs": 9},
    )
    results = run(trial)
    last = results[-1]
    assert len(results) < 9
    assert [r.diverged for r in results] == [False] * (len(results) - 1) + [True]
    assert last.state is None
    assert last.predictions is None
    assert set(last.metrics) == ROW
    assert last.metrics["val_loss"] is None
    assert last.metrics["val_accuracy"] is None
    assert last.metrics["val_recall"] == [None] * 4
    json.dumps([r.metrics for r in results], allow_nan=False)


def test_image_size_is_what_the_network_sees() -> None:
    small = next(train_trial(config()))
    large = next(train_trial(config(data={"image_size": 24, "interpolation": "bicubic"})))
    assert small.images.shape[1:] == (16, 16, 3)
    assert large.images.shape[1:] == (24, 24, 3)


def test_averaged_weights_are_what_is_validated() -> None:
    trial = config(optim={"ema_decay": 0.99}, train={"epochs": 1})
    (result,) = run(trial)
    plain = run(config(train={"epochs": 1}))[0]
    assert_same_tensors(result.state["model"], plain.state["model"])
    assert result.metrics["val_loss"] != plain.metrics["val_loss"]


def test_learning_rates_of_the_row_are_the_heads() -> None:
    optim = {"lr": 0.02, "lr_schedule": "constant", "backbone_lr_ratio": 0.1}
    (result,) = run(config(optim=optim, train={"epochs": 1}))
    assert result.metrics["lr"] == 0.02
    groups = result.state["optimiser"]["param_groups"]
    assert sorted({g["lr"] for g in groups}) == pytest.approx([0.002, 0.02])


def test_frozen_stages_stay_and_thaw() -> None:
    plan = {"freeze_fraction": 1.0, "unfreeze": "at_once", "unfreeze_epoch": 3}
    first, second, third = run(config(model=plan))
    backbone = [n for n in first.state["model"] if n.startswith("blocks")]
    assert backbone
    for name in backbone:
        assert torch.equal(first.state["model"][name], second.state["model"][name]), name
    moved = [
        n for n in backbone if not torch.equal(second.state["model"][n], third.state["model"][n])
    ]
    assert moved == backbone
    assert not torch.equal(
        first.state["model"]["head.1.weight"], second.state["model"]["head.1.weight"]
    )


def test_the_test_split_is_out_of_reach() -> None:
    dataset = load_dataset(DataConfig(name=SMALL["data.name"]))
    assert "test" not in {f for f in Dataset.__dataclass_fields__}
    names = {name for name in dir(dataset) if "test" in name}
    assert names == set()


def test_a_gpu_that_is_not_there_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UserError, match="no GPU"):
        next(train_trial(config(hardware={"device": "cuda", "precision": "fp32"})))


def test_bf16_and_fp32_agree() -> None:
    losses = {
        p: run(config(hardware={"precision": p}))[-1].metrics["val_loss"] for p in ("fp32", "bf16")
    }
    assert math.isclose(losses["fp32"], losses["bf16"], abs_tol=0.1)


@pytest.mark.slow
def test_digits_are_learnt_by_the_defaults() -> None:
    flat = {
        "data.name": "digits",
        "train.epochs": 6,
        "augment.flip": False,
        "hardware.device": "cpu",
    }
    assert run(trial_config(flat))[-1].metrics["val_accuracy"] > 0.8
