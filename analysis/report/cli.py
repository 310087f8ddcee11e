"""What a study says, as a page: ``python -m analysis.report runs/<study>``.

Writes ``report/index.html`` (opens offline, all figures inside), ``report.md``, the figures and
every number below the study; prints the page's path. Several studies are compared with the first,
below which ``report/comparison/`` is written. What another tool wrote is adopted for the report
alone (docs/adopt.md), which goes to ``NAME-report/`` in the current directory, or to --out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.adopt.command import add_options
from analysis.adopt.readers import recognised
from deepsight.command_line import Parser, run_command
from deepsight.config import UserError
from deepsight.run_store import HEADER_FILE, require_study

FOREIGN = ("space", "metric", "mode", "max_epochs", "study", "out")
"""Options for what another tool wrote."""
PROCESSES = 2
"""Each computes on one thread."""


def make_parser() -> Parser:
    """What the command takes."""
    parser = Parser(prog="python -m analysis.report", description=__doc__)
    several = "a study's directory, several of which are compared with the first; or a source"
    parser.add_argument("studies", nargs="+", metavar="STUDY", help=several)
    add_options(parser.add_argument_group("for what another tool wrote"))
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the report of it goes")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run_command(make_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> int:
    sys.stdout.write(f"{_page(options)}\n")
    return 0


def _page(options: argparse.Namespace) -> Path:
    """Write what is asked for; returns the page."""
    first, *others = options.studies
    paths = [Path(path) for path in options.studies]
    foreign = not others and not (paths[0] / HEADER_FILE).exists() and bool(recognised(first))
    for path in () if foreign else paths:
        require_study(path)
    from analysis.report import build  # imports SciPy and Matplotlib

    if foreign:
        return build.make_source_report(first, options, PROCESSES)
    if any(getattr(options, name) is not None for name in FOREIGN):
        raise UserError(
            f"{', '.join(options.studies)}: options of a source are of no use here.",
            "Leave them out; or adopt the source first: python -m analysis.adopt.",
        )
    return build.make_comparison(paths) if others else build.make_report(paths[0], PROCESSES)
