"""A GPU that computes nothing: shapes, types and devices of tensors, and who waits for it.

Tensors on ``cuda`` are torch's fake tensors, those on the CPU are real. An operation that mixes the
two, or asks for a value that only a GPU would know, raises as it would (or would wait) on one.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deepsight.augment import batched
from deepsight.losses import build_loss, focus_on_pairs
from deepsight.models.finetune import param_groups
from deepsight.training.batches import Samples
from deepsight.training.epoch import Learner
from deepsight.training.optim import build_optimiser

GPU = torch.device("cuda", 0)


class Waits(TorchDispatchMode):
    """Notes copies between CPU and GPU that wait for all work given to the GPU before.

    Attributes:
        where: The lines of DeepSight that did, ``batched.py:256``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.where: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        on_cpu = torch.device(kwargs.get("device") or "cpu").type == "cpu"
        if on_cpu and not any(isinstance(x, FakeTensor) for x in given):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        result = func(*args, **kwargs)
        if "copy" in str(func):
            made = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
            asynchronous = kwargs.get("non_blocking") or args[2:3] == (True,)
            if len({x.device.type for x in given + made}) > 1 and not asynchronous:
                self.where.append(_line())
        return result


def _line() -> str:
    """The line of DeepSight that is being run."""
    frames = [f for f in traceback.extract_stack() if "/deepsight/" in f.filename]
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}"


@contextmanager
def fake_gpu() -> Iterator[Waits]:
    """Tensors may be on `GPU` inside."""
    batched._factors.cache_clear()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), Waits() as waits:
            yield waits
    finally:
        batched._factors.cache_clear()  # what it keeps by device would be fake


def on_gpu(learner: Learner, pairs: tuple[tuple[int, int], ...], resident: bool) -> Learner:
    """`learner`, built on the CPU, with all its tensors on `GPU`.

    Args:
        learner: Its models are changed.
        pairs: Of classes, to focus on.
        resident: Whether its images are on the GPU, or on the host.
    """
    for model in filter(None, (learner.model, learner.averaged)):
        for module in model.modules():
            for tensors in (module._parameters, module._buffers):
                tensors.update({k: _like(t) for k, t in tensors.items() if t is not None})
    config = learner.config
    counts = torch.empty(len(learner.classes), dtype=torch.int64, device=GPU)
    labels = torch.empty(len(learner.train), dtype=torch.int64, device=GPU)
    images = learner.train.images
    if resident:
        images = torch.empty(images.shape, dtype=torch.uint8, device=GPU)
    return dataclasses.replace(
        learner,
        train=Samples(images, labels),
        optimiser=build_optimiser(param_groups(learner.model, config), config.optim),
        loss=focus_on_pairs(build_loss(config.loss, counts), pairs),
    )


def _like(tensor: Tensor) -> Tensor:
    like = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device=GPU)
    return nn.Parameter(like, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else like


def set_gradients(loss: Tensor, learner: Learner) -> None:
    """Instead of a backward pass, which wants a driver even for fake tensors."""
    assert loss.device == GPU
    for parameter in learner.model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)
