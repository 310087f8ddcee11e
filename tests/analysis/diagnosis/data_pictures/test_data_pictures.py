"""Pictures of the data: the right images, varied and resized as the trial did it."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from analysis.diagnosis.data_pictures.pictures import compute_data_pictures, describe_augmentation
from analysis.diagnosis.data_pictures.section import data_part
from analysis.diagnosis.evaluation import open_data
from analysis.figures.style import style
from deepsight.config import AugmentConfig, DataConfig
from deepsight.data.datasets import load_dataset
from deepsight.imports import Permission
from deepsight.trained_model import load_trained_model

TRUST = Permission(trust=True)  # the data are made by code of tests/


def opened(study, trial):
    model = load_trained_model(study, trial, permission=TRUST)
    return model, open_data(model, permission=TRUST)


def pictures(study, trial, **augment):
    model, dataset = opened(study, trial)
    if augment:
        augmented = dataclasses.replace(model.config.augment, **augment)
        config = dataclasses.replace(model.config, augment=augmented)
        model = dataclasses.replace(model, config=config)
    return compute_data_pictures(model, dataset, model.config.data.name), dataset


def test_samples_are_of_their_class_and_counts_of_their_split(trained_study):
    info, dataset = pictures(trained_study, "t0000")
    for split, counts in info.counts.items():
        assert dict(zip(dataset.classes, counts, strict=True)) == dataset.counts[split]
    labels = np.asarray(dataset.train.labels)
    for label, tiles in zip(info.sampled, info.samples, strict=True):
        mine = {image.tobytes() for image in np.asarray(dataset.train.images[labels == label])}
        assert {tile.tobytes() for tile in tiles} <= mine
    table = data_part(info, info.classes).section({}).blocks[-1]
    assert [row[0] for row in table.rows] == list(dataset.classes)


def test_the_first_column_is_the_image_and_the_others_are_varied(trained_study):
    info, dataset = pictures(trained_study, "t0000")
    stored = {image.tobytes() for image in np.asarray(dataset.train.images)}
    first, draws = info.augmented[:, 0], info.augmented[:, 1:]
    assert all(image.tobytes() in stored for image in first)
    assert all(
        (draw != image).any() for image, row in zip(first, draws, strict=True) for draw in row
    )
    mixed, _ = pictures(trained_study, "t0000", strength=0.0, mix="cutmix", mix_alpha=1.0)
    assert (mixed.augmented[:, 0] == first).all()
    changed = (mixed.augmented[:, 1:] != mixed.augmented[:, :1]).any(axis=-1)
    assert 0 < changed.mean() < 1  # a box of another image, the rest as it was


def test_without_augmentation_the_page_says_so(trained_study):
    info, _ = pictures(trained_study, "t0000", strength=0.0)  # flips are off in this study
    assert info.augmented is None
    part = data_part(info, info.classes)
    assert "augmentation" not in {d.name for d in part.drawings}
    assert any("its augmentation is off" in getattr(b, "text", "") for b in part.section({}).blocks)


def test_augmentation_is_told_with_its_strength():
    said = describe_augmentation(AugmentConfig(strength=0.5, colour=0.0, mix="mixup"))
    assert said.startswith("mirrored left to right (half of them), crop after padding by up to 12%")
    assert said.endswith("rotation by up to 10 degrees, zoom by up to 10%, then mixup")
    assert "brightness" not in said


def test_resizing_is_that_of_the_network(trained_study):
    info, dataset = pictures(trained_study, "t0001")  # 12 pixels, bicubic
    assert info.resized.used == "bicubic"
    assert info.resized.bilinear.shape == info.resized.bicubic.shape == (3, 12, 12, 3)
    assert 0 < info.resized.levels < 40
    model, _ = opened(trained_study, "t0001")
    inputs = model.preprocess(np.stack(info.resized.before)).permute(0, 2, 3, 1).numpy()
    levels = (inputs * dataset.std + np.array(dataset.mean)) * 255
    assert np.abs(levels.clip(0, 255) - info.resized.bicubic).max() <= 0.51
    other, _ = pictures(trained_study, "t0000")
    assert other.resized is None
    assert "as they are stored, 16x16 pixels" in other.not_resized


@pytest.mark.parametrize("side", [40, 16])
def test_files_are_decoded_in_both_ways(trained_study, tmp_path, side):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(12):
            pixels = rng.integers(0, 255, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{k}.png")
    config = DataConfig(name=f"folder:{tmp_path}", image_size=16)
    dataset, (model, _) = load_dataset(config), opened(trained_study, "t0000")
    model = dataclasses.replace(model, config=dataclasses.replace(model.config, data=config))
    info = compute_data_pictures(model, dataset, config.name)
    if side == 16:
        assert "these files have 16x16 pixels" in info.not_resized
        return
    assert info.resized.where == "to 16x16 pixels when the files were packed"
    packed = {image.tobytes() for image in np.asarray(dataset.train.images)}
    assert all(image.tobytes() in packed for image in info.resized.bilinear)
    assert not any(image.tobytes() in packed for image in info.resized.bicubic)


@pytest.mark.parametrize("num", [1, 30, 130])
def test_many_classes_are_drawn(trained_study, num):
    info, _ = pictures(trained_study, "t0001")
    some = np.zeros((min(num, 120), 1, 16, 16, 3), np.uint8)
    counts = {split: tuple(range(1, num + 1)) for split in info.counts}
    names = tuple(f"class {k}" for k in range(num))
    info = dataclasses.replace(
        info, classes=names, counts=counts, sampled=tuple(range(len(some))), samples=some
    )
    part = data_part(info, names)
    with style():
        for drawing in part.drawings:
            drawing.draw().canvas.draw()
    assert ("the first 120 of 130" in part.drawings[1].caption) == (num == 130)
