"""What the accuracy does when a part of the image is changed: context by experiment.

With masks of the objects the background is exchanged, blurred, greyed, the object is moved or taken
out. Without them the image is covered cell by cell. Corners and borders are erased in either case.
What is greyed takes the images' mean colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analysis.diagnosis.map_checks.imputation import blurred, fill_from_around
from analysis.diagnosis.maps.passes import Bools, Floats, Labels, batch_slices, predicted_classes
from analysis.diagnosis.object_masks import NO_MASKS
from analysis.diagnosis.progress import Progress, silent
from analysis.statistics.intervals import LEVEL, Interval

CORNER, BORDER = 1 / 4, 1 / 8
"""Side of the erased corners and width of the erased border, as shares of the image's side."""

GRID = 4
"""Rows and columns of the grid of occlusions."""

Change = Callable[[NDArray[np.intp]], Tensor]
"""From positions (n,) of images to these images changed, (n, 3, H, W)."""


@dataclass(frozen=True)
class InterventionEffect:
    """One change of the images and what the accuracy did.

    Attributes:
        name: The change.
        class_index: Of the images; None for all of them.
        before: Share of right predictions on the images as they are.
        after: The same on the changed ones.
        change: `after` less `before`, on the same images, with its 95 % interval and their number.
        predictions_changed: Share of the images with another prediction.
    """

    name: str
    class_index: int | None
    before: float
    after: float
    change: Interval
    predictions_changed: float


@dataclass(frozen=True, eq=False)
class Interventions:
    """All changes, by class and in all.

    Attributes:
        effects: For each change, all images first, then every class that has images.
        occlusion: (classes + 1, `GRID`, `GRID`) change of the accuracy when one cell is greyed;
            the last row is all images. NaN for a class without images. None with masks.
        examples: By change, a few changed images (n, 3, H, W), for the figure; "as they are" first.
        num_images: Images in all.
        num_masked: Of these, with a mask: what changes of background and object are measured on.
        missing: Why there are no changes of background and object; empty if there are.
    """

    effects: Sequence[InterventionEffect]
    occlusion: NDArray[np.float64] | None = field(repr=False)
    examples: dict[str, Floats] = field(repr=False)
    num_images: int
    num_masked: int
    missing: str

    def of(self, name: str, class_index: int | None = None) -> InterventionEffect:
        """The effect of one change on a class, or on all images."""
        (found,) = [e for e in self.effects if (e.name, e.class_index) == (name, class_index)]
        return found


UNCHANGED = "as they are"
BACKGROUND_OTHER = "background of another class"
BACKGROUND_SAME = "background of the same class"
BACKGROUND_BLURRED = "background blurred"
BACKGROUND_GREYED = "background greyed"
OBJECT_OUT = "object taken out"
OBJECT_CENTRE = "object moved to the centre"
OBJECT_BORDER = "object moved to the border"
CORNERS_ERASED = "corners erased"
BORDER_ERASED = "border erased"
CENTRE_ERASED = "centre erased"
NUM_EXAMPLES = 4


def compute_interventions(
    model: nn.Module,
    inputs: Tensor,
    labels: Labels,
    masks: NDArray[np.uint8] | None,
    num_classes: int,
    seed: int = 0,
    progress: Progress = silent,
) -> Interventions:
    """Change the images in every way that the data allow, and classify them again.

    Args:
        model: Left as found.
        inputs: (N, 3, H, W) float, preprocessed; N > 0.
        labels: (N,) true classes.
        masks: (N, H, W), 0 where the background is; an image without an object's pixel counts as
            one without a mask. None: no masks.
        num_classes: Of the model.
        seed: Of which backgrounds go where, of directions and of the noise of filled pixels.
        progress: Is told how far it is.
    """
    inputs, labels = inputs.float().cpu(), np.asarray(labels, np.int64)
    objects = torch.zeros(len(inputs), *inputs.shape[2:], dtype=torch.bool)
    if masks is not None:
        objects = torch.from_numpy(np.asarray(masks) > 0)
    masked = objects.flatten(1).any(1).numpy()
    before = predicted_classes(model, inputs)
    effects: list[InterventionEffect] = []
    examples = {}
    everyone = np.ones(len(inputs), np.bool_)
    shown = np.flatnonzero(masked if masked.any() else everyone)[:NUM_EXAMPLES]
    examples[UNCHANGED] = inputs[shown].numpy()
    plans: list[tuple[str, Change, Bools]] = [
        (name, change, everyone) for name, change in _erasures(inputs).items()
    ]
    if masked.any():
        changes = _object_changes(inputs, objects, labels, masked, seed)
        plans = [(name, change, masked) for name, change in changes.items()] + plans
    for name, change, who in progress(plans, "changing images"):
        rows = np.flatnonzero(who)
        after = np.concatenate(
            [
                predicted_classes(model, change(rows[part]))
                for part in batch_slices(inputs[: len(rows)])
            ]
        )
        effects += _effects(name, labels[rows], before[rows], after, num_classes)
        examples[name] = change(shown).numpy()
    occlusion = None
    if not masked.any():
        occlusion = _occlude(model, inputs, labels, before, num_classes, progress)
    missing = "" if masked.any() else f"Background and object cannot be changed apart: {NO_MASKS}."
    return Interventions(effects, occlusion, examples, len(inputs), int(masked.sum()), missing)


