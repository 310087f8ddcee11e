"""What the JSON files of a report hold: the numbers that were computed, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from analysis.importance.effects import Effect
from analysis.importance.indices import FitQuality, Importance, Share
from analysis.report.findings import Finding, best_sentence
from analysis.statistics.comparison import Comparison, StudySide
from analysis.statistics.coordinates import Line
from analysis.statistics.cost import TrialCost
from analysis.statistics.early_stopping import Rung
from analysis.statistics.incumbent import Incumbent
from analysis.statistics.intervals import Interval
from analysis.statistics.trajectory import Curve
from deepsight.space import INACTIVE

KEYS: dict[type, dict[str, str]] = {
    Curve: {"outcome": "fate"},
    Line: {"outcome": "fate"},
    TrialCost: {"outcome": "fate"},
    Rung: {"failed_or_diverged": "lost"},
    Incumbent: {"score": "incumbent", "failed_or_diverged": "lost"},
    StudySide: {"incumbent": "standing"},
    Comparison: {"pairs": "contrasts"},
    Importance: {"noise_threshold": "floor"},
    Share: {"above_noise": "above_floor"},
}
"""Names in the files that differ from those in the code: files keep the names they had."""
SENTENCES: dict[type, str] = {Importance: "reason", Share: "text", FitQuality: "text"}
"""Properties that say in words what the fields hold; files have them too."""


def as_data(value: Any) -> Any:
    """A dataclass as a dictionary, with all that is in it.

    The n of an interval is left out where it is stated elsewhere; an effect is given its sentence;
    what is inactive is null.
    """
    if is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, Finding):  # the interval's numbers stand beside the text
            effect = value.effect
            return {
                "kind": value.kind,
                "text": value.text,
                "effect": effect.value,
                "low": effect.low,
                "high": effect.high,
                "n": effect.n,
                "unit": value.unit,
            }
        keys = KEYS.get(type(value), {})
        data = {keys.get(f.name, f.name): as_data(getattr(value, f.name)) for f in fields(value)}
        if type(value) in SENTENCES:
            data[SENTENCES[type(value)]] = getattr(value, SENTENCES[type(value)])
        if isinstance(value, Effect):
            data["best"]["text"] = best_sentence(value)
        if isinstance(value, Interval) and not value.n:
            del data["n"]
        return data
    if isinstance(value, Mapping):
        return {key: as_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(item) for item in value]
    return None if value is INACTIVE else value
