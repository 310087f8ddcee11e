"""The section on the data that the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.diagnosis.data_pictures import figures
from analysis.diagnosis.data_pictures.pictures import NUM_DRAWS, DataPictures
from analysis.diagnosis.page.pictures import Drawing, Drawings, Part, pictures_of
from analysis.page.document import Block, Cell, Note, Section, Table
from analysis.page.formatting import count

BALANCE, SAMPLES = "class_balance", "samples_per_class"
AUGMENTED, RESIZED = "augmentation", "resizing"


def data_part(info: DataPictures, names: Sequence[str]) -> Part:
    """Classes by split, samples, augmentation and resizing.

    Args:
        info: What is shown.
        names: What figures call the classes.
    """
    return Part(section=lambda drawings: _section(info, drawings), drawings=_drawings(info, names))


def _drawings(info: DataPictures, names: Sequence[str]) -> list[Drawing]:
    shown, per_class = info.samples.shape[:2]
    some = "" if shown == len(info.classes) else f"; the first {shown} of {len(info.classes)}"
    drawn = [
        Drawing(
            BALANCE,
            lambda: figures.draw_class_balance(info, names),
            "Images of every class in the train, val and test split",
            "Images of every class, by split.",
        ),
        Drawing(
            SAMPLES,
            lambda: figures.draw_samples(info, names),
            "Train images of every class",
            f"Train images, up to {per_class} a class, chosen at random{some}.",
        ),
    ]
    if info.augmented is not None:
        augmented = info.augmented
        drawn.append(
            Drawing(
                AUGMENTED,
                lambda: figures.draw_augmented(augmented),
                "Train images as they are and as the network got them",
                f"The trial's own augmentation, {NUM_DRAWS} draws: {info.augmentation}.",
            )
        )
    if info.resized is not None:
        resized = info.resized
        drawn.append(
            Drawing(
                RESIZED,
                lambda: figures.draw_resized(resized),
                "The same images resized bilinearly and bicubically, and their difference",
                f"Images are resized {resized.where}, here {resized.used}ly; the other way differs "
                f"by {resized.levels:.1f} of 255 levels on average.",
            )
        )
    return drawn


def _section(info: DataPictures, drawings: Drawings) -> Section:
    blocks: list[Block] = [*pictures_of(drawings, BALANCE, SAMPLES, AUGMENTED)]
    if info.augmented is None:
        blocks.append(Note("The trial varies no image: its augmentation is off."))
    blocks += pictures_of(drawings, RESIZED)
    if info.resized is None:
        blocks.append(Note(info.not_resized))
    blocks.append(_table(info))
    return Section("data", "What it was trained on", _lead(info), tuple(blocks))


def _lead(info: DataPictures) -> str:
    train = info.counts["train"]
    least, most = min(train), max(train)
    said = f"{count(sum(train), 'train image')} in {len(train)} classes"
    if least == most:
        return f"{said}, {most:,} of each."
    return f"{said}, {least:,} to {most:,} of each."


def _table(info: DataPictures) -> Table:
    columns = ("class", *(f"{split}_images" for split in info.counts))
    rows: list[tuple[Cell, ...]] = [
        (name, *(counts[label] for counts in info.counts.values()))
        for label, name in enumerate(info.classes)
    ]
    return Table("class_balance", columns, tuple(rows), "Images by class and split", folded=True)
