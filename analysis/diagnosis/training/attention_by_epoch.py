"""What a model looked at while it was trained: attention in numbers, and maps of fixed images."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np

from analysis.diagnosis.map_results import MAX_PIXELS, MIN_IMAGES, fit_masks
from analysis.diagnosis.maps.attention import compute_attention
from analysis.diagnosis.maps.grad_cam import class_maps
from analysis.diagnosis.maps.layers import Layer
from analysis.diagnosis.maps.passes import Labels
from analysis.diagnosis.progress import Progress
from analysis.diagnosis.training.epoch_attention import AttentionByEpoch, EpochAttention
from analysis.diagnosis.training.retraining import Snapshot
from analysis.statistics.intervals import accuracy_interval
from deepsight.data.datasets import Split
from deepsight.run_store import record_opening
from deepsight.trained_model import TrainedModel


def compute_attention_by_epoch(
    model: TrainedModel,
    images: Split,
    split: str,
    snapshots: Sequence[Snapshot],
    layer: Layer,
    samples: Labels,
    progress: Progress,
) -> AttentionByEpoch:
    """Map the same images by the weights of each epoch.

    Every set of weights that sees the test split leaves a line in the study's record of openings.

    Args:
        model: The trial's; left as found.
        images: The split.
        split: "test" or "val".
        snapshots: Weights by epoch.
        layer: Whose maps are wanted.
        samples: Positions of the images that are shown.
        progress: Is told how far it is.
    """
    size = model.input_size
    most = max(MIN_IMAGES, MAX_PIXELS // size**2)
    rows = np.sort(np.random.default_rng(0).permutation(len(images.labels))[:most])
    masks = None if images.masks is None else fit_masks(images.masks[rows], size)
    labels = np.asarray(images.labels, np.int64)
    inputs = model.preprocess(np.asarray(images.images[rows])).cpu()
    shown = model.preprocess(np.asarray(images.images[samples])).cpu()
    found = []
    for snapshot in progress(snapshots, "attention by epoch"):
        if split == "test":
            record_opening(model.study.directory, "diagnose", model.trial_id, snapshot.sha256)
        earlier = with_weights(model, snapshot)
        predicted = earlier.probabilities(images.images).argmax(axis=1).astype(np.int64)
        hits = float((predicted == labels).mean())
        maps = class_maps(earlier.module, inputs, labels[rows], layer, predicted[rows])
        some = class_maps(earlier.module, shown, labels[samples], layer, predicted[samples])
        attention = compute_attention(maps, masks, size)
        accuracy = accuracy_interval(hits, len(labels))
        found.append(
            EpochAttention(snapshot.epoch, accuracy, attention, some.true, predicted[samples])
        )
    return AttentionByEpoch(
        layer, split, len(rows), samples, tuple(found), _difference(model, snapshots)
    )


def with_weights(model: TrainedModel, snapshot: Snapshot) -> TrainedModel:
    """The model as it was after an epoch; `model` itself is left as it is."""
    module = copy.deepcopy(model.module)
    module.load_state_dict(dict(snapshot.weights))
    module.eval().requires_grad_(False)
    return dataclasses.replace(
        model, module=module, epoch=snapshot.epoch, row=snapshot.row, sha256=snapshot.sha256
    )


def _difference(model: TrainedModel, snapshots: Sequence[Snapshot]) -> float:
    recorded = {int(r["epoch"]): r for r in model.study.record(model.trial_id).rows}
    gaps = [
        abs(float(s.row["val_accuracy"]) - float(recorded[s.epoch]["val_accuracy"]))
        for s in snapshots
        if s.epoch in recorded and recorded[s.epoch].get("val_accuracy") is not None
    ]
    return max(gaps, default=0.0)
