"""The sections of a report on what decides the score, from the surrogate's answers."""

from __future__ import annotations

from dataclasses import replace

from analysis.figures import space
from analysis.importance.effects import BestRegion, Effect
from analysis.importance.importance import RANKED, Importance
from analysis.importance.sensitivity import Explained, told_shares
from analysis.page.document import Block, Cell, Note, Picture, Section, Table
from analysis.page.formatting import text, variance_share
from analysis.report.data import as_data
from analysis.report.study_results import Conclusions
from analysis.statistics.intervals import Interval

PAIRS = 10
"""Interactions in the table."""
DRAWN = 12
"""Effects in the figure, the most important first; the table has all."""


def importance_section(said: Conclusions) -> Section:
    """What decides the score at full budget, and beside it the other questions."""
    told = said.explained
    assert told is not None
    info = told.importance
    title = "What decides the score"
    data = {"importance": as_data(info), "importance_views": [as_data(v) for _, v in told.views]}
    if not info.shares:
        lead = f"{info.verdict.capitalize()}: {info.reason}"
        return Section("importance", title, lead, (), data)
    caption = f"{info.what} at {info.epoch} epochs, over the whole space"
    blocks: list[Block] = [
        Picture("importance", space.draw_importance(info),
                f"Importance for {caption}", caption=caption),
    ]  # fmt: skip
    for number_, (name, view) in enumerate(told.views, start=1):
        if view.shares and number_ < len(told.views):  # the peer's view is in the table
            caption = f"{view.what} {name}" if view.region == "good" else name
            told_as = f"{caption} ({view.verdict})" if view.verdict != RANKED else caption
            picture = space.draw_importance(view)
            blocks.append(Picture(f"importance_{number_}", picture, f"Importance, {caption}",
                                  caption=told_as))  # fmt: skip
    blocks += [Note(_trust(info)), _views_table(told), _questions_table(told), _shares_table(info)]
    if info.pairs:
        blocks.append(_pairs_table(info))
    return Section("importance", title, _importance_lead(info), tuple(blocks), data)


def _importance_lead(info: Importance) -> str:
    if info.verdict != RANKED:
        return (
            f"{info.verdict.capitalize()}: {info.reason} The bars are shown with their intervals; "
            "their order means nothing."
        )
    clear = told_shares(info)
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


def _shares_table(info: Importance) -> Table:
    columns = ("hyperparameter", "with interactions", "low", "high", "by itself", "low", "high",
               "place", "verdict")  # fmt: skip
    rows = tuple(
        (s.name, *_numbers(s.total), *_numbers(s.main), _place(s.rank_low, s.rank_high), s.text)
        for s in info.shares
    )
    caption = "Shares of the variance with 95 % intervals; place is the range of plausible ranks"
    bold = frozenset(i for i, s in enumerate(info.shares) if s.above_floor)
    return Table("importance", columns, rows, caption, marked=bold, folded=True)


def _numbers(estimate: Interval) -> tuple[float, float, float]:
    return round(estimate.value, 3), round(estimate.low, 3), round(estimate.high, 3)


def _place(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


def _views_table(told: Explained) -> Table:
    """Every question's total shares, a column each."""
    columns = ("hyperparameter", "at full budget", *(name for name, _ in told.views))
    everything = (told.importance, *(view for _, view in told.views))
    totals = [
        {s.name: variance_share(s.total, view.has_intervals) for s in view.shares}
        for view in everything
    ]
    names = dict.fromkeys(name for found in totals for name in found)
    rows: list[tuple[Cell, ...]] = [
        (name, *(found.get(name) for found in totals))
        for name in names
    ]
    caption = "The same hyperparameters asked otherwise; total shares"
    return Table("importance_views", columns, tuple(rows), caption)


def _questions_table(told: Explained) -> Table:
    """Every question with its verdict, why, and how it was answered."""
    everything = (("at full budget", told.importance), *told.views)
    rows = tuple((name, v.verdict, v.reason, v.method) for name, v in everything)
    return Table("importance_questions", ("question", "verdict", "why", "method"), rows)


def _pairs_table(info: Importance) -> Table:
    rows = tuple((p.a, p.b, *_numbers(p.share)) for p in info.pairs[:PAIRS])
    columns = ("one", "other", "share of the variance", "low", "high")
    caption = "What pairs decide beyond what each does alone"
    return Table("interactions", columns, rows, caption, folded=True)


def effects_section(said: Conclusions) -> Section:
    """How the score moves along each hyperparameter, and over pairs."""
    assert said.explained is not None
    info, maps = said.explained.effects, said.explained.maps
    title, data = "Effects", {"effects": as_data(info), "maps": [as_data(m) for m in maps]}
    if not info.effects:
        return Section("effects", title, f"Nothing can be told: {info.reason}", (), data)
    lead = (
        f"Predicted {info.metric} at {info.epoch} epochs along each hyperparameter, averaged over "
        f"the others; bands are 95 % intervals of that average. {info.reason}"
    )
    places = {s.name: i for i, s in enumerate(said.explained.importance.shares)}
    ordered = sorted(info.effects, key=lambda effect: places.get(effect.name, len(places)))
    alt = "Predicted score along each hyperparameter"
    picture = space.draw_effects(replace(info, effects=tuple(ordered[:DRAWN])))
    blocks: list[Block] = [Picture("effects", picture, alt, wide=True)]
    rows = tuple(_best_row(effect) for effect in ordered)
    columns = ("hyperparameter", "best", "gain over its mean", "low", "high")
    blocks.append(Table("best_regions", columns, rows, "Where the average is best"))
    if maps:
        picture = space.draw_interactions(maps, info.metric)
        blocks.append(Picture("interactions", picture, "Maps of the strongest interactions",
                              wide=True, caption="Strongest interactions: predicted "
                              f"{info.metric} at {info.epoch} epochs"))  # fmt: skip
    if info.quality and info.quality.text != info.reason:
        blocks.append(Note(info.quality.text))
    return Section("effects", title, lead, tuple(blocks), data)


def _best_row(effect: Effect) -> tuple[Cell, ...]:
    best = effect.best
    numbers = best.gain, best.gain_low, best.gain_high
    return effect.name, _region(best), *(round(x, 4) for x in numbers)


def _region(best: BestRegion) -> str:
    if best.values:
        return ", ".join(text(value) for value in best.values)
    return f"{text(best.low)} to {text(best.high)}"

