"""What a confirmation found, as ``confirm/confirmation.json`` holds it. Standard library only.

`deepsight.confirm` writes it; reports and summaries read it and compute nothing anew.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepsight.config import UserError
from deepsight.files import FileRefusedError, read_file, replacing
from deepsight.run_store import plain_object, storage_error

FOLDER = "confirm"
FILE, ABLATION_FILE = "confirmation.json", "ablation.json"
VERSION = 1
MOST_BYTES = 64 << 20
"""No confirmation takes as much."""


@dataclass(frozen=True)
class Estimate:
    """A mean, its interval and from how many seeds it comes."""

    value: float
    low: float | None
    """None where fewer than two seeds, or seeds without any spread, allow no interval."""
    high: float | None
    n: int


@dataclass(frozen=True)
class ConfirmedConfig:
    """One config retrained with fresh seeds."""

    name: str
    """What tables call it: the trial of the search, or what an ablation takes back."""
    trial_id: str
    """The trial of the search that it comes from; of an ablation, the winner's."""
    config: Mapping[str, Any]
    """Searched hyperparameters by dotted name, null where inactive."""
    seeds: tuple[int, ...]
    """Asked for; the lists below have their order."""
    val: tuple[float | None, ...]
    """The metric after the full budget; None where a run failed, diverged or is not done."""
    test: tuple[float | None, ...]
    """The same on the test split; empty where it was not opened."""
    num_lost: int
    """Runs that failed or diverged: the mean is over the others."""
    search_score: float | None
    """What it scored in the search, where it had the full budget."""
    mean: Estimate | None
    test_mean: Estimate | None
    optimism: Estimate | None
    """By how much the score of the search was better than the mean: the winner's curse."""
    target: str | None
    """met, missed or undecided, by the interval; None without a target or an interval."""


@dataclass(frozen=True)
class Comparison:
    """By how much one config is better than another, paired by seed."""

    first: str
    second: str
    split: str
    """``val`` or ``test``."""
    gain: Estimate | None
    """Of the first over the second, positive where the first is better; None without a pair."""
    p: float | None
    """Of the paired t test, two-sided; None where there is no spread or no second pair."""
    p_adjusted: float | None
    """Holm's, over all comparisons of the split."""
    verdict: str
    """better, worse or undecided, by `p_adjusted`."""


@dataclass(frozen=True)
class Confirmation:
    """All that a confirmation found."""

    study: str
    kind: str
    """``top`` or ``ablation``."""
    metric: str
    mode: str
    test_metric: str | None
    """What the test split was judged by; None where it was not opened."""
    max_epochs: int
    resplit: bool
    """Whether every seed had a split of its own."""
    chosen_by: str
    """How the configs were chosen, in words."""
    winner: str
    """The config of the best score in the search, by its `name`."""
    defaults: str
    target: float | None
    num_unfinished: int
    """Runs that are not done."""
    num_openings: int
    """How often a model has looked at the test split."""
    epochs: int
    """Spent on these runs."""
    configs: tuple[ConfirmedConfig, ...]
    """The winner first, the defaults last."""
    comparisons: tuple[Comparison, ...]
    until: float | None = None
    """The smallest difference that matters, where seeds were added until it was settled; the
    intervals of `comparisons` hold then at every number of seeds, and there are no p values."""
    settled: bool | None = None
    """Whether it was, before the seeds that were allowed ran out."""

    def config(self, name: str) -> ConfirmedConfig:
        """The config of that name."""
        return next(c for c in self.configs if c.name == name)


def save_confirmation(found: Confirmation, path: Path) -> None:
    """Write it so that a reader sees the old file or the new one.

    Raises:
        StorageError: If the disk does not let us.
    """
    content = {"version": VERSION} | plain_object(path.name, dataclasses.asdict(found))
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    try:
        with replacing(path.parent, [path.name]) as temporary:
            temporary.write_text(text, "utf-8")
    except OSError as error:
        raise storage_error(path.parent, error) from error


def load_confirmation(study: Path, file: str = FILE) -> Confirmation | None:
    """The confirmation of a study; None where there is none.

    Args:
        study: The study's directory.
        file: Its name in ``confirm/``.

    Raises:
        UserError: If the file is damaged, or it or its folder is a link.
    """
    path = study / FOLDER / file
    try:
        return _parsed(json.loads(read_file(study, [FOLDER, file], MOST_BYTES)))
    except FileNotFoundError:
        return None
    except FileRefusedError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read: {type(error).__name__}: {error}.",
            "Delete it; the same python -m deepsight.confirm command writes it again.",
        ) from error


def _parsed(stored: dict[str, Any]) -> Confirmation:
    if stored.pop("version") != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    configs = tuple(
        ConfirmedConfig(
            **c
            | {key: tuple(c[key]) for key in ("seeds", "val", "test")}
            | {key: _estimate(c[key]) for key in ("mean", "test_mean", "optimism")}
        )
        for c in stored["configs"]
    )
    comparisons = tuple(
        Comparison(**c | {"gain": _estimate(c["gain"])}) for c in stored["comparisons"]
    )
    return Confirmation(**stored | {"configs": configs, "comparisons": comparisons})


def _estimate(stored: dict[str, Any] | None) -> Estimate | None:
    return Estimate(**stored) if stored else None
