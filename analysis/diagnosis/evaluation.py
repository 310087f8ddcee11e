"""What a trained model says of every image of a split: computed once, kept, and reused.

``evaluation.npz`` holds it, as plain arrays and one text. It is made again when the checkpoint or
the data have changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from analysis.diagnosis.progress import Progress, silent
from analysis.diagnosis.stored import read_archive, write_archive
from deepsight.config import DataConfig, UserError, check_value
from deepsight.data.datasets import Dataset, Split, load_dataset, open_test
from deepsight.data.folder.image_folder import PREFIX
from deepsight.data.packing import image_names
from deepsight.files import make_folder
from deepsight.hardware import EVALUATION_BATCH
from deepsight.imports import REFUSE, Permission, imports_in
from deepsight.run_store import record_opening, storage_error
from deepsight.trained_model import TrainedModel

FILE = "evaluation.npz"
VERSION = 1
"""Of the file's content: raise it when the same model and data would give another."""

SPLITS = ("test", "val")
ARRAYS = ("probabilities", "labels", "features", "ids")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's answers for one split.

    Attributes:
        classes: Names by label.
        split: "test" or "val".
        trial_id: The trial whose model it is.
        sha256: Of the checkpoint.
        fingerprint: Of the data set.
        probabilities: (N, C) float32, rows that sum to one.
        labels: (N,) int64.
        features: (N, D) float32, what the last linear layer sees; D is 0 for a model that does not
            end with one.
        ids: (N,) texts: files by their relative paths, else row numbers of the source.
        predicted: (N,) int64, the most probable class.
        confidence: (N,) float32, its probability.
    """

    classes: tuple[str, ...]
    split: str
    trial_id: str
    sha256: str
    fingerprint: str
    probabilities: npt.NDArray[np.float32] = field(repr=False)
    labels: npt.NDArray[np.int64] = field(repr=False)
    features: npt.NDArray[np.float32] = field(repr=False)
    ids: npt.NDArray[np.str_] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "predicted", self.probabilities.argmax(axis=1).astype(np.int64))
        object.__setattr__(self, "confidence", self.probabilities.max(axis=1))

    predicted: npt.NDArray[np.int64] = field(init=False, repr=False)
    confidence: npt.NDArray[np.float32] = field(init=False, repr=False)

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the prediction is right."""
        return np.asarray(self.predicted == self.labels)

    def __len__(self) -> int:
        """Images in all."""
        return len(self.labels)


def data_config(model: TrainedModel, data: str | None, masks: str | None = None) -> DataConfig:
    """Where a model's data are: as in training, but for what is said to be elsewhere now.

    Args:
        model: Whose data are wanted.
        data: Where they are now, as in ``data.name``, if they have moved.
        masks: The folder of their masks, as in ``data.masks``; None is that of the training.

    Raises:
        UserError: If the name is none, or masks are given for data that are no folder.
    """
    config = model.config.data
    name = config.name if data is None else str(check_value("data.name", data))
    if masks and not name.startswith(PREFIX):
        raise UserError(
            f"data.masks is for folder: data, and the data are {name}.",
            "Leave it out, or use data.name=folder:PATH.",
        )
    return dataclasses.replace(config, name=name, masks=config.masks if masks is None else masks)


def open_data(
    model: TrainedModel, config: DataConfig | None = None, permission: Permission = REFUSE
) -> Dataset:
    """The data set of a model, checked to be the one that it was trained on.

    Args:
        model: Whose data are wanted.
        config: From `data_config`; None is where they were.
        permission: Whether a data set of somebody's own code, which the checkpoint names, may run.

    Raises:
        UserError: If they are gone or have changed, or are made by code that may not run.
    """
    stated, config = model.config.data.name, config or model.config.data
    if config.name != stated:  # whoever calls has named it
        permission = permission.also([config.name])
    permission.require(imports_in([("data.name", config.name)]), model.checkpoint_path)
    try:
        dataset = load_dataset(config)
    except UserError as error:
        raise UserError(
            f"the data of {model.study.directory} cannot be opened: {error.cause} "
            f"Their fingerprint was {model.fingerprint}.",
            "Put them back, or say where they are: --data folder:PATH.",
        ) from error
    if model.fingerprint is not None and dataset.fingerprint != model.fingerprint:
        raise UserError(
            f"{config.name} has changed: its fingerprint is {dataset.fingerprint}, "
            f"{model.trial_id} was trained on {model.fingerprint}.",
            "Restore the data as they were, or say where they are: --data folder:PATH.",
        )
    return dataset


