"""Which image belongs to which split: stratified, free of copies, stable when images are added."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsight.config import DataConfig, UserError
from deepsight.data.class_balance import JUDGED
from deepsight.data.raw import SPLITS, RawData

logger = logging.getLogger(__name__)

MIN_PER_CLASS = 5
"""Images a class needs so that each split holds some of it."""

_NAMED = 20  # conflicting images kept by name in the record; the rest are counted
_NEAR_SHARE = 0.01  # share of look-alikes held out above which the log warns
_CHUNK_BYTES = 1 << 24

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class SplitPlan:
    """The rows of each split, ascending, and what was left out or looks suspicious.

    Attributes:
        rows: By split, positions in `RawData.images`.
        dropped: `RawData.dropped` and, by reason, what was found here.
        near_duplicates: Images of val and test with a look-alike in an earlier split
            (train, then val).
    """

    rows: Mapping[str, Rows]
    dropped: Mapping[str, Any]
    near_duplicates: int


def plan_split(raw: RawData, config: DataConfig, who: str) -> SplitPlan:
    """Decide the split of every image.

    Copies (equal pixels) never reach two splits: one of them is kept, of a test or val set that
    the source itself defines rather than of train, else the first. Equal pixels under different
    labels are all dropped. A test set that the source defines is never changed, so that results
    on it stay comparable.

    Raises:
        UserError: If a class is too small to be in every split, or nothing is left to train on.
    """
    exact, look = digests(raw.images)
    keep, dropped = _without_copies(raw, exact, who)
    rows = _cut(raw, keep, config, who)
    near = _near_duplicates(look, rows)
    if near:
        held_out = len(rows["val"]) + len(rows["test"])
        level = logging.WARNING if near > _NEAR_SHARE * held_out else logging.INFO
        logger.log(
            level,
            "%s: %d of %d held-out images look like one in another split (8x8 outline)",
            who,
            near,
            held_out,
        )
    return SplitPlan(rows, {**raw.dropped, **dropped}, near)


def digests(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Two digests of each image.

    Args:
        images: (N, H, W, 3) uint8.

    Returns:
        exact: (N,) 64 bits of BLAKE2 over the pixels; two different images among ten million
            share it with a chance of 3 in a million.
        look: (N, 2) equal for look-alikes: of the grey image averaged to 8x8 cells, which cells
            are brighter than the mean (average hash) and which than the cell to their left
            (difference hash).
    """
    num, height, width = images.shape[:3]
    exact = np.empty(num, np.uint64)
    look = np.empty((num, 2), np.uint64)
    step = max(1, _CHUNK_BYTES // (height * width * 3))
    for start in range(0, num, step):
        chunk = np.ascontiguousarray(images[start : start + step])
        for i, image in enumerate(chunk):
            digest = hashlib.blake2b(image, digest_size=8).digest()
            exact[start + i] = int.from_bytes(digest, "little")
        cells = _cells(chunk.mean(axis=3, dtype=np.float32))
        brighter = cells > cells.mean(axis=(1, 2), keepdims=True)
        rising = cells > np.roll(cells, 1, axis=2)
        for column, bits in enumerate((brighter, rising)):
            packed = np.packbits(bits.reshape(len(chunk), 64), axis=1)
            look[start : start + len(chunk), column] = packed.view(np.uint64)[:, 0]
    return exact, look


def _cells(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average (N, H, W) to (N, 8, 8); sides below 8 are repeated."""
    for axis in (1, 2):
        side = grey.shape[axis]
        if side < 8:
            grey = np.repeat(grey, -(-8 // side), axis=axis)
            side = grey.shape[axis]
        starts = np.arange(8) * side // 8
        lengths = np.diff(np.append(starts, side)).astype(np.float32)
        shape = [1, 1, 1]
        shape[axis] = 8
        sums = np.add.reduceat(grey, starts, axis=axis)
        grey = np.divide(sums, lengths.reshape(shape), dtype=np.float32)
    return grey


def _without_copies(
    raw: RawData, exact: NDArray[np.uint64], who: str
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """Which images are kept, and what is said about the others."""
    num = len(exact)
    given = np.full(num, "train") if raw.split is None else np.asarray(raw.split)
    priority = np.select([given == "test", given == "val"], [0, 1], 2)
    order = np.lexsort((np.arange(num), priority, exact))
    starts = np.flatnonzero(np.r_[True, np.diff(exact[order]) != 0])
    group = np.empty(num, np.int64)  # of each image, the number of its group of equal images
    group[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, num)))
    labels = np.asarray(raw.labels, np.int64)[order]
    ambiguous = np.minimum.reduceat(labels, starts) != np.maximum.reduceat(labels, starts)
    conflicting = ambiguous[group] & (given != "test")
    copies = (given != "test") & ~conflicting
    copies[order[starts]] = False
    dropped: dict[str, Any] = {
        "duplicates": int(copies.sum()),
        "conflicting_labels": int(conflicting.sum()),
    }
    if dropped["duplicates"]:
        logger.warning("%s: dropped %d exact copies of images", who, dropped["duplicates"])
    if dropped["conflicting_labels"]:
        names = [raw.name(int(row)) for row in np.flatnonzero(conflicting)[:_NAMED]]
        dropped["conflicting_names"] = names
        logger.warning(
            "%s: dropped %d images that appear under more than one label, such as %s",
            who,
            dropped["conflicting_labels"],
            ", ".join(names[:5]),
        )
    return ~(copies | conflicting), dropped


def _cut(raw: RawData, keep: NDArray[np.bool_], config: DataConfig, who: str) -> dict[str, Rows]:
    """Assign the kept rows: the source's own splits stay, the missing ones are cut from train."""
    given = np.full(len(keep), "train") if raw.split is None else np.asarray(raw.split)
    shares = {
        name: fraction
        for name, fraction in (("val", config.val_fraction), ("test", config.test_fraction))
        if not (given == name).any()
    }
    if sum(shares.values()) >= 1:
        raise UserError(
            f"data.val_fraction and data.test_fraction leave nothing of {who} to train on.",
            "Their sum must stay below 1.",
        )
    code = np.select([given == name for name in SPLITS], range(len(SPLITS)))
    scores = _scores(raw, config.split_seed)
    labels = np.asarray(raw.labels)
    for label, class_name in enumerate(raw.classes):
        of_class = (labels == label) & (given == "train")
        rows = np.flatnonzero(keep & of_class)
        lost = int(of_class.sum()) - len(rows)
        if len(rows) < MIN_PER_CLASS if shares else lost and not len(rows):
            raise UserError(
                f"class {class_name!r} of {who} has {len(rows)} usable images to train on"
                + f"; {lost} are copies of others, in a split or another class." * bool(lost)
                + "." * (not lost),
                f"Every class needs at least {MIN_PER_CLASS}: add some, remove the class"
                + ", or take the images of val and test out of train." * bool(lost)
                + "." * (not lost),
            )
        rows = rows[np.argsort(scores[rows], kind="stable")]
        start = 0
        for name, count in _counts(len(rows), shares).items():
            code[rows[start : start + count]] = SPLITS.index(name)
            start += count
    result = {name: np.flatnonzero(keep & (code == i)) for i, name in enumerate(SPLITS)}
    for name, rows in result.items():
        empty = np.flatnonzero(np.bincount(labels[rows], minlength=len(raw.classes)) == 0)
        if len(empty):
            raise UserError(
                f"class {raw.classes[empty[0]]!r} of {who} has no image in its {name} split.",
                "Every class must be in train, val and test.",
            )
    return result


def _counts(num: int, shares: Mapping[str, float]) -> dict[str, int]:
    """How many of `num` images go to each share: at least one, and one stays for train.

    By val the search chooses: a class that has few images gives at least a fifth of them to it, up
    to as many as its recall can be judged by, where a smaller share is asked for.
    """
    counts = {name: max(1, round(num * share)) for name, share in shares.items()}
    if "val" in counts:
        counts["val"] = max(counts["val"], min(JUDGED, num // 5))
    while counts and sum(counts.values()) >= num:
        counts[max(counts, key=lambda name: counts[name])] -= 1
    return counts


def _scores(raw: RawData, seed: int) -> NDArray[np.uint64]:
    """(N,) a random number of each image that depends on the seed and its own name only.

    The images with the lowest scores of a class are held out. A folder that gains a photograph
    therefore keeps the split of nearly all others, at every image size.
    """
    if raw.names is None:
        generator = np.random.default_rng(seed)
        return generator.integers(0, 2**64, size=len(raw.images), dtype=np.uint64)
    scores = (
        hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "surrogateescape"), digest_size=8)
        for name in raw.names
    )
    return np.array([int.from_bytes(score.digest(), "little") for score in scores], np.uint64)


def _near_duplicates(look: NDArray[np.uint64], rows: Mapping[str, Rows]) -> int:
    pairs = np.ascontiguousarray(look).view("u8,u8")[:, 0]
    seen: set[Any] = set(pairs[rows["train"]].tolist())
    count = 0
    for name in ("val", "test"):
        here = pairs[rows[name]].tolist()
        count += sum(pair in seen for pair in here)
        seen.update(here)
    return count
