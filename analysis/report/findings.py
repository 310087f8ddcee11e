"""What a study says in words: sentences made from numbers, each with effect, interval and n.

A sentence is made only where its interval leaves no doubt about the direction; scores are compared
at full budget only. Where many hyperparameters are searched through for one sentence, the level
is divided by their number (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy import stats

from analysis.importance.sensitivity import told_shares
from analysis.page.formatting import count, percent, text
from analysis.report.study_results import Conclusions
from analysis.statistics.coordinates import INACTIVE, Coordinates
from analysis.statistics.intervals import (
    LEVEL,
    Interval,
    share_difference,
    superiority_interval,
)
from analysis.statistics.trial_outcomes import DIVERGED, FAILED
from deepsight.config import Value

FEWEST = 3
"""Trials on either side of a comparison."""
ENOUGH = 5
"""Best explorers from which a share of them is told."""
MOST = 3
"""Sentences of one kind on hyperparameters."""


@dataclass(frozen=True)
class Observation:
    """One sentence and the number behind it."""

    kind: str
    text: str
    effect: float
    low: float
    high: float
    n: int
    unit: str
    """Of `effect`."""


def compute_observations(said: Conclusions) -> tuple[Observation, ...]:
    """All that the data carry, the most useful first."""
    return (
        *_gains(said),
        *_importance(said),
        *_regions(said),
        *_rungs(said),
        *_losses(said),
        *_cost(said),
    )


def _observe(kind: str, told: str, number: Interval, unit: str) -> Observation:
    return Observation(kind, told, number.value, number.low, number.high, number.n, unit)


def _gains(said: Conclusions) -> Iterator[Observation]:
    """What the search gained, over the defaults and over drawing at random."""
    gain, random = said.standing.gain, said.standing.search_gain
    metric = said.study.metric
    if gain and gain.low > 0:
        told = f"The best config beats the defaults by {gain.value:.3f}."
        unit = f"{metric}, on which the best was selected; n in validation images"
        yield _observe("gain", told, gain, unit)
    if random and random.excludes_zero:
        searched, explored = said.standing.search_counts
        word = "better" if random.low > 0 else "worse"
        told = (
            f"At full budget the searcher's {searched} trials are {word} by "
            f"{abs(random.value):.3f} on average than the {explored} explorers drawn at random; "
            "those of the searcher were also picked at the rungs."
        )
        yield _observe("search", told, random, metric)


def _importance(said: Conclusions) -> Iterator[Observation]:
    if not said.explained:
        return
    info = said.explained.importance
    for share in told_shares(info)[:MOST]:
        told = (
            f"{share.name} decides {percent(share.total.value)} of how {info.what} at "
            f"{info.epoch} epochs varies over the space, interactions included."
        )
        number = Interval(share.total.value, share.total.low, share.total.high, info.num_trials)
        yield _observe("importance", told, number, "share of the variance")


def _regions(said: Conclusions) -> Iterator[Observation]:
    """Where hyperparameters that matter are best."""
    if not said.explained:
        return
    info = said.explained.importance
    matter = [s.name for s in told_shares(info)]
    effects = {e.name: e for e in said.explained.effects.effects}
    for name in [n for n in matter if n in effects][:MOST]:
        best = effects[name].best
        if best.gain_low > 0:
            number = Interval(best.gain, best.gain_low, best.gain_high, info.num_trials)
            yield _observe("effect", best.text, number, said.study.metric)


def _rungs(said: Conclusions) -> Iterator[Observation]:
    info = said.rungs
    if info.missed and info.missed[-1].trials and info.missed[-1].share.n >= ENOUGH:
        share = info.missed[-1].share
        told = (
            f"Stopping has its price: {len(info.missed[-1].trials)} of the {share.n} best "
            "explorers would have been stopped on the way."
        )
        yield _observe("stopping", told, share, "share of the best explorers")
    for agreement in info.agreements:
        if agreement.rank_correlation.low > 0:
            told = (
                f"Scores at epoch {agreement.epoch} tell of the final ones: among explorers their "
                f"ranks correlate by {agreement.rank_correlation.value:.2f}."
            )
            yield _observe("ranks", told, agreement.rank_correlation, "Spearman's correlation")


def _cost(said: Conclusions) -> Iterator[Observation]:
    if not said.explained:
        return
    found = [v for name, v in said.explained.views if name == "seconds per epoch"]
    for info in found:
        clear = told_shares(info)
        if clear:
            total = clear[0].total
            told = f"{clear[0].name} decides {percent(total.value)} of how long an epoch takes."
            number = Interval(total.value, total.low, total.high, info.num_trials)
            yield _observe("cost", told, number, "share of the variance")


# --- where trials were lost ---------------------------------------------------------------------


def _losses(said: Conclusions) -> list[Observation]:
    """Hyperparameters that set failed and diverged trials apart from all others that ended."""
    info = said.coordinates
    ended = [line for line in info.lines if line.fate != "running"]
    lost = [line.fate in (FAILED, DIVERGED) for line in ended]
    if min(sum(lost), len(lost) - sum(lost)) < FEWEST:
        return []
    found = []
    names = [axis.name for axis in info.axes[:-2]]
    for index in range(len(names)):
        found += _loss(info, index, [line.positions[index] for line in ended],
                       [line.values[index] for line in ended], lost, len(names))  # fmt: skip
    return sorted(found, key=lambda o: -abs(o.effect))[:MOST]


def _loss(
    info: Coordinates,
    index: int,
    positions: Sequence[float | None],
    values: Sequence[Value],
    lost: Sequence[bool],
    tried: int,
) -> list[Observation]:
    """Of one hyperparameter; empty where nothing is sure."""
    name, allowed = info.axes[index].name, (1 - LEVEL) / tried
    if info.axes[index].kind != "choice":
        active = [(p, bad) for p, bad in zip(positions, lost, strict=True)
                  if p is not None and p != INACTIVE]  # fmt: skip
        bad = [p for p, gone in active if gone]
        good = [p for p, gone in active if not gone]
        if min(len(bad), len(good)) < FEWEST:
            return []
        if stats.mannwhitneyu(bad, good).pvalue >= allowed:
            return []
        share = superiority_interval(bad, good)
        word = "larger" if share.value > 0.5 else "smaller"
        told = f"Trials that failed or diverged had {word} {name} than the others."
        unit = "how often theirs is larger"
        return [_observe("losses", told, share, unit)] if _off(share) else []
    return _lost_choices(name, values, lost, allowed / len(info.axes[index].ticks))


def _off(share: Interval) -> bool:
    return share.low > 0.5 or share.high < 0.5


def _lost_choices(
    name: str, values: Sequence[Value], lost: Sequence[bool], allowed: float
) -> list[Observation]:
    found = []
    for value in dict.fromkeys(v for v in values if v is not None):
        inside = [gone for v, gone in zip(values, lost, strict=True) if v == value]
        outside = [gone for v, gone in zip(values, lost, strict=True) if v != value]
        if min(len(inside), len(outside)) < FEWEST:
            continue
        table = [[sum(inside), len(inside) - sum(inside)],
                 [sum(outside), len(outside) - sum(outside)]]  # fmt: skip
        gap = share_difference(sum(inside), len(inside), sum(outside), len(outside))
        if stats.fisher_exact(table).pvalue < allowed and gap.low > 0:
            told = (
                f"With {name} {text(value)} {sum(inside)} of {count(len(inside), 'trial')} failed "
                f"or diverged, of the others {sum(outside)} of {len(outside)}."
            )
            found.append(_observe("losses", told, gap, "difference of the shares"))
    return found
