"""Figures of a data set: classes by split, samples, augmented and resized images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.diagnosis.data_pictures.pictures import DataPictures, Images, Resized
from analysis.diagnosis.maps.figures import DIFFERENCE, picture
from analysis.figures.style import BLUE, GREY, SERIES, WIDTH, new_figure

SPLIT_COLOURS = {"train": BLUE, "val": SERIES[1], "test": SERIES[2]}
_SMALL = 7.5


def draw_class_balance(info: DataPictures, names: Sequence[str]) -> Figure:
    """Images of every class, a panel a split; dashed where all classes would have as many."""
    size = len(info.classes)
    figure = new_figure(WIDTH, min(9.0, 1.3 + 0.24 * size))
    panels = figure.subplots(1, len(info.counts), sharey=True)
    step = -(-size // 32)
    for axes, (split, counts) in zip(panels, info.counts.items(), strict=True):
        axes.barh(range(size), counts, 0.78, color=SPLIT_COLOURS[split])
        axes.axvline(sum(counts) / size, ls="--", lw=1, color=GREY)
        axes.set_title(f"{split} (n = {sum(counts):,})", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.grid(visible=False, axis="y")
        axes.tick_params(labelsize=_SMALL)
    panels[0].set_yticks(range(0, size, step), names[::step])
    panels[0].set_ylim(size - 0.4, -0.6)
    figure.supxlabel("images of the class (dashed: all classes alike)", fontsize=9)
    return figure


def draw_samples(info: DataPictures, names: Sequence[str]) -> Figure:
    """Train images of every class."""
    num, per_class = info.samples.shape[:2]
    blocks = min(4, -(-num // 20))
    rows = -(-num // blocks)
    width = 7.6 if blocks > 1 else WIDTH
    tile = (width / blocks - 0.95) / per_class
    figure = new_figure(width, 0.3 + rows * (tile + 0.06))
    panels = figure.subplots(1, blocks, squeeze=False)[0]
    for number, axes in enumerate(panels):
        mine = range(number * rows, min(num, (number + 1) * rows))
        tiles = [info.samples[k] for k in mine]
        tiles += [np.full_like(info.samples[0], 255)] * (rows - len(tiles))
        _montage(axes, np.stack(tiles))
        side = info.samples.shape[2] + gap_of(info.samples)
        centres = [(k + 0.5) * side for k in range(len(mine))]
        axes.set_yticks(centres, [names[info.sampled[k]] for k in mine], fontsize=_SMALL)
    return figure


def draw_augmented(augmented: Images) -> Figure:
    """Each image as it is, then as the network got it, drawn anew each time."""
    columns = augmented.shape[1]
    figure = new_figure(WIDTH, 0.4 + len(augmented) * WIDTH / columns)
    axes = figure.subplots()
    _montage(axes, augmented)
    side = augmented.shape[2] + gap_of(augmented)
    axes.set_xticks(
        [(k + 0.5) * side for k in range(columns)],
        ["as stored", *(f"draw {k}" for k in range(1, columns))],
        fontsize=_SMALL,
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    return figure


def draw_resized(info: Resized) -> Figure:
    """Before, bilinear, bicubic and their difference in levels."""
    num = len(info.before)
    figure = new_figure(7.6, 0.5 + 1.7 * num)
    grid = figure.subplots(num, 4, squeeze=False)
    difference = (info.bicubic.astype(np.float64) - info.bilinear).mean(axis=3)
    reach = max(1.0, float(np.quantile(np.abs(difference), 0.995)))
    drawn = None
    for k, axes in enumerate(grid):
        for panel, image in zip(
            axes, (info.before[k], info.bilinear[k], info.bicubic[k]), strict=False
        ):
            picture(panel, image)
        picture(axes[3], info.bilinear[k])
        for panel in axes:
            panel.set_frame_on(False)
        drawn = axes[3].imshow(difference[k], cmap=DIFFERENCE, vmin=-reach, vmax=reach)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=grid[:, 3].tolist(), fraction=0.06, pad=0.03)
        bar.set_label("bicubic − bilinear, levels of 255", fontsize=_SMALL)
        bar.ax.tick_params(labelsize=_SMALL)
    titles = ["before", "bilinear", "bicubic", "difference"]
    titles = [f"{t} (used)" if t == info.used else t for t in titles]
    for panel, title in zip(grid[0], titles, strict=True):
        panel.set_title(title, fontsize=8.5)
    return figure


def gap_of(tiles: NDArray[np.uint8]) -> int:
    """White pixels between tiles (rows, columns, side, side, 3)."""
    return max(1, int(tiles.shape[2]) // 16)


def _montage(axes: Axes, tiles: Images) -> None:
    """Tiles (rows, columns, side, side, 3) as one picture, their pixels as they are."""
    rows, columns, side = tiles.shape[:3]
    step = side + gap_of(tiles)
    whole = np.full((rows * step, columns * step, 3), 255, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * step, column * step
            whole[top : top + side, left : left + side] = tiles[row, column]
    picture(axes, whole)
    axes.set_frame_on(False)
    axes.tick_params(length=0)
