"""Defects planted into a data set, so that a diagnosis can be tested against known answers.

``data.defects`` holds one or several, joined by ``+``: ``background:cat:0.9``,
``labels:cat:dog:0.3+duplicates:0.2``. They are planted into the finished images, after drawing or
reading, so that images without defects are what they always were. docs/toy_objects.md lists them.
"""

from __future__ import annotations

import colorsys
import dataclasses
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsight.config import DataConfig, UserError, unknown
from deepsight.data.digits import CLASSES as DIGITS
from deepsight.data.raw import RawData
from deepsight.data.split import plan_split

NONE = "none"
"""The same data without a defect; scans get the mask of their ink, as with any defect."""

BLEND = 0.7
"""Share of the planted colour in a planted background; the rest is the old one."""
MARK = 8
"""The side of a mark is that of the image divided by this."""
SHRUNK = 0.5
"""Side of an object of a class that is seen at one place or size, as a share of its own."""
BLUR = 1 / 20
"""Standard deviation of the blur, as a share of the side."""
MOVED = 1 / 5
"""How far images are shifted down and to the right, as a share of the side."""
COPY_NOISE = 4.0
"""Standard deviation of the noise on planted copies, in levels of 255."""
INK = 63
"""Level above which a pixel of a scan belongs to the object."""

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Defect:
    """One defect: its kind, the labels it concerns and its strength in (0, 1]."""

    kind: str
    labels: tuple[int, ...]
    strength: float


Plant = Callable[[RawData, Defect, np.random.Generator], RawData]
"""Plants one defect. The images, labels and masks are copies that it may change."""


@dataclass(frozen=True)
class Kind:
    """A kind of defect.

    Attributes:
        num_classes: Classes that are named.
        plant: What plants it.
        needs_split: Whether it concerns the test split, which is then decided beforehand.
    """

    num_classes: int
    plant: Plant
    needs_split: bool = False


def _toy_classes() -> Sequence[str]:
    from deepsight.data.toy_objects.dataset import CLASSES  # only where defects are planted

    return CLASSES


TAKES_DEFECTS: dict[str, Callable[[], Sequence[str]]] = {
    "toy_objects": _toy_classes,
    "digits": lambda: DIGITS,
}
"""The classes of the data sets that defects can be planted into, by ``data.name``."""


def check_defects(config: DataConfig) -> None:
    """Check ``config.defects`` without reading or drawing an image.

    Raises:
        UserError: If the data set takes none, or they are not written as they must be.
    """
    if not config.defects:
        return
    if config.name not in TAKES_DEFECTS:
        raise UserError(
            f"data.defects={config.defects} cannot be planted into {config.name}.",
            f"Defects are planted into {' and '.join(TAKES_DEFECTS)}; leave data.defects empty.",
        )
    parse_defects(config.defects, TAKES_DEFECTS[config.name]())


def parse_defects(text: str, classes: Sequence[str]) -> tuple[Defect, ...]:
    """The defects that ``data.defects`` names.

    Raises:
        UserError: If a kind or class is unknown, or the strength does not lie in (0, 1].
    """
    if text in ("", NONE):
        return ()
    return tuple(_parse(part.strip(), classes) for part in text.split("+"))


def _parse(text: str, classes: Sequence[str]) -> Defect:
    name, *rest = text.split(":")
    if name not in KINDS:
        raise unknown("defect", name, [*KINDS, NONE])
    kind = KINDS[name]
    form = ":".join([name, *("CLASS",) * kind.num_classes, "STRENGTH"])
    try:
        strength = float(rest[-1]) if rest else 0.0
    except ValueError:
        strength = 0.0
    if len(rest) != kind.num_classes + 1 or not 0 < strength <= 1:
        raise UserError(
            f"data.defects: {text!r} is not a defect.",
            f"Write {form}, with a strength above 0, at most 1; join several by +.",
        )
    for class_name in rest[:-1]:
        if class_name not in classes:
            raise unknown("class", class_name, classes)
    labels = tuple(list(classes).index(class_name) for class_name in rest[:-1])
    if len(set(labels)) < len(labels):
        raise UserError(f"data.defects: {text!r} names a class twice.", f"Write {form}.")
    return Defect(name, labels, strength)


