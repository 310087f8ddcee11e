"""How well the best trials of studies do on images that no search has seen.

    python -m benchmarks.fresh_accuracy STUDY... [--images 2000] [--confirmed] [--json FILE]

The best of many trials on a few hundred validation images looks better than it is. Here it and the
defaults classify fresh ones: `toy_objects` drawn from another seed, or the test images of
Fashion-MNIST for a study on ``benchmarks.real_curves.train:fashion``. One line a study: validation
accuracy and the fresh one of the best; by how much it beats the defaults, with the report's
interval, and by how much on fresh images. Standard error of a fresh accuracy: 0.011 at most with
2,000 images. The last line counts intervals that hold the fresh difference, those of now and those
that took both trials as independent.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from analysis.statistics.incumbent import compute_incumbent, validation_images
from analysis.statistics.intervals import Interval
from analysis.statistics.same_images import (
    SINGLE_Z,
    paired_interval,
    phi_coefficient,
    same_images,
)
from analysis.statistics.trial_outcomes import scored
from benchmarks.real_curves.train import read_fashion
from deepsight.confirm.record import FOLDER, load_confirmation
from deepsight.data.toy_objects.dataset import draw_toy_objects
from deepsight.run_store import Study, load_study
from deepsight.trained_model import TrainedModel, load_trained_model

SEED_NAME = "train.seed"
SEED = 987_654
"""Of the drawn images; studies use `data.split_seed`, 0 unless told."""


@functools.cache
def drawn(num: int, size: int) -> tuple[Any, Any]:
    """The same for every study."""
    return draw_toy_objects(num, SEED, size)[:2]


def fresh_images(model: TrainedModel, num: int) -> tuple[Any, Any]:
    """Images (N, H, W, 3) uint8 and labels (N,) of the model's kind of data."""
    name = model.config.data.name
    if name == "toy_objects":
        return drawn(num, model.stored_size)
    if name != "benchmarks.real_curves.train:fashion":
        raise SystemExit(f"no fresh images of {name}")
    return read_fashion("t10k", num)


def fresh_hits(study: Study, trial: str, num: int) -> np.ndarray:
    """(N,) which fresh images a trial's model classifies right."""
    model = load_trained_model(study, trial, device="cpu")
    images, labels = fresh_images(model, num)
    return np.asarray(model.probabilities(images).argmax(1) == labels)


def measure(path: Path, num: int) -> dict[str, Any]:
    """One study: scores, intervals, and what fresh images say."""
    study = load_study(path)
    best, first = study.incumbent(), study.defaults
    assert best is not None
    assert first is not None
    hits = [fresh_hits(study, record.trial_id, num) for record in (best, first)]
    scores = [study.score(record) for record in (best, first)]
    gain, images = compute_incumbent(study).gain, validation_images(study)
    assert gain is not None
    assert images is not None
    assert None not in scores
    pair = (float(scores[0] or 0), float(scores[1] or 0))
    independent = paired_interval(*pair, phi=0.0, num_images=images, z=SINGLE_Z)
    difference = hits[0].astype(float) - hits[1]
    same = same_images(study, {r.trial_id: score for r, score in scored(study)}, images)
    seen = [same.hits[record.trial_id] for record in (best, first)]
    return {
        "study": str(path),
        "best": best.trial_id,
        "scores": scores,
        "correlation": phi_coefficient(*seen),
        "rivals": len(same.rivals),
        "fresh": [float(h.mean()) for h in hits],
        "gain": [gain.value, gain.low, gain.high],
        "independent": [independent.value, independent.low, independent.high],
        "fresh_gain": float(difference.mean()),
        "fresh_error": float(difference.std() / np.sqrt(num)),
    }


def measure_confirmed(path: Path, num: int) -> dict[str, Any]:
    """The confirmation of one study: its gain over the defaults, and that on fresh images."""
    found, runs = load_confirmation(path), load_study(path / FOLDER)
    assert found is not None
    pair = (found.winner, found.defaults, "val")
    (told,) = (c for c in found.comparisons if (c.first, c.second, c.split) == pair)
    assert told.gain is not None
    differences = []
    for seed in found.config(found.winner).seeds:
        both = [
            next(r for r in runs.records if r.config == {**r.config, **c.config, SEED_NAME: seed})
            for c in (found.config(found.winner), found.config(found.defaults))
        ]
        best, base = (float(fresh_hits(runs, r.trial_id, num).mean()) for r in both)
        differences.append(best - base)
    return {
        "study": str(path),
        "gain": [told.gain.value, told.gain.low, told.gain.high],
        "verdict": told.verdict,
        "fresh_gain": float(np.mean(differences)),
        "fresh_error": float(np.std(differences, ddof=1) / np.sqrt(len(differences))),
    }


def confirmed_line(row: dict[str, Any]) -> str:
    """One confirmation for a reader."""
    return (
        f"{row['study']}: {row['verdict']}, {_text(row['gain'])}; on fresh images "
        f"{row['fresh_gain']:+.3f} (standard error over seeds {row['fresh_error']:.3f})"
    )


def line(row: dict[str, Any]) -> str:
    """One study for a reader."""
    return (
        f"{row['study']}: {row['best']}, validation {row['scores'][0]:.3f}, "
        f"fresh {row['fresh'][0]:.3f}; above the defaults {_text(row['gain'])} "
        f"(independent {_text(row['independent'])}), "
        f"fresh {row['fresh_gain']:+.3f} (standard error {row['fresh_error']:.3f}); "
        f"answers correlate by {row['correlation']:.2f}, {row['rivals']} could be the best"
    )


def _text(interval: list[float]) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*interval)


def _holds(interval: list[float], value: float) -> bool:
    return Interval(*interval).low <= value <= Interval(*interval).high


def main() -> None:
    """A line a study, and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--confirmed", action="store_true", help="of their confirmations")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for path in args.studies:
        rows.append((measure_confirmed if args.confirmed else measure)(path, args.images))
        print((confirmed_line if args.confirmed else line)(rows[-1]), flush=True)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    if not args.confirmed:
        tell_optimism(rows)
    for name in ("gain",) if args.confirmed else ("gain", "independent"):
        held = sum(_holds(row[name], row["fresh_gain"]) for row in rows)
        clear = sum(row[name][1] > 0 for row in rows)
        print(f"{name}: {held} of {len(rows)} hold the fresh difference, {clear} exclude zero")


def tell_optimism(rows: list[dict[str, Any]]) -> None:
    """By how much validation scores are too good."""
    optimism = np.array([row["scores"][0] - row["fresh"][0] for row in rows])
    print(
        f"validation too good by {optimism.mean():+.3f} (from study to study {optimism.std():.3f})"
    )


if __name__ == "__main__":
    main()
