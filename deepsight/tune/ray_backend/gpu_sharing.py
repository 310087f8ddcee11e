"""Decides from measurements how many trials share a GPU. Pure functions.

Two limits count. Memory: trials of the heaviest config of the space must fit beside each other.
Throughput: once the GPU is busy, more trials only wait for each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from deepsight.config import PARAMS, Value
from deepsight.space import INACTIVE, Choice, Domain, Entry, decide

MARGIN = 1.15
"""Factor by which a trial may need more memory than was measured in a few steps."""
RESERVE_BYTES = 512 * 2**20
"""GPU memory kept free: fragmentation, a display, Ray's monitoring."""
GAIN = 0.05
"""Share of the best throughput given up for fewer trials a GPU, each of which is faster."""
MOST = 16
"""Most trials a GPU."""


def heaviest_point(
    space: Mapping[str, Domain], fixed: Mapping[str, Value], default: Mapping[str, Entry]
) -> dict[str, Entry]:
    """The corner of `space` that takes the most memory, as ``memory`` in `PARAMS` declares it.

    Args:
        space: What is searched.
        fixed: What is not.
        default: The first trial, whose values are kept where memory does not depend on them.
    """
    point: dict[str, Entry] = dict.fromkeys(space, INACTIVE)
    for name, domain, config in decide(space, fixed):
        declared = PARAMS.get(name)
        memory = declared.metadata["memory"] if declared else 0
        config[name] = point[name] = _heaviest(domain, memory, default.get(name, INACTIVE))
    return point


def _heaviest(domain: Domain, memory: Sequence[Value] | int, default: Entry) -> Value:
    if memory == 0:
        return domain.middle() if default is INACTIVE else default
    if isinstance(domain, Choice):
        return max(domain.values, key=lambda v: _weight(v, memory))
    return domain.high if memory == 1 else domain.low


def _weight(value: Value, memory: Sequence[Value] | int) -> float:
    if isinstance(memory, int):
        return memory * float(value or 0)
    return memory.index(value) if value in memory else len(memory)


def most_by_memory(trial_bytes: int, free_bytes: int, most: int = MOST) -> int:
    """How many trials fit on a GPU by memory; at least one.

    Args:
        trial_bytes: What the heaviest trial took, its process's own overhead included.
        free_bytes: What is free on the GPU.
        most: An upper bound for other reasons.
    """
    room = int((free_bytes - RESERVE_BYTES) / (trial_bytes * MARGIN)) if trial_bytes else most
    return max(1, min(room, most))


def numbers_to_try(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`, and `most`."""
    powers = [2**i for i in range(most.bit_length()) if 2**i < most]
    return [*powers, most]


def pays(throughput: Mapping[int, float]) -> bool:
    """Whether the last number tried was worth it, so that the next one is tried: by `GAIN`.

    Args:
        throughput: As in `best_number`, in the order of trying.
    """
    *before, last = throughput.values()
    return not before or last >= (1 + GAIN) * max(before)


def best_number(throughput: Mapping[int, float]) -> int:
    """The fewest trials a GPU whose joint throughput is as good as the best, but for `GAIN`.

    Args:
        throughput: Steps per second of all together, by the number of trials at a time.
    """
    best = max(throughput.values())
    return min(number for number, rate in throughput.items() if rate >= (1 - GAIN) * best)


def as_fraction(number: int) -> float:
    """What Ray, which counts in ten-thousandths, reserves of a GPU that `number` trials share."""
    return math.floor(10_000 / number) / 10_000


def trials_on_node(per_trial: Mapping[str, float], cpus: float, gpus: float) -> int:
    """How many trials fit on a node. A fraction of a GPU never spans two."""
    fit = int(cpus / per_trial["cpu"] + 1e-9)
    share = per_trial["gpu"]
    if not share:
        return fit
    if share < 1:
        return min(fit, int(1 / share + 1e-9) * int(gpus))
    return min(fit, int(gpus / share + 1e-9))


def summary(trial_bytes: int, free_bytes: int, throughput: Mapping[int, float]) -> dict[str, Any]:
    """What was measured, for ``study.json``."""
    return {
        "trial_bytes": trial_bytes,
        "free_bytes": free_bytes,
        "steps_per_s": {str(number): round(rate, 3) for number, rate in throughput.items()},
    }
