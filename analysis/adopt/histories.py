"""Rows of trials from histories of metrics: values by step, as trackers keep them.

A tracker counts steps as whoever logged wished: epochs from 0 or 1, or batches, with the epoch as
a metric of its own. Metrics may have steps that others do not have.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.adopt.found import FoundRow
from deepsight.config import unknown

EPOCH = "epoch"
"""The metric that many loggers (Lightning's, Hugging Face's) write beside the others."""


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    step: int
    value: float | None
    time: float | None = None
    """Seconds since 1970-01-01 UTC."""


History = Mapping[str, Sequence[Point]]
"""The points of a trial's metrics, in the order in which they were logged."""


@dataclass(frozen=True)
class Rows:
    """The rows of all trials, in their order."""

    trials: tuple[tuple[FoundRow, ...], ...]
    metric: str | None
    """The wanted one, or the only one."""
    notes: tuple[str, ...]


def to_rows(histories: Sequence[History], wanted: str | None) -> Rows:
    """The rows of all trials of a study.

    Where a metric is wanted, a trial has a row for each of its steps, and of the other metrics the
    last values since the row before; else a row for each step of any metric. Of two values at one
    step the later one counts.

    Args:
        histories: Of each trial.
        wanted: The metric to compare by.

    Raises:
        UserError: If no trial has the wanted metric.
    """
    names = sorted({name for history in histories for name in history})
    if wanted is not None and wanted not in names:
        raise unknown("metric", wanted, names)
    metrics = [name for name in names if name != EPOCH]
    metric = wanted if wanted is not None else metrics[0] if len(metrics) == 1 else None
    trials = [_by_step(history) for history in histories]
    doubled = sum(
        len(points) - len(by_step[name])
        for history, by_step in zip(histories, trials, strict=True)
        for name, points in history.items()
    )
    steps = [_steps(by_step, metric) for by_step in trials]
    epochs, notes = _epochs(trials, steps)
    rows = tuple(
        tuple(_rows(by_step, at, of_trial))
        for by_step, at, of_trial in zip(trials, steps, epochs, strict=True)
    )
    if doubled:
        notes += (f"{doubled} values were logged again at the same step: the later ones count.",)
    return Rows(rows, metric, notes)


def _by_step(history: History) -> dict[str, dict[int, Point]]:
    return {name: {point.step: point for point in points} for name, points in history.items()}


def _steps(by_step: Mapping[str, Mapping[int, Point]], metric: str | None) -> list[int]:
    if metric is not None:
        return sorted(by_step.get(metric, ()))
    return sorted({step for name, points in by_step.items() if name != EPOCH for step in points})


def _epochs(
    trials: Sequence[Mapping[str, Mapping[int, Point]]], steps: Sequence[Sequence[int]]
) -> tuple[list[list[int]], tuple[str, ...]]:
    """The epoch of each step: what the metric `epoch` says, where it does so everywhere."""
    stated = [_stated(trial.get(EPOCH, {}), at) for trial, at in zip(trials, steps, strict=True)]
    if any(stated) and all(found is not None for found in stated):
        found = [list(epochs) for epochs in stated if epochs is not None]
        what = "The metric `epoch` says the epoch of each row"
        shift = first_step(_all(found))
        end = f", counted from {1 - shift}: one is added (inferred)." if shift else "."
        return [[epoch + shift for epoch in of] for of in found], (what + end,)
    everything = (step for trial in trials for points in trial.values() for step in points)
    shift = first_step(everything) if any(steps) else 0
    return [[step + shift for step in at] for at in steps], step_note(shift)


def _all(nested: Iterable[Iterable[int]]) -> list[int]:
    return [each for inner in nested for each in inner]


def _stated(points: Mapping[int, Point], steps: Sequence[int]) -> list[int] | None:
    """The epochs that were logged at `steps`; None unless whole and increasing."""
    values = [points[step].value if step in points else None for step in steps]
    epochs = [int(v) for v in values if v is not None and v >= 0 and v == int(v)]
    rising = all(a < b for a, b in zip(epochs, epochs[1:], strict=False))
    return epochs if len(epochs) == len(steps) and rising else None


def _rows(
    by_step: Mapping[str, Mapping[int, Point]], steps: Sequence[int], epochs: Sequence[int]
) -> list[FoundRow]:
    columns = [(name, points, sorted(points)) for name, points in by_step.items() if name != EPOCH]
    rows, before = [], -1
    for step, epoch in zip(steps, epochs, strict=True):
        metrics, times = {}, []
        for name, points, known in columns:
            position = bisect_right(known, step) - 1
            if position >= 0 and known[position] > before:
                point = points[known[position]]
                metrics[name] = point.value
                if point.time is not None:
                    times.append(point.time)
        rows.append(FoundRow(epoch, metrics, max(times, default=None)))
        before = step
    return rows


def first_step(steps: Iterable[int]) -> int:
    """What is added to a step to make it an epoch, which counts from 1: 1 where steps begin at 0.

    Args:
        steps: Of all trials of a study.
    """
    return max(0, 1 - min(steps, default=1))


def step_note(shift: int) -> tuple[str, ...]:
    """The sentence on the shift of `first_step`, where there is one."""
    if not shift:
        return ()
    return (f"Steps are counted from {1 - shift}: epoch = step + {shift} (inferred).",)
