"""Benchmarks a few steps of a trial: memory and time."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from deepsight import checkpoint
from deepsight.config import TrialConfig
from deepsight.hardware import EVALUATION_BATCH, choose_hardware, gpu_memory
from deepsight.models.finetune import frozen_stages, stages
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
from deepsight.training.trial import build_learner, make_state

WARM_UPDATES = 3
"""Updates before the first that counts: memory is taken and algorithms are chosen in them."""
FEW_IMAGES = 32
"""First images to be validated on, which tell whether a whole step of them is affordable."""


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
            evaluate(first_images(self._learner))
        if self._learner.device.type != "cuda":
            return Memory(0, 0)
        torch.cuda.synchronize()
        free, total = torch.cuda.mem_get_info()
        used_before = self._before[0] if self._before else 0
        return Memory(total - free - used_before, total - used_before)

    def run(self, seconds: float) -> float:
        """Run updates for that many seconds; returns updates per second."""
        with process_settings(self._config.hardware):
            return 1 / self._seconds_an_update(seconds, itertools.count(1))

    def epoch_seconds(self, seconds: float) -> float:
        """Seconds of an epoch, the mean over the trial's: some updates and a validation step tell.

        Every phase of freezing is measured. At least two updates a phase are run.

        Args:
            seconds: To spend, about.
        """
        learner, config = self._learner, self._config
        num_stages, epochs = len(stages(learner.model)) - 1, range(1, config.train.epochs + 1)
        frozen = [frozen_stages(config.model, num_stages, epoch) for epoch in epochs]
        phases = Counter(frozen)
        an_update = 0.0
        with process_settings(config.hardware):
            for count, length in phases.items():
                first = 1 + frozen.index(count)
                self._updates(1, None, [first])
                share = seconds / (len(phases) + 1)
                took = self._seconds_an_update(share, itertools.repeat(first))
                an_update += took * length / len(epochs)
            an_image = self._seconds_a_validated_image(seconds / (len(phases) + 1))
        return an_update * len(learner.updates()) + an_image * len(learner.val)

    def checkpoint_seconds(self, folder: Path) -> float:
        """Seconds of writing a checkpoint as a trial does after every epoch, where one is already.

        Args:
            folder: Where two checkpoints are left.

        Raises:
            OSError: If the disk does not let us write.
        """
        path = folder / "checkpoint.pt"
        checkpoint.save(path, make_state(self._learner, 1), {"epoch": 1}, wait=True)
        began = time.perf_counter()
        checkpoint.save(path, make_state(self._learner, 2), {"epoch": 2})
        return time.perf_counter() - began

    def _seconds_an_update(self, seconds: float, epochs: Iterable[int]) -> float:
        """Over updates for that many seconds."""
        began = time.perf_counter()
        done = self._updates(None, seconds, epochs)
        if self._learner.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / done

    def _seconds_a_validated_image(self, seconds: float) -> float:
        """Over one validation step, or over a few images if a step would take too long."""
        few = first_images(self._learner, FEW_IMAGES)
        taken = evaluate(few).seconds / len(few.val)
        step = first_images(self._learner)
        if taken * len(step.val) > seconds:
            return taken
        return evaluate(step).seconds / len(step.val)

    def _updates(
        self, count: int | None, seconds: float | None, epochs: Iterable[int] | None = None
    ) -> int:
        """Run `count` updates, or updates for `seconds`, over several epochs if necessary."""
        learner, seed = self._learner, self._config.train.seed
        began, done = time.perf_counter(), 0
        for epoch in epochs or itertools.count(1):
            prepare(learner, epoch)
            streams = draw_streams(seed, epoch)
            order = learner.train.order(generator(seed, "order", epoch))
            for batches in learner.updates():
                inputs = [training_batch(learner, order[batch], streams) for batch in batches]
                update(learner, inputs, self._number)
                self._number += 1
                done += 1
                spent = time.perf_counter() - began
                if done == count or (seconds is not None and spent >= seconds):
                    return done
        return done


def first_images(learner: Learner, size: int | None = None) -> Learner:
    """`learner` with a val split of the first `size` images; None: of one validation step."""
    size = size or EVALUATION_BATCH[learner.device.type]
    val = Samples(learner.val.images[:size], learner.val.labels[:size])
    return dataclasses.replace(learner, val=val)
