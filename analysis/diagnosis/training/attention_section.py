"""The section on attention through training, from the retraining to its figures."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from analysis.diagnosis.map_results import MapResults
from analysis.diagnosis.maps.attention import MEASURES
from analysis.diagnosis.page.pictures import Drawing, Drawings, Part, pictures_of
from analysis.diagnosis.progress import Progress
from analysis.diagnosis.results import Results
from analysis.diagnosis.stored import kept_or_computed
from analysis.diagnosis.training.attention_by_epoch import compute_attention_by_epoch
from analysis.diagnosis.training.attention_figures import (
    draw_attention_by_epoch,
    draw_maps_by_epoch,
)
from analysis.diagnosis.training.epoch_attention import AttentionByEpoch
from analysis.diagnosis.training.retraining import chosen_epochs, train_again
from analysis.page.document import Block, Cell, Note, Section, Table
from analysis.page.formatting import count
from deepsight.data.datasets import Dataset, Split
from deepsight.files import remove_files

NUMBERS, MAPS = "attention_by_epoch", "maps_by_epoch"


def attention_by_epoch(
    results: Results,
    found: MapResults,
    dataset: Dataset,
    images: Split,
    asked: str,
    directory: Path,
    progress: Progress,
) -> AttentionByEpoch:
    """Train the trial again and map images by the weights of the asked epochs; kept.

    Args:
        results: Of the trial.
        found: Its maps: of the same layer, and of the images that are shown.
        dataset: What it was trained on.
        images: The split.
        asked: As in `analysis.diagnosis.training.retraining.chosen_epochs`.
        directory: Of the diagnosis.
        progress: Is told how far it is.

    Raises:
        UserError: If there are no such epochs, or the starting weights are gone.
        StorageError: If the disk does not let us write.
    """
    model = results.model
    epochs = chosen_epochs(asked, model)

    def compute() -> AttentionByEpoch:
        snapshots = train_again(model, dataset, epochs, directory, progress)
        remove_files(directory, [], re.compile(f"({NUMBERS}|{MAPS})\\.png"))  # of other epochs
        return compute_attention_by_epoch(
            model, images, results.split, snapshots, found.maps.layer, found.samples, progress
        )

    code = hashlib.sha256(
        b"".join(
            p.read_bytes() for p in sorted(Path(__file__).parent.glob("*")) if p.suffix == ".py"
        )
    )
    made_from = {
        "checkpoint": model.sha256,
        "data": dataset.fingerprint,
        "split": results.split,
        "layer": str(found.maps.layer),
        "epochs": epochs,
        "code": code.hexdigest(),
    }
    return kept_or_computed(directory / f"{NUMBERS}.npz", made_from, AttentionByEpoch, compute)


def attention_part(
    info: AttentionByEpoch, results: Results, found: MapResults, images: Split
) -> Part:
    """Figures, table and sentences."""
    verdict, rows = found.grad_cam_verdict, info.samples
    drawings = [
        Drawing(
            NUMBERS,
            lambda: draw_attention_by_epoch(info, verdict),
            "Accuracy and measures of attention by epoch",
            f"Attention for the true class by epoch, n = {count(info.num_images, 'image')}; 95 % "
            "intervals.",
        ),
        Drawing(
            MAPS,
            lambda: draw_maps_by_epoch(
                info,
                np.asarray(images.images[rows]),
                np.asarray(images.labels[rows]),
                results.names,
                verdict,
            ),
            "Grad-CAM of the same images by epoch",
            f"The same images by epoch. {verdict}",
        ),
    ]
    return Part(
        section=lambda named: _section(info, named), drawings=drawings if info.epochs else []
    )


def _section(info: AttentionByEpoch, drawings: Drawings) -> Section:
    same = "The retraining repeats the trial: its val accuracies are those on record."
    if info.difference > 0:
        same = (
            f"The retraining does not repeat the trial: its val accuracies differ by up to "
            f"{100 * info.difference:.1f} points (another machine or number of threads). These are "
            "maps of the same config and seed."
        )
    lead = f"The trial was trained again, and its weights kept at {len(info.epochs)} epochs. {same}"
    blocks: tuple[Block, ...] = (
        *pictures_of(drawings, NUMBERS, MAPS),
        _table(info),
        *([] if info.epochs else [Note("The training diverged this time.", warning=True)]),
    )
    return Section("attention-by-epoch", "What it looked at while it was trained", lead, blocks)


def _table(info: AttentionByEpoch) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for epoch in info.epochs:
        a = epoch.accuracy
        rows.append((epoch.epoch, "accuracy", "", "all", a.value, a.low, a.high, a.n, None))
        for row in epoch.attention.rows:
            i = row.interval
            numbers = (None, None, None, 0) if i is None else (i.value, i.low, i.high, i.n)
            rows.append((epoch.epoch, row.measure, row.map_for, row.group, *numbers, row.uniform))
    columns = ("epoch", "measure", "map_for", "group", "mean", "low", "high", "n", "even_map")
    meaning = "; ".join(f"{name}: {text}" for name, text in MEASURES.items())
    caption = f"Maps of {info.layer}; {meaning}. The IoU's threshold is the best one of its epoch."
    title = "Attention by epoch in numbers"
    return Table(NUMBERS, columns, tuple(rows), caption, folded=True, title=title)
