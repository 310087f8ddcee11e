"""The sections on what the model looks at, and on what it needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.diagnosis.map_results import MapResults
from analysis.diagnosis.maps import check_figures, figures
from analysis.diagnosis.maps.grad_cam import ClassMaps, mean_maps
from analysis.diagnosis.maps.samples import MapSamples
from analysis.diagnosis.maps.tables import attention_table, checks_table, interventions_table
from analysis.diagnosis.page.pictures import Drawing, Drawings, pictures_of
from analysis.diagnosis.results import Results
from analysis.page.document import Block, Note, Section


def plan_map_drawings(
    results: Results, found: MapResults, images: npt.NDArray[np.uint8]
) -> list[Drawing]:
    """All figures of maps and interventions.

    Args:
        results: Whose classes and confidences they show.
        found: What they draw.
        images: (N, H, W, 3) uint8, the split.
    """
    return [*_of_maps(results, found, images), *_of_checks(results, found)]


def _of_maps(results: Results, found: MapResults, images: npt.NDArray[np.uint8]) -> list[Drawing]:
    names, rows = results.names, found.samples
    samples = MapSamples(
        images=images[rows],
        maps=_some(found.maps, rows),
        confidence=results.evaluation.confidence[rows],
        names=names,
        verdict=found.grad_cam_verdict,
    )
    titles = [names[label] for label in found.maps.predictions[rows]]
    return [
        Drawing(
            "gradcam_samples",
            lambda: figures.draw_gradcam_samples(samples),
            "Right and wrong predictions with Grad-CAM for the true and the predicted class",
            f"The most confident hits and errors. {found.grad_cam_verdict}",
        ),
        Drawing(
            "mean_map_per_class",
            lambda: figures.draw_mean_maps(
                mean_maps(found.maps, len(names)), names, found.grad_cam_verdict
            ),
            "Mean Grad-CAM of every class",
            f"Mean Grad-CAM at {found.maps.layer}. {found.grad_cam_verdict}",
        ),
        Drawing(
            "guided_backprop",
            lambda: figures.draw_guided_backprop(
                images[rows],
                found.sample_gradients,
                titles,
                found.neurons,
                images[found.neurons.images],
                found.guided_verdict,
            ),
            "Guided backpropagation of predictions and of single neurons",
            f"Guided backpropagation. {found.guided_verdict}",
        ),
        Drawing(
            "feature_maps",
            lambda: figures.draw_feature_maps(found.features, images[rows[:3]]),
            "Kernels and outputs of the first convolution",
            "What the first convolution makes of three images.",
        ),
    ]


def _of_checks(results: Results, found: MapResults) -> list[Drawing]:
    names = results.names
    drawn = [
        Drawing(
            "map_checks",
            lambda: check_figures.draw_map_checks(found.checks),
            "Maps against maps that know nothing, and against maps of a random model",
            f"Checks of the maps, n = {found.checks.num_images} images.",
        ),
        Drawing(
            "interventions",
            lambda: check_figures.draw_interventions(found.interventions, names),
            "Change of the accuracy on changed images, in all and by class",
            "What the accuracy does when images are changed; 95 % intervals.",
        ),
    ]
    if found.interventions.occlusion is not None:
        drawn.append(
            Drawing(
                "occlusion",
                lambda: check_figures.draw_occlusion(found.interventions, names),
                "Change of the accuracy when one cell is greyed",
                f"One cell greyed, n = {found.interventions.num_images} images.",
            )
        )
    return drawn


def _some(maps: ClassMaps, rows: npt.NDArray[np.int64]) -> ClassMaps:
    return ClassMaps(
        maps.layer,
        maps.labels[rows],
        maps.predictions[rows],
        maps.true[rows],
        maps.predicted[rows],
    )


def map_sections(
    results: Results, found: MapResults | str, drawings: Drawings
) -> tuple[Section, ...]:
    """The sections, from results or from the reason why there are none."""
    title = "What the model looks at"
    if isinstance(found, str):
        return (Section("maps", title, "There are no maps.", (Note(found, warning=True),)),)
    verdicts = found.checks.verdicts.values()
    looks: tuple[Block, ...] = (
        *(Note(v.sentence, warning=not v.is_evidence) for v in verdicts),
        *pictures_of(drawings, "gradcam_samples", "mean_map_per_class"),
        attention_table(found.attention),
        *pictures_of(drawings, "guided_backprop", "feature_maps", "map_checks"),
        checks_table(found.checks),
    )
    info = found.interventions
    needs: tuple[Block, ...] = (
        *([Note(info.missing)] if info.missing else []),
        *pictures_of(drawings, "interventions", "occlusion"),
        interventions_table(info, results.evaluation.classes),
    )
    lead = (
        f"Maps of {found.maps.layer}: one value a cell. A map counts as evidence only if it beats "
        "maps that know nothing of the model."
    )
    change = "Images are changed, and classified again: what does the accuracy do?"
    return (
        Section("maps", title, lead, looks),
        Section("interventions", "What the model needs", change, needs),
    )
