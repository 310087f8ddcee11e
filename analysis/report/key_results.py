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
    shorten,
)
from analysis.report.confirmation import confirmation_sentences
from analysis.report.origin_section import origin_sentence
from analysis.report.study_results import StudyResults
from analysis.statistics.intervals import accuracy_interval
from analysis.summary import Summary, lowest_recalls
from deepsight.data.class_balance import FAIR_METRIC, ClassBalance
from deepsight.space import to_stored


def key_results(results: StudyResults) -> tuple[str, ...]:
    """What was found, the most important first."""
    summary, incumbent = results.summary, results.incumbent
    best = summary.incumbent
    origin = tuple(filter(None, [origin_sentence(results)]))
    if best is None:
        return (f"No trial has a {summary.metric} yet.", *origin, *_troubles(results))
    if not best.full_budget:
        return (
            f"No trial has completed {count(summary.max_epochs, 'epoch')} yet; the best so far is "
            f"{best.trial_id} with {summary.metric} {number(best.score)} after "
            f"{count(best.num_epochs, 'epoch')}.",
            *_on_classes(results),
            *origin,
            *_troubles(results),
        )
    score = interval(incumbent.score) if incumbent.score else number(best.score)
    found = results.confirmation
    sentences = [
        *(confirmation_sentences(found) if found else ()),
        _by_class(results),
        f"{'Selected on' if found else 'Best'} {summary.metric}: {score} after "
        f"{count(summary.max_epochs, 'epoch')} (trial {best.trial_id}).",
        *_on_classes(results),
        _against_defaults(results),
        _contenders(results),
        _importance(results),
        _selected_on(results),
        *origin,
        *_troubles(results),
    ]
    return tuple(s for s in sentences if s)


def _selected_on(results: StudyResults) -> str:
    """What to think of the score by which the best trial was chosen."""
    found, best = results.confirmation, results.summary.incumbent
    if found is None or best is None:
        return (
            "It was selected on this score of one seed, which is therefore too good on average; "
            "training it again with other seeds would tell by how much."
        )
    if any(c.config == to_stored(best.config) for c in found.configs):
        return ""
    return f"{best.trial_id} has not been confirmed: it was selected on this score of one seed."


def _by_class(results: StudyResults) -> str:
    """Macro-F1 and the recalls of uneven classes, which accuracy hides; else nothing."""
    balance, best = results.summary.balance, results.summary.incumbent
    if balance is None or not balance.uneven:
        return ""
    if best is None or best.macro_f1 is None or not best.recall:
        return ""
    named = []
    for name in lowest_recalls(best.recall):
        images = balance.counts.get(name, 0)
        recall = best.recall[name]
        value = interval(accuracy_interval(recall, images)) if images else number(recall)
        named.append(f"{name!r} {value} of {count(images, 'image')}")
    which = "recall" if len(named) == len(best.recall) else "lowest recall"
    return (
        f"The best trial, {best.trial_id}, has {FAIR_METRIC} {number(best.macro_f1)} and {which} "
        f"{', '.join(named)}."
    )


def _on_classes(results: StudyResults) -> tuple[str, ...]:
    """What the classes make of the best score."""
    summary = results.summary
    if summary.balance is None:
        return ()
    against = _against_majority(results, summary.balance)
    return tuple(s for s in (against, *summary.balance.warnings(summary.metric)) if s)


def _against_majority(results: StudyResults, balance: ClassBalance) -> str:
    """The best beside always answering the largest class, and beside guessing."""
    summary, score = results.summary, results.incumbent.score
    baseline = summary.majority_baseline
    if baseline is None:
        return ""
    line = balance.baseline_text(summary.metric)
    line = f"{line[0].upper()}{line[1:]}"
    if summary.metric == "val_accuracy":
        line += f", guessing {number(balance.chance)}"
    if summary.beats_majority is False:
        line += ": the best trial is no better"
    elif score is not None and score.low <= baseline:
        line += ": these images are too few to tell the best trial from it"
    if summary.target_too_low:
        assert summary.target is not None
        line += f". The target of {summary.target:g} is too low to tell anything"
    return f"{line}."


def _against_defaults(results: StudyResults) -> str:
    summary, gain = results.summary, results.incumbent.gain
    best, base = summary.incumbent, summary.baseline
    assert best is not None
    if base is None:
        return ""
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
        trials = count(results.incumbent.num_full, "trial")
        picked = f"even for the best of {trials}"
        return f"{compared}{on}, more than chance in these images explains, {picked}."
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
    if summary.ended_early:
        troubles.append(f"The study {summary.ended_early}.")
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
        *_class_cards(results),
        *_confirmed_cards(results),
        Card(
            f"{'selected on' if results.confirmation else 'best'} {summary.metric}", score, detail
        ),
        *_majority_cards(results),
        Card("trials", f"{sum(summary.states.values()):,}", states),
        Card(
            "epochs",
            f"{summary.num_epochs:,}",
            f"{percent(saving.saved_share)} saved by stopping"
            if saving.epochs_saved
            else "none saved by stopping",
        ),
        *_time_cards(summary),
    ]
    if not results.study.unexplored:
        full = f"{saving.num_full_explorers} of full budget"
        found.append(Card("explorers", f"{summary.num_explorers:,}", full))
    if summary.target is not None:
        found.append(_target_card(summary))
    return tuple(found)


def _time_cards(summary: Summary) -> list[Card]:
    """How long it took; nothing where an adopted study has no times."""
    if summary.elapsed_s is None:
        return []
    training = f"{duration(summary.training_s)} of training" if summary.training_s else "elapsed"
    return [Card("time", duration(summary.elapsed_s), training)]


def _confirmed_cards(results: StudyResults) -> list[Card]:
    """The winner's mean over fresh seeds."""
    found = results.confirmation
    winner = found.config(found.winner) if found else None
    if found is None or winner is None or winner.mean is None:
        return []
    seeds = count(winner.mean.n, "fresh seed")
    label = f"confirmed {found.metric}"
    return [Card(label, number(winner.mean.value), f"{winner.name}, mean of {seeds}")]


def _class_cards(results: StudyResults) -> list[Card]:
    """What leads where classes are uneven: macro-F1, unless it is searched anyway, and a recall."""
    balance, best = results.summary.balance, results.summary.incumbent
    if balance is None or not balance.uneven or best is None or not best.recall:
        return []
    (worst,) = lowest_recalls(best.recall, 1)
    images = count(balance.counts.get(worst, 0), "validation image")
    found = [Card("lowest recall", number(best.recall[worst]), f"{shorten(worst)}, {images}")]
    if best.macro_f1 is not None and results.summary.metric != FAIR_METRIC:
        beside = f"majority baseline {number(balance.baseline(FAIR_METRIC))}"
        found.insert(0, Card(f"{FAIR_METRIC} of the best", number(best.macro_f1), beside))
    return found


def _majority_cards(results: StudyResults) -> list[Card]:
    balance, baseline = results.summary.balance, results.summary.majority_baseline
    if balance is None or baseline is None:
        return []
    detail = f"always {shorten(balance.majority)}"
    if results.summary.metric == "val_accuracy":
        detail += f"; chance {number(balance.chance)}"
    return [Card("majority baseline", number(baseline), detail)]


def _target_card(summary: Summary) -> Card:
    label = f"target {summary.target:g}"
    gap = "" if summary.target_gap is None else f"by {abs(summary.target_gap):.3g}"
    if summary.target_met is not None:
        return Card(label, "met" if summary.target_met else "missed", gap)
    if summary.target_too_low:
        return Card(label, "too low", "the majority baseline alone reaches it")
    return Card(label, "unknown", gap)
