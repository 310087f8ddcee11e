"""Steps replayed as CUDA graphs. What a graph does is tried where there is a GPU."""

import pytest
import torch
from torch.nn import functional as F

from deepsight.augment.batched import BatchedAugment
from deepsight.hardware import choose_hardware
from deepsight.training.cuda_graphs import EAGER_CALLS, Graphed, fits_graphs
from deepsight.training.epoch import train_epoch
from deepsight.training.trial import build_learner, train_trial
from tests.training.test_epoch import learner_of
from tests.training.tiny import config

CUDA = {"device": "cuda"}
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="wants a GPU")

TRIALS = {
    "plain": {},
    "mixup": {"augment": {"mix": "mixup"}},
    "freed stage by stage": {
        "model": {"freeze_fraction": 1.0, "unfreeze": "gradual", "unfreeze_epoch": 2}
    },
    "clipped, averaged": {"optim": {"clip_norm": 0.5, "ema_decay": 0.9, "name": "adamw"}},
    "accumulated": {"optim": {"accumulate": 2}},
    "resized, turned": {"data": {"image_size": 24}, "augment": {"rotate": 10.0}},
    "RMSprop": {"optim": {"name": "rmsprop", "lr": 1e-3}},
}


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"hardware": CUDA}, True),
        ({"hardware": CUDA | {"cuda_graphs": False}}, False),
        ({"hardware": {"device": "cpu"}}, False),
        ({"hardware": CUDA, "model": {"name": "package.module:network"}}, False),
        ({"hardware": CUDA, "loss": {"name": "package.module:loss"}}, False),
    ],
)
def test_what_may_be_captured(changes, fits):
    assert fits_graphs(config(**changes)) is fits


def test_a_cpu_has_no_graphs():
    learner = learner_of(config())
    assert learner.graphed is None
    assert isinstance(learner.augment, BatchedAugment)
    assert not isinstance(learner.augment.vary, Graphed)


@on_a_gpu
@pytest.mark.parametrize("name", TRIALS)
def test_a_replayed_trial_is_the_one_that_runs_as_it_is(name):
    """Losses agree to rounding: cuDNN sums in any order, and small differences grow."""
    found = []
    for graphs in (False, True):
        hardware = CUDA | {"cuda_graphs": graphs, "precision": "fp32"}
        model = {"dropout": 0.0} | TRIALS[name].get("model", {})
        sections = TRIALS[name] | {"hardware": hardware, "model": model}
        results = list(train_trial(config(**{"optim": {"lr": 1e-3}} | sections)))
        found.append([(r.metrics["train_loss"], r.metrics["val_loss"]) for r in results])
    plain, replayed = found
    assert len(replayed) == 3
    torch.testing.assert_close(torch.tensor(replayed), torch.tensor(plain), rtol=0.02, atol=1e-3)


@on_a_gpu
def test_steps_are_replayed_and_the_last_batch_is_not():
    trial = config(hardware=CUDA)
    learner = learner_of(trial)
    train_epoch(learner, 1)
    captured = learner.graphed._captured
    assert captured is not None
    assert learner.augment.vary._captured is not None
    train_epoch(learner, 2)
    assert learner.graphed._captured is captured
    assert all(p.grad is None for p in learner.model.parameters())


@on_a_gpu
def test_a_replay_has_the_gradients_of_its_inputs_and_a_result_of_its_own():
    weights = torch.nn.Parameter(torch.ones(4, device="cuda"))

    def loss_of(values):
        loss = (values * weights).sum()
        torch.autograd.backward(loss)
        return loss.detach()

    graphed, results = Graphed(loss_of, [weights]), []
    for number in range(2 * EAGER_CALLS + 2):
        values = torch.full((4,), float(number), device="cuda")
        results.append(graphed(values))
        torch.testing.assert_close(weights.grad, values)
        weights.grad = None
    assert [r.item() for r in results] == [4.0 * n for n in range(len(results))]


@on_a_gpu
def test_dropout_is_drawn_anew_at_each_replay_and_follows_the_seed():
    graphed, ones = Graphed(lambda x: F.dropout(x, 0.5)), torch.ones(1000, device="cuda")
    runs = []
    for seed in (1, 1, 2):
        for _ in range(EAGER_CALLS + 1):
            graphed(ones)
        torch.manual_seed(seed)
        runs.append([graphed(ones) for _ in range(2)])
    assert not torch.equal(runs[0][0], runs[0][1])
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1], runs[1][1])
    assert not torch.equal(runs[0][0], runs[2][0])


@on_a_gpu
def test_without_memory_for_a_capture_calls_run_as_they_are():
    calls = []

    def grasping(values):
        calls.append(1)
        if len(calls) == EAGER_CALLS + 1:
            torch.empty(2 * torch.cuda.mem_get_info()[1], dtype=torch.uint8, device="cuda")
        return F.dropout(values * 2, 0.5)

    graphed, ones = Graphed(grasping), torch.ones(1000, device="cuda")
    for _ in range(EAGER_CALLS + 3):
        assert 0.8 < graphed(ones).mean().item() / 2 < 1.2
    assert len(calls) == EAGER_CALLS + 4
    other = Graphed(lambda x: x + 1)
    for _ in range(EAGER_CALLS + 2):
        assert torch.equal(other(ones), ones + 1)
    assert other._captured is not None


@on_a_gpu
def test_a_trial_leaves_no_memory_behind():
    trial = config(hardware=CUDA | {"precision": "fp32"})
    hardware = choose_hardware(trial.hardware, 1)
    assert hardware.device == "cuda"
    held = []
    for _ in range(3):
        learner = build_learner(trial)
        train_epoch(learner, 1)
        del learner
        held.append(torch.cuda.memory_allocated())
    assert held[1] == held[2]
