"""Fine-tune a pretrained ResNet18: all nineteen hyperparameters of it, for studies of many trials.

`finetune` has eight of them, for a few dozen trials.
"""

from deepsight.space import choice, loguniform, randint, uniform, when

FIXED = {"model.name": "resnet18"}

SPACE = {
    # how much of the backbone is trained, and when
    "model.freeze_fraction": choice(0.0, 0.25, 0.5, 0.75, 1.0),
    "model.unfreeze": when(
        "model.freeze_fraction", [0.25, 0.5, 0.75, 1.0], choice("never", "at_once", "gradual")
    ),
    "model.unfreeze_epoch": when("model.unfreeze", ["at_once", "gradual"], randint(1, 5)),
    "model.dropout": uniform(0.0, 0.5),
    # how it is optimised
    "optim.name": choice("sgd", "adamw"),
    "optim.lr": loguniform(1e-4, 1e-1),
    "optim.momentum": when("optim.name", "sgd", uniform(0.8, 0.98)),
    "optim.weight_decay": loguniform(1e-6, 1e-1),
    "optim.batch_size": choice(32, 64, 128, 256),
    "optim.accumulate": choice(1, 2),
    "optim.lr_schedule": choice("onecycle", "cosine", "constant"),
    "optim.backbone_lr_ratio": loguniform(1e-2, 1.0),
    "optim.layer_decay": uniform(0.5, 1.0),
    # what is minimised
    "loss.name": choice("cross_entropy", "class_weighted", "focal", "label_smoothing"),
    "loss.focal_gamma": when("loss.name", "focal", uniform(0.5, 4.0)),
    "loss.label_smoothing": when("loss.name", "label_smoothing", uniform(0.02, 0.2)),
    # how the images vary
    "augment.strength": uniform(0.0, 1.0),
    "augment.mix": choice("none", "mixup", "cutmix"),
    "augment.mix_alpha": when("augment.mix", ["mixup", "cutmix"], loguniform(0.1, 2.0)),
}
