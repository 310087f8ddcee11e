"""What a study says in words: sentences made from numbers, each with effect, interval and n.

A sentence is made only where its interval leaves no doubt about the direction; scores are compared
at full budget only. Where many hyperparameters are searched through for one sentence, the level
is divided by their number (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scipy import stats

from analysis.importance.effects import Effect
from analysis.importance.sensitivity import EPOCH_SECONDS, reportable_shares
from analysis.page.formatting import count, number, percent, text
from analysis.report.study_results import StudyResults
from analysis.statistics.coordinates import BELOW, Coordinates
from analysis.statistics.intervals import (
    LEVEL,
    Interval,
    share_difference,
    superiority_interval,
)
from analysis.statistics.trial_outcomes import DIVERGED, FAILED
from deepsight.space import INACTIVE, Entry, same

FEWEST = 3
"""Trials on either side of a comparison."""
ENOUGH = 5
"""Best explorers from which a share of them is sentence."""
MOST = 3
"""Sentences of one kind on hyperparameters."""


@dataclass(frozen=True)
class Finding:
    """One sentence and the number behind it."""

    kind: str
    text: str
    effect: Interval
    unit: str
    """Of `effect`."""


def compute_findings(results: StudyResults) -> tuple[Finding, ...]:
    """All that the data carry, the most useful first."""
    return (
        *_gains(results),
        *_importance(results),
        *_best_values(results),
        *_early_stopping(results),
        *_failures(results),
        *_cost(results),
    )


def _finding(kind: str, sentence: str, number: Interval, unit: str) -> Finding:
    return Finding(kind, sentence, number, unit)


def _gains(results: StudyResults) -> Iterator[Finding]:
    """What the search gained, over the defaults and over drawing at random."""
    gain, random = results.incumbent.gain, results.incumbent.search_gain
    metric = results.study.metric
    if gain and gain.low > 0:
        sentence = f"The best config beats the defaults by {number(gain.value, 3)}."
        unit = f"{metric}, on which the best was selected; n in validation images"
        yield _finding("gain", sentence, gain, unit)
    if random and random.excludes_zero:
        searched, explored = results.incumbent.search_counts
        word = "better" if random.low > 0 else "worse"
        sentence = (
            f"At full budget the searcher's {searched} trials are {word} by "
            f"{number(abs(random.value), 3)} on average than the {explored} explorers drawn at "
            "random; those of the searcher were also picked at the rungs."
        )
        yield _finding("search", sentence, random, metric)


def _importance(results: StudyResults) -> Iterator[Finding]:
    info = results.sensitivity.importance
    for share in reportable_shares(info)[:MOST]:
        sentence = (
            f"{share.name} decides {percent(share.total.value)} of how {info.what} at "
            f"{info.epoch} epochs varies over the space, interactions included."
        )
        number = replace(share.total, n=info.num_trials)
        yield _finding("importance", sentence, number, "share of the variance")


def _best_values(results: StudyResults) -> Iterator[Finding]:
    """Where hyperparameters that matter are best."""
    info = results.sensitivity.importance
    matter = [s.name for s in reportable_shares(info)]
    effects = {e.name: e for e in results.sensitivity.effects.effects}
    for name in [n for n in matter if n in effects][:MOST]:
        best = effects[name].best
        if best.gain_low > 0:
            number = Interval(best.gain, best.gain_low, best.gain_high, info.num_trials)
            yield _finding("effect", best_sentence(effects[name]), number, results.study.metric)


def best_sentence(effect: Effect) -> str:
    """Where one hyperparameter is best on average over the others, if that is sure."""
    best = effect.best
    if not best.gain_low > 0:
        return f"No value of {effect.name} is clearly better than its average."
    single = best.low == best.high  # also of a choice, which has no ends
    if best.values:
        where = " or ".join(map(text, best.values))
    else:
        where = text(best.low)
        where = where if single else f"between {where} and {text(best.high)}"
    return (
        f"{effect.name} is best {'at ' if single else ''}{where}: "
        f"{best.gain:.3g} [{best.gain_low:.3g}, {best.gain_high:.3g}] better than its average."
    )


def _early_stopping(results: StudyResults) -> Iterator[Finding]:
    info = results.early_stopping
    missed = info.missed_anywhere
    if missed and missed.trials and missed.share.n >= ENOUGH:
        share = missed.share
        sentence = (
            f"Stopping has its price: {len(missed.trials)} of the {share.n} best "
            "explorers would have been stopped on the way."
        )
        yield _finding("stopping", sentence, share, "share of the best explorers")
    for agreement in info.agreements:
        if agreement.rank_correlation.low > 0:
            sentence = (
                f"Scores at epoch {agreement.epoch} tell of the final ones: among explorers their "
                f"ranks correlate by {agreement.rank_correlation.value:.2f}."
            )
            yield _finding("ranks", sentence, agreement.rank_correlation, "Spearman's correlation")


def _cost(results: StudyResults) -> Iterator[Finding]:
    info = results.sensitivity.views[EPOCH_SECONDS]
    clear = reportable_shares(info)
    if clear:
        sentence = (
            f"{clear[0].name} decides {percent(clear[0].total.value)} of how long an epoch takes."
        )
        number = replace(clear[0].total, n=info.num_trials)
        yield _finding("cost", sentence, number, "share of the variance")


def _failures(results: StudyResults) -> list[Finding]:
    """Hyperparameters that set failed and diverged trials apart from all others that ended."""
    info = results.coordinates
    ended = [line for line in info.lines if line.outcome != "running"]
    bad = [line.outcome in (FAILED, DIVERGED) for line in ended]
    if min(sum(bad), len(bad) - sum(bad)) < FEWEST:
        return []
    found = []
    for index in info.searched:
        found += _failures_by(
            info,
            index,
            [line.positions[index] for line in ended],
            [line.values[index] for line in ended],
            bad,
            len(info.searched),
        )
    return sorted(found, key=lambda found: -abs(found.effect.value))[:MOST]


def _failures_by(
    info: Coordinates,
    index: int,
    positions: Sequence[float | None],
    values: Sequence[Entry],
    bad: Sequence[bool],
    tried: int,
) -> list[Finding]:
    """Of one hyperparameter; empty where nothing is sure."""
    name, allowed = info.axes[index].name, (1 - LEVEL) / tried
    if info.axes[index].kind != "choice":
        active = [
            (p, is_bad)
            for p, is_bad in zip(positions, bad, strict=True)
            if p is not None and p != BELOW
        ]
        failed = [p for p, is_bad in active if is_bad]
        fine = [p for p, is_bad in active if not is_bad]
        if min(len(failed), len(fine)) < FEWEST:
            return []
        if stats.mannwhitneyu(failed, fine).pvalue >= allowed:
            return []
        share = superiority_interval(failed, fine)
        word = "larger" if share.value > 0.5 else "smaller"
        sentence = f"Trials that failed or diverged had {word} {name} than the others."
        unit = "how often theirs is larger"
        return [_finding("losses", sentence, share, unit)] if _off(share) else []
    return _failures_by_choice(name, values, bad, allowed / len(info.axes[index].ticks))


def _off(share: Interval) -> bool:
    return share.low > 0.5 or share.high < 0.5


def _failures_by_choice(
    name: str, values: Sequence[Entry], bad: Sequence[bool], allowed: float
) -> list[Finding]:
    found = []
    for value in dict.fromkeys(v for v in values if v is not INACTIVE):
        inside = [is_bad for v, is_bad in zip(values, bad, strict=True) if same(v, value)]
        outside = [is_bad for v, is_bad in zip(values, bad, strict=True) if not same(v, value)]
        if min(len(inside), len(outside)) < FEWEST:
            continue
        table = [
            [sum(inside), len(inside) - sum(inside)],
            [sum(outside), len(outside) - sum(outside)],
        ]
        gap = share_difference(sum(inside), len(inside), sum(outside), len(outside))
        if stats.fisher_exact(table).pvalue < allowed and gap.low > 0:
            sentence = (
                f"With {name} {text(value)} {sum(inside)} of {count(len(inside), 'trial')} failed "
                f"or diverged, of the others {sum(outside)} of {len(outside)}."
            )
            found.append(_finding("losses", sentence, gap, "difference of the shares"))
    return found
