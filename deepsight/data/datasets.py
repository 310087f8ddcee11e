"""The data sets by name, and how they are opened: packed once, memory-mapped by every process."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepsight.config import DataConfig, UserError, is_import_path, unknown
from deepsight.data import cifar, digits
from deepsight.data.cache import cache_dir, locked, replace_directory
from deepsight.data.defects import check_defects, plant_defects
from deepsight.data.folder import image_folder
from deepsight.data.packing import (
    PACKING_VERSION,
    Dataset,
    PackError,
    Split,
    open_pack,
    open_split,
    write_pack,
)
from deepsight.data.raw import RawData, check_raw
from deepsight.data.split import plan_split
from deepsight.imports import call, load_object

__all__ = [
    "DATASETS",
    "Dataset",
    "Split",
    "check_source",
    "load_dataset",
    "open_named",
    "open_test",
    "pack_dataset",
    "preview",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """How one kind of data set is obtained.

    Attributes:
        build: Reads, draws or decodes it. The second argument is an empty directory on the
            cache's disk for what does not fit into memory.
        settings: What of the config its content depends on.
        identity: What its content depends on besides the config, quick to tell.
        check: What can be known to be wrong within a second or two.
        embedded: Whether it needs neither download nor files of the user.
    """

    build: Callable[[DataConfig, Path], RawData]
    settings: Callable[[DataConfig], Mapping[str, Any]]
    identity: Callable[[DataConfig], Mapping[str, Any]]
    check: Callable[[DataConfig], None]
    embedded: bool = False


def _code(*paths: Path) -> str:
    """Digest of source files: an edit of the code that makes the images leads to a new pack."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _drawing_code() -> str:
    """Of the modules that decide what ``toy_objects`` and its pretraining's pictures look like."""
    return _code(*sorted(Path(__file__).with_name("toy_objects").glob("*.py")))


def _toy_objects(config: DataConfig, scratch: Path) -> RawData:
    from deepsight.data.toy_objects.dataset import build_toy_objects  # only where it is drawn

    return build_toy_objects(config)


def _imported(config: DataConfig, scratch: Path) -> RawData:
    raw: RawData = call(config.name, load_object(config.name), config)
    return raw  # whatever it is: `_pack` checks it


def _imported_identity(config: DataConfig) -> dict[str, Any]:
    """The file that a function is written in."""
    function = load_object(config.name)
    module = inspect.getmodule(function) or sys.modules[config.name.partition(":")[0]]
    if module.__name__ == f"{__package__}.toy_objects.dataset":
        code = _drawing_code()  # several files
    else:
        code = _code(Path(module.__file__)) if module.__file__ else ""
    return {"code": code}


def _imported_settings(config: DataConfig) -> dict[str, Any]:
    """All of `config` that a function may look at."""
    fields = ("size", "image_size", "interpolation")
    return {field: getattr(config, field) for field in fields}


def _nothing(config: DataConfig) -> dict[str, Any]:
    """The content does not depend on the config."""
    return {}


def _fine(config: DataConfig) -> None:
    """Nothing can be missing."""


DATASETS: dict[str, Source] = {
    "toy_objects": Source(
        build=_toy_objects,
        settings=lambda config: {"size": config.size},
        identity=lambda config: {"code": _drawing_code()},
        check=_fine,
        embedded=True,
    ),
    "digits": Source(
        build=lambda config, scratch: digits.build_digits(),
        settings=_nothing,
        identity=lambda config: {"image_size": digits.SIZE},
        check=_fine,
        embedded=True,
    ),
    "cifar10": Source(
        build=lambda config, scratch: cifar.build_cifar(cifar.CIFAR10),
        settings=_nothing,
        identity=lambda config: {"sha256": cifar.CIFAR10.sha256},
        check=lambda config: cifar.check_cifar(cifar.CIFAR10),
    ),
    "cifar100": Source(
        build=lambda config, scratch: cifar.build_cifar(cifar.CIFAR100),
        settings=_nothing,
        identity=lambda config: {"sha256": cifar.CIFAR100.sha256},
        check=lambda config: cifar.check_cifar(cifar.CIFAR100),
    ),
    "folder": Source(
        build=image_folder.build_folder,
        settings=image_folder.folder_settings,
        identity=image_folder.folder_identity,
        check=image_folder.check_folder,
    ),
}
"""By ``data.name`` (for ``folder:PATH`` the part before the colon)."""

