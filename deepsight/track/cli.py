"""The command line of the trackers: sends a study that is on the disk."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deepsight.command_line import Parser, run_command
from deepsight.config import UserError, without_controls
from deepsight.run_store import Study, load_study
from deepsight.track.report import made_report, present_report
from deepsight.track.send import send_study
from deepsight.track.sinks import SINKS, listed, make_sink, require_ready


def make_parser() -> Parser:
    """The flags."""
    parser = Parser(
        prog="python -m deepsight.track",
        description="Send a study to a tracker: trials, epochs and the report. What is there "
        "already is not sent again.",
        epilog="Where to is said by the tracker's own variables: MLFLOW_TRACKING_URI, "
        "MLFLOW_EXPERIMENT_NAME, WANDB_MODE, WANDB_PROJECT, ... (docs/trackers.md).",
    )
    parser.add_argument("study", metavar="runs/STUDY")
    parser.add_argument("--to", required=True, metavar="TRACKERS", help=" or ".join(SINKS))
    parser.add_argument("--no-report", action="store_true", help="send trials only")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 all is there, 2 an error."""
    return run_command(make_parser(), _run, arguments)


def _run(flags: argparse.Namespace) -> int:
    names = listed(flags.to)
    if not names or not set(names) <= SINKS.keys():
        raise UserError(f"--to {flags.to} names no tracker.", f"Known: {', '.join(SINKS)}.")
    require_ready(flags.to)
    study = load_study(flags.study)
    report = None
    if not flags.no_report:
        report = present_report(study.directory) or made_report(study.directory)
    for name in names:
        sys.stdout.write(f"{_send(study, name, report)}\n")
    return 0


def _send(study: Study, name: str, report: Path | None) -> str:
    """Send the study; returns what was done, in a line."""
    sink = make_sink(name)
    try:
        send_study(study, sink, report)
    except UserError:
        raise
    except Exception as error:  # whatever the tracker's library raises
        raise UserError(
            f"{name}: {without_controls(' '.join(str(error).split()))[:300]}",
            "What was sent stays; the same command sends the rest (docs/trackers.md).",
        ) from error
    finally:
        sink.close()
    trials, epochs = len(study.records), sum(len(r.rows) for r in study.records)
    return (
        f"{name}: {trials} trials, {epochs} epochs; new: {sink.sent_runs} runs, "
        f"{sink.sent_epochs} epochs"
    )
