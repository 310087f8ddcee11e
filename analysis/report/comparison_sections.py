"""The sections of a comparison of studies."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.figures import comparison
from analysis.page.document import (
    Block,
    Card,
    Cell,
    Document,
    Picture,
    Section,
    Statement,
    Statements,
    Table,
)
from analysis.page.formatting import (
    bounds,
    count,
    duration,
    interval,
    number,
    percent,
    percent_interval,
    text,
)
from analysis.report.data import as_data
from analysis.statistics.comparison import Comparison, PairwiseComparison, StudySide


def comparison_document(info: Comparison, warnings: Sequence[str] = ()) -> Document:
    """The report on several studies, before it is written."""
    labels = " and ".join(side.label for side in info.sides)
    return Document(
        title=f"Comparison of {labels}",
        subtitle=f"DeepSight comparison, {info.metric}",
        key_results=tuple(_sentence(pair) for pair in info.pairs),
        cards=tuple(_card(side) for side in info.sides),
        sections=(_results(info), _trajectories(info), _best(info)),
        warnings=tuple(warnings),
        footer=("Intervals are 95 %. Only trials of full budget are compared.",),
    )


def _card(side: StudySide) -> Card:
    best = side.summary.incumbent
    trials = count(sum(side.summary.states.values()), "trial")
    if best is None:
        return Card(side.label, "none", f"no score, {trials}")
    score = side.incumbent.score
    span = f"{bounds(score)}, " if score else ""
    return Card(side.label, number(best.score), f"{span}{trials}")


def _sentence(pair: PairwiseComparison) -> str:
    labels = f"{pair.label} against {pair.against}"
    if pair.obstacles:
        return f"{labels}: scores cannot be compared, because {' and '.join(pair.obstacles)}."
    gain = pair.gain
    if gain is None:
        return f"{labels}: the bests cannot be compared with an interval."
    size = interval(gain.magnitude)
    if gain.low > 0:
        return f"{labels}: its best is better by {size} on {count(gain.n, 'validation image')}."
    if gain.high < 0:
        return f"{labels}: its best is worse by {size} on {count(gain.n, 'validation image')}."
    return (
        f"{labels}: their bests differ by {interval(gain)}; "
        f"{count(gain.n, 'validation image')} are too few to tell them apart."
    )


def _results(info: Comparison) -> Section:
    columns = (
        "study",
        "trials",
        "of full budget",
        "best",
        "majority baseline",
        "median",
        "spread",
        "failed, diverged",
        "epochs",
        "time",
    )
    rows = tuple(_row(side) for side in info.sides)
    blocks: list[Block] = []
    if any(side.scores for side in info.sides):
        picture = comparison.draw_distributions(info)
        blocks.append(Picture("distributions", picture, "Scores at full budget of every study"))
    blocks.append(
        Table(
            "comparison", columns, rows, "Spread is the range between quartiles, with its interval"
        )
    )
    found = tuple(_superiority(c) for c in info.pairs if c.superiority)
    if found:
        blocks.append(Statements(found))
    lead = "Where the trials of full budget ended, and how much that depends on the config."
    return Section("results", "Results", lead, tuple(blocks), {"comparison": as_data(info)})


def _row(side: StudySide) -> tuple[Cell, ...]:
    score, bad = side.incumbent.score, side.incumbent.failed_or_diverged
    best = side.summary.incumbent
    alone = number(best.score) if best else "none"
    return (
        side.label,
        sum(side.summary.states.values()),
        len(side.scores),
        interval(score) if score else alone,
        side.summary.majority_baseline,
        side.quartiles[1] if side.quartiles else None,
        interval(side.spread) if side.spread else None,
        percent_interval(bad) if bad else None,
        side.summary.num_epochs,
        None if side.summary.elapsed_s is None else duration(side.summary.elapsed_s),
    )


def _superiority(pair: PairwiseComparison) -> Statement:
    won = pair.superiority
    assert won is not None
    who = "explorer" if pair.by_explorers else "trial"
    sentence = (
        f"A random {who} of full budget of {pair.label} beats one of {pair.against} "
        f"{percent(won.value)} of the time."
    )
    if won.low <= 0.5 <= won.high:
        sentence += " That may be chance."
    caveat = "" if pair.by_explorers else "; both searchers chose what they tried"
    effect = f"{won.value:.2f} [{won.low:.2f}, {won.high:.2f}]"
    return Statement(sentence, f"{effect}, n = {won.n}{caveat}")


def _trajectories(info: Comparison) -> Section:
    if not any(side.trajectory.steps for side in info.sides):
        lead = "No study has a score at full budget yet."
        return Section("trajectories", "Trajectories", lead)
    picture = comparison.draw_trajectories(info)
    lead = "Best score at full budget as each study went on; epochs may cost differently."
    block = Picture("trajectories", picture, "Incumbents over epochs and time", wide=True)
    rows = tuple(
        (
            side.label,
            s.trial_id,
            s.score,
            s.num_trials,
            s.num_epochs,
            round(s.elapsed_s, 1) if side.trajectory.timed else None,
        )
        for side in info.sides
        for s in side.trajectory.steps
    )
    columns = ("study", "trial", info.metric, "trials begun", "epochs trained", "seconds")
    table = Table("trajectories", columns, rows, "Each new best", folded=True)
    return Section("trajectories", "Trajectories", lead, (block, table))


def _best(info: Comparison) -> Section:
    """The best configs side by side."""
    configs = [s.summary.incumbent.config if s.summary.incumbent else {} for s in info.sides]
    names = dict.fromkeys(name for config in configs for name in config)
    rows = tuple(
        (name, *(text(c[name]) if name in c else "not searched" for c in configs)) for name in names
    )
    table = Table("best_configs", ("hyperparameter", *(s.label for s in info.sides)), rows)
    return Section("best", "Best configurations", "Selected on the score above.", (table,))
