"""Which pairs of classes training focuses on: ``train.focus_pairs``. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from deepsight.config import UserError, unknown

FORM = "Write train.focus_pairs=cat:dog,car:truck; #3 is the class of label 3."

Pair = tuple[int, int]


def parse_pairs(text: str, classes: Sequence[str]) -> tuple[Pair, ...]:
    """Labels of the pairs that ``train.focus_pairs`` names; none where it is empty.

    Raises:
        UserError: If it has another form, or a class is unknown or paired with itself.
    """
    pairs = []
    for part in filter(None, text.split(",")):
        names = [name.strip() for name in part.split(":")]
        if len(names) != 2:
            raise UserError(f"train.focus_pairs: {part!r} is not a pair of classes.", FORM)
        first, second = (_label(name, classes) for name in names)
        if first == second:
            raise UserError(f"train.focus_pairs: {part!r} is one class twice.", FORM)
        pairs.append((first, second))
    return tuple(pairs)


def _label(name: str, classes: Sequence[str]) -> int:
    if name in classes:
        return list(classes).index(name)
    if name.startswith("#") and name[1:].isdecimal() and int(name[1:]) < len(classes):
        return int(name[1:])
    raise unknown("class", name, classes)
