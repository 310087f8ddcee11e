"""What a few steps of a trial tell; without a GPU, its memory is none."""

import torch

from deepsight.config import trial_config
from deepsight.training.step_benchmark import WARM_UPDATES, Memory, StepBenchmark, _first_batch

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
    assert len(_first_batch(learner).val) == 256
