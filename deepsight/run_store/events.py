"""A study's record as events in the order of their times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from deepsight.run_store.study import Study, TrialRecord


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial."""

    time: float
    """Seconds since the epoch."""
    kind: Literal["started", "restarted", "result", "ended"]
    record: TrialRecord
    """The trial as it is now."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """The epoch, of a result."""

    @property
    def trial_id(self) -> str:
        """The trial's name."""
        return self.record.trial_id


def study_events(study: Study) -> Sequence[Event]:
    """All events on record, earliest first; within a time in the order of the trials."""
    return sorted(_events(study), key=lambda event: event.time)


def _events(study: Study) -> Iterator[Event]:
    for record in study.records:
        yield Event(record.started, "started", record)
        for time in record.restarts:
            yield Event(time, "restarted", record)
        latest, last = record.started, record.ended or math.inf
        for row in record.rows:  # older studies have times that their trainables yielded
            latest = min(max(latest, float(row["time"])), last)
            yield Event(latest, "result", record, row)
        if record.ended is not None:
            yield Event(record.ended, "ended", record)
