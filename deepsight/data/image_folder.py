"""``folder:PATH``: photographs in one sub-folder for each class."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepsight.config import DataConfig, UserError
from deepsight.data.decode import scan
from deepsight.data.raw import RawData
from deepsight.data.split import MIN_PER_CLASS

logger = logging.getLogger(__name__)

PREFIX = "folder:"
DEFAULT_SIZE = 64
"""Side of the packed images in pixels where ``data.image_size`` is 0."""

MAX_BROKEN = 0.01
"""Share of broken files above which the folder is refused."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif"})
_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_NAMED = 5  # files named in a message

ClassFolder = tuple[str, str, Path]
"""Name of the class, split ("" if the layout names none), folder."""


@dataclass(frozen=True)
class Listing:
    """The image files of a folder, sorted, none of them opened yet.

    Attributes:
        root: The folder, absolute.
        classes: Names of the sub-folders.
        files: Paths relative to `root`.
        labels: By file, the position in `classes`.
        splits: By file, the split its folder belongs to; None without train/val/test folders.
        num_other: Files that are no images by their names.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: tuple[int, ...]
    splits: tuple[str, ...] | None
    num_other: int


def folder_size(config: DataConfig) -> int:
    """Side in pixels at which the folder is packed."""
    return config.image_size or DEFAULT_SIZE


def folder_identity(config: DataConfig) -> dict[str, Any]:
    """What the pixels depend on: each file's path, size and time of change; the target size."""
    listing = list_folder(config)
    digest = hashlib.sha256()
    for name in listing.files:
        try:
            stat = (listing.root / name).stat()
            line = f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
        except OSError:  # a dangling link: found again, and named, when it is decoded
            line = f"{name}\0absent\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return {
        "folder": str(listing.root),
        "listing": digest.hexdigest(),
        "image_size": folder_size(config),
        "interpolation": config.interpolation,
    }


def check_folder(config: DataConfig) -> None:
    """Check what can be seen without opening a file: the folder, its classes, enough images.

    Raises:
        UserError: If something is missing.
    """
    root = _root(config)
    folders = _class_folders(root)
    _check_classes(root, sorted({name for name, _, _ in folders}))
    counts: dict[str, int] = {}
    for name, _, folder in folders:
        files = itertools.islice(filter(_is_image, _files(root, folder, folders)), MIN_PER_CLASS)
        counts[name] = counts.get(name, 0) + sum(1 for _ in files)
    for name, count in counts.items():
        if count < MIN_PER_CLASS:
            raise UserError(
                f"class {name!r} of {root} has {count} images.",
                f"Every class needs at least {MIN_PER_CLASS}: add some or remove the folder.",
            )


def list_folder(config: DataConfig) -> Listing:
    """Find all image files.

    Sub-folders are the classes; images may lie in deeper folders. If the sub-folders are named
    train, val and test (or some of them, train among them), the classes are one level below and
    their splits are kept. Hidden files and folders are ignored; links are followed, loops end.

    Raises:
        UserError: If the folder is missing or has fewer than two classes.
    """
    root = _root(config)
    folders = _class_folders(root)
    classes = sorted({name for name, _, _ in folders})
    _check_classes(root, classes)
    found: list[tuple[str, str, str]] = []  # path, class, split
    num_other = 0
    for name, split, folder in folders:
        for path in _files(root, folder, folders):
            if _is_image(path):
                found.append((os.fspath(path.relative_to(root)), name, split))
            else:
                num_other += 1
    found.sort()
    label = {name: position for position, name in enumerate(classes)}
    splits = tuple(split for _, _, split in found)
    return Listing(
        root=root,
        classes=tuple(classes),
        files=tuple(path for path, _, _ in found),
        labels=tuple(label[name] for _, name, _ in found),
        splits=splits if any(splits) else None,
        num_other=num_other,
    )


