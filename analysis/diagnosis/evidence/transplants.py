"""What a model takes for a class when only the surroundings, or the place, are that class's.

Each image gets corners, background, or place and size of an image of every class in turn. A model
that looks at objects goes on seeing what it saw; one with a shortcut says the donor's class. What
belongs to the object only a mask can say: without masks corners are transplanted with all that is
in them, and nothing about surroundings follows (docs/decisions/0065).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.diagnosis.map_checks.imputation import fill_from_around
from analysis.diagnosis.map_checks.interventions import CORNER
from analysis.diagnosis.maps.passes import Labels, batch_slices, predicted_classes
from analysis.diagnosis.progress import Progress, silent

CORNERS, BACKGROUND, PLACE = "corners", "background", "place"
"""What is transplanted with masks: the background in the corners, the background elsewhere, and the
place and size of the object."""
WHOLE_CORNERS = "whole corners"
"""What is transplanted without masks: the corners, with what of the object reaches there."""

MAX_PASSES = 12_000
"""Images classified for each part: fewer are changed where there are many classes."""
RIM = 1 / 32
"""Width of what counts to an object around its mask, as a share of the side, one pixel at least:
masks are cut at a threshold, and a faint outline gives a class away as its object does."""
LARGEST_SCALE = 4.0
"""An object is enlarged or shrunk at most so much."""

Rows = NDArray[np.intp]
Graft = Callable[[Rows, Rows], Tensor]
"""From positions of images and of donors, (n,) each, to changed images (n, 3, H, W)."""


@dataclass(frozen=True, eq=False)
class Transplants:
    """One part, transplanted from every class into images of the other classes.

    Attributes:
        part: `CORNERS`, `BACKGROUND`, `PLACE` or `WHOLE_CORNERS`.
        labels: (n,) of the changed images.
        predicted: (n, C), the prediction with the part of a donor of each class; -1 for a class
            without images.
    """

    part: str
    labels: Labels = field(repr=False)
    predicted: Labels = field(repr=False)

    def gains(self, label: int) -> NDArray[np.float64]:
        """How much more often the class is answered with its own part than with another's.

        Returns:
            (m,) an image of another class each: whether the class is answered with its part (0 or
            1), less the share of the other classes' parts with which it is, too. Parts of the
            image's own class are left out.
        """
        rows = np.flatnonzero((self.labels != label) & (self.predicted[:, label] >= 0))
        answers = self.predicted[rows]
        counted = answers >= 0
        counted[:, label] = False
        counted[np.arange(len(rows)), self.labels[rows]] = False
        if not counted.any(axis=1).all():
            return np.zeros(0)
        elsewhere = ((answers == label) & counted).sum(axis=1) / counted.sum(axis=1)
        return np.asarray((answers[:, label] == label) - elsewhere, np.float64)


def compute_transplants(
    model: nn.Module,
    inputs: Tensor,
    labels: Labels,
    masks: NDArray[np.uint8] | None,
    num_classes: int,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Transplants, ...]:
    """Transplant every part that the data allow.

    Args:
        model: Left as found.
        inputs: (N, 3, H, W) float, preprocessed.
        labels: (N,) true classes.
        masks: (N, H, W), 0 where the background is; images without an object are left out. None:
            no masks, and only whole corners are changed.
        num_classes: Of the model.
        seed: Of which images are changed, and of the donors.
        progress: Is told how far it is.
    """
    inputs, labels = inputs.float().cpu(), np.asarray(labels, np.int64)
    rng = np.random.default_rng(seed)
    masked = masks is not None and bool((np.asarray(masks) > 0).any())
    objects = torch.from_numpy(np.asarray(masks) > 0) if masked else None
    usable = np.arange(len(labels))
    if objects is not None:
        usable = np.flatnonzero(objects.flatten(1).any(1).numpy())
    grafts = _grafts(inputs, objects, seed)
    chosen = np.sort(rng.permutation(usable)[: max(1, MAX_PASSES // num_classes)])
    donors = {c: usable[labels[usable] == c] for c in range(num_classes)}
    predicted = {part: np.full((len(chosen), num_classes), -1, np.int64) for part in grafts}
    steps = [(part, label) for part in grafts for label, own in donors.items() if len(own)]
    for part, label in progress(steps, "changing surroundings"):
        of = rng.choice(donors[label], len(chosen))
        for span in batch_slices(inputs[: len(chosen)]):
            changed = grafts[part](chosen[span], of[span])
            predicted[part][span, label] = predicted_classes(model, changed)
    return tuple(Transplants(part, labels[chosen], p) for part, p in predicted.items())


def _grafts(inputs: Tensor, objects: Tensor | None, seed: int) -> dict[str, Graft]:
    height, width = inputs.shape[2:]
    y, x = (torch.minimum(torch.arange(n), n - 1 - torch.arange(n)) / n for n in (height, width))
    corners = (y[:, None] < CORNER) & (x[None, :] < CORNER)
    if objects is None:
        return {WHOLE_CORNERS: lambda rows, of: torch.where(corners, inputs[of], inputs[rows])}
    generator = torch.Generator().manual_seed(seed)
    rim = max(1, round(RIM * height))
    grown = F.max_pool2d(objects[:, None].float(), 2 * rim + 1, 1, rim)[:, 0] > 0
    emptied = torch.cat(
        [fill_from_around(inputs[p], grown[p], generator) for p in batch_slices(inputs)]
    )

    def surroundings(where: Tensor) -> Graft:
        return lambda rows, of: torch.where(where & ~objects[rows, None], emptied[of], inputs[rows])

    def place(rows: Rows, of: Rows) -> Tensor:
        return _placed(inputs[rows], emptied[rows], objects[rows], objects[of])

    return {CORNERS: surroundings(corners), BACKGROUND: surroundings(~corners), PLACE: place}


def _placed(images: Tensor, emptied: Tensor, own: Tensor, like: Tensor) -> Tensor:
    """Objects with the size and the place of others, on their own background.

    Args:
        images: (n, 3, H, W).
        emptied: The same without their objects.
        own: (n, H, W) bool, the objects.
        like: (n, H, W) bool, those whose area and middle they get.
    """
    (area, middle), (goal, there) = _area_and_middle(own), _area_and_middle(like)
    scale = (goal / area).sqrt().clamp(1 / LARGEST_SCALE, LARGEST_SCALE)
    turn = torch.eye(2)[None] / scale[:, None, None]
    theta = torch.cat([turn, (middle - there / scale[:, None])[:, :, None]], dim=2)
    both = torch.cat([images, own[:, None].float()], dim=1)
    grid = F.affine_grid(theta, list(both.shape), align_corners=False)
    moved = F.grid_sample(both, grid, align_corners=False)
    inside = moved[:, 3:].clamp(0, 1)
    colours = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return inside * colours + (1 - inside) * emptied


def _area_and_middle(objects: Tensor) -> tuple[Tensor, Tensor]:
    """(n,) pixels, and (n, 2) the middle as x and y in -1..1, of objects (n, H, W)."""
    mass = objects.float()
    area = mass.sum((1, 2)).clamp(min=1)
    height, width = mass.shape[1:]
    y, x = ((torch.arange(n) + 0.5) / n * 2 - 1 for n in (height, width))
    across, down = (mass.sum(1) @ x) / area, (mass.sum(2) @ y) / area
    return area, torch.stack([across, down], dim=1)
