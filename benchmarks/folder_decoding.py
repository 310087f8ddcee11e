"""What it costs to decode a folder in processes with limits instead of in threads of our own.

``python -m benchmarks.folder_decoding``: photographs that nobody took (smooth noise), JPEG, decoded
both ways in turn; wall and processor seconds, so that a busy machine shows.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from deepsight.data.cores import num_cores
from deepsight.data.folder.decode import decode
from deepsight.data.folder.scan import scan

SIZE = 64


def make_folder(folder: Path, number: int, side: int) -> list[Path]:
    """`number` JPEG files of `side` x `side` pixels."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(number):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
        paths.append(folder / f"{index}.jpg")
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths


def in_threads(paths: list[Path], out: Path) -> None:
    """As it was before the limits."""
    with out.open("wb") as file, ThreadPoolExecutor(num_cores()) as pool:
        for pixels in pool.map(lambda path: decode(path, SIZE, "bilinear"), paths):
            file.write(np.ascontiguousarray(pixels).data)


def in_processes(paths: list[Path], out: Path) -> None:
    """As it is."""
    with out.open("wb") as file:
        assert not scan(paths, SIZE, "bilinear", file)


def measured(way: str, paths: list[Path], out: Path) -> tuple[float, float]:
    """Wall and processor seconds, those of ended children too."""
    began, before = time.monotonic(), _processor()
    WAYS[way](paths, out)
    return time.monotonic() - began, _processor() - before


def _processor() -> float:
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


WAYS = {"threads": in_threads, "processes": in_processes}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        paths = make_folder(Path(scratch), options.files, options.side)
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(options.times):
            for way in WAYS:
                found[way].append(measured(way, paths, Path(scratch) / way))
        threads, processes = ((Path(scratch) / way).read_bytes() for way in WAYS)
    what = f"{options.files} JPEG files of {options.side} pixels"
    print(f"{what}, {num_cores()} cores, n = {options.times}")
    for way, times in found.items():
        wall, processor = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{way:10} {wall:6.2f} s wall, {processor:6.2f} s of processor time (medians)")
    print(f"same pixels: {threads == processes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
