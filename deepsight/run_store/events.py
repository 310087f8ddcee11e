"""A study's record as the events that made it, in the order in which they happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from deepsight.run_store.study import Study, TrialRecord


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial."""

    time: float
    """Seconds since the epoch."""
    kind: Literal["started", "again", "result", "ended"]
    record: TrialRecord
    """The trial as it is now."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """The epoch, of a result."""

    @property
    def trial_id(self) -> str:
        """The trial's name."""
        return self.record.trial_id


def history(study: Study) -> Sequence[Event]:
    """All that is on record, earliest first; within a time the trial that started first."""
    return sorted(_events(study), key=lambda event: event.time)


def _events(study: Study) -> Iterator[Event]:
    for record in study.records:
        yield Event(record.started, "started", record)
        for time in record.again:
            yield Event(time, "again", record)
        for row in record.rows:
            yield Event(float(row["time"]), "result", record, row)
        if record.ended is not None:
            yield Event(record.ended, "ended", record)
