"""Three hyperparameters of a tiny network: seconds a trial, for tests and first tries."""

from deepsight.space import choice, loguniform, uniform, when

FIXED = {"model.name": "scratch_cnn", "model.depth": 2, "model.width": 8, "model.dense_layers": 0}

SPACE = {
    "optim.name": choice("adamw", "sgd"),
    "optim.lr": loguniform(1e-4, 1e-1),
    "optim.momentum": when("optim.name", "sgd", uniform(0.5, 0.95)),
}
