"""What a few steps of a trial tell; without a GPU, its memory is none."""

import torch

from deepsight import checkpoint
from deepsight.config import trial_config
from deepsight.training.step_benchmark import WARM_UPDATES, Memory, StepBenchmark, first_images
from deepsight.training.trial import train_trial

FLAT = {
    "data.name": "digits",
    "model.depth": 1,
    "model.width": 4,
    "model.dense_layers": 0,
    "optim.batch_size": 512,
    "hardware.device": "cpu",
}


def test_steps_are_counted_over_epochs():
    threads = torch.get_num_threads()
    measured = StepBenchmark(trial_config(FLAT), 1.0)
    assert measured.warm() == Memory(0, 0)
    assert measured._number == WARM_UPDATES
    updates = len(measured._learner.updates())
    assert measured._updates(3 * updates + 1, None) == 3 * updates + 1  # on into a fourth epoch
    before = measured._number
    rate = measured.run(0.3)
    done = measured._number - before
    assert 0.3 <= done / rate < 3.0
    assert torch.get_num_threads() == threads


def test_one_validation_step_is_enough_for_memory():
    learner = StepBenchmark(trial_config(FLAT), 1.0)._learner
    assert len(learner.val) > 256
    assert len(first_images(learner).val) == 256


def test_an_epoch_is_told_from_every_phase_of_freezing():
    thawing = {
        "model.depth": 2,
        "model.freeze_fraction": 1.0,
        "model.unfreeze": "at_once",
        "model.unfreeze_epoch": 2,
        "train.epochs": 3,
    }
    measured = StepBenchmark(trial_config(FLAT | thawing), 1.0)
    assert measured.epoch_seconds(0.0) > 0.0
    assert measured._number == 2 * 2  # an update to warm up and one that counts, frozen and not
    measured = StepBenchmark(trial_config(FLAT), 1.0)
    told = measured.epoch_seconds(0.3)
    took = next(train_trial(trial_config(FLAT))).metrics["busy_s"]
    assert took / 10 < told < took * 10  # other work may run beside the one or the other


def test_a_checkpoint_is_written_as_a_trial_would(tmp_path):
    measured = StepBenchmark(trial_config(FLAT), 1.0)
    assert measured.checkpoint_seconds(tmp_path) > 0.0
    state, row = checkpoint.load(tmp_path / "checkpoint.pt")
    assert (state["epoch"], row) == (2, {"epoch": 2})
    assert {"model", "optimiser"} <= set(state)
    assert checkpoint.previous(tmp_path / "checkpoint.pt").exists()  # one was there already
