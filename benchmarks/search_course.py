"""What searches spent on configs near chance, and how good they were after equal time.

    python -m benchmarks.search_course STUDY... [--against STUDY...]

One line a study: seconds from the first trial's start to the last result, trials, epochs, trials
whose best epoch is within 0.05 of the share of the largest class, and the best validation accuracy
among trials of full budget. With ``--against``, as many other studies: the first is compared with
the first, and so on, when the sooner of both had ended.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepsight.data.class_balance import validation_balance
from deepsight.run_store import Study, TrialRecord, load_study

NEAR = 0.05
"""Above chance; of accuracies."""


@dataclass(frozen=True)
class Course:
    """How the search of one study went."""

    seconds: float
    trials: int
    epochs: int
    near_chance: int
    """Trials that never got far above it; 0 where chance is not known."""
    best: float | None


def compute_course(study: Study) -> Course:
    """How the search of `study` went."""
    balance = validation_balance(study.header.data)
    chance = balance.baseline(study.metric) if balance else None
    seconds = max(row["time"] for r in study.records for row in r.rows) - began(study)
    tops = [top(study, record) for record in study.records]
    near = 0 if chance is None else sum(one <= chance + NEAR for one in tops)
    epochs = sum(r.num_epochs for r in study.records)
    return Course(seconds, len(study.records), epochs, near, best_after(study, seconds))


def top(study: Study, record: TrialRecord) -> float:
    """The trial's best score after any epoch; 0 where it has none."""
    scores = [row[study.metric] for row in record.rows]
    return max((score for score in scores if score is not None), default=0.0)


def began(study: Study) -> float:
    """When the first trial was started, in seconds since the epoch."""
    return min(record.started for record in study.records)


def best_after(study: Study, seconds: float) -> float | None:
    """The best score of trials that had their full budget `seconds` after the first start."""
    until = began(study) + seconds
    scores = [
        score
        for record in study.records
        if study.has_full_budget(record)
        and record.rows[-1]["time"] <= until
        and (score := study.score(record)) is not None
    ]
    return max(scores, default=None)


def line(path: Path, course: Course) -> str:
    """One study for a reader."""
    return (
        f"{path}: {course.seconds:.0f} s, {course.trials} trials, {course.epochs} epochs, "
        f"{course.near_chance} near chance, best {_text(course.best)}"
    )


def _text(score: float | None) -> str:
    return "none" if score is None else f"{score:.3f}"


def main() -> None:
    """A line a study, then one a pair."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY")
    parser.add_argument("--against", nargs="+", type=Path, default=[], metavar="STUDY")
    args = parser.parse_args()
    if args.against and len(args.against) != len(args.studies):
        parser.error(f"{len(args.studies)} studies against {len(args.against)} make no pairs")
    first, second = ([load_study(p) for p in paths] for paths in (args.studies, args.against))
    for path, study in zip([*args.studies, *args.against], [*first, *second], strict=True):
        print(line(path, compute_course(study)))
    differences = []
    for one, other in zip(first, second, strict=False):
        seconds = min(compute_course(study).seconds for study in (one, other))
        scores = [best_after(study, seconds) for study in (one, other)]
        print(f"after {seconds:.0f} s: {' against '.join(map(_text, scores))}")
        differences += [scores[0] - scores[1]] if None not in scores else []  # type: ignore[operator]
    if differences:
        print(f"mean difference {np.mean(differences):+.3f} (n = {len(differences)})")


if __name__ == "__main__":
    main()
