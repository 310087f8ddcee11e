"""Packs: a data set as memory-mapped uint8 arrays that every process shares through the page cache.

A pack is a directory of one ``.npy`` file for each array of each split, one of its images' names,
and a ``meta.json``. It is written once, made visible by one renaming
(`deepsight.data.cache.replace_directory`) and never changed. Whoever opens it first reads all of it
and compares it with the fingerprint (`deepsight.data.cache.check_once`).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsight.data.cache import check_once
from deepsight.data.raw import SPLITS, RawData
from deepsight.data.split import Rows, SplitPlan

PACKING_VERSION = 3
"""Part of every pack's key: raise it when the same source would be packed differently."""

PARTS = ("images", "labels", "masks")

_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class Split:
    """One split, memory-mapped read-only: writing to it raises.

    Attributes:
        images: (N, H, W, 3) uint8, RGB.
        labels: (N,) int64, positions in `Dataset.classes`.
        masks: (N, H, W) uint8, 0 where the background is; None without masks.
    """

    images: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    masks: NDArray[np.uint8] | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A packed data set. The test split is not here: see `deepsight.data.datasets.open_test`.

    Attributes:
        name: As in ``data.name``.
        classes: Names of the classes by label.
        fingerprint: SHA-256 over the classes and all arrays of all splits: equal when and only
            when a model sees the same images in the same splits.
        path: The pack's directory.
        image_size: Side of the images in pixels.
        source: Where the images come from, in words.
        counts: By split, by class, the number of images.
        mean: Mean of the train split by channel, in 0..1.
        std: Standard deviation of the train split by channel, in 0..1.
        train: What a model learns from.
        val: What is chosen by.
        dropped: What was left out, by reason.
        near_duplicates: Held-out images that look like one of another split.
        embedded: Whether it needs neither download nor files of the user.
        made_from: What the content depends on, which is the pack's key.
        value_range: ``low``, ``high`` and ``num_files``: which values of images with more than 8
            bits a channel became 0 to 255; None where there were none.
    """

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    path: Path
    image_size: int
    source: str
    counts: Mapping[str, Mapping[str, int]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    train: Split
    val: Split
    dropped: Mapping[str, Any]
    near_duplicates: int
    embedded: bool
    made_from: Mapping[str, Any] = field(repr=False)
    value_range: Mapping[str, float] | None = None

    def __reduce__(self) -> tuple[Callable[[Path], Dataset], tuple[Path]]:
        """Pickle the path, not the images: another process maps the same pages."""
        return open_pack, (self.path,)


class PackError(ValueError):
    """A pack is incomplete or damaged."""


def write_pack(directory: Path, raw: RawData, plan: SplitPlan, header: Mapping[str, Any]) -> None:
    """Write the arrays of each split and ``meta.json`` into an empty `directory`.

    Args:
        directory: Becomes the pack; the caller renames it.
        raw: May be memory-mapped: it is read in pieces of some 16 MB.
        plan: From `deepsight.data.split.plan_split`.
        header: What else ``meta.json`` shall hold; ``name``, ``source``,
            ``made_from`` and ``embedded`` at least.
    """
    content = hashlib.sha256(json.dumps(list(raw.classes)).encode())
    labels = np.asarray(raw.labels, np.int64)
    moments = _Moments()
    digests = {}
    for split in SPLITS:
        rows = plan.rows[split]
        parts: dict[str, NDArray[Any] | None] = {
            "images": raw.images,
            "labels": labels,
            "masks": raw.masks,
        }
        for part, array in parts.items():
            if array is not None:
                observe = moments.add if (split, part) == ("train", "images") else None
                _write_array(directory / f"{split}_{part}.npy", array, rows, content, observe)
        names = [raw.name(int(row)) for row in plan.rows[split]]
        # a name may hold bytes that are no text: kept as escapes
        text = json.dumps(names).encode("ascii")
        (directory / f"{split}_names.json").write_bytes(text)
        digests[split] = hashlib.sha256(text).hexdigest()
    mean, std = moments.mean_std()
    meta = {
        **header,
        "packing_version": PACKING_VERSION,
        "fingerprint": content.hexdigest(),
        "classes": list(raw.classes),
        "image_size": raw.images.shape[1],
        "counts": {split: _class_counts(raw, labels[plan.rows[split]]) for split in SPLITS},
        "mean": mean,
        "std": std,
        "dropped": dict(plan.dropped),
        "near_duplicates": plan.near_duplicates,
        "value_range": raw.value_range and asdict(raw.value_range),
        "files": {path.name: path.stat().st_size for path in sorted(directory.glob("*_*.*"))},
        "names_sha256": digests,
    }
    meta["meta_sha256"] = _digest(meta)
    (directory / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")


def open_pack(path: Path) -> Dataset:
    """Map a pack into memory; all of it is read once by a process and its descendants.

    Raises:
        PackError: If a file is missing, cannot be read, or is not as it was written.
    """
    meta = _read_meta(path)
    files = [path / name for name in ("meta.json", *meta["files"])]
    try:
        check_once(files, lambda: _verify(path, meta))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise error if isinstance(error, PackError) else PackError(f"{path}: {error}") from error
    return Dataset(
        name=meta["name"],
        classes=tuple(meta["classes"]),
        fingerprint=meta["fingerprint"],
        path=path,
        image_size=meta["image_size"],
        source=meta["source"],
        counts=meta["counts"],
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        train=open_split(path, "train"),
        val=open_split(path, "val"),
        dropped=meta["dropped"],
        near_duplicates=meta["near_duplicates"],
        embedded=meta["embedded"],
        made_from=meta["made_from"],
        value_range=meta.get("value_range"),  # packs of 8-bit images may be older
    )


def open_split(path: Path, split: str) -> Split:
    """Map one split of the pack at `path`.

    Raises:
        PackError: If a file cannot be read.
    """
    try:
        images, labels = (
            np.load(path / f"{split}_{part}.npy", mmap_mode="r", allow_pickle=False)
            for part in ("images", "labels")
        )
        masks_file = path / f"{split}_masks.npy"
        masks = (
            np.load(masks_file, mmap_mode="r", allow_pickle=False) if masks_file.exists() else None
        )
    except (OSError, ValueError) as error:
        raise PackError(f"{path}: {error}") from error
    return Split(images, labels, masks)


def image_names(path: Path, split: str) -> list[str]:
    """What the images of a split are called, in their order: files by their relative paths.

    Raises:
        PackError: If the file cannot be read.
    """
    try:
        names: list[str] = json.loads((path / f"{split}_names.json").read_text("ascii"))
    except (OSError, ValueError) as error:
        raise PackError(f"{path}: {error}") from error
    return names


def _digest(meta: Mapping[str, Any]) -> str:
    """Of ``meta.json``, but for the digest itself."""
    kept = json.loads(json.dumps({k: v for k, v in meta.items() if k != "meta_sha256"}))
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _verify(path: Path, meta: Mapping[str, Any]) -> None:
    """Compare the arrays with the fingerprint, and the names with their digests.

    Raises:
        PackError: If they differ.
    """
    content = hashlib.sha256(json.dumps(list(meta["classes"])).encode())
    for split in SPLITS:
        for part in PARTS:
            file = path / f"{split}_{part}.npy"
            if file.name in meta["files"]:
                _hash_array(file, content)
        names = hashlib.sha256((path / f"{split}_names.json").read_bytes()).hexdigest()
        if names != meta["names_sha256"][split]:
            raise PackError(f"{path / f'{split}_names.json'} is not as it was written")
    if content.hexdigest() != meta["fingerprint"]:
        raise PackError(f"{path}: its content does not have its fingerprint")


def _hash_array(path: Path, content: hashlib._Hash) -> None:
    """Add an array to the fingerprint as `_write_array` did; its header must be what that wrote."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python, which raises many kinds
        raise PackError(f"{path}: {error}") from error
    header = io.BytesIO()
    stated = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(header, stated)
    content.update(f"{path.stem} {array.dtype.str} {array.shape}".encode())
    with path.open("rb") as file:
        if file.read(len(header.getvalue())) != header.getvalue():
            raise PackError(f"{path} is not as it was written")
        while block := file.read(_CHUNK_BYTES):
            content.update(block)


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        sizes = {name: (path / name).stat().st_size for name in meta["files"]}
        stated = meta["meta_sha256"]
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise PackError(f"{path}: {error}") from error
    if stated != _digest(meta):
        raise PackError(f"{path / 'meta.json'} is not as it was written")
    for name, size in meta["files"].items():
        if sizes[name] != size:
            raise PackError(f"{path / name} has {sizes[name]} bytes, not {size}")
    return meta


