"""Whether a study of a few hyperparameters ends ranked, where a formula stands for fine-tuning.

    python -m benchmarks.quickstart_planted [--names 3,8] [--trials 36] [--max-epochs 4]
        [--explore 0.25] [--seeds 6]

Nothing is trained: the score is a formula of learning rate, freezing, augmentation, batch size and
the rest of `finetune`, with noise between trials and between epochs. The learning rate decides
most of it, then freezing. Search, record and verdict are the real ones. ``--names 3`` searches the
hyperparameters of `experiments/quickstart.yaml`, 8 all of `finetune`.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.importance.importance import compute_importance
from deepsight.run_store import create_study, load_study
from deepsight.tune.plan import resolve_study
from deepsight.tune.preflight import make_header
from deepsight.tune.search.search import Search
from deepsight.tune.search.searcher import Searcher
from search_spaces import finetune

NAMES = {
    3: ("model.freeze_fraction", "optim.lr", "augment.strength"),
    8: tuple(finetune.SPACE),
}
"""The hyperparameters that are searched, by their number."""
BETWEEN_TRIALS, BETWEEN_EPOCHS = 0.012, 0.015
"""Standard deviations of the accuracy: of a seed, and of some 500 validation images."""


def accuracies(config: Mapping[str, Any], seed: int, max_epochs: int) -> Iterator[float]:
    """A trial's validation accuracies."""
    rng = random.Random(f"{seed} {sorted(config.items(), key=str)}")
    distance = math.log10(config["optim.lr"]) + 2.6
    frozen = config["model.freeze_fraction"]
    quality = math.exp(-((distance / 0.75) ** 2) / 2) * (1 - 0.45 * frozen**1.5)
    quality *= 1 - 0.12 * config["augment.strength"]
    quality *= 1 - 0.06 * abs(math.log2(config.get("optim.batch_size", 64) / 64))
    ratio = config.get("optim.backbone_lr_ratio", 1.0)
    if isinstance(ratio, float):  # else it is inactive
        quality *= 1 - 0.05 * abs(math.log10(ratio)) * (1 - frozen)
    quality *= 1 - 0.05 * config.get("model.dropout", 0.1)
    quality *= 1.0 if config.get("augment.mix", "none") == "none" else 0.93
    offset = rng.gauss(0, BETWEEN_TRIALS)
    for epoch in range(1, max_epochs + 1):
        learnt = 1 - math.exp(-epoch / (0.28 * max_epochs))
        score = 0.1 + 0.72 * quality * learnt + offset + rng.gauss(0, BETWEEN_EPOCHS)
        yield min(max(score, 0.02), 1.0)


def run(names: int, args: argparse.Namespace, seed: int) -> str:
    """One study with two slots; its epochs and the verdict in a line."""
    plan = resolve_study(
        "planted",
        {name: finetune.SPACE[name] for name in NAMES[names]},
        {
            "study.trainable": "tests.trainables:curve",  # named, never called
            "study.metric": "score",
            "study.mode": "max",
            "study.trials": args.trials,
            "study.max_epochs": args.max_epochs,
            "study.explore": args.explore,
            "study.seed": seed,
            "model.name": "resnet18",
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "study"
        search = Search(plan, Searcher(plan), create_study(directory, make_header(plan, {})))
        drive(search, seed)
        epochs = search.progress.epochs
        importance = compute_importance(load_study(directory))
    first = ", ".join(f"{s.name} {s.total.value:.2f}" for s in importance.shares[:2])
    return f"{names} searched, seed {seed}: {epochs} epochs, {importance.verdict} ({first})"


def drive(search: Search, seed: int) -> None:
    """Two workers that take turns, epoch by epoch."""
    running: dict[str, list[float]] = {}
    while True:
        while len(running) < 2 and not search.exhausted:
            proposal = search.next()
            if proposal is None:
                break
            scores = accuracies(dict(proposal.config), seed, search.plan.settings.max_epochs)
            running[proposal.trial_id] = list(scores)
        if not running:
            return
        for trial_id in list(running):
            epoch = search.epochs_of(trial_id) + 1
            row = {"epoch": epoch, "score": running[trial_id][epoch - 1]}
            if not search.result(trial_id, row):
                del running[trial_id]


def make_parser() -> argparse.ArgumentParser:
    """The flags; the defaults are the quickstart's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--names", default="3,8")
    parser.add_argument("--trials", type=int, default=36)
    parser.add_argument("--max-epochs", type=int, default=4)
    parser.add_argument("--explore", type=float, default=0.25)
    parser.add_argument("--seeds", type=int, default=6)
    return parser


def main() -> None:
    """Run all seeds for each number of hyperparameters."""
    args = make_parser().parse_args()
    for names in map(int, args.names.split(",")):
        for seed in range(args.seeds):
            print(run(names, args, seed), flush=True)


if __name__ == "__main__":
    main()
