"""From a study's directory to the page of its diagnosis; what was made before is kept and used."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.diagnosis.data_pictures.pictures import compute_data_pictures
from analysis.diagnosis.data_pictures.section import data_part
from analysis.diagnosis.evaluation import Evaluation, data_config, evaluate, open_data
from analysis.diagnosis.evidence.collect import collect_evidence
from analysis.diagnosis.findings import Findings, find
from analysis.diagnosis.groups import Groups, default_groups, group_labels
from analysis.diagnosis.map_results import MapResults, compute_map_results
from analysis.diagnosis.object_masks import join_masks, masks_digest
from analysis.diagnosis.page.browser import browser_section
from analysis.diagnosis.page.findings_section import (
    findings_section,
    findings_summary,
    recommendations_of,
)
from analysis.diagnosis.page.map_section import map_sections, plan_map_drawings
from analysis.diagnosis.page.pictures import Drawings, Part, plan_drawings, write_drawings
from analysis.diagnosis.page.sections import (
    diagnosis_document,
    per_class_document,
    summary_text,
)
from analysis.diagnosis.page.sheet_figure import SheetMaps
from analysis.diagnosis.page.tables import numbers_of_classes
from analysis.diagnosis.progress import Progress, silent
from analysis.diagnosis.results import Results, compute_results
from analysis.diagnosis.stability.agreement import compute_agreement, mark_unstable
from analysis.diagnosis.stability.section import stability_part
from analysis.diagnosis.stability.seeds import Seeds, findings_of_seeds
from analysis.diagnosis.training.attention_section import attention_by_epoch, attention_part
from analysis.diagnosis.training.epoch_attention import AttentionByEpoch
from analysis.diagnosis.training.phases import compute_training
from analysis.diagnosis.training.retraining import chosen_epochs
from analysis.diagnosis.training.section import training_part
from analysis.page.document import Document, Section, Table
from analysis.page.files import to_csv
from analysis.page.html import to_html
from deepsight.config import UserError
from deepsight.data.datasets import Dataset, Split
from deepsight.files import FileRefusedError, make_folder, read_file, remove_files, replacing
from deepsight.imports import REFUSE, Permission
from deepsight.run_store import StorageError, storage_error
from deepsight.trained_model import TrainedModel, load_trained_model

FOLDER = "diagnosis"
MADE_FROM, MADE_FROM_BYTES = "made_from.json", 1 << 20
FIGURE = re.compile(r".*\.png")
PAGE = "index.html"
NOT_ASKED = "Maps were not asked for."


def make_diagnosis(
    study: Path,
    trial: str | None = None,
    *,
    split: str = "test",
    groups: Mapping[str, Sequence[str]] | None = None,
    data: str | None = None,
    masks: str | None = None,
    device: str | None = None,
    layer: str = "",
    epochs_of_attention: str = "",
    progress: Progress = silent,
    permission: Permission = REFUSE,
) -> Path:
    """Write what a trained model sees and where it fails; returns the page.

    An interrupted diagnosis goes on where it was: what is finished is used again while checkpoint,
    data, groups and code are the same.

    Args:
        study: Its directory.
        trial: Its id; None is the incumbent.
        split: "test" or "val".
        groups: Names of classes by group; None or none: those that the data set brings.
        data: Where the data are now, if they have moved.
        masks: A folder of masks beside ``folder:`` data; None is what the trial was given.
        device: "cpu" or "cuda"; None is what suits this machine.
        layer: Whose maps are made, by its name in the network; empty is the deepest useful one.
        epochs_of_attention: Epochs whose attention is shown, "1,2,9" or "auto", for which the trial
            is trained again; empty: none.
        progress: Is told how far it is.
        permission: What of the code that the checkpoint names (network, data set) may run.

    Raises:
        UserError: If there is no such study, trial, checkpoint, data, class or layer, the
            checkpoint names code that may not run, or the disk refuses.
    """
    model = load_trained_model(study, trial, device, permission=permission)
    names = model.class_names
    chosen = (
        group_labels(groups, names) if groups else default_groups(model.config.data.name, names)
    )
    if epochs_of_attention:
        chosen_epochs(epochs_of_attention, model)  # a wrong one is said at once
    config = data_config(model, data, masks)
    dataset = open_data(model, config, permission)
    directory = _made_directory(model, split)
    evaluation, images = evaluate(model, dataset, split, directory, progress)
    images = join_masks(images, dataset, split, config)
    results = compute_results(model, evaluation, chosen)
    found = _map_results(results, images, layer, progress, directory)
    try:
        made_from = _made_from(results, chosen)
        made_from |= {"layer": layer, "masks": masks_digest(images.masks)}
        _remove_stale(directory, made_from)
        findings = _findings(model, dataset, evaluation, images, progress)
        seeds = _seeds(results, data, masks, permission, progress)
        agreements = compute_agreement(findings, seeds.found) if seeds.found else ()
        findings = mark_unstable(findings, agreements)
        stability = stability_part(results, seeds, agreements)
        parts = (stability, *_parts(results, dataset, config.name))
        page = _show(results, images, found, findings, parts, directory, progress)
        if epochs_of_attention and isinstance(found, MapResults):  # costs a training: last
            by_epoch = attention_by_epoch(
                results, found, dataset, images, epochs_of_attention, directory, progress
            )
            parts = (stability, *_parts(results, dataset, config.name, by_epoch))
            parts += (attention_part(by_epoch, results, found, images),)
            page = _show(results, images, found, findings, parts, directory, progress)
        return page
    except OSError as error:
        raise storage_error(directory, error) from error


def _show(
    results: Results,
    images: Split,
    found: MapResults | str,
    findings: Findings,
    parts: Sequence[Part],
    directory: Path,
    progress: Progress,
) -> Path:
    """Draw what is not drawn yet, and write the page; returns it."""
    looks = None
    if isinstance(found, MapResults):
        looks = SheetMaps(found.maps, found.grad_cam_verdict)
    drawings = plan_drawings(results, images.images, looks)
    if isinstance(found, MapResults):
        drawings += plan_map_drawings(results, found, images.images)
    drawings += [d for part in parts for d in part.drawings]
    write_drawings(drawings, directory, progress)
    first = (browser_section(results, images.images, looks),) if len(results.evaluation) else ()
    named = {d.name: d for d in drawings}
    return write_pages(results, named, directory, found, first, findings, parts)


def _parts(
    results: Results, dataset: Dataset, name: str, by_epoch: AttentionByEpoch | None = None
) -> tuple[Part, ...]:
    """The sections on what the model was made from."""
    tested = {}
    if by_epoch is not None and results.split == "test" and not by_epoch.difference:
        tested = {e.epoch: e.accuracy for e in by_epoch.epochs}
    training = compute_training(results, len(dataset.val.labels), tested)
    pictures = compute_data_pictures(results.model, dataset, name)
    return training_part(training), data_part(pictures, results.names)


def study_findings(study: Path, trial: str | None = None, split: str = "test") -> Findings:
    """What is wrong with data or model, without a page; keeps evaluations and transplants.

    Args:
        study: Its directory.
        trial: Its id; None is the incumbent.
        split: "test" or "val".

    Raises:
        UserError: As `make_diagnosis`.
    """
    model = load_trained_model(study, trial)
    dataset = open_data(model)
    evaluation, images = evaluate(model, dataset, split, _made_directory(model, split))
    return _findings(model, dataset, evaluation, images, silent)


def _findings(
    model: TrainedModel,
    dataset: Dataset,
    evaluation: Evaluation,
    images: Split,
    progress: Progress,
) -> Findings:
    if not len(evaluation):
        return Findings((), 0, (f"No image of the {evaluation.split} split.",))
    directory = _made_directory(model, evaluation.split)
    of_val = diagnosis_directory(model, "val")
    return find(collect_evidence(model, dataset, evaluation, images, directory, of_val, progress))


def _seeds(
    results: Results,
    data: str | None,
    masks: str | None,
    permission: Permission,
    progress: Progress,
) -> Seeds:
    """What fresh seeds of the same config find on the same split, where there are any."""
    split = results.split

    def diagnose(other: TrainedModel, directory: Path) -> Findings:
        config = data_config(other, data, masks)
        dataset = open_data(other, config, permission)
        evaluation, images = evaluate(other, dataset, split, directory)
        images = join_masks(images, dataset, split, config)
        return _findings(other, dataset, evaluation, images, silent)

    made_from: dict[str, object] = {"split": split, "masks": masks}
    return findings_of_seeds(
        results.model,
        diagnose,
        lambda other: _made_directory(other, split),
        made_from,
        permission,
        progress,
    )


def _map_results(
    results: Results, images: Split, layer: str, progress: Progress, directory: Path
) -> MapResults | str:
    """The maps, or why there are none."""
    if not len(results.evaluation):
        return f"No image of the {results.split} split."
    try:
        return compute_map_results(
            results.model, results.evaluation, images, layer, progress, directory
        )
    except (StorageError, FileRefusedError):
        raise
    except UserError as error:
        if layer:
            raise
        return f"{error.cause} {error.remedy}"  # a network without a grid: the rest is worth having


def diagnosis_directory(model: TrainedModel, split: str) -> Path:
    """Where a model's diagnosis goes: ``<study>/diagnosis/<trial>``, or ``<trial>-val``."""
    name = model.trial_id + ("" if split == "test" else f"-{split}")
    return model.study.directory / FOLDER / name


