"""Makes the projects beside it with the real Keras Tuner: run by hand, because Keras is heavy.

    pip install keras==3.15.1 keras-tuner==1.4.8 six
    KERAS_BACKEND=torch python make.py

Of what it makes, `oracle.json` and `trial_*/trial.json` are kept; `told.json` is what Keras Tuner
itself says of the trials.
"""

import json
from pathlib import Path

import keras
import keras_tuner
import numpy as np

HERE = Path(__file__).parent
IMAGES = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
LABELS = (IMAGES.sum(1) > 0).astype("int")


def build(hp):
    layers = [keras.layers.Input((4,)), keras.layers.Dense(hp.Int("units", 2, 8, step=2))]
    model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
    kind = hp.Choice("optimizer", ["sgd", "adam"])
    lr = hp.Float("lr", 1e-4, 1e-1, sampling="log")
    with hp.conditional_scope("optimizer", ["sgd"]):
        if kind == "sgd":
            hp.Float("momentum", 0, 0.9)
    hp.Boolean("bn")
    hp.Fixed("fixed", 3)
    optimizer = keras.optimizers.get({"class_name": kind, "config": {"learning_rate": lr}})
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def say(tuner):
    best = tuner.oracle.get_best_trials(1)[0]
    trials = tuner.oracle.trials.values()
    return {
        "best": best.trial_id,
        "score": best.score,
        "trials": {
            t.trial_id: {
                "values": {n: v for n, v in t.hyperparameters.values.items()},
                "status": t.status,
                "metrics": {n: t.metrics.get_last_value(n) for n in t.metrics.metrics},
            }
            for t in trials
        },
    }


def main():
    data = {"validation_data": (IMAGES, LABELS), "verbose": 0}
    place = {"directory": str(HERE), "seed": 1, "overwrite": True}
    halving = keras_tuner.Hyperband(
        build, "val_accuracy", max_epochs=4, factor=2, project_name="hyperband", **place
    )
    halving.search(IMAGES, LABELS, **data)
    random = keras_tuner.RandomSearch(
        build, keras_tuner.Objective("val_loss", "min"), 3, project_name="random",
        executions_per_trial=2, **place,
    )  # fmt: skip
    random.search(IMAGES, LABELS, epochs=3, **data)
    told = {"hyperband": say(halving), "random": say(random)}
    (HERE / "told.json").write_text(json.dumps(told, indent=1) + "\n")


main()
