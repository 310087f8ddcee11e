"""Make a table of real learning curves.

    python -m benchmarks.real_curves.make NAME [--processes N] [--work DIRECTORY]

Every training appends a line to DIRECTORY/NAME.jsonl and is not done again: the command can be
interrupted and goes on, also from a table that was packed with fewer trainings. When the last one
is there, the table is packed into the file that `benchmarks.real_curves.table` reads.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.real_curves.recipes import RECIPES, Recipe
from benchmarks.real_curves.table import load_table, pack, table_names
from deepsight.config import Value
from deepsight.space import sample, to_stored

UNFINISHED = Path(__file__).with_name("unfinished")
"""Where the trainings of tables lie that take several sittings."""
Job = tuple[int, int]
"""The number of the config, and the seed."""


def config_of(name: str, number: int) -> dict[str, Value]:
    """Config `number` of a table: drawn uniformly, from the table's name and the number."""
    recipe = RECIPES[name]
    return to_stored(sample(recipe.space, recipe.fixed, random.Random(f"{name} {number}")))


def jobs_of(recipe: Recipe) -> list[Job]:
    """Every config on seed 0, then the first ones on the other seeds."""
    repeats = [(n, s) for n in range(recipe.repeated) for s in range(1, recipe.seeds)]
    return [(number, 0) for number in range(recipe.configs)] + repeats


def run(name: str, number: int, seed: int) -> dict[str, Any]:
    """Train one config to the full budget, or until it breaks down."""
    recipe = RECIPES[name]
    config = dict(recipe.fixed) | config_of(name, number)
    if recipe.fixed:  # DeepSight's own training has a schedule over the budget
        config["train.epochs"] = recipe.epochs
    scores, seconds = [], []
    for score, took in recipe.train(config, seed):
        scores.append(round(score, 5))
        seconds.append(round(took, 4))
        if len(scores) == recipe.epochs:
            break
    return {"number": number, "seed": seed, "scores": scores, "seconds": seconds}


def make(name: str, work: Path, processes: int) -> None:
    """Do what is missing of a table, and pack it when nothing is."""
    recipe, file = RECIPES[name], work / f"{name}.jsonl"
    work.mkdir(parents=True, exist_ok=True)
    done = {(r["number"], r["seed"]): r for r in [*_packed(name), *_read(file)]}
    missing = [job for job in jobs_of(recipe) if job not in done]
    with file.open("a") as lines, ProcessPoolExecutor(processes, initializer=_single) as pool:
        for future in as_completed([pool.submit(run, name, *job) for job in missing]):
            row = future.result()
            done[row["number"], row["seed"]] = row
            lines.write(json.dumps(row) + "\n")
            lines.flush()
            if len(done) % 50 == 0:
                print(f"{name}: {len(done)} of {len(jobs_of(recipe))}", file=sys.stderr, flush=True)
    configs = [config_of(name, number) for number in range(recipe.configs)]
    print(pack(name, recipe, configs, [done[job] for job in jobs_of(recipe)]))


def _single() -> None:
    """One thread a process."""
    import torch

    torch.set_num_threads(1)


def _packed(name: str) -> list[dict[str, Any]]:
    """The trainings of a table that is stored already."""
    if name not in table_names():
        return []
    table = load_table(name)
    first = [
        {"number": number, "seed": 0, "scores": scores, "seconds": seconds}
        for number, (scores, seconds) in enumerate(zip(table.scores, table.seconds, strict=True))
    ]
    others = [
        {"number": number, "seed": seed, "scores": scores}
        for number, curves in table.repeats.items()
        for seed, scores in enumerate(curves, start=1)
    ]
    return first + others


def _read(file: Path) -> list[dict[str, Any]]:
    """The lines so far; one that an interruption tore is done again."""
    if not file.exists():
        return []
    text = file.read_text()
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        file.write_text(text)
    return [json.loads(line) for line in text.splitlines()]


def main() -> None:
    """Parse the flags and make."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--work", type=Path, default=UNFINISHED)
    args = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    make(args.name, args.work, args.processes)


if __name__ == "__main__":
    main()
