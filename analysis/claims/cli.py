"""Is what one says of a study so? ``python -m analysis.claims runs/<study> CLAIMS.yaml``."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from analysis.claims.claim_files import asked_names, load_claims
from deepsight.command_line import Parser, run_command
from deepsight.config import UserError, without_controls
from deepsight.run_store import load_study, require_study


def make_parser() -> Parser:
    """The flags."""
    parser = Parser(
        prog="python -m analysis.claims",
        description="Judge the claims of a file: supported, refuted or undecided.",
        epilog="The last line of standard output is the page.",
    )
    add = parser.add_argument
    add("study", type=Path, metavar="runs/STUDY", help="the study that the claims are about")
    add("file", metavar="CLAIMS", help="a YAML file, or the name of one in experiments/claims")
    add("--only", nargs="+", metavar="NAME", help="these claims of the file; commas do, too")
    add("--other", type=Path, metavar="runs/STUDY", help="the second study of claims on two")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(make_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> int:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        told = _judged(options)
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            sys.stderr.write(f"warning: {without_controls(str(warning.message))}\n")
    sys.stdout.write(told)
    return 0


def _judged(options: argparse.Namespace) -> str:
    """Judge the claims and write their page; what is said of them."""
    require_study(options.study)
    file = load_claims(options.file, asked_names(options.only))
    second = second_study(options.other, [c.other for c in file.claims])
    studies = [load_study(path) for path in (options.study, second) if path]
    from analysis.claims.page import claims_text, write_claims  # imports SciPy and Matplotlib
    from analysis.claims.verdicts import judge

    judged = judge(studies[0], file, *studies[1:])
    text = without_controls(claims_text(judged, options.file))
    return f"{text}\n{write_claims(judged, options.file)}\n"


def second_study(flag: Path | None, stated: Sequence[str | None]) -> Path | None:
    """The second study of a file's claims: that of the flag, else the one that they state.

    Raises:
        UserError: If they state different ones.
    """
    named = list(dict.fromkeys(name for name in stated if name))
    if flag is not None or not named:
        return flag
    if len(named) > 1:
        raise UserError(
            f"the claims name {len(named)} second studies: {', '.join(named)}.",
            "Ask about one at a time with --only, or say which with --other.",
        )
    return Path(named[0])
