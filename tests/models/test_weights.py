import functools
import hashlib
import http.server
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepsight.config import ModelConfig, TrialConfig, UserError, trial_config
from deepsight.data.cache import cache_dir
from deepsight.models import weights
from deepsight.models.weights import (
    IMAGENET,
    RECIPES,
    Download,
    check_weights,
    fetch,
    require_weights,
    resolve_weights,
    weights_file,
)

CONTENT = b"weights of a kind"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An HTTP server over a directory with one file; gives the file's address."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "net.pth").write_bytes(CONTENT)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/net.pth"
        running.shutdown()


def config_of(model: str, data: str = "toy_objects", chosen: str = "auto") -> TrialConfig:
    return trial_config({"model.name": model, "data.name": data, "model.weights": chosen})


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        ("resnet18", "toy_objects", "embedded"),
        ("resnet50", "digits", "embedded"),
        ("resnet20_cifar", "toy_objects", "embedded"),
        ("scratch_cnn", "toy_objects", "none"),
        ("resnet18", "cifar10", "imagenet"),
        ("resnet50", "folder:/photographs", "imagenet"),
        ("resnet20_cifar", "cifar10", "none"),
        ("scratch_cnn", "cifar100", "none"),
        ("mine.nets:build", "cifar10", "none"),
        ("mine.nets:build", "toy_objects", "none"),
    ],
)
def test_auto(model: str, data: str, expected: str) -> None:
    assert resolve_weights(config_of(model, data)) == expected


def test_explicit_choice_stays() -> None:
    assert resolve_weights(config_of("resnet18", chosen="none")) == "none"
    assert resolve_weights(config_of("resnet18", chosen="imagenet")) == "imagenet"
    assert resolve_weights(config_of("resnet18", chosen="mine.pt")) == "mine.pt"


def test_files_by_source() -> None:
    folder = cache_dir() / "weights"
    assert weights_file(config_of("scratch_cnn")) is None
    assert weights_file(config_of("resnet18", "cifar10")) == folder / "resnet18-f37072fd.pth"
    embedded = weights_file(config_of("resnet50"))
    assert embedded is not None
    assert embedded.parent == folder
    assert embedded.name.startswith("embedded-resnet50-")
    assert weights_file(config_of("resnet18")) == weights.packaged_file("resnet18")
    assert weights_file(config_of("resnet18", chosen="~/w.pt")) == Path.home() / "w.pt"


def test_cached_file_changes_with_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = weights.cached_file("resnet18")
    assert weights.cached_file("resnet18") == before
    monkeypatch.setitem(RECIPES, "resnet18", RECIPES["resnet18"] | {"optim.lr": 0.5})
    assert weights.cached_file("resnet18") != before


@pytest.mark.parametrize("model", RECIPES)
def test_recipes_are_valid_and_need_no_weights(model: str) -> None:
    config = trial_config(RECIPES[model])
    assert config.model.name == model
    assert resolve_weights(config) == "none"


def test_file_names_carry_their_digests() -> None:
    for download in IMAGENET.values():
        assert download.url.endswith(f"-{download.sha256[:8]}.pth")
        assert len(download.sha256) == 64


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        (config_of("scratch_cnn", chosen="embedded"), "no embedded weights for scratch_cnn"),
        (config_of("resnet20_cifar", chosen="imagenet"), "no imagenet weights for resnet20_cifar"),
        (config_of("resnet18", chosen="missing.pt"), "no weights file missing.pt"),
        (config_of("resnet18", chosen="imagnet"), "unknown model.weights 'imagnet'"),
    ],
)
def test_impossible_choices(config: TrialConfig, cause: str) -> None:
    for function in (check_weights, require_weights):
        with pytest.raises(UserError, match=cause):
            function(config)


def test_given_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.touch()
    config = config_of("resnet18", chosen=str(path))
    check_weights(config)
    assert require_weights(config) == path


def test_download_once(server: str, tmp_path: Path) -> None:
    source = Download(server, hashlib.sha256(CONTENT).hexdigest())
    path = tmp_path / "cache" / "net.pth"
    fetch(source, path)
    assert path.read_bytes() == CONTENT
    fetch(Download(server.replace("net", "gone"), source.sha256), path)  # there: not fetched again


def test_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="is damaged") as caught:
        fetch(Download("http://127.0.0.1:9/net.pth", "0" * 64), path)
    assert caught.value.remedy == "Delete it, so that it is downloaded again."


def test_wrong_file_is_not_kept(server: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    with pytest.raises(UserError, match="cannot be downloaded.*SHA-256"):
        fetch(Download(server, "0" * 64), path)
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".pth" or "partial" in p.name]


def test_offline_says_where_the_file_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = Download("http://127.0.0.1:9/resnet18-00000000.pth", "0" * 64)
    monkeypatch.setitem(IMAGENET, "resnet18", nobody)
    config = config_of("resnet18", "cifar10")
    start = time.monotonic()
    for function in (check_weights, require_weights):
        with pytest.raises(UserError, match="cannot be downloaded") as caught:
            function(config)
        folder = cache_dir() / "weights"
        assert f"Put resnet18-00000000.pth into {folder}" in caught.value.remedy
        assert "or set model.weights=embedded" in caught.value.remedy
    assert time.monotonic() - start < 3


def test_present_file_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setitem(IMAGENET, "resnet18", Download("http://127.0.0.1:9/r-1.pth", digest))
    config = config_of("resnet18", "cifar10")
    path = weights_file(config)
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    check_weights(config)
    assert require_weights(config) == path


def test_failed_pretraining_names_the_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The recipe is unknown to the other process, which therefore makes a file of another name."""
    monkeypatch.setitem(RECIPES, "no_such_net", RECIPES["resnet18"])
    caplog.set_level(logging.INFO, logger="deepsight")
    model = ModelConfig(name="no_such_net", weights="embedded")
    with pytest.raises(UserError, match="no_such_net could not be made") as caught:
        require_weights(TrialConfig(model=model))
    assert "python -m deepsight.pretrain --model no_such_net" in caught.value.remedy
    assert "invalid choice" in caplog.text


def test_importing_does_not_import_torch() -> None:
    code = "import sys, deepsight.models.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
