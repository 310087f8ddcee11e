"""Where pretrained weights come from, and how they get there. Light: importing it needs no torch.

Three sources: ``imagenet`` (torchvision's files, downloaded), ``embedded`` (trained by
`deepsight.pretrain` on drawn objects of other classes: ResNet18's come with the package, the others
are made once in the cache) and a file of the user's own.
"""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepsight.config import TrialConfig, UserError, Value, flatten, trial_config, unknown
from deepsight.data.cache import cache_dir, check_once, locked
from deepsight.data.download import DownloadError, download, sha256_of, unreachable
from deepsight.files import hash_fits

logger = logging.getLogger(__name__)

PACKAGED = Path(__file__).with_name("embedded")
"""Embedded weights that come with the package, each with a JSON file that describes it."""

EMBEDDED_DATA = ("toy_objects", "digits")
"""Data sets that come with the package; their networks begin with embedded weights."""


@dataclass(frozen=True)
class Download:
    """A file on the network and the SHA-256 it must have."""

    url: str
    sha256: str


IMAGENET = {
    "resnet18": Download(
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    ),
    "resnet50": Download(
        "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
    ),
}
"""torchvision's weights: ResNet18 IMAGENET1K_V1, ResNet50 IMAGENET1K_V2."""

_RECIPE: dict[str, Value] = {
    "data.name": "deepsight.data.toy_objects.dataset:build_source_objects",
    "data.size": 8000,
    "data.val_fraction": 0.06,  # enough to see that it learns
    "data.test_fraction": 0.02,  # never opened
    "model.weights": "none",
    "augment.strength": 0.2,
    "optim.lr": 2e-3,
    "optim.weight_decay": 0.05,
    "optim.batch_size": 128,
    "train.epochs": 12,
}

RECIPES: dict[str, dict[str, Value]] = {
    "resnet18": _RECIPE
    | {"model.name": "resnet18", "data.size": 40_000, "augment.strength": 0.3, "train.epochs": 30},
    "resnet50": _RECIPE | {"model.name": "resnet50", "train.epochs": 5},
    "resnet20_cifar": _RECIPE | {"model.name": "resnet20_cifar"},
}
"""How `deepsight.pretrain` trains the embedded weights of each model that has some."""


def resolve_weights(config: TrialConfig) -> str:
    """``model.weights`` with "auto" decided: "imagenet", "embedded", "none" or a file's path."""
    chosen, name = config.model.weights, config.model.name
    if chosen != "auto":
        return chosen
    if config.data.name in EMBEDDED_DATA:
        return "embedded" if name in RECIPES else "none"
    return "imagenet" if name in IMAGENET else "none"


def weights_file(config: TrialConfig) -> Path | None:
    """Where the weights of this trial are, or will be once made; None without any.

    Raises:
        UserError: If there are no such weights for this model.
    """
    kind, name = resolve_weights(config), config.model.name
    if kind == "none":
        return None
    known = {"imagenet": list(IMAGENET), "embedded": list(RECIPES)}
    if kind not in known:
        return Path(kind).expanduser()
    if name not in known[kind]:
        raise UserError(
            f"there are no {kind} weights for {name}.",
            f"They exist for {', '.join(known[kind])}; set model.weights=none or give a file.",
        )
    if kind == "embedded":
        return embedded_file(name)
    return _folder() / Path(urllib.parse.urlsplit(IMAGENET[name].url).path).name


def embedded_file(name: str) -> Path:
    """A model's embedded weights: the package's file where there is one, else `cached_file`.

    The package's file counts whatever the drawing code is now (decision 0064).
    """
    path = packaged_file(name)
    return path if path.is_file() else cached_file(name)


def packaged_file(name: str) -> Path:
    """Where the package keeps a model's embedded weights, if it does: 8 bits a weight."""
    return PACKAGED / f"{name}.safetensors"


def is_packaged(path: Path) -> bool:
    """Whether `path` is a weights file of the package."""
    return path.parent == PACKAGED


def packaged_facts(name: str) -> dict[str, Any]:
    """What the package says of its weights file: ``sha256``, ``recipe``, ``licence`` and more.

    Raises:
        UserError: If that cannot be read.
    """
    path = packaged_file(name).with_suffix(".json")
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}.", "Install deepsight again.") from error
    return facts