def build_folder(config: DataConfig, scratch: Path) -> RawData:
    """Decode every file once into a memory-mapped file in `scratch`.

    Raises:
        UserError: If the folder is unusable or more than `MAX_BROKEN` of its files are broken.
    """
    listing = list_folder(config)
    if not listing.files:
        raise UserError(f"no images in {listing.root}.", _LAYOUT)
    size = folder_size(config)
    staging = scratch / "decoded.bin"
    logger.info("decoding %d files of %s to %dx%d", len(listing.files), listing.root, size, size)
    with staging.open("wb") as out:
        paths = [listing.root / name for name in listing.files]
        broken = scan(paths, size, config.interpolation, out)
    _report_broken(listing, broken)
    whole = [row for row in range(len(listing.files)) if row not in broken]
    images = np.memmap(staging, np.uint8, "r", shape=(len(whole), size, size, 3))
    return RawData(
        images=images,
        labels=np.array(listing.labels, np.int64)[whole],
        classes=listing.classes,
        split=None if listing.splits is None else np.array(listing.splits)[whole],
        names=[listing.files[row] for row in whole],
        source=f"folder {listing.root}",
        dropped={
            "broken_files": {listing.files[row]: reason for row, reason in broken.items()},
            "other_files": listing.num_other,
        },
    )


_LAYOUT = "Make one sub-folder for each class and put its JPEG, PNG, BMP, WEBP or GIF files there."


def _root(config: DataConfig) -> Path:
    text = config.name.removeprefix(PREFIX)
    if not text:
        raise UserError("data.name 'folder:' names no folder.", "Write folder:PATH.")
    root = Path(text).expanduser().absolute()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise UserError(f"{root} {what}.", "data.name folder:PATH needs a folder of class folders.")
    return root


def _sub_folders(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
        return [p for p in entries if not _hidden(p) and p.is_dir()]
    except OSError as error:
        raise _unreadable(folder, error) from error


def _class_folders(root: Path) -> list[ClassFolder]:
    """The folders whose files belong to one class, and to one split where the layout says so."""
    folders = _sub_folders(root)
    splits = [_SPLIT_FOLDERS.get(folder.name.lower(), "") for folder in folders]
    if all(splits) and "train" in splits:
        nested = [
            (inner.name, split, inner)
            for split, folder in zip(splits, folders, strict=True)
            for inner in _sub_folders(folder)
        ]
        if nested:
            return nested
    return [(folder.name, "", folder) for folder in folders]


def _check_classes(root: Path, classes: list[str]) -> None:
    if not classes:
        raise UserError(f"{root} has no class sub-folders.", _LAYOUT)
    if len(classes) < 2:
        raise UserError(f"{root} has only one class, {classes[0]!r}.", _LAYOUT)


def _files(root: Path, folder: Path, folders: list[ClassFolder]) -> Iterator[Path]:
    """All files of a class, links followed; links to its siblings or upwards are not."""
    outside = [root, *root.resolve().parents, *(other for _, _, other in folders)]
    return _walk(folder, {_inode(path) for path in outside if path != folder})


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Files below `folder`; a folder in `seen`, to which all visited ones are added, is left out.

    Devices and pipes are left out too: opening one may wait for ever.
    """
    try:
        if _inode(folder) in seen:
            return
        seen.add(_inode(folder))
        with os.scandir(folder) as entries:
            children = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from error
    for entry in children:
        path = folder / entry.name
        if _hidden(path):
            continue
        if entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and path.is_dir()):
            yield from _walk(path, seen)
        elif entry.is_file(follow_symlinks=False) or (
            entry.is_symlink() and (path.is_file() or not path.exists())  # a dangling link: broken
        ):
            yield path


def _inode(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == "__MACOSX"


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _unreadable(folder: Path, error: OSError) -> UserError:
    return UserError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.")


def _report_broken(listing: Listing, broken: dict[int, str]) -> None:
    if not broken:
        return
    named = [f"{listing.files[row]} ({reason})" for row, reason in broken.items()]
    text = "; ".join(named[:_NAMED]) + (f"; and {len(named) - _NAMED} more" * (len(named) > _NAMED))
    if len(broken) > MAX_BROKEN * len(listing.files):
        for name in named:
            logger.warning("broken: %s", name)
        raise UserError(
            f"{len(broken)} of {len(listing.files)} files in {listing.root} are broken, more than "
            f"{MAX_BROKEN:.0%}: {text}.",
            "Repair or remove them.",
        )
    logger.warning("skipped %d broken files of %s: %s", len(broken), listing.root, text)
