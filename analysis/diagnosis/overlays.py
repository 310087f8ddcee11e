"""Images of a user's own with their maps: a file each, for ``deepsight.predict --map``."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from analysis.diagnosis.maps.figures import FOR, map_over, picture
from analysis.diagnosis.maps.grad_cam import grad_cam, positive
from analysis.diagnosis.maps.layers import Layer, choose_layer
from analysis.diagnosis.maps.passes import Floats, Labels
from analysis.diagnosis.names import figure_names, figure_text
from analysis.figures.style import new_figure, style
from deepsight.trained_model import TrainedModel

NOT_CHECKED = "Whether maps of this model are evidence is what analysis.diagnose checks."


class OverlayWriter:
    """Writes ``0001_NAME.png`` and so on into a folder: image and map for the predicted class."""

    def __init__(self, model: TrainedModel, directory: Path, layer: str = "") -> None:
        """Choose the layer and make the folder.

        Args:
            model: Left as found.
            directory: Made if absent.
            layer: A module's name; empty for the deepest useful one.

        Raises:
            UserError: If the model has no layer that can be mapped, or not this one.
            OSError: If the folder cannot be made.
        """
        self.model, self.directory = model, directory
        self.layer: Layer = choose_layer(model.module, model.input_size, layer)
        self.names = figure_names(model.class_names)
        self.count = 0
        directory.mkdir(parents=True, exist_ok=True)

    def write(
        self,
        files: Sequence[Path],
        images: npt.NDArray[np.uint8],
        labels: Labels,
        probabilities: Sequence[float],
    ) -> None:
        """Write the overlays of some files.

        Args:
            files: (n,) their paths.
            images: (n, H, W, 3) uint8, decoded.
            labels: (n,) predicted classes.
            probabilities: (n,) of these.

        Raises:
            OSError: If the disk does not let us write.
        """
        inputs = self.model.preprocess(images).cpu()
        maps = positive(grad_cam(self.model.module, inputs, labels, self.layer))
        for k, file in enumerate(files):
            self.count += 1
            said = f"{self.names[labels[k]]}: {100 * probabilities[k]:.0f} %"
            title = f"{figure_text(file.name, f'image {self.count}', 40)}: {said}"
            stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in file.stem)[:60]
            path = self.directory / f"{self.count:04d}_{stem}.png"
            aside = path.with_name(f".{self.count}.{os.getpid()}.png")
            with style():
                draw_overlay(images[k], maps[k], self.layer, title).savefig(aside)
            aside.replace(path)


def draw_overlay(image: npt.NDArray[np.uint8], values: Floats, layer: Layer, title: str) -> Figure:
    """The image, and beside it its map in the map's own cells with a scale.

    Args:
        image: (H, W, 3) uint8.
        values: (rows, columns), in logits, none negative.
        layer: Whose cells they are.
        title: Stands above.
    """
    figure = new_figure(width=5.4, height=3.1)
    left, right = figure.subplots(1, 2)
    picture(left, image)
    map_over(figure, right, image, values, FOR, 0.0, float(values.max()) or 1.0)
    figure.suptitle(title, fontsize=9.5)
    text = f"Grad-CAM for the predicted class at {layer}, in logits a cell. {NOT_CHECKED}"
    figure.supxlabel("\n".join(textwrap.wrap(text, 92)), fontsize=7)
    return figure
