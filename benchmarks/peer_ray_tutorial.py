"""The peer: a search written as Ray's documentation teaches it, on our data, space and network.

    python benchmarks/peer_ray_tutorial.py SEED OUT.json (--space NAME | --experiment NAME)
        [--trials N] [--set study.max_epochs=N]

A function trainable that reports every epoch; a DataLoader with per-image torchvision transforms;
fp32; stock OptunaSearch and ASHAScheduler; defaults otherwise. The network, its weights, freezing
and learning-rate groups are built by the same functions as ours, so that only the search and the
training loop differ.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from PIL import Image
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from deepsight.config import trial_config
from deepsight.data.datasets import load_dataset
from deepsight.losses import build_loss
from deepsight.models.build import build_model
from deepsight.models.finetune import frozen_stages, param_groups, set_frozen, stages
from deepsight.overrides import parse_set
from deepsight.tune.plan import StudyPlan
from deepsight.tune.plan_files import plan_study
from deepsight.tune.search.optuna_space import suggest_point


class Images(Dataset):  # type: ignore[type-arg]
    """A split as the tutorials read one: an image at a time, through PIL and transforms."""

    def __init__(self, split: Any, transform: Any) -> None:
        self.images, self.labels, self.transform = split.images, split.labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def make_loaders(config: Any) -> tuple[DataLoader, DataLoader, Any]:  # type: ignore[type-arg]
    """Loaders with transforms of the same kinds and magnitudes as ours."""
    dataset = load_dataset(config.data)
    augment, side = config.augment, dataset.image_size
    finish = [transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std)]
    s = augment.strength
    varied = [
        transforms.RandomCrop(side, padding=round(s * augment.crop * side), padding_mode="reflect"),
        transforms.RandomHorizontalFlip(),
        transforms.RandomAffine(
            s * augment.rotate, scale=(1 - s * augment.scale, 1 + s * augment.scale)
        ),
        transforms.ColorJitter(*(3 * [s * augment.colour])),
        *finish,
        transforms.RandomErasing(p=1.0, scale=((s * augment.cutout) ** 2,) * 2, ratio=(1.0, 1.0))
        if s * augment.cutout * side >= 1
        else transforms.Lambda(lambda image: image),
    ]
    train = DataLoader(
        Images(dataset.train, transforms.Compose(varied)),
        batch_size=config.optim.batch_size,
        shuffle=True,
    )
    val = DataLoader(Images(dataset.val, transforms.Compose(finish)), batch_size=256)
    return train, val, dataset


def make_optimizer(model: torch.nn.Module, config: Any) -> torch.optim.Optimizer:
    """The optimiser by name, over the same groups as ours."""
    groups = param_groups(model, config)
    if config.optim.name == "sgd":
        return torch.optim.SGD(
            groups,
            lr=config.optim.lr,
            momentum=config.optim.momentum,
            nesterov=config.optim.momentum > 0,
        )
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}
    return kinds[config.optim.name](groups, lr=config.optim.lr)


def train_peer(values: dict[str, Any]) -> None:
    """A function trainable, read top to bottom as in the tutorial."""
    config = trial_config(values)
    torch.manual_seed(config.train.seed)
    train, val, dataset = make_loaders(config)
    model = build_model(config, len(dataset.classes), dataset.image_size)
    optimizer = make_optimizer(model, config)
    steps = len(train) * config.train.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        [g["lr"] for g in optimizer.param_groups],
        total_steps=steps,
        cycle_momentum=False,
    )
    counts = torch.bincount(torch.tensor(dataset.train.labels), minlength=len(dataset.classes))
    criterion = build_loss(config.loss, counts)
    for epoch in range(1, config.train.epochs + 1):
        model.train()
        set_frozen(model, frozen_stages(config.model, len(stages(model)) - 1, epoch))
        for images, labels in train:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in val:
                correct += int((model(images).argmax(1) == labels).sum())
        with tempfile.TemporaryDirectory() as folder:
            torch.save((model.state_dict(), optimizer.state_dict()), Path(folder) / "checkpoint.pt")
            tune.report(
                {"val_accuracy": correct / len(dataset.val.labels)},
                checkpoint=tune.Checkpoint.from_directory(folder),
            )


def define(trial: Any, fixed: Mapping[str, Any], space: Mapping[str, Any]) -> dict[str, Any]:
    """The search space as Optuna's define-by-run wants it."""
    return dict(fixed) | suggest_point(trial, space, fixed)


def plan_of(args: argparse.Namespace) -> StudyPlan:
    """The study that ours would run with the same options."""
    layer = dict(map(parse_set, args.set))
    if args.trials:
        layer["study.trials"] = args.trials
    return plan_study(args.space, args.experiment, "peer", layer)


def main() -> None:
    """Search, then write what was trained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--space")
    parser.add_argument("--experiment")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    plan = plan_of(args)

    import peer_ray_tutorial as by_name  # functions of __main__ cannot be pickled

    space = functools.partial(by_name.define, fixed=plan.fixed, space=plan.space)
    ray.init(address="local")  # not a cluster that somebody else began
    began = time.monotonic()
    storage = Path(tempfile.mkdtemp(prefix="peer-"))
    tuner = tune.Tuner(
        by_name.train_peer,
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=plan.settings.trials,
            search_alg=OptunaSearch(space, metric="val_accuracy", mode="max", seed=args.seed),
            scheduler=ASHAScheduler(
                max_t=plan.settings.max_epochs, grace_period=1, reduction_factor=3
            ),
        ),
        run_config=tune.RunConfig(storage_path=str(storage), name="peer"),
    )
    results = tuner.fit()
    last = [r.metrics or {} for r in results]
    epochs = [int(row.get("training_iteration", 0)) for row in last]
    full = [
        row["val_accuracy"]
        for row, n in zip(last, epochs, strict=True)
        if n == plan.settings.max_epochs
    ]
    args.out.write_text(
        json.dumps(
            {
                "trials": len(epochs),
                "epochs": sum(epochs),
                "errors": results.num_errors,
                "fit_s": time.monotonic() - began,
                "best": max(full, default=None),
            }
        )
    )


if __name__ == "__main__":
    main()
