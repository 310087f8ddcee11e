"""The embedded weights that come with the package: whole, of their recipe, and in the wheel."""

import shutil
from pathlib import Path

import pytest
import torch

from deepsight.config import UserError, trial_config
from deepsight.models import weights
from deepsight.models.build import build_model
from deepsight.models.quantised import read_weights
from deepsight.models.weights import (
    RECIPES,
    embedded_file,
    is_packaged,
    packaged_facts,
    packaged_file,
    recipe_of,
    require_weights,
)
from deepsight.pretrain import picture_means
from deepsight.training import prerequisites

ROOT = Path(__file__).parents[2]
CONFIG = trial_config({"model.name": "resnet18", "data.name": "toy_objects"})


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the package's weights, to be damaged."""
    folder = tmp_path / "embedded"
    shutil.copytree(weights.PACKAGED, folder)
    monkeypatch.setattr(weights, "PACKAGED", folder)
    return folder


def test_resnet18_begins_with_the_packages_file() -> None:
    path = require_weights(CONFIG)
    assert path == packaged_file("resnet18") == embedded_file("resnet18")
    state = build_model(CONFIG, num_classes=10, image_size=32).state_dict()
    for name, tensor in read_weights(path).items():
        assert torch.equal(state[name], tensor), name
    assert path.stat().st_size <= 12_000_000
    assert not is_packaged(embedded_file("resnet50"))
    assert not is_packaged(embedded_file("resnet20_cifar"))


def test_other_machines_need_not_see_the_packages_file() -> None:
    assert prerequisites.files([CONFIG])[1] == []


def test_recipe_and_pictures_are_those_of_the_file() -> None:
    """If it fails: did the pictures or the recipe change on purpose? Then `make weights`."""
    facts = packaged_facts("resnet18")
    now = recipe_of(trial_config(RECIPES["resnet18"]))
    assert {k: now.get(k) for k in facts["recipe"]} == facts["recipe"]
    means = picture_means(trial_config(RECIPES["resnet18"]).data)
    assert means == pytest.approx(facts["first_pictures"], abs=0.05)
    assert "MIT" in facts["licence"]


def test_damaged_weights_are_refused(copied: Path) -> None:
    path = copied / "resnet18.safetensors"
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged") as caught:
        require_weights(CONFIG)
    assert "Install deepsight again" in caught.value.remedy


def test_a_package_without_weights_makes_them(copied: Path) -> None:
    (copied / "resnet18.safetensors").unlink()
    assert embedded_file("resnet18") == weights.cached_file("resnet18")


def test_unreadable_facts_are_a_user_error(copied: Path) -> None:
    (copied / "resnet18.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        require_weights(CONFIG)
