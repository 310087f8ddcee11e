"""Walking a folder of images: what is there, what the system put there, what is an image."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from deepsight.config import UserError
from deepsight.data.folder.decode import SUFFIXES

SYSTEM_FOLDERS = frozenset(
    {
        "__macosx",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@tmp",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "lost+found",
        "system volume information",
    }
)
"""Folders of operating systems and network drives, in lower case: thumbnails, deleted files."""

MAX_DEPTH = 100
"""Folders within a class that are entered; none that people make are so deep."""

SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})


def is_system(name: str) -> bool:
    """Whether a file or folder is hidden or is one of the system's by its name."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS | SYSTEM_FILES


def is_image(path: Path) -> bool:
    """Whether a file's name ends like one of an image that may be read."""
    return path.suffix.lower() in SUFFIXES


def sub_folders(folder: Path) -> list[Path]:
    """The folders in `folder` by name, links followed, without the system's.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not is_system(e.name) and _is_folder(e)]
        return [folder / name for name in sorted(names)]
    except OSError as error:
        raise unreadable(folder, error) from error


def hidden_images_in(folder: Path) -> Iterator[Path]:
    """Images in the hidden and system folders that lie in `folder`."""
    for inner in sorted(folder.iterdir()):
        if is_system(inner.name) and not inner.is_symlink() and inner.is_dir():
            yield from (path for path, _ in _walk(inner, set(), True) if is_image(path))


def images_in(folder: Path) -> Iterator[Path]:
    """Images that lie in `folder` itself, not in a folder below it.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not is_system(entry.name))
    except OSError as error:
        raise unreadable(folder, error) from error
    for name in names:
        path = folder / name
        if is_image(path) and mode_of(path) == stat.S_IFREG:
            yield path


Inode = tuple[int, int]
"""Device and number: the same folder by whatever path."""


def inodes(folders: Iterable[Path]) -> frozenset[Inode]:
    """What `walk` is told not to enter."""
    return frozenset(map(_inode, folders))


def walk(folder: Path, outside: frozenset[Inode]) -> Iterator[tuple[Path, bool]]:
    """All files below `folder`, links followed, and whether each is hidden or the system's.

    Devices and pipes are left out: opening one may wait for ever.

    Args:
        folder: Where to begin.
        outside: Folders that are not entered by a link, nor are those already visited; `folder`
            may be among them.

    Raises:
        UserError: If a folder cannot be read.
    """
    yield from _walk(folder, set(outside - {_inode(folder)}), False)


def _walk(
    folder: Path, seen: set[Inode], hidden: bool, depth: int = 0
) -> Iterator[tuple[Path, bool]]:
    if depth > MAX_DEPTH:
        if hidden:
            return
        raise UserError(
            f"folders are nested more than {MAX_DEPTH} deep in {folder.parents[MAX_DEPTH]}.",
            "Remove them, or move their images up.",
        )
    try:
        if _inode(folder) in seen:
            return
        seen.add(_inode(folder))
        with os.scandir(folder) as entries:
            children = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if hidden:  # the system's own; nothing of it is used
            return
        raise unreadable(folder, error) from error
    for entry in children:
        path, here = folder / entry.name, hidden or is_system(entry.name)
        if _is_folder(entry):
            yield from _walk(path, seen, here, depth + 1)
        elif entry.is_file(follow_symlinks=False) or (
            entry.is_symlink() and mode_of(path) in (stat.S_IFREG, None)  # None: it is broken
        ):
            yield path, here


def images_below(folder: Path, outside: frozenset[Inode]) -> Iterator[Path]:
    """The images among `walk`, without those that are hidden or the system's."""
    return (path for path, hidden in walk(folder, outside) if not hidden and is_image(path))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link to itself is none."""
    return entry.is_dir(follow_symlinks=False) or (
        entry.is_symlink() and mode_of(Path(entry)) == stat.S_IFDIR
    )


def mode_of(path: Path) -> int | None:
    """The kind of file, links followed; None where it is absent or may not be looked at."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return None


def _inode(path: Path) -> Inode:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def unreadable(folder: Path, error: OSError) -> UserError:
    """The error of a folder that may not be listed."""
    return UserError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.")
