"""Is what one says of a study so? ``python -m analysis.claims runs/<study> CLAIMS.yaml``."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from deepsight.config import UserError, without_controls
from deepsight.standard_streams import start_command


def make_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(
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
    start_command()
    options = make_parser().parse_args(arguments)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            told = _run(options)
        except UserError as error:
            sys.stderr.write(f"error: {error.cause}\n{error.remedy}\n")
            return error.exit_code
        except KeyboardInterrupt:
            return 130
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            sys.stderr.write(f"warning: {without_controls(str(warning.message))}\n")
    sys.stdout.write(told)
    return 0


def _run(options: argparse.Namespace) -> str:
    from analysis.claims.claim_files import asked_names, load_claims
    from analysis.claims.page import claims_text, write_claims
    from analysis.claims.verdicts import judge
    from deepsight.run_store import load_study

    file = load_claims(options.file, asked_names(options.only))
    study = load_study(options.study)
    second = second_study(options.other, [c.other for c in file.claims])
    judged = judge(study, file, load_study(second) if second else None)
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
