"""``folder:PATH``: photographs in one sub-folder for each class."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepsight.config import DataConfig, UserError
from deepsight.data.folder.decode import readable
from deepsight.data.folder.files import (
    hidden_images_in,
    images_below,
    images_in,
    inodes,
    is_image,
    walk,
)
from deepsight.data.folder.layout import (
    LAYOUT,
    ClassFolder,
    Layout,
    alike_names,
    read_layout,
    split_roles,
)
from deepsight.data.folder.masks import MASKS_LAYOUT
from deepsight.data.folder.scan import measure_range, scan
from deepsight.data.raw import SPLITS, RawData
from deepsight.data.split import MIN_PER_CLASS

logger = logging.getLogger(__name__)

PREFIX = "folder:"
DEFAULT_SIZE = 64
"""Side of the packed images in pixels where ``data.image_size`` is 0."""

DECODING_VERSION = 2
"""Part of a pack's key: raise it when the same files would be decoded to other pixels."""

MAX_BROKEN = 0.01
"""Share of broken files above which the folder is refused."""

HEIF = (".heic", ".heif", ".hif")
_NAMED = 5  # files named in a message


@dataclass(frozen=True)
class Listing:
    """The image files of a folder, sorted, none of them opened yet.

    Attributes:
        root: The folder, absolute.
        inner: The folder of classes or splits: `root`, or the only one in it.
        classes: Names of the sub-folders.
        files: Paths relative to `root`.
        labels: By file, the position in `classes`.
        splits: By file, the split its folder belongs to; None without train/val/test folders.
        left_out: Number of files by reason, only reasons with files: ``unread_formats`` (images of
            a format that is not read), ``no_class`` (images of a split without classes),
            ``outside_classes`` (images above the folders of the classes), ``hidden_images``
            (hidden, or in folders of the system such as thumbnails), ``other_files``.
        unread: Number of images that are not read, by suffix.
    """

    root: Path
    inner: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: tuple[int, ...]
    splits: tuple[str, ...] | None
    left_out: Mapping[str, int]
    unread: Mapping[str, int]


def folder_size(config: DataConfig) -> int:
    """Side in pixels at which the folder is packed."""
    return config.image_size or DEFAULT_SIZE


def folder_settings(config: DataConfig) -> dict[str, Any]:
    """What of `config` the pixels depend on."""
    return {"image_size": folder_size(config), "interpolation": config.interpolation}


def folder_identity(config: DataConfig) -> dict[str, Any]:
    """What else the pixels depend on: each file's path, size and time of change."""
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
        "decoding_version": DECODING_VERSION,
    }


def check_folder(config: DataConfig) -> None:
    """Check what can be seen without opening a file: the folder, its classes, enough images.

    Raises:
        UserError: If something is missing.
    """
    root = _root(config)
    if config.masks and not Path(config.masks).expanduser().is_dir():
        raise UserError(f"data.masks: {config.masks} is not a folder.", MASKS_LAYOUT)
    layout = read_layout(root)
    _check_classes(root, layout)
    counts: Counter[str] = Counter()
    for folder, files in _files(root, layout):
        images = (
            path for path, hidden in files if not hidden and is_image(path) and readable(path)
        )
        num = sum(1 for _ in itertools.islice(images, MIN_PER_CLASS))
        if not num and folder.split in ("val", "test"):
            raise UserError(
                f"class {folder.name!r} of {root} has no image in its {folder.split} split.",
                f"Every class must be in train, val and test: add some to {folder.path}.",
            )
        counts[folder.name] += num
    for name, count in counts.items():
        if count < MIN_PER_CLASS:
            raise UserError(
                f"class {name!r} of {root} has {count} images.",
                _unread_remedy(list_folder(config).unread)
                or f"Every class needs at least {MIN_PER_CLASS}: add some or remove the folder.",
            )


def list_folder(config: DataConfig) -> Listing:
    """Find all image files; `deepsight.data.folder.layout.read_layout` says what is a class.

    Images may lie in deeper folders. Links are followed, loops end.

    Raises:
        UserError: If the folder is missing, has fewer than two classes or can be read in two ways.
    """
    root = _root(config)
    layout = read_layout(root)
    _check_classes(root, layout)
    found: list[tuple[str, str, str]] = []  # path, class, split
    left_out, unread = _above_classes(root, layout), Counter[str]()
    for folder, files in _files(root, layout):
        for path, hidden in files:
            if not is_image(path):
                left_out["other_files"] += not hidden
            elif hidden:
                left_out["hidden_images"] += 1
            elif not readable(path):
                unread[path.suffix.lower()] += 1
            else:
                found.append((os.fspath(path.relative_to(root)), folder.name, folder.split))
    left_out["unread_formats"] = unread.total()
    found.sort()
    classes = sorted({folder.name for folder in layout.folders})
    label = {name: position for position, name in enumerate(classes)}
    splits = tuple(split for _, _, split in found)
    return Listing(
        root=root,
        inner=layout.root,
        classes=tuple(classes),
        files=tuple(path for path, _, _ in found),
        labels=tuple(label[name] for _, name, _ in found),
        splits=splits if any(splits) else None,
        left_out={reason: num for reason, num in left_out.items() if num},
        unread=dict(unread),
    )


