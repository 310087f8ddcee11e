"""The command line of the search: parses flags, prints results, turns errors into exit codes.

Ray, torch and Optuna are imported only after the flags and the plan have been checked.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepsight.command_line import Parser, run_command
from deepsight.config import UserError, Value, is_import_path, without_controls
from deepsight.imports import IMPORTED, add_trust_flag, imports_in, permission_of
from deepsight.installed import space_names
from deepsight.overrides import parse_set
from deepsight.run_store import describe_end, load_header
from deepsight.tune import driver
from deepsight.tune.driver import Outcome
from deepsight.tune.earlier.studies import describe_earlier
from deepsight.tune.plan import (
    StudyPlan,
    describe,
    imports_of,
    parse_duration,
    plan_from_header,
    require_directory,
    searched_values,
)
from deepsight.tune.plan_files import load_space, plan_study
from deepsight.tune.preflight import preview_data
from deepsight.tune.resume import MAY_CHANGE

if TYPE_CHECKING:
    from deepsight.tune.search.search import Progress

EXIT_NO_SUCCESS = 1


def make_parser() -> Parser:
    """The flags, and no more than these."""
    parser = Parser(
        prog="python -m deepsight.tune",
        description="Search hyperparameters of an image classifier.",
        epilog="Progress goes to standard error; the last line of standard output is the study's "
        "directory. Exit codes: 0 done, 1 no trial succeeded, 2 usage, configuration or data, "
        "4 storage, 5 cluster, 130 or 143 stopped by a signal (go on with --resume).",
    )
    add = parser.add_argument
    add("--space", metavar="NAME|PATH", help=f"what varies: {', '.join(space_names())}, or a file")
    add("--experiment", metavar="FILE", help="YAML file that describes the study")
    add(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="sets",
        help="any hyperparameter or setting by its dotted name; pins a searched one",
    )
    add("--data", metavar="NAME", help="toy_objects, digits, cifar10, cifar100 or folder:PATH")
    add("--trials", metavar="N", help="trials in all")
    add("--time-limit", metavar="30m", help="no new epochs after this time")
    add("--name", metavar="NAME", help="the study's name; default: space, date and time")
    add(
        "--resume",
        metavar="runs/STUDY",
        help="go on with an interrupted study; with --data where its data have moved to",
    )
    add("--address", metavar="ADDRESS", help="an existing Ray cluster")
    add_trust_flag(parser)
    add("--dry-run", action="store_true", help="check the study, print it and three samples")
    add(
        "--measure",
        action="store_true",
        help="with --dry-run: train for ten seconds and estimate how long the study takes here",
    )
    add("--verbose", action="store_true", help="log more")
    return parser


def plan_from_flags(flags: argparse.Namespace) -> StudyPlan:
    """The plan that the flags describe.

    Raises:
        UserError: If they ask for what does not exist or contradict each other.
    """
    direct: dict[str, Value] = {}
    if flags.data:
        direct["data.name"] = flags.data
    direct |= _changes(flags)
    sets = dict(parse_set(text) for text in flags.sets)
    return plan_study(
        flags.space, flags.experiment, flags.name, direct, sets, permission=permission_of(flags)
    )


def _named_again(flags: argparse.Namespace) -> dict[str, Value]:
    """The study's own code that ``--set`` names together with ``--resume``."""
    sets = dict(parse_set(text) for text in flags.sets)
    return {n: v for n, v in sets.items() if n in IMPORTED and is_import_path(str(v))}


def _changes(flags: argparse.Namespace) -> dict[str, Value]:
    """The study settings that have flags of their own."""
    changes: dict[str, Value] = {}
    if flags.trials:
        changes["study.trials"] = parse_set(f"study.trials={flags.trials}")[1]
    if flags.time_limit is not None:
        changes["study.time_limit_s"] = parse_duration(flags.time_limit)
    return changes


