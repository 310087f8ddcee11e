"""Whether the diagnosis finds defects that were planted, and finds none where there are none.

    python -m benchmarks.planted_defects --runs FILE [--data toy_objects,digits] [--seeds 3000:3006]
        [--clean 3000:3040] [--only background,labels] [--minutes 20] [--peers]
    python -m benchmarks.planted_defects --table FILE

A small network is trained on each planted set (`STRENGTHS`), and its findings are decided without
the diagnosis being told what was planted. A line is added to FILE after every run; runs that FILE
has already are left out, so that the command goes on where it was. Which classes a defect concerns
is drawn from the seed. Seeds below 3000 are for development: thresholds were chosen on them.
Clean twins are of several kinds (`CLEAN`): a model that has hardly learnt is diagnosed like any
other. ``--peers`` asks cleanlab and imagehash, too (`benchmarks.planted_peers`).
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.statistics.intervals import share_interval
from benchmarks.planted_peers import INSTALL, compare_lists, lists_table, missing_peers
from deepsight.data.defects import KINDS, TAKES_DEFECTS

STRENGTHS: dict[str, tuple[float, ...]] = {
    "background": (1.0, 0.9, 0.6, 0.3),
    "mark": (1.0, 0.9, 0.6, 0.3),
    "labels": (0.4, 0.3, 0.2, 0.1),
    "rare": (0.1, 0.2, 0.4),
    "place": (1.0, 0.6),
    "size": (1.0, 0.6),
    "blur": (1.0, 0.3, 0.1),
    "shift": (1.0, 0.3, 0.1),
    "duplicates": (0.5, 0.2, 0.05),
}
"""From strong to weak; the first of each is the strong setting."""

FOUND_AS = {"size": "place", "blur": "shift"}
"""What the finding is called where its name is another."""
ON_DIGITS = ("background", "mark", "labels", "rare")
LISTED = ("labels", "duplicates", "none")
"""Kinds for which the images that are listed are counted."""
UNTRAINED: dict[str, Any] = {"model.depth": 2, "model.width": 8, "train.epochs": 2}
CLEAN: dict[str, dict[str, Any]] = {
    "none": {},
    "none_no_masks": {"data.defects": ""},
    "none_untrained": UNTRAINED,
    "none_untrained_no_masks": UNTRAINED | {"data.defects": ""},
}
"""Kinds of clean twins, and their settings: with and without masks, trained and hardly trained."""
CLEAN_OF = {"toy_objects": ("none", "none_untrained"), "digits": tuple(CLEAN)}

FIXED: dict[str, Any] = {
    "model.name": "scratch_cnn",
    "model.depth": 3,
    "model.width": 16,
    "model.dense_layers": 0,
    "model.weights": "none",
    "data.val_fraction": 0.2,
    "data.test_fraction": 0.3,
    "augment.strength": 0.2,
    "optim.lr": 0.01,
    "optim.batch_size": 32,
    "hardware.device": "cpu",
    "hardware.precision": "fp32",
    "hardware.threads": 1,
}
BY_DATA: dict[str, dict[str, Any]] = {
    "toy_objects": {"data.size": 2000, "train.epochs": 10},
    "digits": {"augment.flip": False, "train.epochs": 6},
}


def planned_defect(kind: str, strength: float, data: str, seed: int) -> str:
    """The text of ``data.defects``; which classes it concerns depends on kind and seed."""
    if kind in CLEAN:
        return str(CLEAN[kind].get("data.defects", "none"))
    classes = TAKES_DEFECTS[data]()
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    chosen = rng.choice(len(classes), KINDS[kind].num_classes, replace=False)
    return ":".join([kind, *(classes[label] for label in chosen), f"{strength:g}"])


def run(data: str, kind: str, strength: float, seed: int, peers: bool = False) -> dict[str, Any]:
    """Train on one planted set and diagnose it; the row that is recorded."""
    from analysis.diagnosis.build import study_findings
    from deepsight.run_store import load_study

    keep_drawings()
    defect = planned_defect(kind, strength, data, seed)
    start, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        os.environ["DEEPSIGHT_CACHE"] = str(Path(folder) / "cache")
        config = {"data.name": data, "data.defects": defect, "data.split_seed": seed}
        fixed = FIXED | BY_DATA[data] | CLEAN.get(kind, {}) | config | {"train.seed": seed}
        study = train(Path(folder) / "study", fixed)
        findings = study_findings(study)
        listed = {"lists": compare_lists(study, findings, peers)} if kind in LISTED else {}
        accuracy = load_study(study).records[0].rows[-1]["val_accuracy"]
    names = TAKES_DEFECTS[data]()
    return {
        "data": data,
        "kind": kind,
        "strength": strength,
        "seed": seed,
        "defect": defect,
        "val_accuracy": round(float(accuracy), 4),
        "findings": [
            {
                "kind": f.kind,
                "classes": [names[label] for label in f.labels],
                "p": f.p_value,
                "value": round(f.number.value, 4),
            }
            for f in findings.defects
        ],
        "hints": [[f.kind, *(names[label] for label in f.labels)] for f in findings.hints],
        **listed,
        "wall_s": round(time.perf_counter() - start, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
    }


@functools.cache
def keep_drawings() -> None:
    """Keep the last drawn sets in memory: all defects of a seed are planted into one drawing."""
    from deepsight.data.toy_objects import dataset

    dataset.draw_toy_objects = functools.lru_cache(maxsize=16)(dataset.draw_toy_objects)


def train(directory: Path, fixed: Mapping[str, Any]) -> Path:
    """A study of one trial, trained by the worker's own code without a cluster."""
    from deepsight.config import DEFAULTS, trial_config
    from deepsight.run_store import create_study
    from deepsight.space import choice, to_json
    from deepsight.training.prerequisites import prepare
    from deepsight.tune.ray_backend.trial_spec import TrialSpec
    from deepsight.tune.ray_backend.worker import run_trial

    config = DEFAULTS | dict(fixed)
    epochs = int(config["train.epochs"])  # type: ignore[call-overload]
    data = prepare([trial_config(config)])
    header = {
        "name": directory.name,
        "metric": "val_accuracy",
        "mode": "max",
        "max_epochs": epochs,
        "rungs": [epochs],
        "fixed": config,
        "space": to_json({"optim.lr": choice(config["optim.lr"], 1.0)}),
        "settings": {"study.trainable": ""},
        "data": data,
    }
    with create_study(directory, header) as writer:
        folder = writer.trial_directory("t0000")
        writer.started("t0000", {"optim.lr": config["optim.lr"]}, False, epochs)
        pack = data["packs"][config["data.name"]]
        spec = TrialSpec("t0000", str(folder), config, "", 0, epochs, **pack)
        for step in itertools.islice(run_trial(spec), epochs):
            writer.result("t0000", json.loads(step["row"]))
        writer.ended("t0000", "completed")
    return directory


