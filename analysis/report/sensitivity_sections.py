"""The sections of a report on what decides the score, from the surrogate's answers."""

from __future__ import annotations

from dataclasses import replace

from analysis.figures import space
from analysis.importance.effects import BestRegion, Effect
from analysis.importance.importance import RANKED, Importance
from analysis.importance.sensitivity import (
    BEST_QUARTER,
    EPOCH_SECONDS,
    FANOVA,
    SURVIVAL,
    Sensitivity,
    reportable_shares,
)
from analysis.page.document import Block, Cell, Note, Picture, Section, Table
from analysis.page.formatting import text, variance_share
from analysis.report.data import as_data
from analysis.report.study_results import StudyResults
from analysis.statistics.intervals import Interval

VIEW_TITLES = {
    BEST_QUARTER: "among the best quarter",
    SURVIVAL: "survival",
    EPOCH_SECONDS: "seconds per epoch",
    FANOVA: "Optuna's fANOVA",
}
"""What columns and captions call a view."""
VIEW_FIGURES = {
    BEST_QUARTER: "importance_1",
    SURVIVAL: "importance_2",
    EPOCH_SECONDS: "importance_3",
}
"""Figures of views by their file's name; the peer's view is in the table only."""
PAIRS = 10
"""Interactions in the table."""
NAMED = 5
"""Hyperparameters named in a sentence."""
DRAWN = 12
"""Effects in the figure, the most important first; the table has all."""


def importance_section(results: StudyResults) -> Section:
    """What decides the score at full budget, and beside it the other questions."""
    sensitivity = results.sensitivity
    info = sensitivity.importance
    title = "What decides the score"
    views = [as_data(view) for view in sensitivity.views.values()]
    data = {"importance": as_data(info), "importance_views": views}
    if not info.shares:
        lead = f"{info.verdict.capitalize()}: {info.reason}"
        return Section("importance", title, lead, (), data)
    caption = f"{info.what} at {info.epoch} epochs, over the whole space"
    blocks: list[Block] = [
        Picture(
            "importance", space.draw_importance(info), f"Importance for {caption}", caption=caption
        ),
    ]
    for key, name in VIEW_FIGURES.items():
        view = sensitivity.views[key]
        if view.shares:
            what = f"{view.what} " if view.region == "good" else ""
            asked = what + VIEW_TITLES[key]
            caption = f"{asked} ({view.verdict})" if view.verdict != RANKED else asked
            picture = space.draw_importance(view)
            blocks.append(Picture(name, picture, f"Importance, {asked}", caption=caption))
    blocks += [
        Note(_trust(info)),
        _views_table(sensitivity),
        _questions_table(sensitivity),
        _shares_table(info),
    ]
    if info.pairs:
        blocks.append(_pairs_table(info))
    if info.left_out:
        blocks.append(Note(_left_out(info)))
    return Section("importance", title, _importance_lead(info), tuple(blocks), data)


def _importance_lead(info: Importance) -> str:
    if info.verdict != RANKED:
        return (
            f"{info.verdict.capitalize()}: {info.reason} The bars are shown with their intervals; "
            "their order means nothing."
        )
    clear = reportable_shares(info)
    if not clear:
        return (
            f"{info.reason} No share is known well enough to be told in words: read the intervals."
        )
    top = clear[0]
    return (
        f"{top.name} decides {variance_share(top.total)} of how {info.what} at {info.epoch} epochs "
        f"varies over the space. {info.reason}"
    )


def _trust(info: Importance) -> str:
    quality = info.quality.text if info.quality else "There is no model to check."
    return (
        f"{info.method}, from {info.num_trials} trials of which {info.num_explorers} explorers. "
        f"{quality}"
    )


def _left_out(info: Importance) -> str:
    """Which hyperparameters no share is told of, by reason."""
    names: dict[str, list[str]] = {}
    for name, reason in info.left_out:
        names.setdefault(reason, []).append(name)
    parts = []
    for reason, those in names.items():
        more = f" and {len(those) - NAMED} more" if len(those) > NAMED else ""
        parts.append(f"{', '.join(those[:NAMED])}{more} ({reason})")
    return f"Nothing is said of {'; '.join(parts)}."


