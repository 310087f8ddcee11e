"""Names of classes where not every text will do: in the names of files, and in figures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from analysis.page.formatting import shorten
from deepsight.config import without_controls

LONGEST_IN_FILE, MOST_BYTES_IN_FILE = 40, 80
"""Characters and bytes of a class's name; two names stand in one file's, of 255 bytes at most."""
LONGEST_IN_FIGURE = 18
LONGEST_IN_SENTENCE = 60
_FROM_RIGHT = ("R", "AL", "AN")
_COMBINING = ("Mn", "Mc", "Me")


def file_stem(label: int, classes: Sequence[str]) -> str:
    """A class's part of a file's name: its number, and as much of its name as is harmless.

    ``03_cat``; no separators, no dots, no case in which two classes share one.
    """
    digits = len(str(len(classes) - 1))
    plain = re.sub(r"[^\w-]+", "-", unicodedata.normalize("NFC", classes[label]))
    plain = (
        plain[:LONGEST_IN_FILE].encode()[:MOST_BYTES_IN_FILE].decode(errors="ignore").strip("-_")
    )
    return f"{label:0{digits}d}" + (f"_{plain}" if plain else "")


def in_sentence(name: str) -> str:
    r"""The name on one line, cut where it is long; what runs from the right turns nothing else.

    Control characters, which a page shows as boxes or obeys, become escapes (``\x1b``).
    """
    line = shorten(without_controls(" ".join(name.split())), LONGEST_IN_SENTENCE)
    turned = any(unicodedata.bidirectional(c) in _FROM_RIGHT for c in line)
    return f"\u2068{line}\u2069" if turned else line  # first strong isolate (UAX 9)


def figure_names(classes: Sequence[str]) -> tuple[str, ...]:
    """What figures call the classes: their names, cut where they are long, or ``#3``.

    The number stands for a name whose letters the figures' font lacks, or that runs from the right
    or joins its letters, which matplotlib does not do; and for all names that are alike once cut.
    """
    names = [figure_text(name, f"#{label}") for label, name in enumerate(classes)]
    return tuple(f"#{label}" if names.count(name) > 1 else name for label, name in enumerate(names))


def figure_text(text: str, instead: str, longest: int = LONGEST_IN_FIGURE) -> str:
    """The text on one line, cut where it is long; `instead` where a figure cannot show it."""
    line = " ".join(text.split())
    return shorten(line, longest) if line and _drawable(line) else instead


def _drawable(text: str) -> bool:
    known = _glyphs()
    return all(
        ord(c) in known
        and unicodedata.bidirectional(c) not in _FROM_RIGHT
        and unicodedata.category(c) not in _COMBINING
        for c in text
    )


@cache
def _glyphs() -> frozenset[int]:
    """The characters of the figures' font."""
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    from analysis.figures.style import STYLE

    return frozenset(FT2Font(findfont(STYLE["font.family"])).get_charmap())