IMPORTED = Source(
    build=_imported,
    settings=_imported_settings,
    identity=_imported_identity,
    check=lambda config: _check_callable(config.name),
)
"""``package.module:function``, called with the `DataConfig`; it returns a `RawData`."""


def source_of(name: str) -> Source:
    """The source that ``data.name`` means.

    Raises:
        UserError: If there is none.
    """
    if name.startswith(image_folder.PREFIX):
        return DATASETS["folder"]
    if name in DATASETS and name != "folder":
        return DATASETS[name]
    if is_import_path(name):
        return IMPORTED
    raise unknown("data set", name, [*(DATASETS.keys() - {"folder"}), "folder:PATH"])


def check_source(config: DataConfig) -> None:
    """Find within a second (two for a host that does not answer) what would stop `load_dataset`.

    Raises:
        UserError: If the folder, the files, the host or the function is not there.
    """
    source = source_of(config.name)
    check_defects(config)
    if source is not DATASETS["folder"] and _pack_path(config, cache_dir()).is_dir():
        return  # packed already: the source is not needed again
    source.check(config)


def preview(config: DataConfig) -> dict[str, Any]:
    """``name``, and of a folder ``counts`` and ``left_out``, before anything is decoded.

    Raises:
        UserError: If there is no such data set, or the folder cannot be read.
    """
    if source_of(config.name) is DATASETS["folder"]:
        return image_folder.preview_folder(config)
    return {"name": config.name}


def load_dataset(config: DataConfig) -> Dataset:
    """Open the data set, packing it first if no process has done so yet.

    Within a process the same config gives the same object, also when a folder has changed since:
    all trials of a process see the same images.

    Raises:
        UserError: If the source is missing or unusable.
    """
    return _load(config, cache_dir())


def pack_dataset(config: DataConfig) -> Dataset:
    """Open the data set as it is now, packing it first if no process has done so yet.

    Raises:
        UserError: If the source is missing or unusable.
    """
    return _open_or_pack(config, cache_dir())


def open_named(config: DataConfig, pack: str, fingerprint: str) -> Dataset:
    """Open the pack that a study began with, or another size or split of the same images.

    What the source has become since does not matter where the pack is the one that `config`
    means. Where it is not (a searched ``data.image_size``), the source must be what it was.

    Args:
        config: The data set that is wanted.
        pack: Name of the directory of a pack of the same source.
        fingerprint: Of that pack.

    Raises:
        UserError: If the pack is gone, damaged or another one, or the source has changed.
    """
    path = cache_dir() / "data" / pack
    again = "Continue the study with --resume: it packs the data again and checks that they are "
    try:
        dataset = open_pack(path)
    except PackError as error:
        raise UserError(f"the study's data cannot be opened: {error}.", f"{again}the same.") from (
            error
        )
    if dataset.fingerprint != fingerprint:
        raise UserError(
            f"{path} has the fingerprint {dataset.fingerprint[:12]}, the study's data have "
            f"{fingerprint[:12]}.",
            f"{again}the same.",
        )
    settings = json.loads(json.dumps(_settings(config)))
    if {name: dataset.made_from.get(name) for name in settings} == settings:
        return dataset
    source = {name: value for name, value in dataset.made_from.items() if name not in settings}
    now = json.loads(json.dumps(_made_from(config)))
    if source != {name: value for name, value in now.items() if name not in settings}:
        raise UserError(
            f"{config.name} has changed since the study began; this trial wants it packed anew "
            f"({', '.join(f'data.{name}={value}' for name, value in settings.items())}).",
            "Restore the data, or start a new study.",
        )
    return load_dataset(config)


