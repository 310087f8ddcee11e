"""The quickstart as a new user meets it: how long it takes, and whether it ends with a conclusion.

    python -m benchmarks.quickstart [--experiment quickstart | --space finetune] [--seeds 0,1,2]
        [--set NAME=VALUE ...] [--cold] [--no-report] [--keep FOLDER] [--json FILE]

Each seed is one study with its confirmation, summary and report, in processes of their own, as
`make tune` runs them. One line a seed: seconds in all, of the search until the first epoch is on
record, of the confirmation and of the report; trials and epochs; the best validation accuracy and
its difference from the defaults with its 95 % interval; the same on fresh seeds; the report's
verdict on what decides the score. ``--cold`` begins each with an empty cache, ``--no-report`` ends
with the search. The lines are kept in the file as they come.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from analysis.report.study_results import compute_study_results
from deepsight.run_store import Study, load_study

ROOT = Path(__file__).resolve().parent.parent


def run_seed(args: argparse.Namespace, seed: int, folder: Path) -> dict[str, Any]:
    """One study with its report; what became of it."""
    paths = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    if args.cold:
        environment["DEEPSIGHT_CACHE"] = str(folder / "cache")
    what = ["--space", args.space] if args.space else ["--experiment", args.experiment]
    changes = [f"study.seed={seed}", *args.sets]
    command = ["-m", "deepsight.tune", *what, "--name", "study"]
    command += [part for change in changes for part in ("--set", change)]
    began = time.time()
    _run(command, folder, environment)
    searched = time.time()
    if not args.no_report:
        _run(["-m", "deepsight.confirm", "runs/study", "--top", "1"], folder, environment)
    confirmed = time.time()
    _run(["-m", "analysis.summary", "runs/study"], folder, environment)
    if not args.no_report:
        _run(["-m", "analysis.report", "runs/study"], folder, environment)
    ended = time.time()
    study = load_study(folder / "runs" / "study")
    seconds = {"wall_s": ended - began, "search_s": searched - began}
    seconds |= {"confirm_s": confirmed - searched, "report_s": ended - confirmed}
    first = min(row["time"] for record in study.records for row in record.rows)
    return {"seed": seed, **seconds, "first_epoch_s": first - began, **findings(study)}


def findings(study: Study) -> dict[str, Any]:
    """What a report says of a study, as numbers."""
    results = compute_study_results(study)
    importance, gain = results.sensitivity.importance, results.incumbent.gain
    found = results.confirmation
    confirmed = [c for c in found.comparisons if c.split == "val"] if found else []
    best, base = results.summary.incumbent, results.summary.baseline
    return {
        "space": len(study.header.space),
        "trials": len(study.records),
        "epochs": sum(record.num_epochs for record in study.records),
        "best": best.score if best else None,
        "defaults": base.score if base else None,
        "gain": [gain.value, gain.low, gain.high] if gain else None,
        "confirmed": [asdict(c) for c in confirmed],
        "verdict": importance.verdict,
        "reason": importance.reason,
        "first": importance.shares[0].name if importance.shares else None,
    }


def _run(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    with (folder / "progress.txt").open("a") as log:
        log.write(done.stderr)


def line(row: Mapping[str, Any]) -> str:
    """One seed for a reader."""
    gain = "no gain" if row["gain"] is None else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*row["gain"])
    best = "none" if row["best"] is None else f"{row['best']:.3f}"
    fresh = [
        "{value:+.3f} [{low:+.3f}, {high:+.3f}]".format(**c["gain"]) + f" {c['verdict']}"
        for c in row["confirmed"]
        if c["gain"] and c["gain"]["low"] is not None
    ]
    return (
        f"seed {row['seed']}: {row['wall_s']:.0f} s, first epoch {row['first_epoch_s']:.1f} s, "
        f"confirmation {row['confirm_s']:.0f} s, report {row['report_s']:.0f} s, "
        f"{row['trials']} trials, {row['epochs']} epochs, best {best} ({gain}), "
        f"fresh seeds {', '.join(fresh) or 'none'}, {row['verdict']}: {row['first']}"
    )


def make_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--experiment", default="quickstart")
    parser.add_argument("--space")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", action="append", default=[], dest="sets", metavar="NAME=VALUE")
    parser.add_argument("--cold", action="store_true", help="an empty cache for every seed")
    parser.add_argument("--no-report", action="store_true", help="its verdict is worked out anyway")
    parser.add_argument("--keep", type=Path, help="where studies go; default: nowhere")
    parser.add_argument("--json", type=Path)
    return parser


def main() -> None:
    """Run the seeds one after the other."""
    args = make_parser().parse_args()
    rows = []
    for seed in map(int, args.seeds.split(",")):
        with tempfile.TemporaryDirectory(prefix="quickstart-") as temporary:
            folder = args.keep / f"seed{seed}" if args.keep else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            rows.append(run_seed(args, seed, folder))
        print(line(rows[-1]), flush=True)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    ranked = sum(row["verdict"] == "ranked" for row in rows)
    print(f"{ranked} of {len(rows)} ranked, {sum(row['wall_s'] for row in rows) / len(rows):.0f} s")


if __name__ == "__main__":
    main()