def _chunks(array: NDArray[Any], rows: Rows) -> Iterator[NDArray[Any]]:
    step = max(1, _CHUNK_BYTES // max(1, math.prod(array.shape[1:]) * array.itemsize))
    for start in range(0, len(rows), step):
        yield np.ascontiguousarray(array[rows[start : start + step]])


def _write_array(
    path: Path,
    array: NDArray[Any],
    rows: Rows,
    content: hashlib._Hash,
    observe: Callable[[NDArray[Any]], None] | None,
) -> None:
    """Write ``array[rows]`` as an ``.npy`` file, piece by piece.

    Written, not mapped: a full disk is then an error that can be reported instead of a SIGBUS.
    """
    shape = (len(rows), *array.shape[1:])
    content.update(f"{path.stem} {array.dtype.str} {shape}".encode())
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
        )
        for chunk in _chunks(array, rows):
            content.update(chunk.data)
            if observe is not None:
                observe(chunk)
            file.write(chunk.data)


class _Moments:
    """Exact mean and standard deviation of uint8 images by channel, from their histograms."""

    def __init__(self) -> None:
        self._histogram = np.zeros((3, 256), np.int64)

    def add(self, images: NDArray[np.uint8]) -> None:
        for channel in range(3):
            values = images[..., channel].ravel()
            self._histogram[channel] += np.bincount(values, minlength=256)

    def mean_std(self) -> tuple[list[float], list[float]]:
        levels = np.arange(256) / 255
        share = self._histogram / self._histogram.sum(axis=1, keepdims=True)
        mean = share @ levels
        std = np.sqrt((share * (levels - mean[:, None]) ** 2).sum(axis=1))
        # one grey level at least: constant images are divided by it
        return mean.tolist(), np.maximum(std, 1 / 255).tolist()


def _class_counts(raw: RawData, labels: NDArray[np.int64]) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(raw.classes))
    return {name: int(count) for name, count in zip(raw.classes, counts, strict=True)}
