import dataclasses

import pytest
import torch

from deepsight.config import TrialConfig
from deepsight.hardware import choose_hardware
from deepsight.training.epoch import (
    Learner,
    draw_streams,
    evaluate,
    prepare,
    training_batch,
    update,
)
from deepsight.training.trial import build_learner
from tests.training.tiny import config

# what a larger batch and an accumulated one share: no batch norm, no momentum, no dropout
PLAIN = {"batch_norm": False, "dropout": 0.0}


def learner_of(trial: TrialConfig) -> Learner:
    trial = dataclasses.replace(trial, hardware=choose_hardware(trial.hardware, 1))
    return build_learner(trial)


@pytest.mark.parametrize("sizes", [(16, 16, 16), (32, 10), (5, 1)])
def test_accumulated_batches_equal_one_large_batch(sizes: tuple[int, ...]) -> None:
    optim = {"name": "sgd", "momentum": 0.0, "lr": 0.1, "clip_norm": 0.5}
    losses, weights = [], []
    for parts in (sizes, (sum(sizes),)):
        learner = learner_of(config(model=PLAIN, optim=optim, augment={"strength": 0.0}))
        prepare(learner, 1)
        streams = draw_streams(0, 1)
        index = torch.arange(sum(sizes))
        inputs = [training_batch(learner, i, streams) for i in index.split(parts)]
        loss, count = update(learner, inputs, 0)
        assert count == sum(sizes)
        losses.append(loss.item())
        weights.append(torch.cat([p.detach().flatten() for p in learner.model.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.allclose(weights[0], weights[1], atol=1e-6)


def test_the_gradient_is_clipped() -> None:
    moved = {}
    for norm in (0.0, 1e-3):
        optim = {"name": "sgd", "momentum": 0.0, "lr": 1.0, "clip_norm": norm}
        learner = learner_of(config(model=PLAIN, optim=optim))
        prepare(learner, 1)
        before = [p.detach().clone() for p in learner.model.parameters()]
        update(learner, [training_batch(learner, torch.arange(32), draw_streams(0, 1))], 0)
        changes = [
            (p - b).flatten() for p, b in zip(learner.model.parameters(), before, strict=True)
        ]
        decay = 1e-4 * max(b.abs().max().item() for b in before)
        moved[norm] = torch.cat(changes).norm().item()
        assert decay < 1e-3
    assert moved[0.0] > 0.01
    assert moved[1e-3] < 3e-3


def test_accumulating_batches_of_different_sizes_makes_fewer_updates() -> None:
    learner = learner_of(config(optim={"accumulate": 4}))
    sizes = [len(u) for u in learner.updates()]
    assert sizes == [4, 4, 2]  # 300 images, 10 batches of 32


def test_validation_leaves_no_trace() -> None:
    learner = learner_of(config())
    before = {k: v.clone() for k, v in learner.model.state_dict().items()}
    first, second = evaluate(learner), evaluate(learner)
    assert first.loss == second.loss
    assert all(torch.equal(v, before[k]) for k, v in learner.model.state_dict().items())


def test_probabilities_sum_to_one() -> None:
    validated = evaluate(learner_of(config(hardware={"precision": "bf16"})))
    assert validated.probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_memory_format_of_the_inputs(memory_format: str, mix: str) -> None:
    learner = learner_of(config(hardware={"memory_format": memory_format}, augment={"mix": mix}))
    images, _ = training_batch(learner, torch.arange(4), draw_streams(0, 1))
    layout = getattr(
        torch, f"{memory_format}_format" if memory_format == "contiguous" else memory_format
    )
    assert images.is_contiguous(memory_format=layout)
    assert images.dtype == torch.float32


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_targets_are_shares(mix: str) -> None:
    learner = learner_of(config(augment={"mix": mix}))
    _, targets = training_batch(learner, torch.arange(8), draw_streams(0, 1))
    assert targets.shape == (8, 4)
    assert torch.allclose(targets.sum(dim=1), torch.ones(8))
