"""How a folder is read: which of its sub-folders are classes, which are splits.

Splits are recognised by name where every sub-folder has one and the classes lie below. What could
be read in two ways is refused with both: a split that is learnt as a class looks like a result.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from deepsight.config import UserError
from deepsight.data.folder.files import (
    images_below,
    images_in,
    inodes,
    is_image,
    is_system,
    mode_of,
    sub_folders,
)

LAYOUT = "Make one sub-folder for each class and put its images there."

_WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev", "devel", "development"),
    "test": ("test", "testing", "tst"),
    "eval": ("eval", "evaluation"),
    "unlabelled": (
        *("pred", "predict", "prediction", "predictions", "inference", "submission"),
        *("unlabeled", "unlabelled"),
    ),
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words}
_FOLDS = frozenset({"fold", "split", "cv"})
"""Words that with a number name a part of a cross-validation."""

_FILLERS = ("dataset", "set", "data", "images", "image", "imgs", "img", "folder", "files")
"""Words that say nothing: training_set, test_images, valdata."""

_NAMED = 4  # names of folders in a message
_MAX_NESTED = 8  # roots within roots; a link may lead back


@dataclass(frozen=True)
class ClassFolder:
    """A folder whose files belong to one class, and to one split where the layout says so."""

    name: str
    """Of the class; one name for all ways to encode it (`class_name`)."""
    split: str
    """"train", "val" or "test"; "" if the layout names none."""
    path: Path


@dataclass(frozen=True)
class Layout:
    """What the sub-folders of a folder mean.

    Attributes:
        root: The folder in which the classes or the splits are; below the one that was named if
            that holds nothing but it.
        folders: The folders of the classes.
        unlabelled: Folders of splits whose images have no class.
        above: Folders above those of the classes; images that lie in them belong to none.
    """

    root: Path
    folders: tuple[ClassFolder, ...]
    unlabelled: tuple[Path, ...] = ()
    above: tuple[Path, ...] = ()


def read_layout(root: Path) -> Layout:
    """Decide what the sub-folders of `root` mean; no image is opened.

    Raises:
        UserError: If a folder cannot be read, or can be read in two ways.
    """
    inner = _innermost(root)
    folders = _class_folders(inner)
    roles = split_roles([folder.name for folder in folders])
    splits = {folder: role for folder, role in zip(folders, roles, strict=True) if role}
    if splits and not any(_has_images(f, inner) for f in folders if f not in splits):
        return _read_splits(inner, splits)  # beside them, at most annotations and the like
    _require_classes(inner, folders, roles)
    return Layout(inner, tuple(ClassFolder(class_name(f), "", f) for f in folders), above=(inner,))


def class_name(folder: Path) -> str:
    """The class that a folder is for: its name in Unicode's form C.

    Macs and archives made on them spell "ä" as two characters; it is the same class.
    """
    return unicodedata.normalize("NFC", folder.name)


def alike_names(classes: Sequence[str]) -> list[list[str]]:
    """Groups of classes whose names differ only in case; letters, as "a" and "A", do not count."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(name.casefold(), []).append(name)
    return [names for names in groups.values() if len(names) > 1 and len(names[0]) > 1]