def paired_change(before: Bools, after: Bools) -> Interval:
    """How much the share of right predictions rose, on the same images.

    The interval is that of Bonett and Price (2012) for paired proportions, which keeps its width
    where few or no predictions changed.

    Args:
        before: (n,) whether each prediction was right; n > 0.
        after: The same afterwards.
    """
    n = len(before)
    gained, lost = int((~before & after).sum()), int((before & ~after).sum())
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    reach = z * np.sqrt((up + down - (up - down) ** 2) / (n + 2))
    value, middle = (gained - lost) / n, up - down
    low, high = max(-1.0, middle - reach), min(1.0, middle + reach)
    return Interval(value, float(min(low, value)), float(max(high, value)), n)


def _effects(
    name: str, labels: Labels, before: Labels, after: Labels, num_classes: int
) -> list[InterventionEffect]:
    found = []
    for index in (None, *range(num_classes)):
        chosen = np.ones(len(labels), np.bool_) if index is None else labels == index
        if chosen.any():
            was, now = (p[chosen] == labels[chosen] for p in (before, after))
            changed = float((before[chosen] != after[chosen]).mean())
            effect = InterventionEffect(
                name, index, float(was.mean()), float(now.mean()), paired_change(was, now), changed
            )
            found.append(effect)
    return found


def _object_changes(
    inputs: Tensor, objects: Tensor, labels: Labels, masked: Bools, seed: int
) -> dict[str, Change]:
    """What masks allow, for the images that have one."""
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean = inputs.mean((0, 2, 3), keepdim=True)
    emptied = torch.cat(
        [fill_from_around(inputs[p], objects[p], generator) for p in batch_slices(inputs)]
    )
    partners = {same: _partners(labels, masked, same, rng) for same in (False, True)}
    corners = rng.random((len(inputs), 2)) < 0.5

    def on(background: Tensor, rows: NDArray[np.intp]) -> Tensor:
        return torch.where(objects[rows, None], inputs[rows], background)

    def moved(rows: NDArray[np.intp], to_border: bool) -> Tensor:
        changed = emptied[rows]  # a copy
        for k, row in enumerate(rows):
            shift = _shift(objects[row].numpy(), corners[row] if to_border else None)
            there = torch.roll(objects[row], shift, (0, 1))
            changed[k] = torch.where(there, torch.roll(inputs[row], shift, (1, 2)), changed[k])
        return changed

    return {
        BACKGROUND_OTHER: lambda rows: on(emptied[partners[False][rows]], rows),
        BACKGROUND_SAME: lambda rows: on(emptied[partners[True][rows]], rows),
        BACKGROUND_BLURRED: lambda rows: on(blurred(inputs[rows], ~objects[rows]), rows),
        BACKGROUND_GREYED: lambda rows: on(mean, rows),
        OBJECT_OUT: lambda rows: emptied[rows],
        OBJECT_CENTRE: lambda rows: moved(rows, False),
        OBJECT_BORDER: lambda rows: moved(rows, True),
    }


def _partners(labels: Labels, masked: Bools, same_class: bool, rng: np.random.Generator) -> Labels:
    """For each image with a mask another one, of the same or of a different class, by position.

    An image that is alone in its class, or whose class is alone, keeps its own background.
    """
    partners = np.arange(len(labels))
    for label in np.unique(labels):
        own = np.flatnonzero(masked & (labels == label))
        if same_class:
            order = rng.permutation(own)
            partners[order] = np.roll(order, 1)
        elif len(own) < masked.sum():
            partners[own] = rng.choice(np.flatnonzero(masked & (labels != label)), len(own))
    return np.asarray(partners, np.int64)


def _shift(inside: Bools, corner: Bools | None) -> tuple[int, int]:
    """Pixels down and right that bring the object to the centre, or into a corner of the image.

    Args:
        inside: (H, W), where the object is.
        corner: (2,) whether it is the upper, the left one; None: the centre.
    """
    found = []
    for place, axis in enumerate((1, 0)):
        where = np.flatnonzero(inside.any(axis=axis))
        low, high, side = int(where[0]), int(where[-1]) + 1, inside.shape[1 - axis]
        if corner is not None:
            found.append(-low if corner[place] else side - high)
        else:
            found.append(round((side - high - low) / 2))
    return found[0], found[1]


def _erasures(inputs: Tensor) -> dict[str, Change]:
    mean = inputs.mean((0, 2, 3), keepdim=True)
    height, width = inputs.shape[2:]
    y, x = (torch.minimum(torch.arange(n), n - 1 - torch.arange(n)) for n in (height, width))
    near_y, near_x = y[:, None] / height, x[None, :] / width
    areas = {
        CORNERS_ERASED: (near_y < CORNER) & (near_x < CORNER),
        BORDER_ERASED: (near_y < BORDER) | (near_x < BORDER),
        CENTRE_ERASED: (near_y >= CORNER) & (near_x >= CORNER),
    }

    def erase(area: Tensor) -> Change:
        return lambda rows: torch.where(area, mean, inputs[rows])

    return {name: erase(area) for name, area in areas.items()}


def _occlude(
    model: nn.Module,
    inputs: Tensor,
    labels: Labels,
    before: Labels,
    num_classes: int,
    progress: Progress,
) -> NDArray[np.float64]:
    """Change of the accuracy by class (all images last) when one cell of the grid is greyed."""
    mean = inputs.mean((0, 2, 3), keepdim=True)
    rows, columns = (np.linspace(0, n, GRID + 1).round().astype(int) for n in inputs.shape[2:])
    change = np.full((num_classes + 1, GRID, GRID), np.nan)
    right = before == labels
    for i, j in progress(list(np.ndindex(GRID, GRID)), "covering images"):
        covered = inputs.clone()
        cell = slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1])
        covered[:, :, cell[0], cell[1]] = mean
        difference = (predicted_classes(model, covered) == labels).astype(float) - right
        change[-1, i, j] = difference.mean()
        for label in np.unique(labels):
            change[label, i, j] = difference[labels == label].mean()
    return change
