"""Studies of random configs, in memory."""

import random
from pathlib import Path

from deepsight.run_store import Study, StudyHeader, TrialRecord
from deepsight.space import sample

METRIC = "val_accuracy"


def make_study(
    space,
    score,
    num=60,
    seed=0,
    max_epochs=9,
    rungs=(1, 3, 9),
    fixed=None,
    noise=0.0,
    metric=METRIC,
    mode="max",
):
    """`num` random configs; equally many end at each rung."""
    rng = random.Random(seed)
    records = []
    for number in range(num):
        config = sample(space, fixed or {}, rng)
        epochs = rungs[number % len(rungs)]
        rows = [
            {
                "epoch": e,
                "time": 100.0 * number + e,
                "wall_s": 1.0,
                metric: score(config, e / max_epochs) + rng.gauss(0.0, noise),
            }
            for e in range(1, epochs + 1)
        ]
        state = "completed" if epochs == max_epochs else "stopped"
        records.append(
            TrialRecord(
                trial_id=f"t{number:04d}",
                config=config,
                explorer=number % 5 == 4,
                budget=max_epochs,
                started=100.0 * number,
                state=state,
                ended=100.0 * number + 50,
                rows=rows,
            )
        )
    return study_of(space, records, max_epochs, rungs, fixed, mode, metric)


def study_of(space, records, max_epochs=9, rungs=(1, 3, 9), fixed=None, mode="max", metric=METRIC):
    header = StudyHeader(
        name="none",
        metric=metric,
        mode=mode,
        max_epochs=max_epochs,
        rungs=tuple(rungs),
        fixed=fixed or {},
        space=dict(space),
    )
    return Study(directory=Path("none"), header=header, records=records)
