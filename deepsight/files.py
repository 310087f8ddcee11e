"""Files below a folder that may be a stranger's: no link is followed, only plain files are opened.

A study may be an archive from anywhere. A link in it could lead a report or a resumed search to
files elsewhere; a pipe would hang whoever opens it; a device never ends. Every function takes the
`root` and the parts of the path below it, walks from folder to folder by descriptors, and refuses
by name what is not a plain folder or file. The root itself may be a link: its owner chose it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deepsight.values import UserError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MARK = b"sha256\r\n"
TRAILER = len(MARK) + hashlib.sha256().digest_size
"""What checkpoints and embedded weights end with."""

_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FileRefusedError(UserError):
    """Something below a folder is no plain file or folder; the cause names it."""


@contextmanager
def _inside(root: Path, parts: Sequence[str], make: bool = False) -> Iterator[int]:
    """A descriptor of the folder at `parts` below `root`."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for depth, part in enumerate(parts, start=1):
            _require_plain(part)
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            try:
                inner = os.open(part, _FOLDER, dir_fd=descriptor)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise _refused(root.joinpath(*parts[:depth]), "a folder") from error
                raise
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _require_plain(part: str) -> None:
    if part in ("", ".", "..") or "/" in part or "\0" in part:
        raise ValueError(f"{part!r} is no name of a file")


def _refused(path: Path, wanted: str) -> FileRefusedError:
    kind = "of another kind"
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode
        kind = next((name for test, name in _KINDS if test(mode)), "a file")
    return FileRefusedError(
        f"{path} is {kind}, not {wanted}: links and special files in a study are not followed.",
        f"Put {wanted} in its place, or take it away.",
    )


def open_file(root: Path, parts: Sequence[str], flags: int = os.O_RDONLY) -> int:
    """Open a plain file below `root`.

    Args:
        root: A folder.
        parts: Names of the folders below it, and of the file.
        flags: As `os.open` takes them.

    Returns:
        A descriptor.

    Raises:
        FileRefusedError: If the file, or a folder on the way, is a link or something else.
        OSError: If it is not there or cannot be opened.
    """
    *folders, name = parts
    _require_plain(name)
    path = root.joinpath(*parts)
    with _inside(root, folders) as folder:
        try:
            descriptor = os.open(name, flags | _OPEN, 0o666, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):  # a link, a pipe, a folder
                raise _refused(path, "a file") from error
            error.filename = str(path)
            raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _refused(path, "a file")
    return descriptor


def read_file(root: Path, parts: Sequence[str], most: int) -> bytes:
    """The content of a plain file below `root`, of `most` bytes at the most.

    Raises:
        FileRefusedError: As `open_file`; also if it is larger.
        OSError: As `open_file`.
    """
    with os.fdopen(open_file(root, parts), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = (file.read(most + 1) or b"") if size <= most else b""  # None: it would wait
    if size > most or len(content) > most:
        raise FileRefusedError(
            f"{root.joinpath(*parts)} has more than {most:,} bytes.", "No study needs as much."
        )
    return content


def has_file(root: Path, parts: Sequence[str]) -> bool:
    """Whether a plain file is there, and can be opened."""
    try:
        os.close(open_file(root, parts))
    except (OSError, FileRefusedError):
        return False
    return True


def make_folder(root: Path, parts: Sequence[str]) -> Path:
    """The folder at `parts` below `root`, made if absent.

    Raises:
        FileRefusedError: If it, or a folder on the way, is a link or something else.
        OSError: If it cannot be made.
    """
    with _inside(root, parts, make=True):
        return root.joinpath(*parts)


@contextmanager
def replacing(root: Path, parts: Sequence[str], suffix: str = "") -> Iterator[Path]:
    """The path of a new file that takes the place of the one at `parts` when the body ends.

    What stood there is replaced, never written through: a link goes, and what it led to stays. Its
    folder must be there. A body that raises leaves nothing behind.

    Args:
        root: A folder.
        parts: Names of the folders below it, and of the file.
        suffix: What the temporary name ends with, for libraries that look at it.

    Raises:
        FileRefusedError: As `make_folder`; also if a folder stands there.
        OSError: If it cannot be written.
    """
    *folders, name = parts
    _require_plain(name)
    temporary = f".{name}.{os.getpid()}{suffix}"
    with _inside(root, folders) as folder:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)  # of a killed process that had our number
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN
        os.close(os.open(temporary, flags, 0o666, dir_fd=folder))
        try:
            yield root.joinpath(*folders, temporary)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except IsADirectoryError as error:
            raise _refused(root.joinpath(*parts), "a file") from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)


