"""What stopping early did: who went on at each rung, what that saved, and what it may have cost.

Explorers are never stopped, so those of full budget tell what would have become of trials that the
scheduler stops: each is judged here as the scheduler would have judged it when it came to a rung.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from analysis.statistics.intervals import Interval, rank_correlation, share_interval
from analysis.statistics.trial_outcomes import scored
from deepsight.run_store import Study, TrialRecord
from deepsight.schedulers import SCHEDULERS, STOPPING, would_have_stopped

FEWEST = 8
"""Explorers of full budget from which a correlation is computed."""
FEWEST_TOP = 2
"""Best explorers from which the share that stopping would have missed is computed."""
ANYWHERE = 0
"""Stands for the epoch in what was missed at any rung."""


@dataclass(frozen=True)
class Rung:
    """One rung below the full budget, or the full budget itself."""

    epoch: int
    reached: int
    """Trials the scheduler decides on that have a result at this epoch."""
    went_on: int
    """Of these, trained further; at the full budget: completed."""
    stopped: int
    """Of these, stopped here."""
    waiting: int
    """Of these, paused here or running."""
    failed_or_diverged: int
    """Of these, diverged or failed before another epoch."""
    explorers: int
    """Explorers with a result at this epoch; like the defaults no part of the other numbers."""
    lowest_kept: float | None
    """The worst score here that went on."""
    best_stopped: float | None
    """The best score here that was stopped."""


@dataclass(frozen=True)
class Missed:
    """How often the scheduler would have stopped a final top trial at a rung."""

    epoch: int
    share: Interval
    trials: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """How far a rung's scores foretell the final ones, among explorers of full budget."""

    epoch: int
    rank_correlation: Interval


@dataclass(frozen=True)
class EarlyStopping:
    """The numbers of the figure on rungs and of what stopping saved and cost."""

    metric: str
    max_epochs: int
    scheduler: str
    reduction_factor: int | None
    """None where the study does not state it."""
    rungs: tuple[Rung, ...]
    epochs_trained: int
    epochs_saved: int
    """Epochs that the stopped trials had left."""
    seconds_saved: float | None
    """The same in seconds of training, at each trial's own pace; None without ``wall_s``."""
    num_full_explorers: int
    """Explorers with a score at full budget."""
    top_explorers: tuple[str, ...]
    """The best ``1 / reduction_factor`` of these; empty where it is not stated."""
    missed: tuple[Missed, ...]
    """One a rung, and one for any rung (`ANYWHERE`); empty with fewer than `FEWEST_TOP`."""
    agreements: tuple[Agreement, ...]
    """One a rung below the full budget; empty with fewer than `FEWEST` explorers of it."""

    @property
    def never_stops(self) -> bool:
        """Whether the scheduler stops no trial on its score."""
        return self.scheduler in SCHEDULERS and self.scheduler not in STOPPING

    @property
    def rule_known(self) -> bool:
        """Whether the study states by which rule trials were stopped."""
        return self.scheduler in SCHEDULERS and self.reduction_factor is not None

    @property
    def missed_anywhere(self) -> Missed | None:
        """Of `missed`, at any rung."""
        return next((m for m in self.missed if m.epoch == ANYWHERE), None)

    @property
    def saved_share(self) -> float:
        """Epochs saved as a part of what the same trials would have taken without stopping."""
        everything = self.epochs_trained + self.epochs_saved
        return self.epochs_saved / everything if everything else 0.0


def compute_early_stopping(study: Study) -> EarlyStopping:
    """Survivors, savings and what explorers say of the cost."""
    stated = study.header.reduction_factor
    factor = stated if stated is not None and stated > 1 else None
    stopped = [r for r in study.records if r.state == "stopped"]
    full = [(r, s) for r, s in scored(study) if r.explorer]
    top = study.ranked(r for r, _ in full)[: math.ceil(len(full) / factor)] if factor else []
    return EarlyStopping(
        metric=study.metric,
        max_epochs=study.max_epochs,
        scheduler=study.header.scheduler or "unknown",
        reduction_factor=factor,
        rungs=tuple(_rung(study, epoch) for epoch in study.rungs),
        epochs_trained=sum(len(r.rows) for r in study.records),
        epochs_saved=sum(_left(r) for r in stopped),
        seconds_saved=_seconds_saved(stopped),
        num_full_explorers=len(full),
        top_explorers=tuple(r.trial_id for r in top),
        missed=_missed(study, top, factor),
        agreements=tuple(_agreements(study, full)),
    )


