"""What the model was trained on, as pictures: classes by split, samples, augmentation, resizing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deepsight.augment.build import build_augment, normalise, resize
from deepsight.augment.mix import mix
from deepsight.config import AugmentConfig
from deepsight.data.datasets import Dataset
from deepsight.data.folder.decode import decode
from deepsight.data.folder.image_folder import PREFIX, folder_size
from deepsight.data.packing import image_names
from deepsight.trained_model import TrainedModel

NUM_AUGMENTED, NUM_DRAWS = 5, 6
"""Images that are varied, and how often."""
NUM_RESIZED = 3
MAX_SAMPLES, MAX_CLASSES = 160, 120
"""Sample images in all, and classes that have any."""
PER_CLASS = 8
MAX_SIDE = 96
"""Pixels of a sample; larger ones are made smaller."""

Images = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Resized:
    """Images resized in two ways.

    Attributes:
        before: Images (H, W, 3) as they were.
        bilinear: (n, S, S, 3).
        bicubic: (n, S, S, 3).
        where: When that happens, in words.
        used: Which one was used, "bilinear" or "bicubic".
    """

    before: tuple[Images, ...] = field(repr=False)
    bilinear: Images = field(repr=False)
    bicubic: Images = field(repr=False)
    where: str
    used: str

    @property
    def levels(self) -> float:
        """Mean absolute difference of the two, in levels of 0..255."""
        return float(np.abs(self.bilinear.astype(float) - self.bicubic).mean())


@dataclass(frozen=True, eq=False)
class DataPictures:
    """What a data set and a trial's preprocessing look like.

    Attributes:
        classes: Names by label.
        counts: By split, images of each class by label.
        sampled: Labels of the classes that `samples` shows.
        samples: (classes, n, side, side, 3) train images; a class with fewer repeats none: what
            is missing is white.
        augmented: (images, 1 + draws, S, S, 3): each as it is, then as the network got it; None
            where the trial varies nothing.
        augmentation: What was applied, in words.
        resized: None where nothing is resized.
        not_resized: Why; empty where it is.
    """

    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    sampled: tuple[int, ...]
    samples: Images = field(repr=False)
    augmented: Images | None = field(repr=False)
    augmentation: str
    resized: Resized | None
    not_resized: str


def compute_data_pictures(model: TrainedModel, dataset: Dataset, name: str) -> DataPictures:
    """Look at the train split and at what the trial's preprocessing does to it.

    Args:
        model: Whose config is applied.
        dataset: Its data.
        name: Where they are, as in ``data.name``.
    """
    counts = {
        split: tuple(int(dataset.counts[split].get(c, 0)) for c in dataset.classes)
        for split in ("train", "val", "test")
    }
    sampled, samples = _samples(dataset)
    rows = _spread(dataset, NUM_AUGMENTED)
    resized, why = _resized(model, dataset, name, rows[:NUM_RESIZED])
    return DataPictures(
        classes=dataset.classes,
        counts=counts,
        sampled=sampled,
        samples=samples,
        augmented=_augmented(model, dataset, rows),
        augmentation=describe_augmentation(model.config.augment),
        resized=resized,
        not_resized=why,
    )


def _spread(dataset: Dataset, count: int) -> NDArray[np.int64]:
    """Train images of different classes, as long as there are others, drawn with a fixed seed."""
    labels = np.asarray(dataset.train.labels)
    order = np.random.default_rng(0).permutation(len(labels))
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        mine = labels[order] == label
        rank[mine] = np.arange(mine.sum())
    chosen = order[np.argsort(rank, kind="stable")][:count]
    return np.asarray(chosen, np.int64)


def _samples(dataset: Dataset) -> tuple[tuple[int, ...], Images]:
    labels = np.asarray(dataset.train.labels)
    shown = tuple(range(min(len(dataset.classes), MAX_CLASSES)))
    per_class = max(1, min(PER_CLASS, MAX_SAMPLES // len(shown)))
    side = min(MAX_SIDE, dataset.image_size)
    tiles = np.full((len(shown), per_class, side, side, 3), 255, np.uint8)
    rng = np.random.default_rng(0)
    for k, label in enumerate(shown):
        mine = rng.permutation(np.flatnonzero(labels == label))[:per_class]
        for n, row in enumerate(mine):
            tiles[k, n] = _smaller(np.asarray(dataset.train.images[row]), side)
    return shown, tiles


def _smaller(image: Images, side: int) -> Images:
    if len(image) == side:
        return image
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS))


def describe_augmentation(config: AugmentConfig) -> str:
    """What a trial's augmentation does, each operation with its size."""
    strength = config.strength
    sizes = {
        "crop": f"crop after padding by up to {config.crop * strength:.0%} of the side",
        "cutout": f"erased square of {config.cutout * strength:.0%} of the side",
        "colour": f"brightness, contrast and saturation by up to {config.colour * strength:.0%}",
        "rotate": f"rotation by up to {config.rotate * strength:.0f} degrees",
        "scale": f"zoom by up to {config.scale * strength:.0%}",
    }
    said = ["mirrored left to right (half of them)"] if config.flip else []
    said += [text for name, text in sizes.items() if getattr(config, name) * strength > 0]
    if config.mix != "none":
        said.append(f"then {config.mix}")
    return ", ".join(said)


