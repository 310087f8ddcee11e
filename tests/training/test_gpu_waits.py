"""What a training step asks of a GPU: nothing that it would have to wait for."""

from functools import partial

import pytest
import torch

from deepsight.config import LossConfig
from deepsight.losses import build_loss, focus_on_pairs
from deepsight.training.epoch import draw_streams, prepare, training_batch, update
from tests.training.fake_gpu import GPU, fake_gpu, on_gpu, set_gradients
from tests.training.test_epoch import learner_of
from tests.training.tiny import config

ALL = {"rotate": 10.0, "flip": True, "strength": 1.0}

SHIFTS = ALL | {"rotate": 0.0, "scale": 0.0, "colour": 0.0}

STEPS = {
    "resident": {
        "augment": ALL | {"mix": "mixup"},
        "data": {"image_size": 24},
        "loss": {"name": "focal"},
        "optim": {"clip_norm": 1.0, "ema_decay": 0.9},
    },
    "on the host": {
        "augment": ALL | {"mix": "cutmix"},
        "loss": {"name": "class_weighted"},
        "optim": {"accumulate": 2},
    },
    "resident, plain": {
        "augment": SHIFTS,
        "hardware": {"memory_format": "contiguous"},
        "loss": {"name": "label_smoothing"},
        "model": {"freeze_fraction": 0.5},
        "optim": {"name": "rmsprop"},
    },
}


@pytest.mark.parametrize("place", STEPS)
def test_a_step_waits_for_nothing(place, monkeypatch):
    learner = learner_of(config(**STEPS[place]))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)  # wants a driver
    with fake_gpu() as waits:
        learner = on_gpu(learner, ((0, 1),), resident=place != "on the host")
        monkeypatch.setattr(torch.autograd, "backward", partial(set_gradients, learner=learner))
        prepare(learner, 1)
        streams = draw_streams(0, 1)
        order = learner.train.order(torch.Generator())
        batches = learner.updates()[0]
        for number in range(2):
            if number == 1:
                waits.where.clear()  # the first step may fill caches
            inputs = [training_batch(learner, order[batch], streams) for batch in batches]
            loss, count = update(learner, inputs, number)
        assert waits.where == []
        assert (loss.device, count) == (GPU, 32 * len(batches))
        assert all(images.device == targets.device == GPU for images, targets in inputs)


def test_a_wait_is_noticed():
    with fake_gpu() as waits:
        values = torch.empty(4, device=GPU)
        build_loss(LossConfig("class_weighted"), torch.ones(4))(values[None], values[None])
        assert [place.partition(":")[0] for place in waits.where] == ["losses.py"]
        with pytest.raises(Exception, match="_local_scalar_dense"):
            float(values.sum())


def test_hard_images_are_ranked_without_knowing_how_many():
    """By hand: of three images of the pair the harder two count, divided by the batch's size."""
    p_true = torch.tensor([0.9, 0.2, 0.5, 0.3])
    logits = torch.stack([p_true.log(), (1 - p_true).log(), torch.full((4,), -30.0)], 1)
    targets = torch.tensor([0, 0, 0, 2])
    plain = build_loss(LossConfig(), torch.ones(3))
    added = focus_on_pairs(plain, [(0, 1)])(logits, targets) - plain(logits, targets)
    assert added.item() == pytest.approx(-(p_true[1].log() + p_true[2].log()).item() / 4, rel=1e-5)
