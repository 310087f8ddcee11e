"""A small run of stock Ray Tune, and what Ray itself reports of it, for the test to compare.

``python -m tests.analysis.adopt.ray_run FOLDER`` writes the experiment ``FOLDER/stock`` and
``FOLDER/reported.json``. A process of its own: Ray ends with it.
"""

import json
import math
import sys
from pathlib import Path

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

METRIC, NAME = "accuracy", "stock"
TRIALS, MAX_EPOCHS = 16, 9
HOT, COLD = 0.9, 2e-4
"""The learning rates of the first two trials: one raises, the other diverges."""


def train(config):
    """Good learning rates are near 0.01."""
    lr = config["optim"]["lr"]
    for epoch in range(1, MAX_EPOCHS + 1):
        if lr == HOT and epoch == 2:
            raise RuntimeError("too hot")
        score = 1 - 0.1 * abs(math.log10(lr) + 2) - 0.5 / epoch + config["width"] / 1000
        if lr == COLD and epoch > 2:
            score = float("nan")
        tune.report({METRIC: score, "eval": {"loss": 1 - score}})


def first(lr):
    """A config that the searcher begins with."""
    return {"optim/lr": lr, "optim/name": "sgd", "width": 64}


def main(folder: Path) -> None:
    """Run, then ask ResultGrid and ExperimentAnalysis."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    space = {
        "optim": {"lr": tune.loguniform(1e-4, 1.0), "name": tune.choice(["sgd", "adam"])},
        "width": tune.choice([32, 64, 128]),
        "blocks": [2, 2],
    }
    tuner = tune.Tuner(
        train,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            num_samples=TRIALS,
            search_alg=OptunaSearch(seed=3, points_to_evaluate=[first(HOT), first(COLD)]),
            scheduler=ASHAScheduler(max_t=MAX_EPOCHS, grace_period=1, reduction_factor=3),
            max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name=NAME, storage_path=str(folder), verbose=0),
    )
    grid = tuner.fit()
    analysis = tune.ExperimentAnalysis(str(folder / NAME))
    reported = {
        "best": analysis.get_best_trial(METRIC, "max").trial_id,
        "errors": [str(Path(r.path).name) for r in grid if r.error],
        "trials": {
            Path(trial.path).name: {
                "id": trial.trial_id,
                "config": trial.config,
                "values": [
                    None if math.isnan(v) else v
                    for v in analysis.trial_dataframes[trial.trial_id].get(METRIC, [])
                ],
                "losses": [
                    None if math.isnan(v) else v
                    for v in analysis.trial_dataframes[trial.trial_id].get("eval/loss", [])
                ],
            }
            for trial in analysis.trials
        },
    }
    (folder / "reported.json").write_text(json.dumps(reported))
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
