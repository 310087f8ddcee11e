"""`toy_objects`: small pictures drawn by code from a seed, each with the mask of its object.

Ten classes, half rigid, half organic; `draw_source_objects` draws fifty other classes in the same
scenes, for embedded weights to be learnt from. Image k depends on the seed and k alone, so that a
larger data set begins with the smaller one. docs/toy_objects.md shows and measures them. Many
are drawn by all cores, to the same values.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepsight.config import DataConfig
from deepsight.data.cores import num_cores
from deepsight.data.raw import RawData
from deepsight.data.toy_objects import classes
from deepsight.data.toy_objects.scenes import Model, take_picture
from deepsight.data.toy_objects.source_classes import SOURCE

RIGID = tuple(classes.RIGID)
"""Classes with straight edges."""

ORGANIC = tuple(classes.ORGANIC)
"""Classes with soft outlines and fur."""

CLASSES = RIGID + ORGANIC
SOURCE_CLASSES = tuple(SOURCE)

SERIES: tuple[Mapping[str, Model], ...] = (classes.RIGID | classes.ORGANIC, SOURCE)
"""The classes of the data set, and those that embedded weights are learnt from."""

LEAST_IMAGES = 400
"""Images for which a process is worth its start: two seconds of drawing for a third of one."""

Drawn = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]
"""Images (N, size, size, 3), labels (N,), masks (N, size, size) of 0 and 1."""


def draw_toy_objects(num_images: int, seed: int, size: int = 32) -> Drawn:
    """Draw images of the ten classes, equally many of each (to within one)."""
    return _draw(0, num_images, seed, size)


def draw_source_objects(num_images: int, seed: int, size: int = 32) -> Drawn:
    """Draw images of the fifty source classes, equally many of each (to within one)."""
    return _draw(1, num_images, seed, size)


def build_toy_objects(config: DataConfig) -> RawData:
    """The data set ``toy_objects``: `config.size` images drawn from `config.split_seed`."""
    images, labels, masks = draw_toy_objects(config.size, config.split_seed)
    source = f"drawn by deepsight.data.toy_objects from seed {config.split_seed}"
    return RawData(images, labels, CLASSES, masks, source=source)


def build_source_objects(config: DataConfig) -> RawData:
    """The data set that embedded weights are learnt from."""
    images, labels, masks = draw_source_objects(config.size, config.split_seed)
    source = f"drawn by deepsight.data.toy_objects (source classes) from seed {config.split_seed}"
    return RawData(images, labels, SOURCE_CLASSES, masks, source=source)


def _draw(series: int, num_images: int, seed: int, size: int) -> Drawn:
    """Draw `num_images` of a series, in as many processes as pay."""
    num_parts = max(1, min(num_cores(), num_images // LEAST_IMAGES))
    if num_parts == 1:
        return _draw_part(series, 0, num_images, seed, size)
    bounds = [num_images * part // num_parts for part in range(num_parts + 1)]
    environment = os.environ | {"PYTHONPATH": _module_path(), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="deepsight-") as folder, ExitStack() as running:
        started = []
        for part, (first, last) in enumerate(itertools.pairwise(bounds)):
            file = f"{folder}/{part}.npz"
            numbers = [str(number) for number in (series, first, last, seed, size)]
            command = [sys.executable, "-P", "-m", __name__, file, *numbers]
            process = subprocess.Popen(command, env=environment)
            running.callback(_end, process)
            started.append((process, file))
        parts = [_result(process, file) for process, file in started]
    images, labels, masks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images, labels, masks


def _module_path() -> str:
    """``PYTHONPATH`` by which another process finds this package as we did."""
    root = str(Path(__file__).resolve().parents[3])
    return os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that still draws, as after an interrupt."""
    process.kill()
    process.wait()


def _result(process: subprocess.Popen[bytes], file: str) -> Drawn:
    """What a process has drawn.

    Raises:
        CalledProcessError: If it died.
    """
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, process.args)
    with np.load(file, allow_pickle=False) as arrays:
        return arrays["images"], arrays["labels"], arrays["masks"]


def _draw_part(series: int, first: int, last: int, seed: int, size: int) -> Drawn:
    """Draw the images from number `first` to before `last`, with a generator for each."""
    builders = list(SERIES[series].values())
    images = np.empty((last - first, size, size, 3), np.uint8)
    labels = np.empty(last - first, np.int64)
    masks = np.empty((last - first, size, size), np.uint8)
    for at, k in enumerate(range(first, last)):
        block, place = divmod(k, len(builders))
        if place == 0 or at == 0:  # each block shows every class once, in an order of its own
            order = np.random.default_rng([seed, series, 0, block]).permutation(len(builders))
        labels[at] = order[place]
        rng = np.random.default_rng([seed, series, 1, k])
        picture = take_picture(builders[labels[at]], size, rng)
        images[at] = np.rint(picture.image * 255)
        masks[at] = picture.mask > 0.5
    return images, labels, masks


def main(arguments: Sequence[str]) -> None:
    """Draw a part into a file, for `_draw`."""
    file, numbers = arguments[0], [int(number) for number in arguments[1:]]
    images, labels, masks = _draw_part(*numbers)
    np.savez(file, images=images, labels=labels, masks=masks)


if __name__ == "__main__":
    main(sys.argv[1:])