def plant_defects(raw: RawData, config: DataConfig) -> RawData:
    """`raw` with the defects of ``config.defects``; as it is where that is empty.

    Which images carry a defect depends on ``config.split_seed`` and the defect; those of a smaller
    strength are among those of a larger one.

    Args:
        raw: In memory; left as it is.
        config: Of the data set.

    Raises:
        UserError: As `parse_defects`.
    """
    if not config.defects:
        return raw
    defects = parse_defects(config.defects, raw.classes)
    masks = (raw.images.max(axis=3) > INK).astype(np.uint8) if raw.masks is None else raw.masks
    raw = dataclasses.replace(
        raw,
        images=raw.images.copy(),
        labels=np.array(raw.labels),
        masks=masks.copy(),
        source=f"{raw.source}; planted defects: {config.defects}",
    )
    for defect in defects:
        if KINDS[defect.kind].needs_split and raw.split is None:
            raw = dataclasses.replace(raw, split=_split(raw, config))
        named = zlib.crc32(f"{defect.kind} {defect.labels}".encode())
        generator = np.random.default_rng([config.split_seed, named])
        raw = KINDS[defect.kind].plant(raw, defect, generator)
    return raw


def _split(raw: RawData, config: DataConfig) -> NDArray[np.str_]:
    """(N,) the split of each image, as it would be cut; copies, which are left out, count to train.

    Raises:
        UserError: If the images cannot be split.
    """
    split = np.full(len(raw.images), "train")
    for name, rows in plan_split(raw, config, config.name).rows.items():
        split[rows] = name
    return split


def _chosen(rows: Rows, share: float, generator: np.random.Generator) -> Rows:
    """`share` of the rows, at least one."""
    order = generator.permutation(rows)
    return np.asarray(order[: max(1, round(share * len(rows)))], np.intp)


def _of_class(raw: RawData, defect: Defect, generator: np.random.Generator) -> Rows:
    return _chosen(np.flatnonzero(raw.labels == defect.labels[0]), defect.strength, generator)


def _of_test(raw: RawData, defect: Defect, generator: np.random.Generator) -> Rows:
    return _chosen(np.flatnonzero(raw.split == "test"), defect.strength, generator)


def _colour(raw: RawData, label: int, value: float) -> NDArray[np.float64]:
    """(3,) in 0..255, a hue of the class's own."""
    return 255 * np.array(colorsys.hsv_to_rgb((label / len(raw.classes) + 0.45) % 1, 0.8, value))


def _masks(raw: RawData) -> NDArray[np.uint8]:
    assert raw.masks is not None
    return raw.masks


def _background(raw: RawData, defect: Defect, generator: np.random.Generator) -> RawData:
    """The background of a class gets a colour of its own."""
    colour, masks = _colour(raw, defect.labels[0], 0.6), _masks(raw)
    for row in _of_class(raw, defect, generator):
        image = raw.images[row]
        blended = np.rint((1 - BLEND) * image + BLEND * colour).astype(np.uint8)
        raw.images[row] = np.where(masks[row, :, :, None] > 0, image, blended)
    return raw


