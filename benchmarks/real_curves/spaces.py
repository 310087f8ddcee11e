"""What the tables vary: one space a table, of 5 to 12 hyperparameters."""

from __future__ import annotations

from deepsight.space import Domain, choice, loguniform, randint, uniform, when

SGD: dict[str, Domain] = {
    "loss": choice("hinge", "log_loss", "modified_huber", "perceptron"),
    "penalty": choice("l2", "l1", "elasticnet"),
    "l1_ratio": when("penalty", "elasticnet", uniform(0.0, 1.0)),
    "alpha": loguniform(1e-6, 1e-1),
    "schedule": choice("constant", "invscaling"),
    "rate": loguniform(1e-5, 1.0),
    "power": when("schedule", "invscaling", uniform(0.1, 0.9)),
    "average": choice(False, True),
}
"""scikit-learn's linear classifier."""

MLP: dict[str, Domain] = {
    "solver": choice("sgd", "adam"),
    "rate": loguniform(1e-5, 1.0),
    "momentum": when("solver", "sgd", uniform(0.0, 0.98)),
    "beta": when("solver", "adam", uniform(0.5, 0.98)),
    "width": randint(4, 128, log=True),
    "layers": randint(1, 3),
    "activation": choice("relu", "tanh", "logistic", "identity"),
    "alpha": loguniform(1e-6, 1.0),
    "batch_size": choice(8, 32, 128, 512),
}
"""scikit-learn's multi-layer perceptron."""

PLAIN: dict[str, Domain] = {
    "optim.lr": loguniform(1e-3, 1.0),
    "optim.momentum": uniform(0.0, 0.98),
    "optim.batch_size": choice(16, 32, 64, 128),
    "optim.weight_decay": loguniform(1e-6, 1e-2),
    "optim.lr_schedule": choice("onecycle", "cosine", "constant"),
    "augment.strength": uniform(0.0, 1.0),
    "model.batch_norm": choice(True, False),
    "model.activation": choice("relu", "gelu", "leaky_relu"),
}
"""A small network trained by SGD."""

SCRATCH: dict[str, Domain] = {
    "optim.name": choice("sgd", "adamw"),
    "optim.lr": loguniform(1e-3, 3e-1),
    "optim.momentum": when("optim.name", "sgd", uniform(0.0, 0.98)),
    "optim.batch_size": choice(32, 64, 128),
    "optim.weight_decay": loguniform(1e-6, 1e-1),
    "optim.lr_schedule": choice("onecycle", "cosine", "constant"),
    "augment.strength": uniform(0.0, 1.0),
    "model.depth": randint(2, 3),
    "model.width": choice(8, 16),
    "model.batch_norm": choice(True, False),
    "model.dense_layers": randint(0, 2),
    "model.dense_width": when("model.dense_layers", [1, 2], choice(32, 128)),
}
"""A small network of varying shape."""

CLOTHES: dict[str, Domain] = {
    "optim.name": choice("sgd", "adamw"),
    "optim.lr": loguniform(3e-4, 1.0),
    "optim.momentum": when("optim.name", "sgd", uniform(0.0, 0.98)),
    "optim.batch_size": choice(32, 128),
    "optim.clip_norm": choice(0.0, 1.0),
    "model.dropout": uniform(0.0, 0.8),
    "model.kernel_size": choice(3, 5),
    "model.activation": choice("relu", "mish", "silu"),
    "loss.name": choice("cross_entropy", "label_smoothing"),
    "loss.label_smoothing": when("loss.name", "label_smoothing", uniform(0.02, 0.5)),
}
"""A small network on Fashion-MNIST."""

TUNED: dict[str, Domain] = {
    "model.freeze_fraction": choice(0.5, 0.75, 1.0),
    "optim.name": choice("sgd", "adamw"),
    "optim.lr": loguniform(1e-4, 3e-1),
    "optim.momentum": when("optim.name", "sgd", uniform(0.5, 0.98)),
    "optim.batch_size": choice(32, 64, 128),
    "optim.backbone_lr_ratio": loguniform(1e-2, 1.0),
    "augment.strength": uniform(0.0, 1.0),
}
"""A pretrained ResNet18, fine-tuned; narrow, so that a config takes seconds."""