def require_plain(root: Path, besides: Sequence[str] = ()) -> None:
    """Refuse a folder that holds anything but plain folders and files, at any depth.

    Args:
        root: A folder.
        besides: Names directly below it that are not looked into.

    Raises:
        FileRefusedError: If there is a link or a special file; the first one is named.
        OSError: If a folder cannot be read.
    """
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if folder == root and entry.name in besides:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    raise _refused(Path(entry.path), "a plain file or folder")


def require_stored(file: IO[bytes], path: Path) -> None:
    """Refuse a zip archive (of torch or NumPy) that unpacks to more than the file takes.

    What `torch.save` and `numpy.savez` write is not compressed; an archive that is may take a
    thousand times its size in memory.

    Args:
        file: Open for reading; left at its beginning.
        path: Its name, for the error.

    Raises:
        FileRefusedError: If it is no zip archive, is compressed, or states more than it has.
    """
    size = file.seek(0, os.SEEK_END)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
        raise FileRefusedError(f"{path}: is no archive ({error}).", "Restore it.") from error
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > size:
        raise FileRefusedError(
            f"{path}: unpacks to more than it takes on the disk.", "DeepSight writes no such file."
        )
    file.seek(0)


@contextmanager
def open_arrays(
    root: Path, parts: Sequence[str], most_bytes: int | None = None
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of a ``.npz`` file by name, each read when it is asked for.

    A torn archive raises many kinds of errors, from zipfile's to KeyError, some of them only when
    an array is asked for.

    Args:
        root: A folder.
        parts: Names of the folders below it, and of the file.
        most_bytes: Of the file; a sparse one states more than the disk holds.

    Raises:
        FileRefusedError: As `open_file`.
        OSError: If it is not there or cannot be opened.
        ValueError: If it is no archive, unpacks to more than its size, or is too large.
    """
    import numpy as np

    with os.fdopen(open_file(root, parts), "rb") as file:
        try:
            require_stored(file, root.joinpath(*parts))
        except FileRefusedError as error:
            raise ValueError(error.cause) from error
        size = os.fstat(file.fileno()).st_size
        if most_bytes is not None and size > most_bytes:
            raise ValueError(f"{size:,} bytes, at most {most_bytes:,} are read")
        with np.load(file, allow_pickle=False) as stored:
            yield stored


def write_arrays(root: Path, parts: Sequence[str], arrays: Mapping[str, ArrayLike]) -> None:
    """Write a ``.npz`` file, so that it is absent, the old one or the new one, never half of one.

    Args:
        root: A folder.
        parts: Names of the folders below it, which exist, and of the file.
        arrays: By name.

    Raises:
        FileRefusedError: If something else than a plain file stands there.
        OSError: If the disk does not let us write.
    """
    import numpy as np

    with replacing(root, parts, ".npz") as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def hash_fits(file: IO[bytes]) -> bool:
    """Whether a file ends with `MARK` and the SHA-256 of all that stands before it."""
    left = file.seek(0, os.SEEK_END) - TRAILER
    file.seek(0)
    sha256 = hashlib.sha256()
    while left > 0:
        block = file.read(min(left, 1 << 20))
        if not block:
            break
        sha256.update(block)
        left -= len(block)
    return file.read() == MARK + sha256.digest()


def append_to(root: Path, parts: Sequence[str]) -> IO[bytes]:
    """A plain file to append to, made if absent.

    Raises:
        FileRefusedError: As `open_file`.
        OSError: As `open_file`.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    return os.fdopen(open_file(root, parts, flags), "ab", buffering=0)


def remove_files(root: Path, parts: Sequence[str], names: re.Pattern[str]) -> None:
    """Remove the plain files in a folder whose whole name fits; nothing else, and no folder.

    Args:
        root: A folder.
        parts: Names of the folders below it; nothing happens where there is none.
        names: What the caller itself writes there.

    Raises:
        FileRefusedError: If a folder on the way is a link or something else.
        OSError: If a file cannot be removed.
    """
    try:
        with _inside(root, parts) as folder:
            for name in os.listdir(folder):
                if names.fullmatch(name):
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
