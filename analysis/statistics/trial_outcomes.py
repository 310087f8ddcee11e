"""The outcome of a trial, in the words that tables, figures and sentences of a report share.

A score may only be compared with scores after as many epochs. Hence the first question about any
trial is whether it trained for the full budget, and if not, why.
"""

from __future__ import annotations

from deepsight.run_store import Study, TrialRecord

FULL = "full budget"
SHORT = "shorter budget"
STOPPED = "stopped"
DIVERGED = "diverged"
FAILED = "failed"
RUNNING = "running"

OUTCOMES = (FULL, STOPPED, SHORT, RUNNING, DIVERGED, FAILED)
"""All of them, as legends list them."""

OUTCOME_TEXTS = {
    FULL: "trained for the full budget; only these scores are compared with each other",
    STOPPED: "stopped by the scheduler at a rung",
    SHORT: "completed a budget below the full one, as explorers do",
    RUNNING: "running, paused or interrupted",
    DIVERGED: "a loss or the metric stopped being finite",
    FAILED: "raised an error or died",
}


def outcome_of(study: Study, record: TrialRecord) -> str:
    """One of `OUTCOMES`."""
    if study.has_full_budget(record):
        return FULL
    return SHORT if record.state == "completed" else record.state


def scored(study: Study) -> list[tuple[TrialRecord, float]]:
    """The trials that trained for the full budget and have a score, in their order."""
    full = (r for r in study.records if study.has_full_budget(r))
    return [(r, score) for r in full if (score := study.score(r)) is not None]
