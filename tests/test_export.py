"""An exported model answers as the trained one, and its card says what is known of it."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

import deepsight
from analysis.diagnosis.build import make_diagnosis
from deepsight import export
from deepsight.config import UserError, trial_config
from deepsight.data.datasets import load_dataset
from deepsight.imports import Permission
from deepsight.models.build import build_architecture
from deepsight.run_store import load_study
from deepsight.trained_model import load_trained_model

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def exported(trained_study, tmp_path_factory):
    """A copy of the study, and the export of the trial with averaged weights."""
    study = shutil.copytree(trained_study, tmp_path_factory.mktemp("e") / "study")
    return study, deepsight.export_model(study, "t0001", onnx=True)


def front_matter(folder):
    _, text, card = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(text), card


def test_the_weights_are_the_models(exported):
    study, folder = exported
    assert folder == study / "export" / "t0001"
    about = json.loads((folder / "config.json").read_text())
    size = about["preprocessing"]["image_size"]
    network = build_architecture(trial_config(about["config"]), len(about["classes"]), size)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    model = load_trained_model(study, "t0001")
    inputs = model.preprocess(load_dataset(model.config.data).val.images)
    with torch.inference_mode():
        assert torch.allclose(network.eval()(inputs), model.module(inputs), atol=1e-4)
    assert model.averaged


def test_the_card_says_what_the_score_was_selected_on(exported):
    study, folder = exported
    data, card = front_matter(folder)
    row = load_study(study).record("t0001").rows[-1]
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"]["split"] == "val"
    assert result["metrics"][0]["value"] == pytest.approx(row["val_accuracy"], abs=1e-6)
    assert (data["license"], data["pipeline_tag"]) == ("other", "image-classification")
    assert "license: other  # to be filled in" in (folder / "README.md").read_text()
    pattern = r"\| val \| [01]\.\d{4} \| 0\.\d{4} to [01]\.\d{4} \| 100 \| \*\*selected on"
    assert re.search(pattern, card)
    assert "The test split was not measured" in card
    assert "| optim.ema\\_decay | 0.9 |" in card


def test_the_card_has_the_test_score_of_the_diagnosis(exported, tmp_path):
    study = shutil.copytree(exported[0], tmp_path / "study")
    make_diagnosis(study, "t0001", permission=Permission(trust=True))
    folder = export.export_model(study, "t0001", tmp_path / "out")
    data, card = front_matter(folder)
    results = data["model-index"][0]["results"]
    assert [r["dataset"]["split"] for r in results] == ["val", "test"]
    assert "not measured" not in card
    assert not (folder / "model.onnx").exists()


def test_onnx_answers_as_pytorch_for_any_number_of_images(exported):
    onnxruntime = pytest.importorskip("onnxruntime")
    study, folder = exported
    model = load_trained_model(study, "t0001")
    images = load_dataset(model.config.data).val.images
    inputs = model.preprocess(images).contiguous()
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for count in (1, 7, len(images)):
        (logits,) = session.run(["logits"], {"images": inputs[:count].numpy()})
        with torch.inference_mode():
            expected = model.module(inputs[:count]).numpy()
        assert np.allclose(logits, expected, atol=1e-3)


def test_the_example_of_the_docs_runs(trained_study, tmp_path, monkeypatch, capsys):
    folder = deepsight.export_model(trained_study, "t0000", tmp_path / "model", onnx=True)
    text = (ROOT / "docs" / "diagnosis.md").read_text()
    (code,) = re.findall(r"```python\n(import json\n.*?)```", text, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    model = load_trained_model(trained_study, "t0000")
    image = load_dataset(model.config.data).val.images[5]
    Image.fromarray(image).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    assert folder.name == "model"
    exec(compile(code, "docs", "exec"), {})
    expected = model.probabilities(image[None])[0]
    assert capsys.readouterr().out == f"{model.class_names[expected.argmax()]}\n"


def test_an_export_that_differs_is_refused(trained_study, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="differs from PyTorch"):
        export.export_model(trained_study, "t0000", tmp_path / "model", onnx=True)
    assert not list(tmp_path.rglob("*.onnx"))


def test_a_missing_extra_is_named(trained_study, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert export.main([str(trained_study), "--onnx", "--to", str(tmp_path / "m")]) == 2
    error = capsys.readouterr().err.splitlines()
    assert "onnxruntime" in error[0]
    assert error[1] == 'Install the extra: pip install "deepsight[onnx]".'
    assert not (tmp_path / "m").exists()


def test_a_folders_path_stays_at_home(trained_study, tmp_path):
    import dataclasses

    from deepsight.model_card import model_card, public_name

    model = load_trained_model(trained_study)
    data = dataclasses.replace(
        model.config.data, name="folder:/home/me/photos", masks="/home/me/masks"
    )
    network = dataclasses.replace(model.config.model, weights="/home/me/mine.pt")
    config = dataclasses.replace(model.config, data=data, model=network)
    moved = dataclasses.replace(model, config=config)
    assert public_name(moved) == "folder:photos"
    for text in (json.dumps(export.describe(moved)), model_card(moved, None)):
        assert "/home/me" not in text
        assert "mine.pt" in text.replace("\\", "")


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive"])
def test_a_damaged_diagnosis_is_left_out_of_the_card(exported, tmp_path, content):
    study = shutil.copytree(exported[0], tmp_path / "study")
    stored = study / "diagnosis" / "t0001" / "evaluation.npz"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(content)
    card = (export.export_model(study, "t0001") / "README.md").read_text()
    assert "The test split was not measured" in card
