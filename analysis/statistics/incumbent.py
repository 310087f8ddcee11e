"""How sure the incumbent is: intervals from validation images, and who is as good within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.statistics.intervals import (
    Interval,
    accuracy_interval,
    difference_interval,
    mean_difference,
    share_interval,
)
from analysis.statistics.trial_outcomes import scored
from deepsight.run_store import Study, TrialRecord


@dataclass(frozen=True)
class Incumbent:
    """How good the incumbent is, and how surely; None where the data do not carry the number."""

    num_full: int
    """Trials with a score at full budget."""
    num_val: int | None
    """Images of the validation split; None if the metric is no accuracy on it."""
    score: Interval | None
    """The incumbent's score, by the number of validation images."""
    gain: Interval | None
    """By how much the incumbent beats the defaults, positive when better."""
    contenders: tuple[str, ...]
    """Trials of full budget that validation images cannot tell from the incumbent, best first."""
    search_gain: Interval | None
    """Mean score at full budget of the searcher's trials over that of explorers."""
    search_counts: tuple[int, int]
    """Trials of full budget by the searcher, the defaults not counted, and by explorers."""
    failed_or_diverged: Interval | None
    """Share of ended trials that diverged or failed; None without any ended."""


def compute_incumbent(study: Study) -> Incumbent:
    """The intervals around a study's best score."""
    full = scored(study)
    num_val = validation_images(study)
    scores = {record.trial_id: score for record, score in full}
    best = study.incumbent()
    top = scores.get(best.trial_id) if best else None
    first = study.defaults.trial_id if study.defaults else ""
    searched = [s for r, s in full if not r.explorer and r.trial_id != first]
    explored = [s for r, s in full if r.explorer]
    ended = [r for r in study.records if r.state != "running"]
    bad = sum(r.state in ("diverged", "failed") for r in ended)
    return Incumbent(
        num_full=len(full),
        num_val=num_val,
        score=accuracy_interval(top, num_val) if top is not None and num_val else None,
        gain=_gain(top, scores.get(first), num_val),
        contenders=_contenders(study, full, num_val),
        search_gain=_search_gain(study, searched, explored),
        search_counts=(len(searched), len(explored)),
        failed_or_diverged=share_interval(bad, len(ended)) if ended else None,
    )


def validation_images(study: Study) -> int | None:
    """Images behind every ``val_accuracy``; None for other metrics and where it is not stated."""
    if study.metric != "val_accuracy" or not study.objective.maximizes:
        return None
    return study.header.num_images("val")


def _gain(best: float | None, baseline: float | None, num_val: int | None) -> Interval | None:
    if best is None or baseline is None or not num_val:
        return None
    return difference_interval(best, baseline, num_val)


def _contenders(
    study: Study, full: Sequence[tuple[TrialRecord, float]], num_val: int | None
) -> tuple[str, ...]:
    if not full or not num_val:
        return ()
    ranked = study.ranked(r for r, _ in full)
    best = study.score(ranked[0])
    assert best is not None
    close = []
    for record in ranked[1:]:
        score = study.score(record)
        assert score is not None
        if difference_interval(best, score, num_val).low > 0:
            break
        close.append(record.trial_id)
    return tuple(close)


def _search_gain(
    study: Study, searched: Sequence[float], explored: Sequence[float]
) -> Interval | None:
    if len(searched) < 2 or len(explored) < 2:
        return None
    if study.objective.maximizes:
        return mean_difference(searched, explored)
    return mean_difference(explored, searched)