def _made_directory(model: TrainedModel, split: str) -> Path:
    """`diagnosis_directory`, made if absent; no link below the study is followed."""
    directory = diagnosis_directory(model, split)
    make_folder(model.study.directory, directory.relative_to(model.study.directory).parts)
    return directory


def write_pages(
    results: Results,
    drawings: Drawings,
    directory: Path,
    found: MapResults | str = NOT_ASKED,
    first: tuple[Section, ...] = (),
    findings: Findings | None = None,
    parts: Sequence[Part] = (),
) -> Path:
    """Write the page, the table of classes, every number and the summary; returns the page."""
    if findings is not None:
        beneath = (part.section(drawings) for part in parts if part.on_findings)
        first = (findings_section(findings, results), *beneath, *first)
        _write(directory / "recommendations.md", recommendations_of(findings, results))
    looks = map_sections(results, found, drawings)
    last = tuple(part.section(drawings) for part in parts if not part.on_findings)
    document = diagnosis_document(results, drawings, looks, first, last)
    for table in _tables(document):
        _write(directory / f"{table.name}.csv", to_csv(table))
    for table in (numbers_of_classes(results.scores), *(t for p in parts for t in p.numbers)):
        _write(directory / f"{table.name}.csv", to_csv(table))
    _write(directory / "per_class.html", to_html(per_class_document(results), directory))
    told = [findings_summary(findings, results), *(part.summary for part in parts)]
    _write(directory / "summary.txt", summary_text(results) + "".join(told))
    _write(directory / PAGE, to_html(document, directory))
    return directory / PAGE


def _tables(document: Document) -> list[Table]:
    return [b for section in document.sections for b in section.blocks if isinstance(b, Table)]


def _write(path: Path, text: str) -> None:
    with replacing(path.parent, [path.name]) as aside:
        aside.write_text(text, "utf-8", errors="replace")


def _remove_stale(directory: Path, made_from: Mapping[str, object]) -> None:
    """Remove figures of another checkpoint, of other data, masks, groups, layer or code."""
    path = directory / MADE_FROM
    try:
        kept = json.loads(read_file(directory, [MADE_FROM], MADE_FROM_BYTES))
    except FileRefusedError:
        raise
    except (OSError, ValueError, RecursionError):
        kept = None
    if kept == made_from:
        return
    path.unlink(missing_ok=True)
    for folder in ([], ["worst_predictions"]):
        remove_files(directory, folder, FIGURE)
    _write(path, json.dumps(made_from, indent=1) + "\n")


def _made_from(results: Results, groups: Groups) -> dict[str, object]:
    code = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        code.update(file.read_bytes())
    return {
        "checkpoint": results.model.sha256,
        "data": results.evaluation.fingerprint,
        "split": results.split,
        "groups": {name: list(labels) for name, labels in groups.items()},
        "code": code.hexdigest(),
    }
