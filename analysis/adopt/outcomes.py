"""What a source leaves open of its trials: which metric counts, the full budget, states, rungs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from analysis.adopt.found import FoundStudy, FoundTrial, Wanted
from analysis.adopt.values import words
from deepsight.config import UserError, unknown

LOWER = words(
    "loss error err mse rmse mae mape nll ppl perplexity cost time latency regret bpd fid wer cer "
    "distance divergence"
)
HIGHER = words(
    "acc accuracy score f1 auc auroc reward return precision recall r2 map iou dice bleu rouge "
    "correlation mcc kappa top1 top5 psnr ssim"
)
"""Words in a metric's name that tell which direction is better."""
SHARE = 0.05
"""Of the stopped trials, at least, that stopped at an epoch which is taken for a rung."""
FEW_RUNGS, MOST_RUNGS = 3, 12
"""Epochs that are always and never taken for rungs; between them half the number of trials that
stopped decides: more epochs say that trials were stopped at any time."""


@dataclass(frozen=True)
class Judged:
    """A study whose open questions are answered."""

    trials: tuple[FoundTrial, ...]
    """In each the state is known, and every row has the metric."""
    metric: str
    mode: str
    max_epochs: int
    rungs: tuple[int, ...]
    inferred: tuple[str, ...]
    """Which fields of the header were inferred."""
    notes: tuple[str, ...]


def judge(found: FoundStudy, wanted: Wanted) -> Judged:
    """Answer what the source leaves open; what `wanted` says wins.

    Raises:
        UserError: If it cannot be known which metric counts or which direction is better, or a
            trial has more epochs than the full budget.
    """
    inferred: list[str] = []
    notes: list[str] = []
    metric = _metric(found, wanted, inferred, notes)
    mode = _mode(found, wanted, metric, inferred, notes)
    trials = [_with_metric(trial, metric) for trial in found.trials]
    dropped = sum(len(a.rows) - len(b.rows) for a, b in zip(found.trials, trials, strict=True))
    if dropped:
        notes.append(f"{dropped} results without {metric} are left out.")
    max_epochs = _max_epochs(found, wanted, trials, inferred, notes)
    judged = [replace(t, state=_state(t, metric, max_epochs)) for t in trials]
    open_ends = sum(t.state is None and bool(t.rows) for t in trials)
    if open_ends:
        inferred.append("states")
        notes.append(
            f"How {open_ends} of {len(trials)} trials ended was worked out: at full budget "
            "completed, earlier stopped, without a finite score diverged."
        )
    rungs = find_rungs(judged, max_epochs)
    if len(rungs) > 1:
        inferred.append("rungs")
        notes.append(f"Rungs {', '.join(map(str, rungs))} are the epochs at which trials stopped.")
    return Judged(tuple(judged), metric, mode, max_epochs, rungs, tuple(inferred), tuple(notes))


def _metric(found: FoundStudy, wanted: Wanted, inferred: list[str], notes: list[str]) -> str:
    names = Counter(n for t in found.trials for n in {n for row in t.rows for n in row.metrics})
    if wanted.metric is not None and wanted.metric not in names:
        raise unknown("metric", wanted.metric, names)
    chosen = wanted.metric or found.metric
    if chosen is not None:
        if chosen not in names:
            raise UserError(
                f"{found.name} names the metric {chosen}, but no result has it.",
                f"Give --metric; results have {', '.join(names) or 'no numbers'}.",
            )
        return chosen
    if len(names) == 1:
        (name,) = names
        inferred.append("metric")
        notes.append(f"{name} is the only metric.")
        return name
    if not names:
        raise UserError(
            f"{found.name} has no result with a number: there is nothing to compare trials by.",
            "Adopt a study in which at least one trial has reported.",
        )
    known = [name for name, _ in names.most_common(12)]
    raise UserError(
        f"{found.name} has {len(names)} metrics and does not state by which trials are compared.",
        f"Give --metric and --mode: {', '.join(sorted(known))}"
        + (" and others." if len(names) > len(known) else "."),
    )


def _mode(
    found: FoundStudy, wanted: Wanted, metric: str, inferred: list[str], notes: list[str]
) -> str:
    stated = wanted.mode or (found.mode if metric == found.metric else None) or None
    if stated is not None:
        if stated not in ("max", "min"):
            raise UserError(f"mode must be max or min, got {stated!r}.", "Give --mode max or min.")
        return stated
    words = set(re.split(r"[^a-z0-9]+", metric.lower()))
    lower, higher = bool(words & LOWER), bool(words & HIGHER)
    if lower == higher:
        raise UserError(
            f"{found.name} does not state whether more or less of {metric} is better.",
            "Give --mode max or --mode min.",
        )
    mode = "min" if lower else "max"
    inferred.append("mode")
    notes.append(f"That {'less' if lower else 'more'} of {metric} is better is told by its name.")
    return mode


def _with_metric(trial: FoundTrial, metric: str) -> FoundTrial:
    if all(metric in row.metrics for row in trial.rows):
        return trial
    return replace(trial, rows=tuple(row for row in trial.rows if metric in row.metrics))


def _max_epochs(
    found: FoundStudy,
    wanted: Wanted,
    trials: Sequence[FoundTrial],
    inferred: list[str],
    notes: list[str],
) -> int:
    lengths = Counter(trial.rows[-1].epoch for trial in trials if trial.rows)
    longest = max(lengths, default=1)
    stated = wanted.max_epochs or found.max_epochs
    if stated is None:
        inferred.append("max_epochs")
        notes.append(
            f"The full budget, {longest} epochs, is that of the longest trials "
            f"({lengths[longest]} of {len(trials)})."
        )
        return longest
    if stated < longest and wanted.max_epochs:
        raise UserError(
            f"a trial has {longest} epochs, more than the full budget of {stated}.",
            f"Give --max-epochs {longest}, or leave it out.",
        )
    return max(stated, longest)


def _state(trial: FoundTrial, metric: str, max_epochs: int) -> str:
    """The trial's state; a last score that is no number makes one that ended diverged."""
    if trial.state in ("failed", "running", "diverged"):
        return trial.state
    if not trial.rows:
        return trial.state or ("failed" if trial.error else "running")
    if trial.rows[-1].metrics[metric] is None:
        return "diverged"
    if trial.state is not None:
        return trial.state
    return "completed" if trial.rows[-1].epoch >= max_epochs else "stopped"


def find_rungs(trials: Iterable[FoundTrial], max_epochs: int) -> tuple[int, ...]:
    """Epochs at which trials were stopped, and the full budget.

    Where trials stopped at any time there are none but that.
    """
    ends = Counter(t.rows[-1].epoch for t in trials if t.state == "stopped" and t.rows)
    least, most = SHARE * ends.total(), max(FEW_RUNGS, ends.total() / 2)
    rungs = sorted(epoch for epoch, n in ends.items() if n >= least and epoch < max_epochs)
    return (*(rungs if len(rungs) <= min(most, MOST_RUNGS) else ()), max_epochs)