def _class_folders(folder: Path) -> list[Path]:
    """The folders in `folder` that are classes or splits.

    Raises:
        UserError: If a link among them leads nowhere: a class would be missing without a word.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and mode_of(path) is None and not is_system(path.name):
            if is_image(path):
                continue
            raise UserError(
                f"{path} is a link to {path.readlink()}, which is not there or may not be read.",
                "Mount or restore what it links to, or remove the link.",
            )
    return sub_folders(folder)


def _has_images(folder: Path, root: Path) -> bool:
    """Whether there is any image below `folder`."""
    return next(images_below(folder, inodes([root])), None) is not None


def split_roles(names: Sequence[str]) -> list[str]:
    """What each of sibling folders is by its name: "train", "val", "test", "unlabelled", "fold".

    A name counts if nothing but a word for a split is left of it after numbers, fillers such as
    "set" and the words that all such names share (the "seg" of seg_train and seg_test) are taken
    away. So training_shoes beside test_tubes is no split. "" is any other name.

    >>> split_roles(["seg_train", "seg_test"]), split_roles(["training_shoes", "test_tubes"])
    (['train', 'test'], ['', ''])
    """
    words = [_words(name) for name in names]
    if len(names) > 1 and all(_is_fold(w) for w in words):
        return ["fold"] * len(names)
    named = [set(w) for w in words if any(_stem(word) in _ROLES for word in w)]
    shared = set.intersection(*named) if len(named) > 1 else set()
    roles = []
    for w in words:
        words_left = [word for word in w if word not in _FILLERS and not word.isdigit()]
        rest = [_stem(word) for word in words_left if word not in shared or len(words_left) == 1]
        roles.append(_ROLES.get(rest[0], "") if len(rest) == 1 else "")
    if ["invalid"] in words:  # then "valid" is its opposite
        roles = ["" if w == ["valid"] else r for w, r in zip(words, roles, strict=True)]
    return _with_eval(roles)


def _with_eval(roles: list[str]) -> list[str]:
    """Read "eval" as whichever of val and test is not there; "val or test" if neither is."""
    other = {(True, False): "test", (False, True): "val"}
    meant = other.get(("val" in roles, "test" in roles), "val or test")
    return [meant if role == "eval" else role for role in roles]


def _words(name: str) -> list[str]:
    """Words and numbers of a name in lower case; TrainingSet has two."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return re.findall(r"[^\W\d_]+|\d+", apart)


def _stem(word: str) -> str:
    """`word` without a filler at its end: trainset, testdata."""
    for filler in _FILLERS:
        if word.removesuffix(filler) in _ROLES:
            return word.removesuffix(filler)
    return word


def _is_fold(words: list[str]) -> bool:
    return len(words) == 2 and words[0] in _FOLDS and words[1].isdigit()


def _innermost(folder: Path, known: frozenset[str] = frozenset()) -> Path:
    """The folder itself, or the only one in it if that holds folders and no images, and so on.

    Args:
        folder: Where to begin.
        known: Names of folders that are not entered: they are classes.
    """
    for _ in range(_MAX_NESTED):
        inner = sub_folders(folder)
        if len(inner) != 1 or class_name(inner[0]) in known or next(images_in(folder), None):
            return folder
        (only,) = inner
        nested = sub_folders(only) and not next(images_in(only), None)
        repeats = only.name == folder.name  # seg_train/seg_train
        if not nested or (split_roles([only.name])[0] and not repeats):
            return folder
        folder = only
    return folder


def _read_splits(root: Path, roles: dict[Path, str]) -> Layout:
    """The layout of a root all of whose folders are splits by their names."""
    shown = _shown(list(roles))
    parts = [(folder, role) for folder, role in roles.items() if role in ("train", "val", "test")]
    counts = Counter(role for _, role in parts)
    if set(roles.values()) == {"fold"}:
        _refuse(root, f"{shown} look like parts of a cross-validation", _ONE_SPLIT)
    if "val or test" in roles.values():
        _refuse(root, f"one of {shown} may be the val or the test split", "Call it val or test.")
    if counts["train"] != 1 or max(counts.values()) > 1:
        _refuse(root, f"{shown} look like splits, but not like one train, val and test", _ONE_SPLIT)
    train = next(folder for folder, role in parts if role == "train")
    inner = _innermost(train)
    classes = _class_folders(inner)
    inner_roles = split_roles([c.name for c in classes])
    if not classes or all(inner_roles):
        within = f"; {train.name} holds {_shown(classes)}" if classes else ""
        _refuse(root, f"{shown} look like splits, but hold no folders of classes{within}", _FLAT)
    _require_classes(inner, classes, inner_roles)
    known = frozenset(class_name(c) for c in classes)
    found = [ClassFolder(class_name(c), "train", c) for c in classes]
    unlabelled = [folder for folder, role in roles.items() if role == "unlabelled"]
    above = [root, train, inner]
    for folder, role in parts:
        if role != "train":
            held_out = _held_out(folder, role, known, train.name)
            found += held_out
            unlabelled += [] if held_out else [folder]
            above += {folder, *(c.path.parent for c in held_out)} if held_out else ()
    return Layout(root, tuple(found), tuple(unlabelled), tuple(dict.fromkeys(above)))


