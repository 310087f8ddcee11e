import logging
from pathlib import Path

import pytest
import torch

from deepsight import pretrain
from deepsight.config import UserError, trial_config
from deepsight.data.toy_objects.dataset import CLASSES, SOURCE_CLASSES
from deepsight.models import weights
from deepsight.models.build import build_model
from deepsight.models.quantised import read_weights
from deepsight.models.weights import RECIPES, embedded_file, require_weights

TINY = {
    "data.name": "digits",
    "model.name": "resnet20_cifar",
    "model.weights": "none",
    "train.epochs": 1,
    "optim.batch_size": 128,
}


@pytest.fixture
def tiny_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "resnet20_cifar", TINY)
    monkeypatch.setattr(pretrain, "num_cores", lambda: 1)


def test_no_class_of_the_source_is_one_of_the_target() -> None:
    assert not set(SOURCE_CLASSES) & set(CLASSES)


@pytest.mark.usefixtures("tiny_recipe")
def test_makes_the_backbone_once_and_trials_start_from_it(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="deepsight")
    path = embedded_file("resnet20_cifar")
    assert not path.exists()
    assert pretrain.main(["--model", "resnet20_cifar"]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert "epoch 1 of 1: loss" in caplog.text

    saved = torch.load(path, weights_only=True)
    made = saved["state"]["model"]
    assert made
    assert not [name for name in made if name.startswith("fc")]
    assert saved["row"]["recipe"]["data.name"] == "digits"

    config = trial_config({"data.name": "toy_objects", "model.name": "resnet20_cifar"})
    assert require_weights(config) == path
    state = build_model(config, num_classes=4, image_size=32).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in made.items())

    written = path.stat().st_mtime_ns
    assert pretrain.main(["--model", "resnet20_cifar"]) == 0
    assert path.stat().st_mtime_ns == written


def test_interrupted_pretraining_goes_on_and_ends_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger="deepsight")
    config = trial_config(TINY | {"train.epochs": 2})
    whole, cut = tmp_path / "whole.pt", tmp_path / "cut.pt"
    pretrain.pretrain(config, whole)

    def interrupt(message: str, *values: object) -> None:
        if message.startswith("epoch") and values[0] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pretrain.logger, "info", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pretrain.pretrain(config, cut)
    assert pretrain.progress_file(cut).is_file()
    pretrain.pretrain(config, cut)
    assert "going on after epoch 1" in caplog.text
    ends = [torch.load(path, weights_only=True)["state"]["model"] for path in (whole, cut)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.pt", "whole.pt"]


@pytest.mark.usefixtures("tiny_recipe")
def test_package_writes_weights_with_their_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "PACKAGED", tmp_path / "embedded")
    assert pretrain.main(["--model", "resnet20_cifar", "--package"]) == 0
    path = weights.packaged_file("resnet20_cifar")
    assert capsys.readouterr().out == f"{path}\n"
    assert path.stat().st_mode & 0o004, "other users of an installation read it too"
    facts = weights.packaged_facts("resnet20_cifar")
    assert facts["recipe"]["train.epochs"] == 1
    assert "hardware.threads" not in facts["recipe"]
    assert len(facts["first_pictures"]) == pretrain.COMPARED
    config = trial_config({"data.name": "toy_objects", "model.name": "resnet20_cifar"})
    assert require_weights(config) == path

    exact = torch.load(weights.cached_file("resnet20_cifar"), weights_only=True)["state"]["model"]
    for name, tensor in read_weights(path).items():
        largest = exact[name].abs().max().item() if tensor.ndim > 1 else 0.0
        assert torch.allclose(tensor, exact[name], rtol=0, atol=largest / 127), name


def test_diverged_pretraining_leaves_no_file(tmp_path: Path) -> None:
    explosive = {"optim.name": "sgd", "optim.lr": 100.0, "optim.weight_decay": 10.0}
    config = trial_config(TINY | explosive | {"optim.batch_size": 32})
    with pytest.raises(UserError, match="diverged"):
        pretrain.pretrain(config, tmp_path / "weights.pt")
    assert list(tmp_path.iterdir()) == []


def test_threads_are_tried_and_left_as_found() -> None:
    before = torch.get_num_threads()
    config = trial_config(TINY | {"optim.batch_size": 8})
    assert pretrain.best_threads(config, 1) == 1
    assert pretrain.best_threads(config, 2) in (1, 2)
    assert torch.get_num_threads() == before


def test_threads_are_looked_at_after_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    answers, used = [2, 1], []
    monkeypatch.setattr(pretrain, "best_threads", lambda config, available: answers.pop(0))

    def note(message: str, *values: object) -> None:
        if message.startswith("epoch"):
            used.append(torch.get_num_threads())

    monkeypatch.setattr(pretrain.logger, "info", note)
    config = trial_config(TINY | {"train.epochs": 3, "hardware.threads": 1})
    pretrain.pretrain(config, tmp_path / "weights.pt", available=2)
    assert (used, answers) == ([1, 2, 1], [])
    assert torch.get_num_threads() == before


def test_unknown_model_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain.main(["--model", "scratch_cnn"]) == 2
    assert "invalid choice" in capsys.readouterr().err
