"""Sends a study that is on the disk to a tracker, whatever of it is there already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepsight.run_store import Study
from deepsight.track.content import study_content, trial_content
from deepsight.track.sinks import Sink


def send_study(
    study: Study, sink: Sink, report: Path | None = None, stop: Callable[[], bool] = lambda: False
) -> int:
    """Send what the tracker lacks of a study.

    Args:
        study: As its directory tells it.
        sink: The tracker.
        report: The folder of its report, where there is one.
        stop: Asked before every trial; true ends it there.

    Returns:
        How many trials were not looked at, because `stop` said so.
    """
    sink.begin(study_content(study.header))
    for number, record in enumerate(study.records):
        if stop():
            return len(study.records) - number
        sink.send(trial_content(record, study.header))
    sink.finish(study_content(study.header, study), report)
    return 0
