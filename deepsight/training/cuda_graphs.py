"""Replays work on a GPU as CUDA graphs: one launch for hundreds of small kernels.

A training step of a small network is bound by the host, which launches its kernels one by one
(measured in docs/performance.md, "On one H200"). A graph keeps their launches and repeats them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from deepsight.config import TrialConfig, is_import_path

EAGER_CALLS = 2
"""Calls of one kind in a row that run as they are before the next is captured."""

Kind = tuple[Any, ...]


def fits_graphs(config: TrialConfig) -> bool:
    """Whether the steps of a trial may be captured.

    Not on a CPU, and not with a model or a loss of the user's own: these may ask for values on the
    host, or decide by them, which no graph can repeat.

    Args:
        config: With its hardware decided.
    """
    own = is_import_path(config.model.name) or is_import_path(config.loss.name)
    return config.hardware.device == "cuda" and config.hardware.cuda_graphs and not own


class Graphed:
    """A function of tensors on a GPU that is replayed as a CUDA graph.

    The first calls of a kind (shapes, and which parameters learn) run as they are: libraries choose
    their algorithms and take their workspaces. The third in a row is captured; it and later ones
    are replayed. Calls of another kind, such as the smaller last batch of an epoch, run as they
    are. If memory does not suffice for the capture, all calls do.
    """

    def __init__(
        self, function: Callable[..., Tensor], parameters: Iterable[nn.Parameter] = ()
    ) -> None:
        """Wrap `function`; nothing runs yet.

        Args:
            function: Tensors to one tensor, on the GPU; it must not wait for it. It reads nothing
                else that changes from call to call, but for the parameters and buffers of modules
                and torch's global generator of the GPU.
            parameters: Whose gradients, None before each call, the function sets.
        """
        self._function = function
        self._parameters = list(parameters)
        self._stream = _capturing_stream()
        self._last: Kind | None = None
        self._in_a_row = 0
        self._captured: _Captured | None = None
        self._lacks_memory = False

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The function's result, a tensor of its own; gradients are those of this call."""
        kind = self._kind(inputs)
        if self._captured is not None and self._captured.kind == kind:
            return self._captured.replay(inputs)
        self._in_a_row = self._in_a_row + 1 if kind == self._last else 1
        self._last = kind
        if self._in_a_row > EAGER_CALLS and not self._lacks_memory:
            self._captured = None  # its memory first
            try:
                self._captured = _Captured(self, kind, inputs)
                return self._captured.replay(inputs)
            except torch.OutOfMemoryError:
                self._lacks_memory = True
                self._drop_gradients()
        if self._in_a_row == EAGER_CALLS and not self._lacks_memory:
            return self._on_capturing_stream(inputs)
        return self._function(*inputs)

    def _kind(self, inputs: tuple[Tensor, ...]) -> Kind:
        shapes = tuple((t.shape, t.stride(), t.dtype) for t in inputs)
        return (shapes, tuple(p.requires_grad for p in self._parameters))

    def _on_capturing_stream(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """A call by which libraries take their workspaces for that stream."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = self._function(*inputs)
        current.wait_stream(self._stream)
        return result.clone()

    def _drop_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


@functools.lru_cache(maxsize=1)
def _capturing_stream() -> torch.cuda.Stream:
    """One for all graphs of the process: libraries keep a workspace for every stream they saw."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


class _Captured:
    """One kind of call, captured: tensors at fixed places, and the launches between them."""

    def __init__(self, graphed: Graphed, kind: Kind, inputs: tuple[Tensor, ...]) -> None:
        self.kind = kind
        self._inputs = [t.clone() for t in inputs]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=graphed._stream):
            self._result = graphed._function(*self._inputs)
        learns = [p for p in graphed._parameters if p.grad is not None]
        self._gradients = [(p, p.grad) for p in learns]

    def replay(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The result and the gradients for `inputs`."""
        for place, value in zip(self._inputs, inputs, strict=True):
            place.copy_(value)
        self._graph.replay()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        return self._result.clone()