def _shares_table(info: Importance) -> Table:
    columns = (
        "hyperparameter",
        "with interactions",
        "low",
        "high",
        "by itself",
        "low",
        "high",
        "place",
        "verdict",
    )
    rows = tuple(
        (s.name, *_numbers(s.total), *_numbers(s.main), _place(s.rank_low, s.rank_high), s.text)
        for s in info.shares
    )
    caption = "Shares of the variance with 95 % intervals; place is the range of plausible ranks"
    bold = frozenset(i for i, s in enumerate(info.shares) if s.above_noise)
    return Table("importance", columns, rows, caption, marked=bold, folded=True)


def _numbers(estimate: Interval) -> tuple[float, float, float]:
    return round(estimate.value, 3), round(estimate.low, 3), round(estimate.high, 3)


def _place(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


def _views_table(sensitivity: Sensitivity) -> Table:
    """Every question's total shares, a column each."""
    columns = ("hyperparameter", "at full budget", *(VIEW_TITLES[key] for key in sensitivity.views))
    everything = (sensitivity.importance, *sensitivity.views.values())
    totals = [
        {s.name: variance_share(s.total, view.has_intervals) for s in view.shares}
        for view in everything
    ]
    names = dict.fromkeys(name for found in totals for name in found)
    rows: list[tuple[Cell, ...]] = [
        (name, *(found.get(name) for found in totals)) for name in names
    ]
    caption = "The same hyperparameters asked otherwise; total shares"
    return Table("importance_views", columns, tuple(rows), caption)


def _questions_table(sensitivity: Sensitivity) -> Table:
    """Every question with its verdict, why, and how it was answered."""
    views = {VIEW_TITLES[key]: view for key, view in sensitivity.views.items()}
    everything = {"at full budget": sensitivity.importance} | views
    rows = tuple((name, v.verdict, v.reason, v.method) for name, v in everything.items())
    return Table("importance_questions", ("question", "verdict", "why", "method"), rows)


def _pairs_table(info: Importance) -> Table:
    rows = tuple((p.a, p.b, *_numbers(p.share)) for p in info.pairs[:PAIRS])
    columns = ("one", "other", "share of the variance", "low", "high")
    caption = "What pairs decide beyond what each does alone"
    return Table("interactions", columns, rows, caption, folded=True)


def effects_section(results: StudyResults) -> Section:
    """How the score moves along each hyperparameter, and over pairs."""
    info, maps = results.sensitivity.effects, results.sensitivity.maps
    title, data = "Effects", {"effects": as_data(info), "maps": [as_data(m) for m in maps]}
    if not info.effects:
        return Section("effects", title, f"Nothing can be told: {info.reason}", (), data)
    lead = (
        f"Predicted {info.metric} at {info.epoch} epochs along each hyperparameter, averaged over "
        f"the others; bands are 95 % intervals of that average. {info.reason}"
    )
    places = {s.name: i for i, s in enumerate(results.sensitivity.importance.shares)}
    ordered = sorted(info.effects, key=lambda effect: places.get(effect.name, len(places)))
    alt = "Predicted score along each hyperparameter"
    picture = space.draw_effects(replace(info, effects=tuple(ordered[:DRAWN])))
    blocks: list[Block] = [Picture("effects", picture, alt, wide=True)]
    rows = tuple(_best_row(effect) for effect in ordered)
    columns = ("hyperparameter", "best", "gain over its mean", "low", "high")
    blocks.append(Table("best_regions", columns, rows, "Where the average is best"))
    if maps:
        picture = space.draw_interactions(maps, info.metric)
        blocks.append(
            Picture(
                "interactions",
                picture,
                "Maps of the strongest interactions",
                wide=True,
                caption=f"Strongest interactions: predicted {info.metric} at {info.epoch} epochs",
            )
        )
    if info.quality and info.quality.text != info.reason:
        blocks.append(Note(info.quality.text))
    return Section("effects", title, lead, tuple(blocks), data)


def _best_row(effect: Effect) -> tuple[Cell, ...]:
    best = effect.best
    return effect.name, _region(best), best.gain, best.gain_low, best.gain_high


def _region(best: BestRegion) -> str:
    if best.values:
        return ", ".join(text(value) for value in best.values)
    return f"{text(best.low)} to {text(best.high)}"
