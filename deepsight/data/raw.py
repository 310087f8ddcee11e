"""What a data source hands over: decoded images in memory or memory-mapped, not yet split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from deepsight.config import UserError
from deepsight.data.folder.wide import ValueRange

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class RawData:
    """A data set before packing. Everything but the first three fields is optional.

    Attributes:
        images: (N, H, W, 3) uint8, RGB, H = W.
        labels: (N,) integers, positions in `classes`.
        classes: Names of the classes, all different.
        masks: (N, H, W) uint8, 0 where the background is; None without masks.
        split: (N,) texts "train", "val" or "test" where the source says which image belongs
            where (CIFAR's own test set); splits it does not name are cut from "train". None: all
            three are cut by `data.split_seed`.
        names: What each image is called in messages, and what decides its split together with
            the seed (files: the relative path). None: its row number.
        source: Where the images come from, for the study's record.
        dropped: What the source left out, by reason: counts or names, as JSON can hold them.
        value_range: Which values of images with more than 8 bits a channel became 0 to 255; None
            where there were none.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.integer[Any]]
    classes: Sequence[str]
    masks: NDArray[np.uint8] | None = None
    split: NDArray[np.str_] | None = None
    names: Sequence[str] | None = None
    source: str = ""
    dropped: Mapping[str, Any] = field(default_factory=dict)
    value_range: ValueRange | None = None

    def name(self, row: int) -> str:
        """What image `row` is called in messages."""
        return f"image {row}" if self.names is None else self.names[row]


def left_out(dropped: Mapping[str, Any]) -> dict[str, int]:
    """The number of files or images that were left out, by reason; reasons without any are absent.

    Args:
        dropped: Of a `RawData` or a data set: counts, or reasons by name of file.
    """
    counts = {
        reason: found if isinstance(found, int) else len(found)
        for reason, found in dropped.items()
        if isinstance(found, int | Mapping)  # a list names what a count beside it counts
    }
    return {reason: num for reason, num in counts.items() if num}


def check_raw(raw: object, who: str) -> RawData:
    """Check shapes, types and ranges of what a source built.

    Args:
        raw: What the source returned.
        who: The data set's name, for the message.

    Raises:
        UserError: If anything is not as `RawData` says.
    """
    if not isinstance(raw, RawData):
        _refuse(who, "returned", type(raw).__name__, "a deepsight.data.raw.RawData")
    _check_array(who, "images", raw.images, np.uint8, "(N, H, W, 3)", 4)
    shape = raw.images.shape
    if shape[3] != 3 or shape[1] != shape[2] or 0 in shape:
        _refuse(who, "images have shape", shape, "(N, H, W, 3) with H = W, N > 0")
    if len(set(raw.classes)) != len(raw.classes) or not all(
        isinstance(name, str) and name for name in raw.classes
    ):
        _refuse(who, "classes are", list(raw.classes), "different texts, none empty")
    if len(raw.classes) < 2:
        raise UserError(
            f"{who} has {len(raw.classes)} class(es): {', '.join(raw.classes)}.",
            "A classifier needs at least two.",
        )
    _check_labels(who, raw.labels, shape[0], len(raw.classes))
    if raw.masks is not None:
        _check_array(who, "masks", raw.masks, np.uint8, "(N, H, W)", 3)
        if raw.masks.shape != shape[:3]:
            _refuse(who, "masks have shape", raw.masks.shape, f"{shape[:3]}, as the images")
    if raw.split is not None:
        unknown = sorted(set(np.unique(raw.split).tolist()) - set(SPLITS))
        if unknown or len(raw.split) != shape[0]:
            _refuse(
                who,
                "split holds",
                unknown or f"{len(raw.split)} entries",
                f"{shape[0]} of {', '.join(SPLITS)}",
            )
    if raw.names is not None and len(raw.names) != shape[0]:
        _refuse(who, "names are", len(raw.names), f"{shape[0]}, one an image")
    return raw


def _check_labels(who: str, labels: object, num_images: int, num_classes: int) -> None:
    array = np.asarray(labels)
    if array.shape != (num_images,) or not np.issubdtype(array.dtype, np.integer):
        _refuse(who, "labels are", f"{array.dtype} {array.shape}", f"integers ({num_images},)")
    if array.min() < 0 or array.max() >= num_classes:
        _refuse(who, "labels lie in", f"{array.min()}..{array.max()}", f"0..{num_classes - 1}")


def _check_array(
    who: str, what: str, array: object, dtype: type, shape: str, num_dims: int
) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != num_dims:
        got = (
            f"{array.dtype} {array.shape}"
            if isinstance(array, np.ndarray)
            else type(array).__name__
        )
        _refuse(who, f"{what} are", got, f"a numpy array {dtype.__name__} {shape}")


def _refuse(who: str, what: str, got: object, expected: str) -> NoReturn:
    raise UserError(f"{who}: {what} {got}.", f"Expected {expected}.")
