"""The numbers of maps as tables: ``attention.csv``, ``map_checks.csv``, ``interventions.csv``."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.diagnosis.map_checks.interventions import Interventions
from analysis.diagnosis.map_checks.verdicts import MapChecks
from analysis.diagnosis.maps.attention import MEASURES, Attention
from analysis.page.document import Cell, Table
from analysis.statistics.intervals import Interval


def attention_table(info: Attention) -> Table:
    """Every measure by map and group of images; an even map stands beside for comparison."""
    rows: list[tuple[Cell, ...]] = [
        (
            row.measure,
            row.map_for,
            row.group,
            *(_cells(row.interval) if row.interval else (None, None, None, 0)),
            row.uniform,
            MEASURES[row.measure],
        )
        for row in info.rows
    ]
    columns = ("measure", "map_for", "group", "mean", "low", "high", "n", "even_map", "meaning")
    caption = f"Maps of {info.layer}; 95 % bootstrap intervals over images."
    if info.threshold is not None:
        caption += f" A map's region is what exceeds {info.threshold:.2f} of its maximum."
    if info.num_empty:
        caption += f" {info.num_empty} of {info.num_images} maps have no positive cell."
    if info.missing:
        caption += f" Not measured: {info.missing}."
    title = "Attention in numbers"
    return Table("attention", columns, tuple(rows), caption, folded=True, title=title)


def checks_table(info: MapChecks) -> Table:
    """How much better each map scores than each baseline, and its likeness to random models'."""
    rows: list[tuple[Cell, ...]] = [
        (c.method, c.test, f"better than {c.baseline}", *_cells(c.gain)) for c in info.comparisons
    ]
    for step in info.likeness:
        where = f"random down to {step.group}"
        rows.append((step.method, "rank correlation", where, *_cells(step.spearman)))
        rows.append((step.method, "SSIM", where, *_cells(step.ssim)))
    columns = ("method", "test", "against", "value", "low", "high", "n")
    caption = f"Maps of {info.layer}. " + " ".join(v.sentence for v in info.verdicts.values())
    title = "Every comparison of the checks"
    return Table("map_checks", columns, tuple(rows), caption, folded=True, title=title)


def interventions_table(info: Interventions, names: Sequence[str]) -> Table:
    """The accuracy before and after every change, in all and by class."""
    rows: list[tuple[Cell, ...]] = [
        (
            e.name,
            "all" if e.class_index is None else names[e.class_index],
            e.before,
            e.after,
            *_cells(e.change),
            e.predictions_changed,
        )
        for e in info.effects
    ]
    accuracy = ("accuracy_before", "accuracy_after", "change", "low", "high", "n")
    columns = ("change_of_images", "class", *accuracy, "predictions_changed")
    caption = "95 % intervals of paired proportions (Bonett and Price 2012)."
    caption = f"{caption} {info.missing}".strip()
    title = "Every change, in all and by class"
    return Table("interventions", columns, tuple(rows), caption, folded=True, title=title)


def _cells(interval: Interval) -> tuple[Cell, ...]:
    return interval.value, interval.low, interval.high, interval.n
