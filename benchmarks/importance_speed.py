"""Seconds that the conclusions on importance take, for a small and a large study.

    python -m benchmarks.importance_speed [--repeats 3]

Configs are random; at every rung the best third goes on, explorers besides, as after a search.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

from analysis.importance.effects import compute_effects
from analysis.importance.importance import compute_importance
from analysis.importance.surrogate import NoSurrogate, fit_surrogate
from benchmarks.importance_problems import HIDDEN, HPO_LIKE, as_study
from benchmarks.planted import METRIC, Problem
from deepsight.run_store import Study, TrialRecord
from deepsight.space import sample, uniform

SIZES = {
    "150 trials x 27 epochs, 8 hyperparameters": (150, 8, 27),
    "1,000 trials x 20 epochs, 10 hyperparameters": (1000, 10, 20),
}


def halved_study(trials: int, num_hyperparameters: int, max_epochs: int, seed: int) -> Study:
    """`trials` random configs after synchronous successive halving; one in five explores."""
    hidden = HPO_LIKE["hidden"]
    idle = {f"idle_{i}": uniform(0.0, 1.0) for i in range(num_hyperparameters - len(HIDDEN))}
    problem = Problem("speed", "", HIDDEN | idle, max_epochs, hidden.final, hidden.shape)
    rungs = [rung for rung in (1, 3, 9, 27) if rung < max_epochs] + [max_epochs]
    rng = random.Random(seed)
    records = []
    for number in range(trials):
        config = sample(problem.space, {}, rng)
        explorer = number % 5 == 4
        epochs = rng.choice(rungs) if explorer else max_epochs
        rows = [
            {
                "epoch": e,
                "time": float(e),
                METRIC: problem.score(config, e) + rng.gauss(0.0, problem.noise),
            }
            for e in range(1, epochs + 1)
        ]
        records.append(
            TrialRecord(
                trial_id=f"t{number:04d}",
                config=config,
                explorer=explorer,
                budget=epochs,
                started=0.0,
                rows=rows,
            )
        )
    going = [record for record in records if not record.explorer]
    for rung in rungs[:-1]:
        going.sort(key=lambda record: -record.rows[rung - 1][METRIC])
        for record in going[len(going) // 3 :]:
            del record.rows[rung:]
        going = going[: len(going) // 3]
    return as_study(problem, records, tuple(rungs))


def seconds(call: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print("| study | rows | surrogate | importance | among good | effects |")
    print("|---|---|---|---|---|---|")
    for name, size in SIZES.items():
        times: list[list[float]] = []
        rows = 0
        for seed in range(args.repeats):
            study = halved_study(*size, seed)
            fit = seconds(lambda study=study: fit_surrogate(study))
            surrogate = fit_surrogate(study)
            assert not isinstance(surrogate, NoSurrogate)
            rows = surrogate.quality.num_rows
            times.append(
                [
                    fit,
                    seconds(lambda s=study, g=surrogate: compute_importance(s, surrogate=g)),
                    seconds(
                        lambda s=study, g=surrogate: compute_importance(
                            s, surrogate=g, region="good"
                        )
                    ),
                    seconds(lambda s=study, g=surrogate: compute_effects(s, surrogate=g)),
                ]
            )
        cells = [f"{statistics.median(t):.1f} s" for t in zip(*times, strict=True)]
        print(f"| {name} | {rows} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