def cached_file(name: str) -> Path:
    """Where `deepsight.pretrain` puts its result; the name changes with recipe and drawing code."""
    from deepsight.data.datasets import source_of  # imports the drawing code

    config = trial_config(RECIPES[name])
    drawings = source_of(config.data.name).identity(config.data)
    text = json.dumps([recipe_of(config), drawings], sort_keys=True)
    return _folder() / f"embedded-{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.pt"


def recipe_of(config: TrialConfig) -> dict[str, Value]:
    """All that the weights depend on but the machine: the flat config without its hardware."""
    return {k: v for k, v in flatten(config).items() if not k.startswith("hardware.")}


def check_weights(config: TrialConfig) -> None:
    """Check within two seconds whether `require_weights` has a chance.

    Raises:
        UserError: If a file is missing, or must be downloaded and its host is out of reach.
    """
    path = weights_file(config)
    if path is None or path.is_file():
        return
    kind = resolve_weights(config)
    if kind == "imagenet":
        source = IMAGENET[config.model.name]
        if reason := unreachable(source.url):
            raise _unavailable(source, path, reason)
    elif kind != "embedded":
        raise _missing(path)


def require_weights(config: TrialConfig) -> Path | None:
    """Make the weights of this trial available and say on the logger what takes time.

    Raises:
        UserError: If they cannot be had.
    """
    path = weights_file(config)
    if path is None:
        return None
    kind = resolve_weights(config)
    if kind == "imagenet":
        fetch(IMAGENET[config.model.name], path)
    elif is_packaged(path):
        _check_sha256(
            path,
            packaged_facts(config.model.name)["sha256"],
            "Install deepsight again, or make them with python -m deepsight.pretrain --package.",
        )
    elif kind == "embedded":
        if path.is_file() and not _is_whole(path):
            logger.warning("%s is damaged and made again", path)
            path.unlink(missing_ok=True)
        if not path.is_file():
            _pretrain(config.model.name, path)
    elif not path.is_file():
        raise _missing(path)
    return path


def _is_whole(path: Path) -> bool:
    """Whether embedded weights are what was written: read in full once by a process tree."""

    def check() -> None:
        with path.open("rb") as file:
            if not hash_fits(file):
                raise ValueError(path)

    try:
        check_once([path], check)
    except ValueError:
        return False
    return True


def fetch(source: Download, path: Path) -> None:
    """Make `source` available at `path`: whole or not at all, and the one expected.

    Raises:
        UserError: If it cannot be downloaded, or the file is not the one expected.
    """
    if not path.is_file():
        with locked(path.with_name(f".{path.name}.lock")):
            if not path.is_file():
                try:
                    download(source.url, path, source.sha256)
                except DownloadError as error:
                    raise _unavailable(source, path, str(error)) from error
    _check_sha256(path, source.sha256, "Delete it, so that it is downloaded again.")


def _check_sha256(path: Path, expected: str, remedy: str) -> None:
    """Read a file in full once by a process tree, and refuse it if its hash is another."""

    def check() -> None:
        if sha256_of(path) != expected:
            raise UserError(f"{path} is damaged: its SHA-256 is not {expected}.", remedy)

    check_once([path], check)


def _pretrain(name: str, path: Path) -> None:
    """Run `deepsight.pretrain` in a process of its own and pass its lines on."""
    logger.info("making embedded weights for %s, once (they stay in %s)", name, path.parent)
    command = [sys.executable, "-m", "deepsight.pretrain", "--model", name]
    last = ""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                last = line.strip() or last
                logger.info("%s", line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode or not path.is_file():
        raise UserError(
            f"embedded weights for {name} could not be made: {last.rstrip('.')}.",
            f"Run python -m deepsight.pretrain --model {name}, or set model.weights=none.",
        )


def _folder() -> Path:
    return cache_dir() / "weights"


def _missing(path: Path) -> UserError:
    if path.suffix or len(path.parts) > 1:
        return UserError(f"no weights file {path}.", "Correct model.weights.")
    return unknown("model.weights", str(path), ["auto", "imagenet", "embedded", "none", "a file"])


def _unavailable(source: Download, path: Path, reason: str) -> UserError:
    here = {source for name, source in IMAGENET.items() if name in RECIPES}
    instead = "embedded (nothing is downloaded)" if source in here else "none"
    return UserError(
        f"{source.url} cannot be downloaded: {reason.rstrip('.')}.",
        f"Put {path.name} into {path.parent}, or set model.weights={instead}.",
    )
