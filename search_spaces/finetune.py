"""Fine-tune a pretrained ResNet18: what to freeze, how fast each part learns, how data vary.

Eight hyperparameters, for studies of a few dozen trials; `finetune_full` has nineteen.
"""

from deepsight.space import choice, loguniform, uniform, when

FIXED = {"model.name": "resnet18"}

SPACE = {
    # how much of the backbone is trained
    "model.freeze_fraction": choice(0.0, 0.25, 0.5, 0.75, 1.0),
    "model.dropout": uniform(0.0, 0.5),
    # how it is optimised
    "optim.lr": loguniform(1e-4, 3e-2),
    "optim.backbone_lr_ratio": when(
        "model.freeze_fraction", [0.0, 0.25, 0.5, 0.75], loguniform(1e-2, 1.0)
    ),
    "optim.weight_decay": loguniform(1e-6, 1e-1),
    "optim.batch_size": choice(32, 64, 128, 256),
    # how the images vary
    "augment.strength": uniform(0.0, 1.0),
    "augment.mix": choice("none", "mixup", "cutmix"),
}