def is_found(row: Mapping[str, Any]) -> bool:
    """Whether a finding has the planted kind and exactly the planted classes."""
    kind = FOUND_AS.get(row["kind"], row["kind"])
    planted = set(row["defect"].split(":")[1:-1])
    return any(f["kind"] == kind and set(f["classes"]) == planted for f in row["findings"])


def planned_runs(
    data: Sequence[str], seeds: range, clean: range, only: Sequence[str]
) -> Iterator[tuple[str, str, float, int]]:
    """All runs, the most wanted first: strong settings and clean twins, then seed by seed."""
    for number in range(max(len(seeds), len(clean))):
        share = -(-len(clean) // max(1, len(seeds)))
        for name in data:
            for seed in clean[number * share : (number + 1) * share]:
                yield from ((name, kind, 0.0, seed) for kind in CLEAN_OF[name])
            for seed in seeds[number : number + 1]:
                yield from ((name, k, s, seed) for k, s in _planted(name, only, strong=True))
    for seed in seeds:
        for name in data:
            yield from ((name, k, s, seed) for k, s in _planted(name, only, strong=False))


def _planted(data: str, only: Sequence[str], strong: bool) -> Iterator[tuple[str, float]]:
    for kind in only or STRENGTHS:
        if data == "toy_objects" or kind in ON_DIGITS:
            strengths = STRENGTHS[kind]
            yield from ((kind, s) for s in (strengths[:1] if strong else strengths[1:]))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Recall by strength, and false alarms on clean twins, in Markdown."""
    lines = [
        "| data | planted | strength | found with the right classes | 95 % interval | n |",
        "|---|---|---|---|---|---|",
    ]
    order = [*STRENGTHS, *CLEAN]
    keys = sorted(
        {(r["data"], r["kind"], r["strength"]) for r in rows},
        key=lambda k: (k[0], order.index(k[1]), STRENGTHS.get(k[1], (0.0,)).index(k[2])),
    )
    for data, kind, strength in keys:
        own = [r for r in rows if (r["data"], r["kind"], r["strength"]) == (data, kind, strength)]
        hits = sum(bool(r["findings"]) if kind in CLEAN else is_found(r) for r in own)
        share = share_interval(hits, len(own))
        what = f"nothing: false alarms{kind[4:].replace('_', ' ')}" if kind in CLEAN else kind
        cells = (data, what, "" if kind in CLEAN else f"{strength:g}", f"{hits} of {len(own)}")
        bounds = f"{share.low:.2f} to {share.high:.2f}"
        lines.append("| " + " | ".join([*cells, bounds, str(len(own))]) + " |")
    return "\n".join(lines)


def _range(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last or int(first) + 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted_defects")
    add = parser.add_argument
    add("--runs", type=Path, metavar="FILE", help="where a line is kept for every run")
    add("--table", type=Path, metavar="FILE", help="print the table of such a file and end")
    add("--data", default="toy_objects,digits", help="data sets, separated by commas")
    add("--seeds", type=_range, default=_range("3000:3006"), help="of planted sets, FIRST:END")
    add("--clean", type=_range, default=_range("3000:3040"), help="of clean twins, FIRST:END")
    add("--only", default="", help="kinds of defects, separated by commas; default: all")
    add("--peers", action="store_true", help="ask cleanlab and imagehash for their lists, too")
    add("--minutes", type=float, default=1e9, help="no run is begun after that time")
    options = parser.parse_args(arguments)
    if not options.table and not options.runs:
        parser.error("give --runs FILE, or --table FILE")
    if options.table:
        _print_tables(_read(options.table))
        return 0
    if options.peers and (missing := missing_peers()):
        parser.error(f"{' and '.join(missing)}: not installed; {INSTALL}")
    done = {(r["data"], r["kind"], r["strength"], r["seed"]) for r in _read(options.runs)}
    only = list(filter(None, options.only.split(",")))
    start = time.monotonic()
    for key in planned_runs(options.data.split(","), options.seeds, options.clean, only):
        if key in done:
            continue
        if time.monotonic() - start > 60 * options.minutes:
            break
        row = run(*key, peers=options.peers)
        with options.runs.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        said = ", ".join(f"{f['kind']} {':'.join(f['classes'])}" for f in row["findings"])
        sys.stderr.write(f"{row['data']} {row['defect']} seed {row['seed']}: {said or 'nothing'}\n")
    _print_tables(_read(options.runs))
    return 0


def _print_tables(rows: Sequence[Mapping[str, Any]]) -> None:
    sys.stdout.write(f"{table(rows)}\n\n{lists_table(rows)}\n")


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
