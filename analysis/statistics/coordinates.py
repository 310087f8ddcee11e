"""Parallel coordinates: every trial as a line over the axes of the space as it was declared.

Positions run from 0 to 1 along the domain's own scale, logarithmic where it was searched so. What
is inactive in a config has a place of its own below the axis: it is not a value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.page.formatting import text
from analysis.statistics.trial_outcomes import FULL, outcome_of
from deepsight.config import Value
from deepsight.run_store import Objective, Study, TrialRecord
from deepsight.space import INACTIVE, Choice, Domain, Entry, Float, Int

BELOW = -0.16
"""The place of what is inactive, and of trials without a score at full budget on its axis."""
EPOCHS, SCORE = "epochs", "score"
"""Kinds of the axes that are no hyperparameters."""
NEAR = 0.075
"""Ticks closer than this would overlap."""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    position: float
    label: str


@dataclass(frozen=True)
class Axis:
    """One axis: a hyperparameter, the epochs trained, or the score at full budget."""

    name: str
    kind: str
    """``linear``, ``log`` or ``choice`` of a hyperparameter; `EPOCHS`, `SCORE`."""
    ticks: tuple[Tick, ...]
    has_inactive: bool
    """Whether there is a place for trials without a value, below the others."""
    inactive_label: str = "inactive"


@dataclass(frozen=True)
class Line:
    """One trial."""

    trial_id: str
    outcome: str
    explorer: bool
    num_epochs: int
    score: float | None
    """At full budget; None for all others, whatever they scored earlier."""
    positions: tuple[float | None, ...]
    """One an axis; None where the value on record is none that the domain allows."""
    values: tuple[Entry, ...]
    """The same in the hyperparameters' own units, `INACTIVE` where inactive."""


@dataclass(frozen=True)
class Coordinates:
    """The numbers of the parallel coordinates."""

    metric: str
    mode: str
    max_epochs: int
    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]
    score_low: float
    score_high: float
    """The range of the scores at full budget, for their colours; 0 and 1 without any."""

    @property
    def objective(self) -> Objective:
        """Which of two scores is better."""
        return Objective(self.metric, self.mode)

    @property
    def searched(self) -> tuple[int, ...]:
        """Indices of the axes of hyperparameters."""
        return tuple(i for i, a in enumerate(self.axes) if a.kind not in (EPOCHS, SCORE))

    @property
    def score_index(self) -> int:
        """The index of the axis of the score at full budget."""
        return next(i for i, axis in enumerate(self.axes) if axis.kind == SCORE)


def compute_coordinates(study: Study) -> Coordinates:
    """Axes from the stored space, lines from the trials."""
    scores = [s for r in study.records if (s := _full_score(study, r)) is not None]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    score_axis = Float(low, high)
    epochs_axis = Int(0, study.max_epochs)
    short = any(_full_score(study, r) is None for r in study.records)
    axes = [_axis(n, domain, _inactive_seen(study, n)) for n, domain in study.space.items()]
    axes.append(Axis("epochs trained", EPOCHS, _ticks(epochs_axis), False))
    name = f"{study.metric} at {study.max_epochs} epochs"
    ticks = _ticks(score_axis) if scores else ()
    axes.append(Axis(name, SCORE, ticks, short or not scores, "not trained that far"))
    return Coordinates(
        metric=study.metric,
        mode=study.mode,
        max_epochs=study.max_epochs,
        axes=tuple(axes),
        lines=tuple(_line(study, r, score_axis, epochs_axis) for r in study.records),
        score_low=low,
        score_high=high,
    )


def _full_score(study: Study, record: TrialRecord) -> float | None:
    return study.score(record) if outcome_of(study, record) == FULL else None


def _inactive_seen(study: Study, name: str) -> bool:
    conditional = study.space[name].condition is not None
    return conditional or any(r.config.get(name, INACTIVE) is INACTIVE for r in study.records)


def _line(study: Study, record: TrialRecord, score_axis: Float, epochs_axis: Int) -> Line:
    score = _full_score(study, record)
    values = tuple(record.config.get(name, INACTIVE) for name in study.space)
    domains = [*study.space.values(), epochs_axis, score_axis]
    last = INACTIVE if score is None else score
    placed = zip(domains, [*values, record.num_epochs, last], strict=True)
    return Line(
        trial_id=record.trial_id,
        outcome=outcome_of(study, record),
        explorer=record.explorer,
        num_epochs=record.num_epochs,
        score=score,
        positions=tuple(position_on_axis(domain, value) for domain, value in placed),
        values=values,
    )


def position_on_axis(domain: Domain, value: Entry) -> float | None:
    """Where `value` lies on the axis of `domain`.

    `BELOW` where it is inactive; None where the domain does not know it.
    """
    if value is INACTIVE:
        return BELOW
    if isinstance(domain, Choice):
        return domain.to_unit(value) if domain.contains(value) else None
    if not isinstance(value, int | float):
        return None
    if domain.log and value <= 0:
        return None
    return min(max(domain.to_unit(value, padded=False), 0.0), 1.0)


def _axis(name: str, domain: Domain, inactive: bool) -> Axis:
    if isinstance(domain, Choice):
        return Axis(name, "choice", _ticks(domain), inactive)
    return Axis(name, "log" if domain.log else "linear", _ticks(domain), inactive)


def _ticks(domain: Domain) -> tuple[Tick, ...]:
    if isinstance(domain, Choice):
        values: Sequence[Value] = domain.values
    elif domain.low == domain.high:
        values = (domain.low,)
    else:
        values = _round_values(domain)
    ticks = [(position_on_axis(domain, v), text(v)) for v in values]
    return tuple(Tick(position, label) for position, label in ticks if position is not None)


def _round_values(domain: Float | Int) -> list[float]:
    """Both ends and round numbers between them, none of these too close to an end."""
    low, high = domain.low, domain.high
    if domain.log:
        exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        inner = [10.0**e for e in exponents]
        if len(inner) < 3:
            inner = sorted(
                inner
                + [m * 10.0**e for e in range(exponents.start - 1, exponents.stop) for m in (2, 5)]
            )
    else:
        step = _round_step(float(high - low) / 4)
        if isinstance(domain, Int):
            step = max(1.0, math.ceil(step))
        inner = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    inside = [v for v in inner if low < v < high]
    clear = [v for v in inside if NEAR < (position_on_axis(domain, v) or 0.0) < 1 - NEAR]
    return [low, *clear, high]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
