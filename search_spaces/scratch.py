"""Train a small convolutional network from scratch: its size, its optimiser, its data.

Eight hyperparameters, for studies of a few dozen trials; `scratch_full` has sixteen.
"""

from deepsight.space import choice, loguniform, randint, uniform

FIXED = {"model.name": "scratch_cnn", "model.dense_layers": 0}

SPACE = {
    # the network
    "model.depth": randint(3, 5),
    "model.width": choice(16, 32, 48, 64),
    "model.activation": choice("relu", "mish", "gelu"),
    "model.dropout": uniform(0.0, 0.5),
    # how it is optimised
    "optim.lr": loguniform(5e-4, 3e-2),
    "optim.weight_decay": loguniform(1e-6, 1e-1),
    "optim.batch_size": choice(32, 64, 128),
    # how the images vary
    "augment.strength": uniform(0.0, 1.0),
}
