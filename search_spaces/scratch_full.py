"""Train a small convolutional network from scratch: all sixteen hyperparameters of it.

For studies of many trials; `scratch` has eight of them, for a few dozen trials.
"""

from deepsight.space import choice, loguniform, randint, uniform, when

FIXED = {"model.name": "scratch_cnn"}

SPACE = {
    # the network
    "model.depth": randint(2, 5),
    "model.width": choice(16, 32, 48, 64),
    "model.kernel_size": choice(3, 5),
    "model.activation": choice("relu", "mish", "gelu", "silu", "leaky_relu"),
    "model.dense_layers": randint(0, 3),
    "model.dense_width": when("model.dense_layers", [1, 2, 3], choice(64, 128, 256)),
    "model.dense_strategy": when(
        "model.dense_layers", [2, 3], choice("same", "halving", "doubling")
    ),
    "model.dense_activation": when(
        "model.dense_layers", [1, 2, 3], choice("relu", "mish", "gelu", "silu", "leaky_relu")
    ),
    "model.batch_norm": choice(True, False),
    "model.dropout": uniform(0.0, 0.5),
    # how it is optimised
    "optim.name": choice("sgd", "adam", "adamw", "rmsprop"),
    "optim.lr": loguniform(1e-4, 1e-1),
    "optim.weight_decay": loguniform(1e-6, 1e-1),
    "optim.batch_size": choice(32, 64, 128, 256),
    "optim.lr_schedule": choice("onecycle", "cosine", "constant"),
    # how the images vary
    "augment.strength": uniform(0.0, 1.0),
}
