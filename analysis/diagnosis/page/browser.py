"""What the page's browser shows: images of each class and of each confusion, with their maps.

A map travels as a picture of its own cells, a pixel each: the page enlarges it without smoothing,
so that it never looks finer than it is.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image

from analysis.diagnosis.maps.figures import DIFFERENCE, FOR
from analysis.diagnosis.maps.passes import Floats
from analysis.diagnosis.names import in_sentence
from analysis.diagnosis.page.sheet_figure import SheetMaps
from analysis.diagnosis.page.sheets import best_predictions, confusions, worst_predictions
from analysis.diagnosis.page.tables import MEASURES
from analysis.diagnosis.results import Results
from analysis.page.document import Browser, Section
from analysis.page.formatting import interval, number

SHOWN = 3
"""Best and worst images of a class."""
PER_CELL = 5
"""Images of a confusion."""
MAX_CELL_IMAGES = 1000
"""Images of confusions in all, those of the most frequent ones; the page carries all of them."""
MAX_SIDE = 160
"""Pixels; larger images are made smaller, for the page's sake."""


def browser_section(
    results: Results, images: npt.NDArray[np.uint8], looks: SheetMaps | None
) -> Section:
    """The section in which one looks at a class.

    Args:
        results: What is shown.
        images: (N, H, W, 3) uint8, the split.
        looks: The maps of its images; None where there are none.
    """
    content = browser_content(results, images, looks)
    lead = (
        "A class's worst images are its most confident errors, then its least confident hits. "
        "A confusion shows its images, the most confident first."
    )
    return Section("look", "Look at a class", lead, (Browser(content),))


def browser_content(
    results: Results, images: npt.NDArray[np.uint8], looks: SheetMaps | None
) -> dict[str, Any]:
    """As JSON holds it: classes with their numbers, images, and which images stand where."""
    evaluation = results.evaluation
    labels = range(len(evaluation.classes))
    worst = [worst_predictions(evaluation, label)[:SHOWN] for label in labels]
    best = [best_predictions(evaluation, label)[:SHOWN] for label in labels]
    cells = _cells(results)
    wanted = np.unique(np.concatenate([*worst, *best, *(found for *_, found in cells)]))
    place = {int(position): k for k, position in enumerate(wanted)}

    def placed(positions: npt.NDArray[np.int64]) -> list[int]:
        return [place[int(position)] for position in positions]

    return {
        "classes": [in_sentence(name) for name in evaluation.classes],
        "numbers": [_numbers(results, label) for label in labels],
        "images": [_image(results, images, int(position), looks) for position in wanted],
        "worst": [placed(found) for found in worst],
        "best": [placed(found) for found in best],
        "cells": [[true, said, count, placed(found)] for true, said, count, found in cells],
        "hits": np.diag(results.scores.confusion).tolist(),
        "maps": "" if looks is None else f"Grad-CAM at {looks.maps.layer}, in logits a cell.",
        "verdict": "" if looks is None else looks.verdict,
        "scales": {kind: _scale(colours) for kind, colours in _COLOURS.items()},
    }


_COLOURS = {"predicted": FOR, "true": FOR, "difference": DIFFERENCE}


def _cells(results: Results) -> list[tuple[int, int, int, npt.NDArray[np.int64]]]:
    """Every confusion: true class, predicted one, how often, and the images shown of it."""
    counts = results.scores.confusion.copy()
    np.fill_diagonal(counts, 0)
    found = [(int(t), int(p), int(counts[t, p])) for t, p in zip(*np.nonzero(counts), strict=True)]
    found.sort(key=lambda cell: -cell[2])
    cells, left = [], MAX_CELL_IMAGES
    for true, said, count in found:
        shown = confusions(results.evaluation, true, said)[: min(PER_CELL, left)]
        left -= len(shown)
        cells.append((true, said, count, shown))
    return cells


def _numbers(results: Results, label: int) -> list[list[str]]:
    scores = results.scores.classes[label]
    told = [["images", str(scores.num_images)], ["taken for it", str(scores.num_predicted)]]
    for name, heading in MEASURES.items():
        value = getattr(scores, name)
        if value is not None:
            told.append([heading, interval(value)])
    return told


def _image(
    results: Results, images: npt.NDArray[np.uint8], position: int, looks: SheetMaps | None
) -> dict[str, Any]:
    evaluation = results.evaluation
    return {
        "name": str(evaluation.ids[position]),
        "true": int(evaluation.labels[position]),
        "said": int(evaluation.predicted[position]),
        "confidence": round(100 * float(evaluation.confidence[position])),
        "image": _photo(images[position]),
        "maps": {} if looks is None else _maps(looks, position),
    }


def _maps(looks: SheetMaps, position: int) -> dict[str, Any]:
    """Each map with the ends of its scale; the two of an error share one."""
    maps = looks.maps
    true, said = maps.true[position], maps.predicted[position]
    most = float(max(true.max(), said.max(), 0)) or 1.0
    found = {"predicted": _map(said, FOR, 0.0, most)}
    if not maps.is_right[position]:
        reach = float(np.abs(maps.difference[position]).max()) or 1.0
        found["true"] = _map(true, FOR, 0.0, most)
        found["difference"] = _map(maps.difference[position], DIFFERENCE, -reach, reach)
    return found


def _map(values: Floats, colours: str, low: float, high: float) -> list[str]:
    shades = colormaps[colours]((values - low) / (high - low), bytes=True)[..., :3]
    return [_data_uri(Image.fromarray(shades), "PNG"), number(low, 2), number(high, 2)]


def _scale(colours: str) -> str:
    shades = colormaps[colours](np.linspace(0, 1, 64)[None], bytes=True)[..., :3]
    return _data_uri(Image.fromarray(shades), "PNG")


def _photo(image: npt.NDArray[np.uint8]) -> str:
    """Small images as they are; large ones smaller, and compressed with loss."""
    shown = Image.fromarray(np.asarray(image))
    if max(shown.size) <= 64:
        return _data_uri(shown, "PNG")
    shown.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return _data_uri(shown, "JPEG", quality=88)


def _data_uri(image: Image.Image, form: str, **options: Any) -> str:
    out = io.BytesIO()
    image.save(out, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"