def _held_out(folder: Path, role: str, known: frozenset[str], train: str) -> list[ClassFolder]:
    """The classes of a val or test folder; none if its images have no class."""
    inner = _innermost(folder, known)
    classes = _class_folders(inner)
    strange = [c for c in classes if class_name(c) not in known]
    if strange:
        raise UserError(
            f"{inner} holds {_shown(strange)}, which {train} does not.",
            f"Make the classes of {folder.name} those of {train}; move images without a class "
            "out of it, or into a folder called unlabelled.",
        )
    missing = sorted(known - {class_name(c) for c in classes})
    if classes and missing:
        raise UserError(
            f"{inner} has no folder {_shown(missing)}, which {train} has.",
            f"Add images of it, or remove {folder.name}: {role} is then cut from {train}.",
        )
    return [ClassFolder(class_name(c), role, c) for c in classes]


_ONE_SPLIT = (
    "If they are splits, name them train, val and test; if they are to be one data set, put each "
    "class into one folder; if they are classes, rename them (test -> test_class)."
)
_FLAT = (
    "If they are splits, make a folder for each class in train; if they are classes, rename them "
    "(train -> train_class)."
)


def _require_classes(root: Path, folders: list[Path], roles: list[str]) -> None:
    """Refuse folders that may be something other than the classes.

    A single folder called train, without folders in it, beside others is the class of a vehicle.
    """
    splits = [f for f, role in zip(folders, roles, strict=True) if role]
    others = [f for f, role in zip(folders, roles, strict=True) if not role]
    if splits and others:
        lone = len(splits) == 1 and roles[folders.index(splits[0])] == "train"
        if len(splits) > 1:
            _refuse(
                root,
                f"{_shown(splits)} look like splits, {_shown(others)} beside them does not",
                "Move the others elsewhere, or name them train, val or test; if all are classes, "
                "rename the first (test -> test_class).",
            )
        if not lone or sub_folders(splits[0]):
            _refuse(
                root,
                f"{splits[0].name} may be a split or a class beside {_shown(others)}",
                "If it is a split, put the other folders into one called train; "
                "if it is a class, rename it (test -> test_class).",
            )
    inner = {folder: sub_folders(folder) for folder in folders}
    for folder, below in inner.items():
        names = set(split_roles([b.name for b in below]))
        if "train" in names and len(names - {""}) > 1:
            _refuse(
                root,
                f"{folder.name} holds the splits {_shown(below)}",
                "Put the splits on top: train/CLASS, val/CLASS, test/CLASS.",
            )
    counts = Counter(b.name for below in inner.values() for b in below)
    often = [name for name, n in counts.items() if n > 1 and 2 * n >= len(folders)]
    if len(often) > 1 or any(split_roles([name])[0] for name in often):
        same = [f for f, below in inner.items() if {b.name for b in below} & set(often)]
        _refuse(
            root,
            f"{_shown(same)} hold the same folders {_shown(sorted(often))}: either may be the "
            "classes",
            "Put the images of each class directly into its folder, or all of a class into one.",
        )


def _refuse(root: Path, reading: str, remedy: str) -> NoReturn:
    raise UserError(f"in {root}, {reading}.", remedy)


def _shown(folders: Sequence[Path | str]) -> str:
    names = [f if isinstance(f, str) else f.name for f in folders]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
