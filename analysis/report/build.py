"""What a study says, as a page: ``python -m analysis.report runs/<study>``.

Writes ``report/index.html`` (opens offline, all figures inside), ``report.md``, the figures and
every number below the study; prints the page's path. Several studies are compared with the first,
below which ``report/comparison/`` is written.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from analysis.figures.style import style
from analysis.page.document import Document
from analysis.page.files import write_report
from analysis.report.comparison_sections import comparison_document
from analysis.report.key_results import cards, key_results
from analysis.report.study_results import compute_study_results
from analysis.report.study_sections import SECTIONS
from analysis.statistics.comparison import compute_comparison
from deepsight.config import UserError
from deepsight.files import make_folder
from deepsight.run_store import Study, load_study, storage_error
from deepsight.standard_streams import start_command

REPORT, COMPARISON = "report", "comparison"


def make_report(path: Path) -> Path:
    """Write the report of one study; returns the page.

    Raises:
        UserError: If there is no study, its header is damaged, or the disk refuses.
    """
    study, troubles = read(path)
    try:
        folder = make_folder(study.directory, [REPORT])
        return write_report(study_document(study, troubles), folder)
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


def read(path: Path) -> tuple[Study, list[str]]:
    """The study, and a line for each thing of its files that was left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study = load_study(path, skip_damaged=True)
    return study, [str(w.message) for w in caught] + [f"Left out: {s}" for s in study.skipped]


def study_document(study: Study, troubles: Sequence[str]) -> Document:
    """The report of one study, before it is written."""
    results = compute_study_results(study)
    with style():
        sections = tuple(section(results) for section in SECTIONS)
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
            "Intervals are 95 %. Scores after different numbers of epochs are never compared. "
            f"Trials are listed in data/trials.csv; {study.metric} of every epoch is in "
            "results.jsonl of the study.",
        ),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description=__doc__)
    several = "a study's directory; several are compared with the first"
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY", help=several)
    start_command()
    options = parser.parse_args(arguments)
    try:
        first, *others = options.studies
        page = make_comparison(options.studies) if others else make_report(first)
    except UserError as error:
        sys.stderr.write(f"error: {error.cause}\n{error.remedy}\n")
        return error.exit_code
    sys.stdout.write(f"{page}\n")
    return 0
