"""Makes the report of a study, of several, or of what another tool wrote.

A report is ``index.html`` (opens offline, all figures inside), ``report.md``, the figures and every
number.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from analysis.adopt.command import adopt_source, wanted_by, write_adopted
from analysis.figures.style import style
from analysis.page.document import Document
from analysis.page.files import write_report
from analysis.report.comparison_sections import comparison_document
from analysis.report.key_results import cards, key_results
from analysis.report.origin_section import origin_sections
from analysis.report.study_results import compute_study_results
from analysis.report.study_sections import OWN_ONLY, SECTIONS
from analysis.statistics.comparison import compute_comparison
from deepsight.files import make_folder
from deepsight.run_store import Study, load_study, storage_error

REPORT, COMPARISON = "report", "comparison"
INTERVALS = "Intervals are 95 %. Scores after different numbers of epochs are never compared."


def make_report(path: Path, processes: int = 1) -> Path:
    """Write the report of one study; returns the page.

    Args:
        path: The study's directory.
        processes: 2 computes in two, for commands only (`compute_sensitivity`).

    Raises:
        UserError: If there is no study, its header is damaged, or the disk refuses.
    """
    study, troubles = read(path)
    try:
        folder = make_folder(study.directory, [REPORT])
        return write_report(study_document(study, troubles, processes), folder)
    except OSError as error:
        raise storage_error(study.directory / REPORT, error) from error


def make_comparison(paths: Sequence[Path]) -> Path:
    """Write the comparison of several studies below the first; returns the page.

    Raises:
        UserError: As `make_report` does, for any of them.
    """
    studies, troubles = zip(*(read(path) for path in paths), strict=True)
    directory = studies[0].directory
    try:
        folder = make_folder(directory, [REPORT, COMPARISON])
        info = compute_comparison(studies)
        with style():
            document = comparison_document(info, [line for lines in troubles for line in lines])
        return write_report(document, folder)
    except OSError as error:
        raise storage_error(directory / REPORT / COMPARISON, error) from error


def make_source_report(source: str, options: argparse.Namespace, processes: int = 1) -> Path:
    """Write the report of what another tool wrote, without keeping the study; returns the page.

    Args:
        source: A folder, file or address that docs/adopt.md names.
        options: Of `add_options`, and ``out``, the report's folder.
        processes: As `make_report` takes it.

    Raises:
        UserError: If it cannot be adopted, or the disk refuses.
    """
    name = "adopted" if "://" in source else Path(source).resolve().stem
    folder = options.out or Path(f"{name}-report")
    adopted = adopt_source(source, wanted_by(options), options.space)
    with tempfile.TemporaryDirectory() as aside:
        study = write_adopted(adopted, source, Path(aside) / name)
        document = study_document(study, (), processes)
    document = replace(document, footer=(f"{INTERVALS} The study itself was not kept.",))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write_report(document, folder)
    except OSError as error:
        raise storage_error(folder, error) from error


def read(path: Path) -> tuple[Study, list[str]]:
    """The study, and a line for each thing of its files that was left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study = load_study(path, skip_damaged=True)
    return study, [str(w.message) for w in caught] + [f"Left out: {s}" for s in study.skipped]


def study_document(study: Study, troubles: Sequence[str], processes: int = 1) -> Document:
    """The report of one study, before it is written."""
    results = compute_study_results(study, processes=processes)
    with style():
        asked = [section for section in SECTIONS if not study.adopted or section not in OWN_ONLY]
        sections = (*(section(results) for section in asked), *origin_sections(results))
    created = (study.header.created or "")[:10]
    about = [f"DeepSight study report, {study.metric}", study.header.data.get("name"), created]
    return Document(
        title=f"Study {study.header.name}",
        subtitle=" · ".join(str(part) for part in about if part),
        key_results=key_results(results),
        cards=cards(results),
        sections=sections,
        warnings=tuple(troubles),
        footer=(
            f"{INTERVALS} Trials are listed in data/trials.csv; {study.metric} of every epoch is "
            "in results.jsonl of the study.",
        ),
    )
