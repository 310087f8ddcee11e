"""Benchmarks a few steps of a trial: memory and time."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import torch

from deepsight.config import TrialConfig
from deepsight.hardware import EVALUATION_BATCH, choose_hardware, gpu_memory
from deepsight.training.batches import Samples
from deepsight.training.epoch import (
    Learner,
    draw_streams,
    evaluate,
    prepare,
    training_batch,
    update,
)
from deepsight.training.process_settings import process_settings
from deepsight.training.seeding import generator
from deepsight.training.trial import build_learner

WARM_UPDATES = 3
"""Updates before the first that counts: memory is taken and algorithms are chosen in them."""


@dataclass(frozen=True)
class Memory:
    """Of a GPU, in bytes; zeros without one.

    Attributes:
        trial: What this process took: tensors, the allocator's rest, and the context.
        free: What was free before it.
    """

    trial: int
    free: int


class StepBenchmark:
    """A trial whose updates are run and measured one stretch at a time."""

    def __init__(self, config: TrialConfig, cpus: float) -> None:
        """Build it.

        Args:
            config: What to train; its hardware may be left to be decided.
            cpus: CPU cores of one trial.

        Raises:
            UserError: As `build_learner`.
        """
        hardware = choose_hardware(config.hardware, cpus)
        self._config = dataclasses.replace(config, hardware=hardware)
        self._before = gpu_memory() if hardware.device == "cuda" else None
        self._number = 0
        with process_settings(hardware):
            self._learner = build_learner(self._config)

    def warm(self) -> Memory:
        """Run the first updates and a validation step, after which memory no longer grows."""
        with process_settings(self._config.hardware):
            self._updates(WARM_UPDATES, None)
            evaluate(_first_batch(self._learner))
        if self._learner.device.type != "cuda":
            return Memory(0, 0)
        torch.cuda.synchronize()
        free, total = torch.cuda.mem_get_info()
        used_before = self._before[0] if self._before else 0
        return Memory(total - free - used_before, total - used_before)

    def run(self, seconds: float) -> float:
        """Run updates for that many seconds; returns updates per second."""
        with process_settings(self._config.hardware):
            began = time.perf_counter()
            done = self._updates(None, seconds)
            if self._learner.device.type == "cuda":
                torch.cuda.synchronize()
        return done / (time.perf_counter() - began)

    def _updates(self, count: int | None, seconds: float | None) -> int:
        """Run `count` updates, or updates for `seconds`, over several epochs if necessary."""
        learner, seed = self._learner, self._config.train.seed
        began, done, epoch = time.perf_counter(), 0, 1
        while True:
            prepare(learner, epoch)
            streams = draw_streams(seed, epoch)
            order = learner.train.order(generator(seed, "order", epoch))
            for batches in learner.updates():
                inputs = [training_batch(learner, order[batch], streams) for batch in batches]
                update(learner, inputs, self._number)
                self._number += 1
                done += 1
                if done == count or seconds and time.perf_counter() - began >= seconds:
                    return done
            epoch += 1


def _first_batch(learner: Learner) -> Learner:
    """`learner` with a val split of one validation step."""
    size = EVALUATION_BATCH[learner.device.type]
    val = Samples(learner.val.images[:size], learner.val.labels[:size])
    return dataclasses.replace(learner, val=val)
