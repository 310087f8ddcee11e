"""What was found in a study that others made, before it becomes a study of run format 1.

A reader of a source (`analysis/adopt/sources/`) returns a `FoundStudy`. It only reads: it unpickles
nothing, runs nothing, follows no link and changes no file. What it worked out rather than read is
named in `notes`, which the header, the dry run and the report repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deepsight.config import Value
from deepsight.space import Domain


@dataclass(frozen=True)
class Wanted:
    """What the user said about the study, which wins over the source; None where nothing."""

    metric: str | None = None
    """Name of the metric, as the source spells it."""
    mode: str | None = None
    """`max` or `min`."""
    max_epochs: int | None = None
    """Full budget of a trial, in epochs."""
    study: str | None = None
    """Which study, experiment or project, where a source holds several."""


@dataclass(frozen=True)
class FoundRow:
    """What one trial reported after one epoch."""

    epoch: int
    """From 1; increasing within a trial."""
    metrics: Mapping[str, float | None]
    """By the source's names; None where the source has NaN or infinity."""
    time: float | None = None
    """Seconds since 1970-01-01 UTC; None where the source does not say."""
    wall_s: float | None = None
    """Duration of the epoch in seconds."""


@dataclass(frozen=True)
class FoundTrial:
    """One trial of a source."""

    key: str
    """What the source calls it. It is shown and stored, and never a path."""
    config: Mapping[str, Value]
    """Hyperparameters by flat dotted name. One that was not active is absent."""
    rows: tuple[FoundRow, ...] = ()
    state: str | None = None
    """A state of the run format, `running` included; None where the source does not say."""
    error: str | None = None
    started: float | None = None
    ended: float | None = None


@dataclass(frozen=True)
class FoundStudy:
    """All that a source says."""

    tool: str
    """Who made it: `ray_tune`, `optuna`, `mlflow`, `wandb`, `keras_tuner`, `hparams`, `table`."""
    name: str
    """What the source calls it."""
    trials: tuple[FoundTrial, ...]
    metric: str | None = None
    """The metric to compare by; None where the source does not say which."""
    mode: str | None = None
    max_epochs: int | None = None
    """Full budget; None where the source does not say."""
    space: Mapping[str, Domain] = field(default_factory=dict)
    """Domains that the source declares. Those of other hyperparameters are inferred."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the tool and of the format that the source states."""
    notes: tuple[str, ...] = ()
    """What was inferred, what is missing and what was left out, a sentence each."""
