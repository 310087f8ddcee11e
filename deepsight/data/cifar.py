"""CIFAR-10 and CIFAR-100 through torchvision's loaders: downloaded when absent, always checked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepsight.config import UserError
from deepsight.data.cache import cache_dir, locked
from deepsight.data.download import DownloadError, download, sha256_of, unreachable
from deepsight.data.raw import RawData

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cifar:
    """What distinguishes the two data sets.

    Attributes:
        loader: Name of the class in ``torchvision.datasets``; it holds the MD5 of each file
            inside the archive and checks them before it unpickles anything.
        archive: File name of the archive.
        folder: What the archive unpacks to.
        sha256: Of the archive; checked by us before torchvision unpacks it.
        members: Files in `folder`.
        url: Where the archive is.
    """

    loader: str
    archive: str
    folder: str
    sha256: str
    members: tuple[str, ...]
    url: str


CIFAR10 = Cifar(
    loader="CIFAR10",
    archive="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    members=("batches.meta", "test_batch", *(f"data_batch_{i}" for i in range(1, 6))),
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
CIFAR100 = Cifar(
    loader="CIFAR100",
    archive="cifar-100-python.tar.gz",
    folder="cifar-100-python",
    sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    members=("meta", "train", "test"),
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
)


def cifar_root() -> Path:
    """Where the archives and the folders they unpack to are looked for."""
    return cache_dir() / "cifar"


def check_cifar(spec: Cifar) -> None:
    """Check within two seconds that the files are there or can be downloaded.

    Raises:
        UserError: If neither.
    """
    if not _unpacked(spec) and not (cifar_root() / spec.archive).is_file():
        reason = unreachable(spec.url)
        if reason:
            raise _absent(spec, f"{spec.url} cannot be reached ({reason}).")


def build_cifar(spec: Cifar) -> RawData:
    """Read all images; the source's own test set stays the test set.

    Raises:
        UserError: If the files are absent and cannot be downloaded, or are damaged.
    """
    with locked(cifar_root() / f"{spec.folder}.lock"):
        if not _unpacked(spec):
            _fetch_archive(spec)
        train, test = (_load(spec, train=part) for part in (True, False))
    images = np.concatenate([train.data, test.data])
    return RawData(
        images=images,
        labels=np.array([*train.targets, *test.targets], np.int64),
        classes=list(train.classes),
        split=np.repeat(["train", "test"], [len(train.data), len(test.data)]),
        source=f"{spec.url} (A. Krizhevsky, 2009)",
    )


def _unpacked(spec: Cifar) -> bool:
    return all((cifar_root() / spec.folder / name).is_file() for name in spec.members)


def _fetch_archive(spec: Cifar) -> None:
    path = cifar_root() / spec.archive
    damaged = path.is_file() and sha256_of(path) != spec.sha256
    if damaged:
        logger.warning("%s is damaged or another file (SHA-256): downloading it again", path)
    elif path.is_file():
        return
    try:
        download(spec.url, path, spec.sha256)
    except DownloadError as error:
        cause = f"{path} is damaged (SHA-256), and " if damaged else ""
        raise _absent(spec, f"{cause}{error}.") from error


def _load(spec: Cifar, *, train: bool) -> Any:
    """Load by torchvision; its `download` unpacks the archive, which is there by now."""
    from torchvision import datasets  # imports torch: only when packing

    try:
        loader = getattr(datasets, spec.loader)
        return loader(str(cifar_root()), train=train, download=not _unpacked(spec))
    except (RuntimeError, OSError, EOFError) as error:
        text = " ".join(str(error).split())
        raise UserError(
            f"{cifar_root() / spec.folder} is damaged: {text.rstrip('.')}.",
            f"Remove that folder; {spec.archive} beside it, if whole, is unpacked again.",
        ) from error


def _absent(spec: Cifar, cause: str) -> UserError:
    return UserError(
        cause,
        f"Put {spec.archive} (or the unpacked folder {spec.folder}) into {cifar_root()}.",
    )