def _mark(raw: RawData, defect: Defect, generator: np.random.Generator) -> RawData:
    """A square of one colour in the lower right corner, a pixel from both borders."""
    side = max(2, raw.images.shape[1] // MARK)
    rows = _of_class(raw, defect, generator)
    raw.images[rows, -1 - side : -1, -1 - side : -1] = _colour(raw, defect.labels[0], 1.0)
    return raw


def _labels(raw: RawData, defect: Defect, generator: np.random.Generator) -> RawData:
    """Two classes exchange their labels."""
    first, second = defect.labels
    labels = raw.labels.copy()
    for given, wrong in ((first, second), (second, first)):
        rows = _chosen(np.flatnonzero(raw.labels == given), defect.strength, generator)
        labels[rows] = wrong
    return dataclasses.replace(raw, labels=labels)


def _rare(raw: RawData, defect: Defect, generator: np.random.Generator) -> RawData:
    """Only some images of the class are left."""
    keep = raw.labels != defect.labels[0]
    keep[_of_class(raw, defect, generator)] = True
    rows = np.flatnonzero(keep)
    return dataclasses.replace(
        raw,
        images=raw.images[rows],
        labels=raw.labels[rows],
        masks=_masks(raw)[rows],
        split=None if raw.split is None else raw.split[rows],
        names=None if raw.names is None else [raw.names[int(row)] for row in rows],
    )


def _place(raw: RawData, defect: Defect, generator: np.random.Generator) -> RawData:
    """The object is small and in the upper left corner."""
    return _move(raw, _of_class(raw, defect, generator), at=0.0)


def _size(raw: RawData, defect: Defect, generator: np.random.Generator) -> RawData:
    """The object is small, about where its middle was."""
    return _move(raw, _of_class(raw, defect, generator), at=0.5)


def _move(raw: RawData, rows: Rows, at: float) -> RawData:
    """Shrink objects; `at` is where in the old bounding box (0) or about its middle (0.5)."""
    import cv2  # only where objects are moved or blurred: it changes LD_LIBRARY_PATH

    masks = _masks(raw)
    for row in rows:
        image, mask = raw.images[row].copy(), masks[row].copy()
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(ys):
            continue
        top, left, bottom, right = ys[0], xs[0], ys[-1] + 1, xs[-1] + 1
        size = (max(1, round(SHRUNK * (right - left))), max(1, round(SHRUNK * (bottom - top))))
        small = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
        shape = cv2.resize(mask[top:bottom, left:right], size, interpolation=cv2.INTER_NEAREST)
        y = round(at * (top + bottom - size[1])) if at else 0
        x = round(at * (left + right - size[0])) if at else 0
        hole = cv2.dilate(mask, np.ones((3, 3), np.uint8))
        raw.images[row] = cv2.inpaint(image, hole, 3, cv2.INPAINT_TELEA)
        masks[row] = 0
        there = (slice(y, y + size[1]), slice(x, x + size[0]))
        raw.images[row][there] = np.where(shape[:, :, None] > 0, small, raw.images[row][there])
        masks[row][there] = shape
    return raw


def _blur(raw: RawData, defect: Defect, generator: np.random.Generator) -> RawData:
    """Test images are blurred."""
    import cv2  # only where objects are moved or blurred: it changes LD_LIBRARY_PATH

    for row in _of_test(raw, defect, generator):
        sigma = BLUR * raw.images.shape[1]
        raw.images[row] = cv2.GaussianBlur(raw.images[row], (0, 0), sigma)
    return raw


def _shift(raw: RawData, defect: Defect, generator: np.random.Generator) -> RawData:
    """Test images are shifted; their borders are repeated."""
    masks, side = _masks(raw), raw.images.shape[1]
    step = max(1, round(MOVED * side))
    moved = np.clip(np.arange(side) - step, 0, None)
    for row in _of_test(raw, defect, generator):
        raw.images[row] = raw.images[row][moved][:, moved]
        masks[row] = masks[row][moved][:, moved]
    return raw


def _duplicates(raw: RawData, defect: Defect, generator: np.random.Generator) -> RawData:
    """Test images are noisy copies of train images of their class, each of another one."""
    assert raw.split is not None
    masks = _masks(raw)
    pools: dict[int, list[Any]] = {}
    for row in _of_test(raw, defect, generator):
        label = int(raw.labels[row])
        if not pools.get(label):
            train = np.flatnonzero((raw.labels == label) & (raw.split == "train"))
            pools[label] = generator.permutation(train).tolist()
        other = pools[label].pop()
        noise = generator.normal(0, COPY_NOISE, raw.images[other].shape)
        copy = generator.uniform(0.95, 1.05) * raw.images[other] + noise
        raw.images[row] = np.rint(copy.clip(0, 255)).astype(np.uint8)
        masks[row] = masks[other]
    return raw


KINDS: dict[str, Kind] = {
    "background": Kind(1, _background),
    "mark": Kind(1, _mark),
    "labels": Kind(2, _labels),
    "rare": Kind(1, _rare),
    "place": Kind(1, _place),
    "size": Kind(1, _size),
    "blur": Kind(0, _blur, needs_split=True),
    "shift": Kind(0, _shift, needs_split=True),
    "duplicates": Kind(0, _duplicates, needs_split=True),
}
"""By their names in ``data.defects``. The strength of ``rare`` is the share that is left."""