def _left(record: TrialRecord) -> int:
    return max(0, record.budget - record.num_epochs)


def _seconds_saved(stopped: Iterable[TrialRecord]) -> float | None:
    saved = 0.0
    for record in stopped:
        walls = [w for row in record.rows if isinstance(w := row.get("wall_s"), int | float)]
        if not walls:
            return None
        saved += _left(record) * math.fsum(walls) / len(walls)
    return saved


def _score_at(study: Study, record: TrialRecord, epoch: int) -> float | None:
    for row in record.rows:
        if row["epoch"] == epoch:
            value = row.get(study.metric)
            return float(value) if isinstance(value, int | float) else None
    return None


def _rung(study: Study, epoch: int) -> Rung:
    here = [r for r in study.records if r.num_epochs >= epoch]
    judged = [r for r in here if not study.is_exempt(r)]
    last = epoch == study.max_epochs
    went_on = {
        r.trial_id for r in judged if (r.state == "completed" if last else r.num_epochs > epoch)
    }
    on = [r for r in judged if r.trial_id in went_on]
    rest = [r for r in judged if r.trial_id not in went_on]
    kept = [s for r in on if (s := _score_at(study, r, epoch)) is not None]
    ended = [r for r in rest if r.state == "stopped"]
    dropped = [s for r in ended if (s := _score_at(study, r, epoch)) is not None]
    return Rung(
        epoch=epoch,
        reached=len(judged),
        went_on=len(on),
        stopped=len(ended),
        waiting=sum(r.state == "running" for r in rest),
        failed_or_diverged=sum(r.state in ("diverged", "failed") for r in rest),
        explorers=sum(r.explorer for r in here),
        lowest_kept=study.objective.worst(kept),
        best_stopped=study.objective.best(dropped),
    )


def _missed(study: Study, top: Sequence[TrialRecord], factor: int | None) -> tuple[Missed, ...]:
    if factor is None or len(top) < FEWEST_TOP or study.header.scheduler not in STOPPING:
        return ()
    stopped_at: dict[int, list[str]] = {}
    for epoch in study.rungs[:-1]:
        judged = _stopped_at(study, epoch, factor)
        stopped_at[epoch] = [r.trial_id for r in top if judged.get(r.trial_id)]
    anywhere = sorted({name for names in stopped_at.values() for name in names})
    found = [*stopped_at.items(), (ANYWHERE, anywhere)]
    return tuple(Missed(e, share_interval(len(t), len(top)), tuple(t)) for e, t in found)


def _agreements(study: Study, full: Sequence[tuple[TrialRecord, float]]) -> Iterator[Agreement]:
    for epoch in study.rungs[:-1]:
        pairs = [
            (early, final)
            for record, final in full
            if (early := _score_at(study, record, epoch)) is not None
        ]
        if len(pairs) >= FEWEST:
            yield Agreement(epoch, rank_correlation(pairs))


def _stopped_at(study: Study, epoch: int, factor: int) -> Mapping[str, bool]:
    """Whether the study's scheduler would have stopped each trial at this rung, by id."""
    arrivals = []
    for record in study.records:
        for row in record.rows:
            value = row.get(study.metric)
            if row["epoch"] == epoch and isinstance(value, int | float):
                arrivals.append((row["time"], record.trial_id, study.objective.sign * value))
    scores = [(trial_id, score) for _, trial_id, score in sorted(arrivals, key=lambda a: a[:2])]
    return would_have_stopped(study.header.scheduler or "", factor, scores)
