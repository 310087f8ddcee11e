"""Whole rounds from a search to its claims; ``make findings``, tables in docs/rounds.md.

``python -m benchmarks.claims_rounds [--only NAME ...] [--print]`` runs every command of a round
below ``runs/``, says how long each took, and goes on where it was when called again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from analysis.claims.claim_files import load_claims
from analysis.claims.page import claims_table, remedies
from analysis.claims.verdicts import judge
from analysis.page.markdown import table_markdown
from analysis.report.confirmation import comparison_table, config_table, sentences_of
from deepsight.confirm.record import ABLATION_FILE, load_confirmation
from deepsight.run_store import load_study

Command = tuple[str, ...]
TIMES = "seconds.json"

ROUNDS: dict[str, tuple[Command, ...]] = {
    "digits": (
        ("deepsight.tune", "--space", "scratch_full", "--data", "digits", "--name", "digits",
         "--set", "study.trials=16", "--set", "study.max_epochs=4"),
        ("deepsight.confirm", "runs/digits", "--top", "2", "--seeds", "4"),
        ("deepsight.confirm", "runs/digits", "--ablate", "--seeds", "3", "--budget", "60"),
        ("analysis.claims", "runs/digits", "digits"),
        ("deepsight.confirm", "runs/digits", "--claims", "digits", "--only", "high-rate"),
    ),
    "toy": (
        ("deepsight.tune", "--space", "finetune", "--data", "toy_objects", "--name", "toy",
         "--set", "data.size=800", "--set", "study.trials=12", "--set", "study.max_epochs=2"),
        ("deepsight.confirm", "runs/toy", "--top", "1", "--seeds", "3"),
        ("deepsight.confirm", "runs/toy", "--ablate", "--seeds", "3", "--budget", "30"),
        ("analysis.claims", "runs/toy", "founding"),
        ("deepsight.confirm", "runs/toy", "--claims", "founding",
         "--only", "frozen-fails"),
    ),
}  # fmt: skip
"""Commands by round, in their order."""
FILES = {"digits": "digits", "toy": "founding"}
"""Claims by round."""


def run_round(name: str) -> None:
    """Run what of a round is not done; the seconds of every command go to `TIMES`."""
    path = Path("runs") / f"{name}_{TIMES}"
    for place, command in enumerate(ROUNDS[name]):
        times = json.loads(path.read_text()) if path.is_file() else {}
        key = f"{name} {place}"
        if key in times:
            continue
        study = Path("runs") / name / "study.json"
        again = ("deepsight.tune", "--resume", str(study.parent))
        command = again if place == 0 and study.exists() else command
        sys.stderr.write(f"python -m {' '.join(command)}\n")
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
        times[key] = round(time.monotonic() - began, 1)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(times, indent=1) + "\n")


def told(name: str) -> str:
    """The tables of a round in Markdown, with the commands that made them."""
    study = load_study(Path("runs") / name)
    path = Path("runs") / f"{name}_{TIMES}"
    times = json.loads(path.read_text()) if path.is_file() else {}
    seconds = [times.get(f"{name} {place}") for place in range(len(ROUNDS[name]))]
    lines = [
        f"python -m {' '.join(command)}" + (f"   # {took:.0f} s" if took is not None else "")
        for command, took in zip(ROUNDS[name], seconds, strict=True)
    ]
    parts = [f"## {name}", "\n".join(["```sh", *lines, "```"])]
    for file in ("confirmation.json", ABLATION_FILE):
        found = load_confirmation(study.directory, file)
        if found is not None:
            parts += [f"### {'Confirmed' if found.kind == 'top' else 'Choices taken back'}"]
            parts += [" ".join(sentences_of(found))]
            tables = [config_table(found)] if found.kind == "top" else []
            parts += [table_markdown(t) for t in (*tables, comparison_table(found))]
    judged = judge(study, load_claims(FILES[name]))
    parts += ["### Claims", table_markdown(claims_table(judged))]
    settling = remedies(judged, FILES[name])
    if settling:
        parts.append("\n".join(["```sh", *settling, "```"]))
    return "\n\n".join(parts)


def main() -> None:
    """Run the rounds and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(ROUNDS), default=list(ROUNDS))
    parser.add_argument("--print", action="store_true", help="run nothing, print what is there")
    options = parser.parse_args()
    for name in options.only:
        if not options.print:
            run_round(name)
        print(told(name) + "\n", flush=True)


if __name__ == "__main__":
    main()
