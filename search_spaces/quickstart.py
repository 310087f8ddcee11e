"""Three hyperparameters of a fine-tuned ResNet18, over wide ranges: what `make tune` searches.

Few enough for a ranking after some forty short trials, and wide, because whoever begins does not
know yet which learning rate is too small and which destroys what was learnt.
"""

from deepsight.space import choice, loguniform, uniform

FIXED = {
    "model.name": "resnet18",
    "model.dropout": 0.1,
    "optim.backbone_lr_ratio": 1.0,
    "optim.weight_decay": 1e-4,
    "optim.batch_size": 64,
    "augment.mix": "none",
}

SPACE = {
    "model.freeze_fraction": choice(0.0, 0.25, 0.5, 0.75, 1.0),
    "optim.lr": loguniform(1e-5, 1e-1),
    "augment.strength": uniform(0.0, 1.0),
}