def preview_folder(config: DataConfig) -> dict[str, Any]:
    """What can be said before a file is opened: images by split and class, what is left out.

    Raises:
        UserError: As `list_folder`.
    """
    listing = list_folder(config)
    labels = [listing.classes[label] for label in listing.labels]
    splits = listing.splits or ["images"] * len(labels)
    counts = {
        split: Counter(name for name, its in zip(labels, splits, strict=True) if its == split)
        for split in (*SPLITS, "images")
        if split in splits
    }
    return {"name": config.name, "counts": counts, "left_out": listing.left_out}


def build_folder(config: DataConfig, scratch: Path) -> RawData:
    """Decode every file once into a memory-mapped file in `scratch`.

    Raises:
        UserError: If the folder is unusable or more than `MAX_BROKEN` of its files are broken.
    """
    listing = list_folder(config)
    if not listing.files:
        raise UserError(f"no images in {listing.root}.", _unread_remedy(listing.unread) or LAYOUT)
    _report_listing(listing)
    size = folder_size(config)
    staging = scratch / "decoded.bin"
    logger.info("decoding %d files of %s to %dx%d", len(listing.files), listing.root, size, size)
    paths = [listing.root / name for name in listing.files]
    wide = measure_range(paths)
    with staging.open("wb") as out:
        broken = scan(paths, size, config.interpolation, out, wide)
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
            **listing.left_out,
        },
        value_range=wide,
    )


def _root(config: DataConfig) -> Path:
    text = config.name.removeprefix(PREFIX)
    if not text:
        raise UserError("data.name 'folder:' names no folder.", "Write folder:PATH.")
    root = Path(text).expanduser().absolute()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise UserError(f"{root} {what}.", "data.name folder:PATH needs a folder of class folders.")
    return root


def _check_classes(root: Path, layout: Layout) -> None:
    classes = sorted({folder.name for folder in layout.folders})
    if not classes:
        raise UserError(f"{root} has no class sub-folders.", LAYOUT)
    if len(classes) < 2:
        raise UserError(f"{root} has only one class, {classes[0]!r}.", LAYOUT)


def _files(root: Path, layout: Layout) -> Iterator[tuple[ClassFolder, Iterator[tuple[Path, bool]]]]:
    """All files of each class, links followed; links to its siblings or upwards are not."""
    classes = (folder.path for folder in layout.folders)
    outside = inodes([root, *root.resolve().parents, *layout.above, *classes])
    return ((folder, walk(folder.path, outside)) for folder in layout.folders)


def _above_classes(root: Path, layout: Layout) -> Counter[str]:
    """Images that belong to no class, by reason."""
    counts: Counter[str] = Counter()
    for folder in layout.unlabelled:
        counts["no_class"] += sum(1 for _ in images_below(folder, inodes([root])))
    for folder in layout.above:
        counts["outside_classes"] += sum(1 for _ in images_in(folder))
        counts["hidden_images"] += sum(1 for _ in hidden_images_in(folder))
    return counts


def _report_listing(listing: Listing) -> None:
    if listing.inner != listing.root:
        logger.info("%s is read from %s, the only folder in it", listing.root, listing.inner)
    for name, role in zip(listing.classes, split_roles(listing.classes), strict=True):
        if role:
            logger.warning("%s: the folder %s is taken for a class", listing.inner, name)
    for names in alike_names(listing.classes):
        logger.warning("%s: the classes %s differ only in case", listing.inner, " and ".join(names))
    if listing.unread:
        named = ", ".join(f"{num} {suffix}" for suffix, num in sorted(listing.unread.items()))
        remedy = _unread_remedy(listing.unread)
        logger.warning("%s: images are left out, %s. %s", listing.root, named, remedy)
    if num := listing.left_out.get("no_class"):
        logger.warning("%s: left out %d images of splits without classes", listing.root, num)


def _unread_remedy(unread: Mapping[str, int]) -> str:
    """What makes the images that are not read readable; empty if there are none."""
    remedies = []
    if any(suffix in HEIF for suffix in unread):
        remedies.append("For HEIC: pip install 'deepsight[heif]'.")
    if ".avif" in unread:
        remedies.append("For AVIF: pip install 'pillow>=11.3'.")
    others = sorted(set(unread) - {*HEIF, ".avif"})
    if others:
        remedies.append(f"Convert {', '.join(others)} to PNG, TIFF or JPEG.")
    return " ".join(remedies)


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
