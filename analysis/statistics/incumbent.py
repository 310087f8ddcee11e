"""How sure the incumbent is: intervals from validation images, and who is as good within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.statistics.intervals import (
    Interval,
    accuracy_interval,
    mean_difference,
    share_interval,
)
from analysis.statistics.same_images import same_images
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
    best = study.incumbent() if full else None
    top = study.score(best) if best else None
    gain, contenders = _comparisons(study, full, num_val)
    first = study.defaults.trial_id if study.defaults else ""
    searched = [s for r, s in full if not r.explorer and r.trial_id != first]
    explored = [s for r, s in full if r.explorer]
    ended = [r for r in study.records if r.state != "running"]
    bad = sum(r.state in ("diverged", "failed") for r in ended)
    return Incumbent(
        num_full=len(full),
        num_val=num_val,
        score=accuracy_interval(top, num_val) if top is not None and num_val else None,
        gain=gain,
        contenders=contenders,
        search_gain=_search_gain(study, searched, explored),
        search_counts=(len(searched), len(explored)),
        failed_or_diverged=share_interval(bad, len(ended)) if ended else None,
    )


def validation_images(study: Study) -> int | None:
    """Images behind every ``val_accuracy``; None for other metrics and where it is not stated.

    A trainable of somebody's own may report percentages by that name: those are no shares of them.
    """
    if study.metric != "val_accuracy" or not study.objective.maximizes:
        return None
    if not all(0 <= score <= 1 for _, score in scored(study)):
        return None
    return study.header.num_images("val")


def _comparisons(
    study: Study, full: Sequence[tuple[TrialRecord, float]], num_val: int | None
) -> tuple[Interval | None, tuple[str, ...]]:
    """The incumbent's gain over the defaults, and who is as good as it; `full` has scores."""
    if not full or not num_val:
        return None, ()
    scores = {record.trial_id: score for record, score in full}
    same = same_images(study, scores, num_val)
    best = study.ranked(record for record, _ in full)[0].trial_id
    first = study.defaults.trial_id if study.defaults else ""
    gain = same.difference(best, first, same.z_against(first)) if first in scores else None
    return gain, same.as_good_as(best)


def _search_gain(
    study: Study, searched: Sequence[float], explored: Sequence[float]
) -> Interval | None:
    if len(searched) < 2 or len(explored) < 2:
        return None
    if study.objective.maximizes:
        return mean_difference(searched, explored)
    return mean_difference(explored, searched)