def _augmented(model: TrainedModel, dataset: Dataset, rows: NDArray[np.int64]) -> Images | None:
    config, size = model.config.augment, model.input_size
    if not describe_augmentation(config):
        return None
    images = torch.from_numpy(np.array(dataset.train.images[rows]))
    labels = torch.from_numpy(np.array(dataset.train.labels[rows]))
    augment = build_augment(config, dataset.mean, dataset.std)
    generator = torch.Generator().manual_seed(model.config.train.seed)
    how = model.config.data.interpolation
    columns = [resize(normalise(images, dataset.mean, dataset.std), size, how)]
    for _ in range(NUM_DRAWS):
        inputs = resize(augment(images, generator), size, how)
        if config.mix != "none":
            inputs, _ = mix(inputs, labels, len(dataset.classes), config, generator)
        columns.append(inputs)
    return np.stack([as_pictures(c, dataset) for c in columns], axis=1)


def as_pictures(inputs: Tensor, dataset: Dataset) -> Images:
    """(n, 3, H, W) normalised to (n, H, W, 3) uint8."""
    mean, std = torch.tensor(dataset.mean), torch.tensor(dataset.std)
    levels = (inputs.float().permute(0, 2, 3, 1) * std + mean) * 255
    return np.asarray(levels.round().clamp(0, 255).to(torch.uint8).numpy())


def _resized(
    model: TrainedModel, dataset: Dataset, name: str, rows: NDArray[np.int64]
) -> tuple[Resized | None, str]:
    """The images in both ways, or why not."""
    stored, size = dataset.image_size, model.input_size
    used = model.config.data.interpolation
    if name.startswith(PREFIX):
        return _decoded(model, dataset, name, rows)
    if stored == size:
        return None, (
            f"Nothing is resized: the network sees the images as they are stored, {size}x{size} "
            "pixels. Another data.image_size would resize them by data.interpolation."
        )
    before = np.array(dataset.train.images[rows])
    inputs = normalise(torch.from_numpy(before), dataset.mean, dataset.std)
    both = [as_pictures(resize(inputs, size, how), dataset) for how in ("bilinear", "bicubic")]
    where = f"from the stored {stored}x{stored} to the {size}x{size} pixels that the network sees"
    return Resized(tuple(before), both[0], both[1], where, used), ""


def _decoded(
    model: TrainedModel, dataset: Dataset, name: str, rows: NDArray[np.int64]
) -> tuple[Resized | None, str]:
    """Files are resized when they are packed: the same ones, decoded in both ways."""
    size = folder_size(model.config.data)
    names = image_names(dataset.path, "train")
    root = Path(name.removeprefix(PREFIX)).expanduser()
    found: dict[str, list[Images]] = {"bilinear": [], "bicubic": []}
    before = []
    for row in rows:
        path = root / names[int(row)]
        try:
            for how, images in found.items():
                images.append(decode(path, size, how, model.value_range))
            before.append(decode(path, 4 * size, "bicubic", model.value_range))
        except (OSError, ValueError) as error:
            return None, f"Not shown: {path.name} cannot be read again ({error})."
    both = [np.stack(images) for images in found.values()]
    if np.array_equal(both[0], both[1]):
        return None, f"Nothing is resized: these files have {size}x{size} pixels."
    where = f"to {size}x{size} pixels when the files were packed"
    return Resized(tuple(before), both[0], both[1], where, model.config.data.interpolation), ""
