"""Masks of `folder:` data reach attention and interventions: alpha channels, or a folder beside."""

import csv

import numpy as np
import pytest
from PIL import Image

from analysis import diagnose
from tests.trained import train_study
from tests.training.tiny import SMALL

SIDE, PER_CLASS = 16, 30


def write_images(root, masks=None):
    """Bright and dark squares on noise; the square is opaque, or white in a folder of its own."""
    rng = np.random.default_rng(0)
    for name, shade in (("bright", 230), ("dark", 20)):
        for number in range(PER_CLASS):
            image = rng.integers(90, 160, (SIDE, SIDE, 3), np.uint8)
            mask = np.zeros((SIDE, SIDE), np.uint8)
            y, x = rng.integers(0, SIDE - 8, 2)
            image[y : y + 8, x : x + 8], mask[y : y + 8, x : x + 8] = shade, 255
            if masks is None:
                image = np.dstack([image, mask])
            else:
                (masks / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(masks / name / f"{number}.png")
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / name / f"{number}.png")


def measures(study):
    with (study / "diagnosis/t0000-val/attention.csv").open() as file:
        return {row["measure"]: int(row["n"]) for row in csv.DictReader(file)}


def train(tmp_path, **changes):
    fixed = SMALL | {"data.name": f"folder:{tmp_path / 'images'}", "data.image_size": SIDE}
    return train_study(tmp_path / "study", [{}], fixed | changes, epochs=1)


def test_alpha_channels_are_masks(cache, tmp_path):
    write_images(tmp_path / "images")
    study = train(tmp_path)
    assert diagnose.main([str(study), "--split", "val"]) == 0
    assert {"mass_in_mask", "iou", "pointing"} <= measures(study).keys()
    page = (study / "diagnosis/t0000-val/index.html").read_text()
    assert "background of another class" in page


def test_a_parallel_folder_of_masks_is_joined_by_name(cache, tmp_path, capsys):
    write_images(tmp_path / "images", tmp_path / "masks")
    study = train(tmp_path)
    assert diagnose.main([str(study), "--split", "val"]) == 0
    assert "iou" not in measures(study)
    given = [str(study), "--split", "val", "--masks"]
    assert diagnose.main([*given, str(tmp_path / "masks")]) == 0
    assert "iou" in measures(study)
    assert not (study / "diagnosis/t0000-val/occlusion.png").exists()  # of the run without masks
    (tmp_path / "none").mkdir()
    assert diagnose.main([*given, str(tmp_path / "none")]) == 2
    assert "holds no mask of any of" in capsys.readouterr().err


def test_masks_are_for_folders(trained_study, capsys):
    assert diagnose.main([str(trained_study), "--trial", "t0000", "--trust", "--masks", "x"]) == 2
    assert "data.masks is for folder: data" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing", "images/bright/0.png"])
def test_a_study_with_a_wrong_folder_of_masks_does_not_start(cache, tmp_path, name):
    from deepsight.config import DataConfig, UserError
    from deepsight.data.datasets import check_source

    write_images(tmp_path / "images")
    config = DataConfig(name=f"folder:{tmp_path / 'images'}", masks=str(tmp_path / name))
    with pytest.raises(UserError, match="is not a folder"):
        check_source(config)
