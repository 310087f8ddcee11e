"""How evenly classes are spread over the validation images, and what that does to scores.

The one place of three rules, for terminal, TensorBoard, summary and report alike:

- The *majority baseline* is what a model scores that always answers the largest class of val.
- Classes are *uneven* from `UNEVEN` times as many images in the largest class as in the smallest.
- A class *cannot be judged* with fewer than `JUDGED` images in val.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JUDGED = 10
"""Images of a class from which its recall says anything: the 95 % interval (Wilson 1927) of a
recall of one half reaches from 0.24 to 0.76 with ten, from 0.09 to 0.91 with two."""
UNEVEN = 2
"""Largest class over smallest. Of two classes the majority baseline is then 0.67 or more, beyond
the target of 0.65 that studies have by default."""
FAIR_METRIC = "val_macro_f1"
"""Every class weighs the same in it, however few its images are."""

_NAMED = 5  # classes named in a sentence; the rest are counted


@dataclass(frozen=True)
class ClassBalance:
    """The validation images by class, and the judgement on them."""

    counts: Mapping[str, int]
    """By class, in the order of the labels."""
    num_images: int
    majority: str
    """The largest class, the first among equals."""
    majority_share: float
    """Of all images: the accuracy of always answering `majority`."""
    chance: float
    """The accuracy of guessing evenly among the classes."""
    uneven: bool
    rare: tuple[str, ...]
    """Classes that cannot be judged."""

    def baseline(self, metric: str) -> float | None:
        """The majority baseline of `metric`; None where it is not known.

        In accuracy it is the majority's share p. In macro-F1, a mean over C classes, the majority
        has precision p and recall 1, hence F1 = 2p / (1 + p), and all other classes 0.
        """
        p = self.majority_share
        present = sum(n > 0 for n in self.counts.values())
        known = {"val_accuracy": p, FAIR_METRIC: 2 * p / (1 + p) / present}
        return known.get(metric)

    def meets(self, metric: str, mode: str, target: float | None) -> bool:
        """Whether the majority baseline alone reaches `target`, which then says nothing."""
        baseline = self.baseline(metric)
        if baseline is None or target is None:
            return False
        return baseline >= target if mode == "max" else baseline <= target

    def baseline_text(self, metric: str) -> str:
        """The majority baseline of `metric` in a sentence's part; empty where it is not known."""
        baseline = self.baseline(metric)
        if baseline is None:
            return ""
        images = f"{self.counts[self.majority]} of {self.num_images} validation images"
        return f"always answering {self.majority!r}, {images}, has {metric} {baseline:.4f}"

    def warnings(self, metric: str) -> tuple[str, ...]:
        """What to know before a `metric` on these images is believed; empty where all is well."""
        lines = []
        if self.uneven:
            most, fewest = max(self.counts.values()), min(self.counts.values())
            line = f"Classes are uneven: {most} to {fewest} validation images."
            if metric != FAIR_METRIC:
                line += (
                    f" Judge by {FAIR_METRIC} and the recall of each class, and search with "
                    f"--set study.metric={FAIR_METRIC}."
                )
            lines.append(line)
        if self.rare:
            named = ", ".join(f"{name!r} ({self.counts[name]})" for name in self.rare[:_NAMED])
            more = f" and {len(self.rare) - _NAMED} more" if len(self.rare) > _NAMED else ""
            which = "All" if len(self.rare) == len(self.counts) else str(len(self.rare))
            lines.append(
                f"{which} of {len(self.counts)} classes cannot be judged, with fewer than {JUDGED} "
                f"validation images: {named}{more}."
            )
        return tuple(lines)


def class_balance(counts: Mapping[str, int]) -> ClassBalance | None:
    """The balance of a split; None without any image.

    Args:
        counts: Images by class.
    """
    total = sum(counts.values())
    if not total:
        return None
    majority = max(counts, key=lambda name: counts[name])
    most, fewest = counts[majority], min(counts.values())
    return ClassBalance(
        counts=dict(counts),
        num_images=total,
        majority=majority,
        majority_share=most / total,
        chance=1 / len(counts),
        # one image more or less is what rounding makes: 8 and 7 images of a class give 2 and 1
        uneven=most >= UNEVEN * fewest and most - fewest > 1,
        rare=tuple(name for name, n in counts.items() if n < JUDGED),
    )


def validation_balance(data: Mapping[str, Any]) -> ClassBalance | None:
    """The balance of the val split that the ``data`` of a study's header states.

    Returns:
        None where no images by class are stated, as for a trainable of one's own.
    """
    return class_balance(images_by_class(data, "val"))


def images_by_class(data: Mapping[str, Any], split: str) -> dict[str, int]:
    """Images of `split` by class (`printable`) as ``data`` states them; empty if it does not."""
    splits = data.get("counts")
    counts = splits.get(split) if isinstance(splits, Mapping) else None
    if not isinstance(counts, Mapping):
        return {}
    return {printable(name): n for name, n in counts.items() if type(n) is int and n >= 0}


def printable(name: str) -> str:
    """A class's name as text that every file can hold: a folder's name need not be UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()
