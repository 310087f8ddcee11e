"""The head of a report: what was found, in a few sentences and numbers."""

from __future__ import annotations

from analysis.importance.importance import RANKED
from analysis.importance.sensitivity import told_shares
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
from analysis.report.study_results import Conclusions


def headline(said: Conclusions) -> tuple[str, ...]:
    """What was found, the most important first."""
    summary, standing = said.summary, said.standing
    best = summary.incumbent
    if best is None:
        return (f"No trial has a {summary.metric} yet.", *_troubles(said))
    if not best.full_budget:
        return (
            f"No trial has completed {count(summary.max_epochs, 'epoch')} yet; the best so far is "
            f"{best.trial_id} with {summary.metric} {number(best.score)} after "
            f"{count(best.num_epochs, 'epoch')}.",
            *_troubles(said),
        )
    score = interval(standing.incumbent) if standing.incumbent else number(best.score)
    sentences = [
        f"Best {summary.metric}: {score} after {count(summary.max_epochs, 'epoch')} "
        f"(trial {best.trial_id}).",
        _against_defaults(said),
        _contenders(said),
        _importance(said),
        "It was selected on this score of one seed, which is therefore too good on average; "
        "training it again with other seeds would tell by how much.",
        *_troubles(said),
    ]
    return tuple(s for s in sentences if s)


def _against_defaults(said: Conclusions) -> str:
    summary, gain = said.summary, said.standing.gain
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
    told = f"The defaults reach {number(base.score)}; the difference is {interval(gain)}"
    on = f" on {count(gain.n, 'validation image')}"
    if gain.low > 0:
        return f"{told}{on}, more than chance in these images explains."
    return f"{told}{on}: these images are too few to tell the two apart."


def _contenders(said: Conclusions) -> str:
    standing = said.standing
    if not standing.contenders or standing.num_val is None:
        return ""
    others = count(len(standing.contenders), "other trial")
    return (
        f"{others} of {standing.num_full} at full budget cannot be told from the best by "
        f"{standing.num_val:,} validation images."
    )


def _importance(said: Conclusions) -> str:
    if said.explained is None:
        return ""
    info = said.explained.importance
    if info.verdict != RANKED:
        return f"What decides the score: {info.verdict}."
    clear = told_shares(info)
    if not clear:
        return "No hyperparameter's share in the score is known well enough to be told."
    named = ", ".join(f"{s.name} {percent_interval(s.total)}" for s in clear[:3])
    return f"What decides the score at full budget, by share of its variance: {named}."


def _troubles(said: Conclusions) -> list[str]:
    """What a reader must know before believing any of it."""
    summary = said.summary
    told = []
    lost = summary.states["failed"] + summary.states["diverged"]
    if lost and said.standing.lost is not None:
        share = said.standing.lost
        told.append(
            f"{count(lost, 'trial')} of {share.n} failed or diverged "
            f"({percent_interval(share)})."
        )
    if summary.first_error:
        told.append(f"First failure: {summary.first_error.splitlines()[0][:300]}")
    if summary.states["running"]:
        told.append(f"{count(summary.states['running'], 'trial')} unfinished.")
    return told


def cards(said: Conclusions) -> tuple[Card, ...]:
    """The numbers at the top."""
    summary, standing = said.summary, said.standing
    best = summary.incumbent
    score, detail = "none", f"no {summary.metric} yet"
    if best is not None:
        score = number(best.score)
        detail = f"after {count(best.num_epochs, 'epoch')}, {best.trial_id}"
        if standing.incumbent:
            detail = bounds(standing.incumbent)
    states = ", ".join(f"{n} {state}" for state, n in summary.states.items() if n) or "none yet"
    found = [
        Card(f"best {summary.metric}", score, detail),
        Card("trials", f"{sum(summary.states.values()):,}", states),
        Card("epochs", f"{summary.num_epochs:,}",
             f"{percent(said.rungs.saved_share)} saved by stopping" if said.rungs.epochs_saved
             else "none saved by stopping"),
        Card("time", duration(summary.elapsed_s),
             f"{duration(summary.training_s)} of training" if summary.training_s else "elapsed"),
        Card("explorers", f"{summary.num_explorers:,}",
             f"{said.rungs.num_full_explorers} of full budget"),
    ]  # fmt: skip
    if summary.target is not None:
        met = "unknown" if summary.target_met is None else "met" if summary.target_met else "missed"
        gap = "" if summary.target_gap is None else f"by {abs(summary.target_gap):.3g}"
        found.append(Card(f"target {summary.target:g}", met, gap))
    return tuple(found)
