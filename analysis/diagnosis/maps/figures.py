"""Figures of maps. Every map is drawn in the cells that it has, with its scale beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.diagnosis.maps.feature_maps import FeatureMaps
from analysis.diagnosis.maps.grad_cam import MeanMaps, positive
from analysis.diagnosis.maps.guided_backprop import NeuronGradients
from analysis.diagnosis.maps.passes import Floats
from analysis.diagnosis.maps.samples import MapSamples
from analysis.figures.style import new_figure

FOR, DIFFERENCE, STRENGTH = "inferno", "PuOr_r", "magma"
"""Colours of maps for a class, of differences, of gradients."""

MAX_CHANNELS = 12
"""Channels of the first layer that are shown, those that vary most."""

_TEXT = 7.5
_MUTED = "#4a4f57"
_VEIL = 0.62  # opacity of a map over its image


def draw_gradcam_samples(info: MapSamples) -> Figure:
    """Each image with its map for the true class, for the predicted one, and their difference."""
    rows = len(info.images)
    figure = new_figure(width=7.6, height=1.75 * max(rows, 1) + 1.0)
    if not rows:
        return _nothing(figure, "no images to show")
    grid = figure.subplots(rows, 4, squeeze=False)
    for k, axes in enumerate(grid):
        _sample_row(figure, axes, info, k)
    for axes, title in zip(
        grid[0],
        ("image", "for the true class", "for the predicted class", "difference"),
        strict=True,
    ):
        axes.set_title(title, fontsize=8.5)
    figure.suptitle(f"Grad-CAM at {info.maps.layer}; scales in logits a cell", fontsize=10)
    beneath(figure, info.verdict)
    return figure


def _sample_row(figure: Figure, axes: NDArray[Any], info: MapSamples, k: int) -> None:
    maps, image = info.maps, info.images[k]
    true, predicted = info.names[maps.labels[k]], info.names[maps.predictions[k]]
    picture(axes[0], image)
    right = bool(maps.is_right[k])
    said = "right" if right else f"taken for {_short(predicted)}"
    axes[0].set_ylabel(f"{_short(true)}\n{said}\n{info.confidence[k]:.0%} sure", fontsize=_TEXT)
    shown = positive(np.stack([maps.true[k], maps.predicted[k]]))
    most = float(shown.max()) or 1.0  # one scale for both, so that they compare
    for panel, values in zip(axes[1:3], shown, strict=True):
        if right and panel is axes[2]:
            _empty_map(figure, panel, image, "the same class")
        else:
            map_over(figure, panel, image, values, FOR, 0.0, most)
    if right:
        _empty_map(figure, axes[3], image, "none")
    else:
        reach = float(np.abs(maps.difference[k]).max()) or 1.0
        map_over(figure, axes[3], image, maps.difference[k], DIFFERENCE, -reach, reach)


def draw_mean_maps(info: MeanMaps, names: Sequence[str], verdict: str = "") -> Figure:
    """The mean map of every class on one scale; 1 is what a map that is alike everywhere has."""
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(width=7.6, height=1.6 * rows + 1.1)
    grid = figure.subplots(rows, columns, squeeze=False)
    cells = info.layer.rows * info.layer.columns
    relative = info.maps * cells
    known = relative[np.isfinite(relative)]
    most = max(float(known.max()) if len(known) else 1.0, 1.0)
    image = None
    for k, axes in enumerate(grid.flat):
        _bare(axes)
        if k >= len(names):
            axes.set_visible(False)
        elif info.counts[k]:
            image = axes.imshow(relative[k], cmap=FOR, vmin=0, vmax=most, interpolation="nearest")
            axes.set_title(f"{_short(names[k], 18)}\nn={info.counts[k]}", fontsize=_TEXT)
        else:
            _blank(axes, "no map")
            axes.set_title(f"{_short(names[k], 18)}\nn=0", fontsize=_TEXT)
    if image is not None:
        bar = figure.colorbar(image, ax=grid.ravel().tolist(), shrink=0.8, pad=0.02)
        bar.set_label("share of the map, by that of an even one", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    figure.suptitle(f"Mean Grad-CAM for the true class at {info.layer}", fontsize=10)
    beneath(figure, verdict)
    return figure


def draw_feature_maps(info: FeatureMaps, images: NDArray[np.uint8]) -> Figure:
    """Kernels of the first convolution and what they make of a few images.

    Args:
        info: Of the same images.
        images: (n, H, W, 3) uint8.
    """
    spread = info.maps.std(axis=(0, 2, 3))
    channels = np.sort(np.argsort(-spread, kind="stable")[:MAX_CHANNELS])
    columns = len(channels) + 1
    figure = new_figure(width=0.85 * columns + 0.9, height=0.9 * (len(images) + 1) + 1.0)
    grid = figure.subplots(len(images) + 1, columns, squeeze=False)
    reach = float(np.abs(info.maps[:, channels]).max()) or 1.0
    _bare(grid[0, 0])
    grid[0, 0].set_frame_on(False)
    grid[0, 0].set_title("kernels", fontsize=_TEXT, y=0.3)
    for panel, channel in zip(grid[0, 1:], channels, strict=True):
        picture(panel, _as_colours(info.kernels[channel]))
        panel.set_title(str(channel), fontsize=_TEXT)
    drawn = None
    for k, image in enumerate(images):
        picture(grid[k + 1, 0], image)
        for panel, channel in zip(grid[k + 1, 1:], channels, strict=True):
            _bare(panel)
            drawn = panel.imshow(
                info.maps[k, channel],
                cmap="RdBu_r",
                vmin=-reach,
                vmax=reach,
                interpolation="nearest",
            )
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=grid[1:].ravel().tolist(), shrink=0.8, pad=0.01)
        bar.set_label("output of the convolution", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    layer = info.layer
    figure.suptitle(
        f"First convolution: {layer}; {len(channels)} of {layer.channels} channels, "
        "those that vary most",
        fontsize=10,
    )
    return figure


def draw_guided_backprop(
    images: NDArray[np.uint8],
    gradients: Floats,
    titles: Sequence[str],
    neurons: NeuronGradients,
    neuron_images: NDArray[np.uint8],
    verdict: str = "",
) -> Figure:
    """Guided gradients of the predicted class's logit, and of single neurons.

    Args:
        images: (n, H, W, 3) uint8.
        gradients: (n, 3, H, W), of the output.
        titles: (n,) what each image is.
        neurons: The neurons.
        neuron_images: (K, H, W, 3) uint8: the image that excites each most.
        verdict: Shown beneath.
    """
    columns = max(len(images), len(neuron_images), 1)
    figure = new_figure(width=1.5 * columns + 0.4, height=6.4)
    upper, lower = figure.subfigures(2, 1, squeeze=False, hspace=0.04)[:, 0]
    upper.suptitle("Guided backpropagation of the predicted class's logit", fontsize=10)
    _gradient_rows(upper, images, gradients, titles, columns)
    layer = neurons.layer
    lower.suptitle(
        f"of single neurons of {layer.name} ({layer.rows}x{layer.columns} cells), "
        "on the image that excites each most",
        fontsize=10,
    )
    named = [
        f"channel {c}\nrow {r + 1}, column {w + 1}"
        for c, r, w in zip(neurons.channels, neurons.rows, neurons.columns, strict=True)
    ]
    _gradient_rows(lower, neuron_images, neurons.gradients, named, columns)
    beneath(figure, verdict)
    return figure


def _gradient_rows(
    figure: Any,
    images: NDArray[np.uint8],
    gradients: Floats,
    titles: Sequence[str],
    columns: int,
) -> None:
    grid = figure.subplots(2, columns, squeeze=False)
    for k in range(columns):
        for axes in grid[:, k]:
            _bare(axes)
            axes.set_visible(k < len(images))
        if k < len(images):
            picture(grid[0, k], images[k])
            grid[0, k].set_title(titles[k], fontsize=_TEXT)
            strength = np.abs(gradients[k]).max(axis=0)
            drawn = grid[1, k].imshow(strength, cmap=STRENGTH, vmin=0, interpolation="nearest")
            _scale(figure, drawn, grid[1, k])
    grid[1, 0].set_ylabel("strongest of the\ncolours' gradients", fontsize=_TEXT)


def map_over(
    figure: Figure,
    axes: Axes,
    image: NDArray[np.uint8],
    values: Floats,
    colours: str,
    low: float,
    high: float,
    scale: bool = True,
) -> Any:
    """A map in its own cells over the grey image, with its scale unless several share one."""
    _bare(axes)
    height, width = image.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(image.mean(axis=2), cmap="gray", vmin=0, vmax=255, extent=extent)
    drawn = axes.imshow(
        values,
        cmap=colours,
        vmin=low,
        vmax=high,
        alpha=_VEIL,
        extent=extent,
        interpolation="nearest",
    )
    if scale:
        _scale(figure, drawn, axes)
    return drawn


def _empty_map(figure: Figure, axes: Axes, image: NDArray[np.uint8], text: str) -> None:
    """A place without a map, of the size of one."""
    _blank(axes, text)
    drawn = axes.imshow(np.full(image.shape[:2], np.nan), vmin=0, vmax=1)
    _scale(figure, drawn, axes).set_visible(False)


def row_scale(figure: Figure, drawn: Any, row: NDArray[Any]) -> None:
    """One colour scale for a row of panels, beside the last one."""
    bar = figure.colorbar(drawn, ax=row.tolist(), fraction=0.02, pad=0.01)
    bar.ax.tick_params(labelsize=6, length=2)
    bar.ax.locator_params(nbins=4)


def _scale(figure: Any, drawn: Any, axes: Axes) -> Axes:
    """The colour scale of one panel, beside it."""
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.03)
    bar.ax.tick_params(labelsize=6, length=2)
    bar.ax.locator_params(nbins=4)
    axis: Axes = bar.ax
    return axis


def picture(axes: Axes, image: NDArray[Any]) -> None:
    """An image (H, W, 3), its pixels as they are."""
    _bare(axes)
    axes.imshow(image, interpolation="nearest")


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def _blank(axes: Axes, text: str) -> None:
    _bare(axes)
    axes.set_frame_on(False)
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=_TEXT, transform=axes.transAxes)


def _nothing(figure: Figure, text: str) -> Figure:
    _blank(figure.subplots(), text)
    return figure


def beneath(figure: Figure, text: str) -> None:
    """A sentence under everything, in lines that fit."""
    if text:
        width = int(figure.get_figwidth() * 17)
        figure.supxlabel("\n".join(textwrap.wrap(text, width)), fontsize=_TEXT, color=_MUTED)


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}\u2026"


def _as_colours(kernel: Floats) -> NDArray[np.float64]:
    """(3, h, w) weights as a picture: grey is zero."""
    reach = float(np.abs(kernel).max()) or 1.0
    return np.asarray(0.5 + 0.5 * kernel.transpose(1, 2, 0) / reach, np.float64)