def open_test(dataset: Dataset) -> Split:
    """Open the test split: the only way to it, and it leaves a line in the log."""
    logger.info("opening the test split of %s (%s)", dataset.name, dataset.path)
    return open_split(dataset.path, "test")


@functools.lru_cache(maxsize=32)
def _load(config: DataConfig, root: Path) -> Dataset:
    return _open_or_pack(config, root)


def _open_or_pack(config: DataConfig, root: Path) -> Dataset:
    source = source_of(config.name)
    check_defects(config)
    path = _pack_path(config, root)
    dataset = _open_whole(path)
    if dataset is not None:
        return dataset
    with locked(path.with_name(f".{path.name}.lock")):
        dataset = _open_whole(path)  # another process may have packed while we waited
        if dataset is None:
            _remove(path)
            _pack(config, source, path)
            dataset = open_pack(path)
    return dataset


def _settings(config: DataConfig) -> dict[str, Any]:
    """What of `config` the content of a pack depends on, besides its name."""
    planted = {"defects": config.defects} if config.defects else {}
    return {
        **planted,
        "split_seed": config.split_seed,
        "val_fraction": config.val_fraction,
        "test_fraction": config.test_fraction,
        **source_of(config.name).settings(config),
    }


def _made_from(config: DataConfig) -> dict[str, Any]:
    """All that the content of a pack depends on."""
    code = _code(Path(__file__).with_name("defects.py")) if config.defects else ""
    return {
        **({"defects_code": code} if code else {}),
        "name": config.name,
        "packing_version": PACKING_VERSION,
        **_settings(config),
        **source_of(config.name).identity(config),
    }


def _pack_path(config: DataConfig, root: Path) -> Path:
    made_from = json.dumps(_made_from(config), sort_keys=True)
    key = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    return root / "data" / f"{_slug(config.name)}-{key}"


def _open_whole(path: Path) -> Dataset | None:
    if not path.exists():
        return None
    try:
        return open_pack(path)
    except PackError as error:
        logger.warning("damaged pack, packing again: %s", error)
        return None


def _pack(config: DataConfig, source: Source, path: Path) -> None:
    start = time.monotonic()
    logger.info("packing %s into %s", config.name, path)
    with replace_directory(path) as directory:
        scratch = directory / "scratch"
        scratch.mkdir()
        raw = plant_defects(check_raw(source.build(config, scratch), config.name), config)
        if _pack_path(config, path.parents[1]) != path:
            raise UserError(
                f"{config.name} changed while it was packed.",
                "Start again when nothing is written there any more.",
            )
        plan = plan_split(raw, config, config.name)
        header = {
            "name": config.name,
            "embedded": source.embedded,
            "source": raw.source or config.name,
            "made_from": _made_from(config),
        }
        write_pack(directory, raw, plan, header)
        shutil.rmtree(scratch)
    num = sum(len(rows) for rows in plan.rows.values())
    logger.info("packed %d images in %.1f s", num, time.monotonic() - start)


def _remove(path: Path) -> None:
    """Take a damaged pack away at once; those who have it mapped keep their pages."""
    if path.exists():
        away = path.with_name(f"{path.name}.partial-damaged-{os.getpid()}")
        path.rename(away)
        shutil.rmtree(away, ignore_errors=True)


def _slug(name: str) -> str:
    """The data set's name as part of a directory's name."""
    if name.startswith(image_folder.PREFIX):
        name = f"folder-{Path(name.removeprefix(image_folder.PREFIX)).name}"
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:60]


def _check_callable(path: str) -> None:
    if not callable(load_object(path)):
        raise UserError(f"{path} is not a function.", "It is called with the DataConfig.")
