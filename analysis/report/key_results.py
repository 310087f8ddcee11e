"""The head of a report: what was found, in a few sentences and numbers."""

from __future__ import annotations

from analysis.importance.importance import RANKED
from analysis.importance.sensitivity import reportable_shares
from analysis.page.document import Card
from analysis.page.formatting import (
    bounds,
    count,
    duration,
    interval,
    number,
    percent,
    percent_interval,
)
from analysis.report.study_results import StudyResults


def key_results(results: StudyResults) -> tuple[str, ...]:
    """What was found, the most important first."""
    summary, incumbent = results.summary, results.incumbent
    best = summary.incumbent
    if best is None:
        return (f"No trial has a {summary.metric} yet.", *_troubles(results))
    if not best.full_budget:
        return (
            f"No trial has completed {count(summary.max_epochs, 'epoch')} yet; the best so far is "
            f"{best.trial_id} with {summary.metric} {number(best.score)} after "
            f"{count(best.num_epochs, 'epoch')}.",
            *_troubles(results),
        )
    score = interval(incumbent.score) if incumbent.score else number(best.score)
    sentences = [
        f"Best {summary.metric}: {score} after {count(summary.max_epochs, 'epoch')} "
        f"(trial {best.trial_id}).",
        _against_defaults(results),
        _contenders(results),
        _importance(results),
        "It was selected on this score of one seed, which is therefore too good on average; "
        "training it again with other seeds would tell by how much.",
        *_troubles(results),
    ]
    return tuple(s for s in sentences if s)


def _against_defaults(results: StudyResults) -> str:
    summary, gain = results.summary, results.incumbent.gain
    best, base = summary.incumbent, summary.baseline
    assert best is not None
    assert base is not None
    if best.trial_id == base.trial_id:
        return "These are the defaults: the search has found nothing better."
    if not base.full_budget or best.score is None or base.score is None:
        return f"The defaults ({base.trial_id}) have no score at full budget to compare with."
    ahead = abs(best.score - base.score)
    if gain is None:
        return f"That is {number(ahead)} better than the defaults ({number(base.score)})."
    compared = f"The defaults reach {number(base.score)}; the difference is {interval(gain)}"
    on = f" on {count(gain.n, 'validation image')}"
    if gain.low > 0:
        return f"{compared}{on}, more than chance in these images explains."
    return f"{compared}{on}: these images are too few to tell the two apart."


def _contenders(results: StudyResults) -> str:
    incumbent = results.incumbent
    if not incumbent.contenders or incumbent.num_val is None:
        return ""
    others = count(len(incumbent.contenders), "other trial")
    return (
        f"{others} of {incumbent.num_full} at full budget cannot be told from the best by "
        f"{incumbent.num_val:,} validation images."
    )


def _importance(results: StudyResults) -> str:
    info = results.sensitivity.importance
    if info.verdict != RANKED:
        return f"What decides the score: {info.verdict}."
    clear = reportable_shares(info)
    if not clear:
        return "No hyperparameter's share in the score is known well enough to be told."
    named = ", ".join(f"{s.name} {percent_interval(s.total)}" for s in clear[:3])
    return f"What decides the score at full budget, by share of its variance: {named}."


def _troubles(results: StudyResults) -> list[str]:
    """What a reader must know before believing any of it."""
    summary = results.summary
    troubles = []
    bad = summary.states["failed"] + summary.states["diverged"]
    if bad and results.incumbent.failed_or_diverged is not None:
        share = results.incumbent.failed_or_diverged
        troubles.append(
            f"{count(bad, 'trial')} of {share.n} failed or diverged ({percent_interval(share)})."
        )
    if summary.first_error:
        troubles.append(f"First failure: {summary.first_error.splitlines()[0][:300]}")
    if summary.states["running"]:
        troubles.append(f"{count(summary.states['running'], 'trial')} unfinished.")
    return troubles


def cards(results: StudyResults) -> tuple[Card, ...]:
    """The numbers at the top."""
    summary, incumbent = results.summary, results.incumbent
    saving, best = results.early_stopping, summary.incumbent
    score, detail = "none", f"no {summary.metric} yet"
    if best is not None:
        score = number(best.score)
        detail = f"after {count(best.num_epochs, 'epoch')}, {best.trial_id}"
        if incumbent.score:
            detail = bounds(incumbent.score)
    states = ", ".join(f"{n} {state}" for state, n in summary.states.items() if n) or "none yet"
    found = [
        Card(f"best {summary.metric}", score, detail),
        Card("trials", f"{sum(summary.states.values()):,}", states),
        Card(
            "epochs",
            f"{summary.num_epochs:,}",
            f"{percent(saving.saved_share)} saved by stopping"
            if saving.epochs_saved
            else "none saved by stopping",
        ),
        Card(
            "time",
            duration(summary.elapsed_s),
            f"{duration(summary.training_s)} of training" if summary.training_s else "elapsed",
        ),
        Card(
            "explorers", f"{summary.num_explorers:,}", f"{saving.num_full_explorers} of full budget"
        ),
    ]
    if summary.target is not None:
        met = "unknown" if summary.target_met is None else "met" if summary.target_met else "missed"
        gap = "" if summary.target_gap is None else f"by {abs(summary.target_gap):.3g}"
        found.append(Card(f"target {summary.target:g}", met, gap))
    return tuple(found)
