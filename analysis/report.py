"""What a study says, as a page: ``python -m analysis.report runs/<study>``.

Writes ``report/index.html`` (opens offline, all figures inside), ``report.md``, the figures and
every number below the study; prints the page's path.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from analysis.conclusions import conclude
from analysis.figures import style
from analysis.headline import cards, headline
from analysis.render import write_report
from analysis.report_sections import SECTIONS
from analysis.sections import Document
from analysis.standing import data_of
from deepsight.config import UserError
from deepsight.run_store import Study, load_study, storage_error

REPORT = "report"


def make_report(path: Path) -> Path:
    """Write the report of one study; returns the page.

    Raises:
        UserError: If there is no study, its header is damaged, or the disk refuses.
    """
    study, troubles = read(path)
    document = study_document(study, troubles)
    try:
        return write_report(document, study.directory / REPORT)
    except OSError as error:
        raise storage_error(study.directory / REPORT, error) from error


def read(path: Path) -> tuple[Study, list[str]]:
    """The study, and a line for each thing of its files that was left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study = load_study(path, skip_damaged=True)
    return study, [str(w.message) for w in caught] + [f"Left out: {s}" for s in study.skipped]


def study_document(study: Study, troubles: Sequence[str]) -> Document:
    """The report of one study, before it is written."""
    said = conclude(study)
    with style():
        sections = tuple(section(said) for section in SECTIONS)
    created = str(study.header.get("created") or "")[:10]
    about = [f"DeepSight study report, {study.metric}", data_of(study).get("name"), created]
    return Document(
        title=f"Study {study.header['name']}",
        subtitle=" · ".join(str(part) for part in about if part),
        headline=headline(said),
        cards=cards(said),
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
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY",
                        help="a study's directory")  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        for path in options.studies:
            page = make_report(path)
    except UserError as error:
        sys.stderr.write(f"error: {error.cause}\n{error.remedy}\n")
        return error.exit_code
    sys.stdout.write(f"{page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
