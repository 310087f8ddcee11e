"""How the study went: every trial's learning curve, and the incumbent as the study grew."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from analysis.statistics.trial_outcomes import outcome_of
from deepsight.data.class_balance import validation_balance
from deepsight.run_store import Study, TrialRecord


@dataclass(frozen=True)
class Curve:
    """One trial's scores over its epochs."""

    trial_id: str
    outcome: str
    explorer: bool
    created_s: float
    """When the trial began, in seconds after the first one; without times, how many did before."""
    epochs: tuple[int, ...]
    scores: tuple[float, ...]
    """Epochs without a finite score are left out."""


@dataclass(frozen=True)
class Step:
    """A moment at which the incumbent changed."""

    trial_id: str
    score: float
    num_trials: int
    """Trials begun by then."""
    num_epochs: int
    """Epochs trained by then, over all trials."""
    elapsed_s: float
    """Since the first trial began."""


@dataclass(frozen=True)
class Trajectory:
    """The numbers of the figures on a study's course."""

    metric: str
    mode: str
    max_epochs: int
    curves: tuple[Curve, ...]
    """In the order in which the trials began."""
    steps: tuple[Step, ...]
    """Among trials of full budget only; empty while none has completed it."""
    num_trials: int
    num_epochs: int
    elapsed_s: float
    baseline: float | None
    """The score of the defaults, if they trained for the full budget."""
    majority: float | None
    """The majority baseline; None where it is not known."""
    timed: bool = True
    """Whether seconds mean anything; not where an adopted study has no times."""


def compute_trajectory(study: Study) -> Trajectory:
    """The course of a study, finished or not."""
    start = min((r.started for r in study.records), default=0.0)
    times = sorted(row["time"] for r in study.records for row in r.rows)
    ends = [r.ended or r.started for r in study.records] + times[-1:]
    first = study.defaults
    balance = validation_balance(study.header.data)
    return Trajectory(
        metric=study.metric,
        mode=study.mode,
        max_epochs=study.max_epochs,
        curves=tuple(
            _curve(study, record, record.started - start if study.timed else float(number))
            for number, record in enumerate(study.records)
        ),
        steps=_steps(study, start, times),
        num_trials=len(study.records),
        num_epochs=len(times),
        elapsed_s=max(ends, default=start) - start,
        baseline=study.score(first) if first and study.has_full_budget(first) else None,
        majority=balance.baseline(study.metric) if balance else None,
        timed=study.timed,
    )


def _curve(study: Study, record: TrialRecord, created_s: float) -> Curve:
    pairs = [
        (int(row["epoch"]), float(value))
        for row in record.rows
        if isinstance(value := row.get(study.metric), int | float)
    ]
    return Curve(
        trial_id=record.trial_id,
        outcome=outcome_of(study, record),
        explorer=record.explorer,
        created_s=created_s,
        epochs=tuple(epoch for epoch, _ in pairs),
        scores=tuple(score for _, score in pairs),
    )


def _steps(study: Study, start: float, times: list[float]) -> tuple[Step, ...]:
    begun = sorted(r.started for r in study.records)
    full = [r for r in study.records if study.has_full_budget(r) and study.score(r) is not None]
    steps: list[Step] = []
    for record in sorted(full, key=lambda r: r.rows[-1]["time"]):
        score, time = study.score(record), record.rows[-1]["time"]
        assert score is not None
        if not steps or study.objective.better(score, steps[-1].score):
            counts = bisect_right(begun, time), bisect_right(times, time)
            steps.append(Step(record.trial_id, score, *counts, time - start))
    return tuple(steps)
