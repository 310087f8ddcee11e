"""Searches with confirmed runs, and files of claims, by a few lines."""

from pathlib import Path

import numpy as np

from deepsight.run_store import load_study
from deepsight.space import Int, choice, to_json, uniform
from tests.analysis.studies import trial, write_study

SPACE = {"optim.batch_size": choice(32, 64, 128), "model.dropout": uniform(0.0, 0.5)}
SEEDED = SPACE | {"train.seed": Int(0, 2**31 - 1), "data.split_seed": Int(0, 2**31 - 1)}
DATA = {
    "classes": ["car", "ship", "cat", "dog"],
    "counts": {"val": {"car": 50, "ship": 50, "cat": 50, "dog": 50}},
}
BEST = {"optim.batch_size": 32, "model.dropout": 0.1}
RECALL = {"val_recall": [0.9, 0.92, 0.7, 0.74]}


def run(score, config, seed=None, recall=None):
    """A trial of two epochs; with a seed, a confirmed run."""
    stated = {} if seed is None else {"train.seed": seed, "data.split_seed": 0}
    row = {"val_recall": recall} if recall else RECALL
    made = trial([score - 0.1, score], budget=2, row=row)
    return made | {"config": config | stated}


def search(directory: Path, trials=None, confirmed=(), **header):
    """A study whose best config is `BEST`, with confirmed runs below it."""
    given = {"max_epochs": 2, "rungs": [2], "data": DATA} | header
    trials = trials or [
        run(0.6, {"optim.batch_size": 64, "model.dropout": 0.0}),
        run(0.9, BEST),
        run(0.7, {"optim.batch_size": 128, "model.dropout": 0.4}),
    ]
    given.setdefault("space", to_json(SPACE))
    write_study(directory, trials, **given)
    if confirmed:
        given |= {"space": to_json(SEEDED), "searcher": "planned"}
        write_study(directory / "confirm", list(confirmed), **given)
    return load_study(directory)


def runs(config, scores, first=1000, recalls=None):
    """Confirmed runs of a config of `SPACE`, a seed each."""
    recalls = recalls or [None] * len(scores)
    return [
        run(score, BEST | config, first + k, recall)
        for k, (score, recall) in enumerate(zip(scores, recalls, strict=True))
    ]


def claims_file(path: Path, *claims: str, head: str = "") -> str:
    """A file of claims in flow style; returns its path."""
    path.write_text(head + "claims:\n" + "".join(f"  - {{{claim}}}\n" for claim in claims))
    return str(path)


BATCH = "name: batch, kind: best, value: {optim.batch_size: 32}"
"""The best config's own batch size against the two others."""


def grid(seed=0):
    """Twenty-four trials in which only the batch size matters."""
    rng, made = np.random.default_rng(seed), []
    for index in range(24):
        batch = (32, 64, 128)[index % 3]
        score = 0.9 - 0.1 * (index % 3) + rng.normal(0, 0.004)
        made.append(run(score, {"optim.batch_size": batch, "model.dropout": rng.uniform(0, 0.5)}))
    return made
