"""All that findings are decided by, for one trained model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from analysis.diagnosis.evaluation import Evaluation, evaluate
from analysis.diagnosis.evidence import transplants
from analysis.diagnosis.evidence.copies import Copies, compute_copies
from analysis.diagnosis.evidence.label_noise import PairNoise, compute_label_noise
from analysis.diagnosis.evidence.shift import Shift, compute_shift
from analysis.diagnosis.evidence.transplants import Transplants, compute_transplants
from analysis.diagnosis.map_checks import imputation, interventions
from analysis.diagnosis.map_results import fit_masks
from analysis.diagnosis.object_masks import NO_MASKS, masks_digest
from analysis.diagnosis.progress import Progress, silent
from analysis.diagnosis.stored import kept_or_computed
from deepsight.data.datasets import Dataset, Split
from deepsight.trained_model import TrainedModel

TRANSPLANTS, COPIES, LABELS, SHIFT = "transplants", "copies", "labels", "shift"
Transplanted: TypeAlias = tuple[Transplants, ...]

MAX_TRAIN, MAX_HELD_OUT = 20_000, 4_000
"""Images at most that are compared to find copies."""
PIXELS = 64 * 224 * 224
"""Pixels at most of the images that are changed: 3,136 of 32x32, 64 of 224x224."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was measured.

    Attributes:
        evaluation: Of the diagnosed split.
        train_counts: Images of each class in the train split.
        transplants: By part.
        copies: Of train images among those of the split; None where there are too few.
        copy_rows: (n,) positions in the split of the images in `copies`.
        label_noise: Of every pair of classes, on all `held_out` images.
        held_out: Names of the images that `label_noise` counts by.
        held_out_splits: Where they are from.
        shift: Of test against val; None where the test split is not diagnosed.
        not_measured: What is missing, and why.
    """

    evaluation: Evaluation
    train_counts: Sequence[int]
    transplants: Sequence[Transplants] = ()
    copies: Copies | None = None
    copy_rows: Rows = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    label_noise: Sequence[PairNoise] = ()
    held_out: Sequence[str] = field(default=(), repr=False)
    held_out_splits: str = ""
    shift: Shift | None = None
    not_measured: Sequence[str] = ()


def collect_evidence(
    model: TrainedModel,
    dataset: Dataset,
    evaluation: Evaluation,
    images: Split,
    directory: Path,
    val_directory: Path,
    progress: Progress = silent,
) -> Evidence:
    """Measure everything that the data allow.

    Args:
        model: Left as found.
        dataset: What it was trained on.
        evaluation: Of "test" or "val"; one image at least.
        images: The same split.
        directory: Where ``transplants.npz`` is or will be; used again while all that it came from
            stays.
        val_directory: Where the evaluation of val is or will be.
        progress: Is told how far it is.

    Raises:
        StorageError: If the disk does not let us write.
    """
    counts = dataset.counts["train"]
    val = evaluation
    missing = []
    if evaluation.split == "test":
        val, _ = evaluate(model, dataset, "val", val_directory)
    else:
        missing.append("shift of the test split: it was not opened")
    if images.masks is None or not images.masks.any():
        missing.append(f"background, marks, place and size: {NO_MASKS}")
    held_out = [evaluation] if val is evaluation else [val, evaluation]
    found = Evidence(
        evaluation=evaluation,
        train_counts=[counts[name] for name in evaluation.classes],
        held_out=[str(name) for part in held_out for name in part.ids],
        held_out_splits=" and ".join(part.split for part in held_out),
        not_measured=missing,
    )
    changed = kept_or_computed(
        directory / f"{TRANSPLANTS}.npz",
        _made_from(evaluation, images),
        Transplanted,
        lambda: _transplants(model, images, evaluation, progress),
    )
    found = replace(found, transplants=changed)
    for step in progress((COPIES, LABELS, SHIFT), "testing for defects"):
        if step == COPIES:
            copies, rows = _copies(dataset, images)
            found = replace(found, copies=copies, copy_rows=rows)
        elif step == LABELS:
            probabilities = np.concatenate([part.probabilities for part in held_out])
            labels = np.concatenate([part.labels for part in held_out])
            found = replace(found, label_noise=compute_label_noise(probabilities, labels))
        elif evaluation.split == "test":
            found = replace(found, shift=_shift(dataset, images, val, evaluation))
    return found


def _made_from(evaluation: Evaluation, images: Split) -> dict[str, object]:
    """All that transplants depend on."""
    code = hashlib.sha256()
    for module in (transplants, imputation, interventions):
        code.update(Path(str(module.__file__)).read_bytes())
    return {
        "checkpoint": evaluation.sha256,
        "data": evaluation.fingerprint,
        "split": evaluation.split,
        "masks": masks_digest(images.masks),
        "pixels": PIXELS,
        "code": code.hexdigest(),
    }


def _transplants(
    model: TrainedModel, images: Split, evaluation: Evaluation, progress: Progress
) -> Transplanted:
    most = max(1, PIXELS // model.input_size**2)
    rows = np.sort(np.random.default_rng(0).permutation(len(evaluation))[:most])
    masks = None if images.masks is None else fit_masks(images.masks[rows], model.input_size)
    inputs = model.preprocess(np.asarray(images.images[rows])).cpu()
    return compute_transplants(
        model.module,
        inputs,
        evaluation.labels[rows],
        masks,
        len(evaluation.classes),
        progress=progress,
    )


def _copies(dataset: Dataset, images: Split) -> tuple[Copies | None, Rows]:
    """The copies, and which images of the split were compared."""
    rng = np.random.default_rng(0)
    train, rows = (
        np.sort(rng.permutation(len(labels))[:most])
        for labels, most in ((dataset.train.labels, MAX_TRAIN), (images.labels, MAX_HELD_OUT))
    )
    return compute_copies(dataset.train.images[train], images.images[rows]), rows


def _shift(dataset: Dataset, images: Split, val: Evaluation, test: Evaluation) -> Shift | None:
    """On a random choice of the images where they are many."""
    rng = np.random.default_rng(0)
    first, second = (np.sort(rng.permutation(len(part))[:MAX_HELD_OUT]) for part in (val, test))
    return compute_shift(
        dataset.val.images[first],
        images.images[second],
        val.features[first].astype(float),
        test.features[second].astype(float),
    )