def _resume_changes(flags: argparse.Namespace) -> dict[str, Value]:
    """The settings that may change on resume: the budget, and data if a change is accepted.

    Code may be named again (`deepsight.tune.resume.require_same_imports`).

    Raises:
        UserError: If anything else is asked for.
    """
    again = _named_again(flags)
    sets = {n: v for n, v in map(parse_set, flags.sets) if n not in again}
    refused = [f"--{n}" for n in ("experiment", "name") if getattr(flags, n)]
    refused += [f"--set {name}" for name in sets if name not in MAY_CHANGE]
    if refused:
        raise UserError(
            f"{refused[0]} cannot change a study that has begun.",
            "With --resume only --trials, --time-limit, study.patience and the place of the data "
            "(--data) may change; or start a new study.",
        )
    return {n.removeprefix("study."): v for n, v in (_changes(flags) | sets).items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(make_parser(), _run, arguments)


def _run(flags: argparse.Namespace) -> int:
    if flags.verbose:
        logging.getLogger("deepsight").setLevel(logging.DEBUG)
    if flags.measure and not flags.dry_run:
        raise UserError("--measure belongs to a dry run.", "Add --dry-run, or leave --measure out.")
    if flags.resume and flags.dry_run:
        raise UserError("--dry-run shows a new study, not one to resume.", "Leave one of them out.")
    if flags.resume:
        directory = require_directory(flags.resume, ["study.json", "trials.jsonl"])
        changes = _resume_changes(flags)
        space, fixed = load_space(flags.space) if flags.space else (None, {})
        return report(
            driver.resume_study(
                directory,
                address=flags.address,
                show_progress=True,
                may_exit=True,
                space=space,
                fixed=fixed,
                data=flags.data,
                named=_named_again(flags),
                permission=permission_of(flags).also(
                    imports_in([*searched_values(space or {}), *fixed.items()])
                ),
                allow_changed_data=bool(changes.pop("allow_changed_data", False)),
                **changes,
            )
        )
    plan = plan_from_flags(flags)
    if flags.dry_run:
        return _dry_run(plan, flags)
    outcome = driver.run_study(plan, address=flags.address, show_progress=True, may_exit=True)
    return report(outcome)


def _dry_run(plan: StudyPlan, flags: argparse.Namespace) -> int:
    """Check and describe the study; with ``--measure`` estimate how long it takes."""
    if flags.measure and flags.address:
        raise UserError(
            "--measure times this machine, not a cluster.", "Leave out --address or --measure."
        )
    decided, _ = driver.ready_to_run(plan, address=flags.address)
    if flags.measure and plan.own_trainable:
        raise UserError(
            "--measure cannot time a trainable of your own.",
            "Leave it out; the run says how long it still takes once it has trained a few epochs.",
        )
    lines = [describe(plan), f"data       {preview_data(plan)}", *describe_earlier(decided)]
    sys.stdout.write(without_controls("\n".join(lines)) + "\n")
    if flags.measure:
        sys.stdout.flush()
        from deepsight.tune.search.forecast import measured_lines

        sys.stdout.write("\n".join(measured_lines(decided)) + "\n")
    return 0


def report(outcome: Outcome) -> int:
    """Log how the study ended, print its directory last, and return the exit code."""
    say = sys.stderr.write
    progress = outcome.progress
    shown = _shortest(outcome.directory)
    code = 0
    if progress is None:
        say("stopped before the search began\n")
        return 128 + (outcome.signal or 2)
    if outcome.signal:
        say(f"stopped; go on with: python -m deepsight.tune {_resume(outcome.directory)}\n")
        code = 128 + outcome.signal
    elif outcome.repeated_failure:
        say(
            "stopped, since the first trials all failed with the same error: "
            f"{without_controls(outcome.repeated_failure)}\n"
            f"Fix it, then start a new study or continue with {_resume(outcome.directory)}\n"
        )
        code = EXIT_NO_SUCCESS
    elif not progress.ended["completed"] + progress.ended["stopped"]:
        say(_no_success(progress, outcome))
        code = EXIT_NO_SUCCESS
    elif progress.ended_early:
        say(_ended_early(progress, outcome.directory))
    elif outcome.unfinished:
        say(f"time is up; go on with: python -m deepsight.tune {_resume(outcome.directory)}\n")
    path = f"{shown}"
    sys.stdout.write((without_controls(path) if sys.stdout.isatty() else path) + "\n")
    sys.stdout.flush()
    return code


def _ended_early(progress: Progress, directory: Path) -> str:
    """Why the study ended before its last trial, and how to go on all the same."""
    return (
        f"{describe_end(load_header(directory), progress.epochs)}\n"
        f"go on all the same with: python -m deepsight.tune {_resume(directory)} "
        "--set study.patience=0\n"
    )


def _no_success(progress: Progress, outcome: Outcome) -> str:
    """What is said of a search without a score."""
    if outcome.unfinished and not progress.num_ended:
        resume = _resume(outcome.directory)
        return f"time was up before a trial ended; go on with: python -m deepsight.tune {resume}\n"
    last = without_controls(progress.last_error or "all diverged")
    return f"no trial succeeded; the last error: {last}\n"


def _resume(directory: Path) -> str:
    """The flags to go on with a study that ran here, whose code is therefore trusted."""
    code = imports_of(plan_from_header(load_header(directory)))
    return f"--resume {_shortest(directory)}" + (" --trust" if code else "")


def _shortest(directory: Path) -> Path:
    here = Path.cwd()
    return directory.relative_to(here) if directory.is_relative_to(here) else directory
