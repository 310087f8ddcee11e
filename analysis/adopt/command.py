"""Makes a study of what another tool wrote: ``python -m analysis.adopt SOURCE --out runs/NAME``.

SOURCE is a folder, a file or an address that docs/adopt.md names. It is only read: nothing in it is
unpickled, run or changed. The last line printed is the study's directory. With --dry-run nothing is
written: what would be is printed, with the space as YAML that may be edited and given as --space.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from analysis.adopt.database import shown
from analysis.adopt.found import FoundStudy, Wanted
from analysis.adopt.readers import find_reader
from analysis.adopt.sources.table import from_frame
from analysis.adopt.space_files import read_space, space_text
from analysis.adopt.study import Adopted, prepare, write
from deepsight.command_line import Parser, run_command
from deepsight.config import UserError, unknown, without_controls
from deepsight.run_store import HEADER_FILE, Study, load_study

logger = logging.getLogger(__name__)

MOST_EPOCHS = 10_000_000


def adopt_source(source: str, wanted: Wanted, space: Path | None = None) -> Adopted:
    """Read a source and work out what it leaves open; nothing is written.

    Args:
        source: A folder, a file or an address.
        wanted: What the user says of it.
        space: A file that states the space, or a part of it.

    Raises:
        UserError: If there is no such source, or it leaves open what cannot be worked out.
    """
    if (Path(source) / HEADER_FILE).exists():
        raise UserError(
            f"{source} is a study of DeepSight already.",
            f"Read it as it is: python -m analysis.report {source}",
        )
    if "://" not in source and not Path(source).exists():
        raise UserError(f"{source} does not exist.", "Give a folder, a file or an address.")
    try:
        found = find_reader(source).read(source, wanted)
        if wanted.metric is not None and found.metric is not None:
            wanted = replace(wanted, metric=found.metric)  # an objective may be called by number
    except OSError as error:
        raise UserError(
            f"{source} cannot be read: {error.strerror or error}.", "Look at its permissions."
        ) from error
    return adopt_found(found, wanted, space)


def adopt_found(found: FoundStudy, wanted: Wanted, space: Path | None = None) -> Adopted:
    """`adopt_source` from what a reader has returned."""
    domains, ignored = read_space(space) if space else ({}, ())
    return prepare(found, wanted, domains, ignored)


def write_adopted(adopted: Adopted, source: str, directory: Path) -> Study:
    """Write the study, and return it as it reads.

    Args:
        adopted: What `adopt_source` returned.
        source: Where it is from; a path is stored in full, an address without its password.
        directory: Must not exist.

    Raises:
        UserError: If it exists, or the disk refuses.
    """
    if directory.exists():
        raise UserError(f"{directory} exists already.", "Choose another --out, or move it away.")
    is_path = "://" not in source and Path(source).exists()
    write(adopted, str(Path(source).resolve()) if is_path else shown(source), directory)
    return load_study(directory)


def adopt(
    source: Any, directory: Path, space: str | Path | None, stated: Mapping[str, str | int | None]
) -> Study:
    """Adopt a source, or a data frame, and write it; what `deepsight.adopt` does.

    Raises:
        UserError: As `adopt_source` and `write_adopted`; also if `stated` has another name than
            `Wanted`.
    """
    known = [f.name for f in fields(Wanted)]
    for name in stated:
        if name not in known:
            raise unknown("argument", name, known)
    wanted, file = Wanted(**stated), None if space is None else Path(space)  # type: ignore[arg-type]
    if isinstance(source, str | Path):
        return write_adopted(adopt_source(str(source), wanted, file), str(source), directory)
    found = from_frame(source, wanted.study or "table")
    return write_adopted(adopt_found(found, wanted, file), "DataFrame", directory)


def description(adopted: Adopted) -> str:
    """What would be written: comments, then the space as YAML."""
    judged, settled = adopted.judged, adopted.settled
    epochs = sum(len(record.rows) for record in adopted.records)
    states = ", ".join(f"{n} {state}" for state, n in adopted.states.items())
    lines = [
        f"{adopted.found.name}, of {adopted.found.tool}: {len(adopted.records)} trials ({states}), "
        f"{epochs} results",
        f"compared by {judged.metric} ({judged.mode}) after {judged.max_epochs} epochs; rungs "
        f"{', '.join(map(str, judged.rungs))}",
        *adopted.notes,
    ]
    if settled.fixed:
        held = ", ".join(f"{n} {v}" for n, v in settled.fixed.items())
        lines.append(f"the same in all trials: {held}"[:2000])
    lines.append("The space; edit it and give this file as --space. NAME: ignore leaves one out.")
    comments = "".join(f"# {without_controls(line)}\n" for line in lines)
    return comments + without_controls(space_text(settled.space, settled.reasons))


def add_options(parser: argparse._ActionsContainer) -> None:
    """What a user may say of a source."""
    parser.add_argument("--space", type=Path, metavar="FILE", help="YAML that states the space")
    parser.add_argument("--metric", help="by which trials are compared, as the source spells it")
    parser.add_argument("--mode", choices=("max", "min"), help="which direction is better")
    parser.add_argument(
        "--max-epochs", type=_epochs, metavar="N", help="full budget of a trial, in epochs"
    )
    parser.add_argument("--study", metavar="NAME", help="which one, where a source holds several")


def _epochs(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= MOST_EPOCHS:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {MOST_EPOCHS}")
    return number


def wanted_by(options: argparse.Namespace) -> Wanted:
    """What the options of `add_options` say."""
    return Wanted(options.metric, options.mode, options.max_epochs, options.study)


def make_parser() -> Parser:
    """What the command takes."""
    summary = (__doc__ or "").partition("\n\n")
    parser = Parser(prog="python -m analysis.adopt", description=summary[0], epilog=summary[2])
    parser.add_argument("source", metavar="SOURCE", help="what the other tool wrote")
    add_options(parser)
    parser.add_argument("--out", type=Path, metavar="runs/NAME", help="the study's directory")
    parser.add_argument("--dry-run", action="store_true", help="print what would be written")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run_command(make_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> int:
    if options.out is None and not options.dry_run:
        raise UserError("no place is named for the study.", "Give --out runs/NAME or --dry-run.")
    adopted = adopt_source(options.source, wanted_by(options), options.space)
    if options.dry_run:
        sys.stdout.write(description(adopted))
        return 0
    for note in adopted.notes:
        logger.info("%s", note)
    study = write_adopted(adopted, options.source, options.out)
    sys.stdout.write(f"{study.directory}\n")
    return 0
