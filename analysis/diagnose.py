"""What the best model sees, and where it fails: ``python -m analysis.diagnose runs/<study>``.

Writes ``diagnosis/<trial>/index.html`` (opens offline), its figures and every number below the
study; prints the page's path. Interrupted, it goes on where it was when called again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deepsight.command_line import Parser, run_command
from deepsight.imports import add_trust_flag, permission_of
from deepsight.run_store import require_study

INTERRUPTED = "stopped; what is finished is kept: the same command goes on from here"


def make_parser() -> Parser:
    """What the command takes."""
    made = Parser(prog="python -m analysis.diagnose", description=__doc__)
    made.add_argument("study", type=Path, metavar="STUDY", help="a study's directory")
    made.add_argument("--trial", metavar="ID", help="a trial (default: the incumbent)")
    made.add_argument("--split", choices=("test", "val"), default="test", help="which images")
    made.add_argument(
        "--groups",
        nargs="+",
        default=(),
        metavar="NAME=CLASS,CLASS",
        help="groups of classes to compare, as in rigid=car,ship organic=cat,dog",
    )
    made.add_argument(
        "--layer",
        default="",
        metavar="NAME",
        help="whose maps are made (default: the deepest useful)",
    )
    made.add_argument(
        "--epochs-of-attention",
        default="",
        metavar="1,2,9|auto",
        help="train the trial again, and show what it looked at after these epochs",
    )
    made.add_argument("--data", metavar="NAME", help="where the data are now, if they have moved")
    add_trust_flag(made)
    made.add_argument("--masks", metavar="FOLDER", help="masks of folder: data (data.masks)")
    made.add_argument("--device", choices=("cpu", "cuda"), help="default: what suits this machine")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run_command(make_parser(), _run, arguments, interrupted=INTERRUPTED)


def _run(options: argparse.Namespace) -> int:
    require_study(options.study)  # before torch is imported
    from analysis.diagnosis.build import make_diagnosis
    from analysis.diagnosis.groups import parse_groups
    from analysis.diagnosis.progress import bar

    page = make_diagnosis(
        options.study,
        options.trial,
        split=options.split,
        groups=parse_groups(options.groups),
        data=options.data,
        masks=options.masks,
        device=options.device,
        layer=options.layer,
        epochs_of_attention=options.epochs_of_attention,
        progress=bar,
        permission=permission_of(options),
    )
    sys.stdout.write(f"{page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
