"""Runs over many seeds in many processes: the flags, the file that keeps them, means, the output.

A run is a job (a tuple that ends with its seed) and what it found. `--runs` keeps a line for each,
so that an interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

RESAMPLES = 2000
Job = tuple[Any, ...]


def add_options(parser: argparse.ArgumentParser, seeds: int) -> None:
    """The flags of every such benchmark; `seeds` by default."""
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=Path, help="keeps the runs; those in it are not done again")
    parser.add_argument("--json", type=Path)


def run_all(
    run_job: Callable[[Any], tuple[Any, ...]],
    jobs: Sequence[Job],
    processes: int,
    file: Path | None,
) -> dict[Any, tuple[Any, ...]]:
    """What all jobs found; those on file are read from there.

    Args:
        run_job: Returns its job and what was found, which JSON must hold.
        jobs: All that are wanted.
        processes: How many at a time.
        file: Of the runs; lines are appended.
    """
    done: dict[Job, tuple[Any, ...]] = {}
    if file and file.exists():
        for line in file.read_text().splitlines():
            job, *found = json.loads(line)
            done[tuple(job)] = tuple(found)
    with ProcessPoolExecutor(processes) as pool:
        for job, *found in pool.map(run_job, [job for job in jobs if job not in done]):
            done[job] = tuple(found)
            if file:
                with file.open("a") as lines:
                    lines.write(json.dumps([job, *found]) + "\n")
    return {job: done[job] for job in jobs}


def mean_with_interval(values: np.ndarray) -> list[float]:
    """Mean of (seeds, ...) values over all, with 95 % bounds: percentile bootstrap over seeds."""
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
    means = drawn.mean(tuple(range(1, drawn.ndim)))
    return [float(values.mean()), *map(float, np.percentile(means, [2.5, 97.5]))]


def publish(began: float, text: str, summary: Any, file: Path | None) -> None:
    """Print the seconds since `began` (monotonic) and the report; write the summary as JSON."""
    print(f"{time.monotonic() - began:.0f} s\n\n{text}")
    if file:
        file.write_text(json.dumps(summary) + "\n")