def open_images(model: TrainedModel, dataset: Dataset, split: str) -> Split:
    """The images of "val" or "test"; opening the latter leaves a line in the study's record.

    Raises:
        StorageError: If that line cannot be written.
    """
    if split == "val":
        return dataset.val
    record_opening(model.study.directory, "diagnose", model.trial_id, model.sha256)
    return open_test(dataset)


def evaluate(
    model: TrainedModel,
    dataset: Dataset,
    split: str,
    directory: Path,
    progress: Progress = silent,
) -> tuple[Evaluation, Split]:
    """The evaluation in `directory` if it is of this model and these data, else a new one.

    Args:
        model: What classifies.
        dataset: From `open_data`.
        split: "test" or "val".
        directory: Where ``evaluation.npz`` is or will be; made if absent.
        progress: Is told how far it is.

    Returns:
        The evaluation, and the images that it is about.

    Raises:
        StorageError: If the disk does not let us write.
    """
    images = open_images(model, dataset, split)
    kept = load_evaluation(directory / FILE)
    if kept is not None and _describes(kept, model, dataset, split, len(images.labels)):
        return kept, images
    probabilities, features = _run(model, images, progress)
    made = Evaluation(
        classes=model.class_names,
        split=split,
        trial_id=model.trial_id,
        sha256=model.sha256,
        fingerprint=dataset.fingerprint,
        probabilities=probabilities,
        labels=np.array(images.labels, np.int64),
        features=features,
        ids=np.array([_as_text(name) for name in image_names(dataset.path, split)], np.str_),
    )
    try:
        save_evaluation(made, directory / FILE)
    except OSError as error:
        raise storage_error(directory, error) from error
    return made, images


def save_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write it so that `path` is absent, the old file or the new one, never half of one."""
    make_folder(path.parent.parent, [path.parent.name])
    about = {
        "version": VERSION,
        **{k: getattr(evaluation, k) for k in ("split", "trial_id", "sha256", "fingerprint")},
        "classes": list(evaluation.classes),
    }
    arrays = {k: getattr(evaluation, k) for k in ARRAYS} | {"predictions": evaluation.predicted}
    write_archive(path, about, arrays)


def load_evaluation(path: Path) -> Evaluation | None:
    """What `save_evaluation` wrote; None, with a warning if it is damaged, where there is none."""
    return read_archive(path, _decoded)


def _decoded(about: dict[str, Any], stored: Mapping[str, Any]) -> Evaluation | None:
    if about.pop("version") != VERSION:
        return None
    arrays = {k: stored[k] for k in ARRAYS}
    return Evaluation(**about | {"classes": tuple(about["classes"])}, **arrays)


def _describes(
    kept: Evaluation, model: TrainedModel, dataset: Dataset, split: str, count: int
) -> bool:
    asked = (model.sha256, dataset.fingerprint, split, count)
    return asked == (kept.sha256, kept.fingerprint, kept.split, len(kept))


def _run(
    model: TrainedModel, images: Split, progress: Progress
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    size, count = EVALUATION_BATCH[model.device.type], len(images.labels)
    starts = range(0, count, size)
    probabilities, features = [], []
    with _last_inputs(model.module) as seen:
        for start in progress(starts, f"classifying {count:,} images"):
            part = model.probabilities(images.images[start : start + size])
            probabilities.append(part)
            taken = seen.pop() if seen else np.zeros((len(part), 0), np.float32)
            features.append(taken)
            seen.clear()
    classes = len(model.class_names)
    return (
        np.concatenate([np.zeros((0, classes), np.float32), *probabilities]),
        np.concatenate(features) if features else np.zeros((0, 0), np.float32),
    )


@contextmanager
def _last_inputs(module: nn.Module) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Collect what the last linear layer sees, batch by batch; nothing for a model without one."""
    seen: list[npt.NDArray[np.float32]] = []

    def note(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].ndim == 2:
            seen.append(inputs[0].float().cpu().numpy())

    linear = [m for m in module.modules() if isinstance(m, nn.Linear)]
    handle = linear[-1].register_forward_pre_hook(note) if linear else None
    try:
        yield seen
    finally:
        if handle is not None:
            handle.remove()


def _as_text(name: str) -> str:
    """A file's name whose odd bytes are escapes, as an array of texts can hold it."""
    return name.encode("utf-8", "backslashreplace").decode()
