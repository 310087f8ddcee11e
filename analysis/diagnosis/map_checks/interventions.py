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
from analysis.statistics.intervals import LEVEL, Interval

CORNER, BORDER = 1 / 4, 1 / 8
"""Side of the erased corners and width of the erased border, as shares of the image's side."""

GRID = 4
"""Rows and columns of the grid of occlusions."""

Change = Callable[[Tensor, Tensor], Tensor]
"""From images (n, 3, H, W) and masks of their objects (n, H, W) bool to changed images."""

NO_MASKS = (
    "no masks of the objects: background and object cannot be changed apart. toy_objects brings "
    "masks; folder: takes the alpha channel of PNG and WEBP files, or data.masks=PATH"
)


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
    plans: list[tuple[str, Change, Bools]] = [
        (name, change, everyone) for name, change in _erasures(inputs).items()
    ]
    if masked.any():
        changes = _object_changes(inputs, objects, labels, np.flatnonzero(masked), seed)
        plans = [(name, change, masked) for name, change in changes.items()] + plans
    shown = np.flatnonzero(masked if masked.any() else everyone)[:NUM_EXAMPLES]
    examples[UNCHANGED] = inputs[shown].numpy()
    for name, change, who in plans:
        rows = np.flatnonzero(who)
        changed = torch.cat(
            [change(inputs[rows[part]], objects[rows[part]]) for part in batch_slices(inputs[rows])]
        )
        after = predicted_classes(model, changed)
        effects += _effects(name, labels[rows], before[rows], after, num_classes)
        examples[name] = changed[np.searchsorted(rows, shown)].numpy()
    occlusion = None if masked.any() else _occlude(model, inputs, labels, before, num_classes)
    missing = "" if masked.any() else NO_MASKS
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
    inputs: Tensor, objects: Tensor, labels: Labels, rows: NDArray[np.intp], seed: int
) -> dict[str, Change]:
    """What masks allow. Changes are called on the images of `rows` in order, from the first one."""
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean = inputs.mean((0, 2, 3), keepdim=True)

    def empty(images: Tensor, inside: Tensor) -> Tensor:
        return fill_from_around(images, inside, generator)

    def exchanged(same_class: bool) -> Change:
        partners = iter(_partners(labels[rows], same_class, rng))

        def change(images: Tensor, inside: Tensor) -> Tensor:
            other = rows[[next(partners) for _ in range(len(images))]]
            background = empty(inputs[other], objects[other])
            return torch.where(inside[:, None], images, background)

        return change

    def moved(to_border: bool) -> Change:
        def change(images: Tensor, inside: Tensor) -> Tensor:
            background = empty(images, inside)
            for k in range(len(images)):
                shift = _shift(inside[k].numpy(), to_border, rng)
                there = torch.roll(inside[k], shift, (0, 1))
                background[k] = torch.where(
                    there, torch.roll(images[k], shift, (1, 2)), background[k]
                )
            return background

        return change

    return {
        BACKGROUND_OTHER: exchanged(False),
        BACKGROUND_SAME: exchanged(True),
        BACKGROUND_BLURRED: lambda images, inside: torch.where(
            inside[:, None], images, blurred(images, ~inside)
        ),
        BACKGROUND_GREYED: lambda images, inside: torch.where(inside[:, None], images, mean),
        OBJECT_OUT: empty,
        OBJECT_CENTRE: moved(False),
        OBJECT_BORDER: moved(True),
    }


def _partners(labels: Labels, same_class: bool, rng: np.random.Generator) -> Labels:
    """For each image another one, of the same or of a different class, by position.

    An image that is alone in its class, or whose class is alone, keeps its own background.
    """
    partners = np.arange(len(labels))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        if same_class:
            order = rng.permutation(own)
            partners[order] = np.roll(order, 1)
        elif len(own) < len(labels):
            partners[own] = rng.choice(np.flatnonzero(labels != label), len(own))
    return np.asarray(partners, np.int64)


def _shift(inside: Bools, to_border: bool, rng: np.random.Generator) -> tuple[int, int]:
    """Pixels down and right that bring the object to the centre, or into a corner of the image."""
    found = []
    for axis in (1, 0):
        where = np.flatnonzero(inside.any(axis=axis))
        low, high, side = int(where[0]), int(where[-1]) + 1, inside.shape[1 - axis]
        if to_border:
            found.append(-low if rng.random() < 0.5 else side - high)
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
        return lambda images, inside: torch.where(area, mean, images)

    return {name: erase(area) for name, area in areas.items()}


def _occlude(
    model: nn.Module, inputs: Tensor, labels: Labels, before: Labels, num_classes: int
) -> NDArray[np.float64]:
    """Change of the accuracy by class (all images last) when one cell of the grid is greyed."""
    mean = inputs.mean((0, 2, 3), keepdim=True)
    rows, columns = (np.linspace(0, n, GRID + 1).round().astype(int) for n in inputs.shape[2:])
    change = np.full((num_classes + 1, GRID, GRID), np.nan)
    right = before == labels
    for i in range(GRID):
        for j in range(GRID):
            covered = inputs.clone()
            cell = slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1])
            covered[:, :, cell[0], cell[1]] = mean
            difference = (predicted_classes(model, covered) == labels).astype(float) - right
            change[-1, i, j] = difference.mean()
            for label in np.unique(labels):
                change[label, i, j] = difference[labels == label].mean()
    return change
