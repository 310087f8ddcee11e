"""Every hyperparameter and every study setting: its default, its type and its range, in one place.

A *flat* config is a mapping of dotted names to plain values (``{"optim.lr": 0.01}``); that is what
spaces, experiments and the run format hold. `trial_config` checks a flat config and builds the
frozen `TrialConfig` that training reads as ``config.optim.lr``; `flatten` goes the other way.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# these are imported from here, beside what they are of
from deepsight.values import PlainFormatter as PlainFormatter
from deepsight.values import UserError as UserError
from deepsight.values import Value as Value
from deepsight.values import is_import_path as is_import_path
from deepsight.values import single_value as single_value
from deepsight.values import spreadsheet_text as spreadsheet_text
from deepsight.values import unknown as unknown
from deepsight.values import without_controls as without_controls


def param(
    default: Value,
    doc: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
    importable: bool = False,
    prefixes: tuple[str, ...] = (),
    words: tuple[str | None, ...] = (),
    kind: type | None = None,
    several: bool = False,
    memory: int | tuple[Value, ...] = 0,
) -> Any:
    """Declare a hyperparameter: its default, meaning and allowed values (bounds are inclusive).

    Args:
        default: The one default there is; its type is the hyperparameter's type.
        doc: One line, with the unit.
        low: Smallest allowed number.
        high: Largest allowed number.
        choices: The allowed texts; empty allows any.
        importable: Also allow ``package.module:function``.
        prefixes: Also allow a text that begins with one of these (``folder:``).
        words: What is allowed in the place of a number (``auto``).
        kind: The type, where the default is one of `words`.
        several: Whether a text may name several of `choices`, with commas between them, or none.
        memory: How the value decides what a trial takes of a GPU's memory: 1 where more takes
            more, -1 where more takes less, the values from the least to the most where they have
            no order; 0 where it hardly does.
    """
    metadata = {
        "doc": doc,
        "low": low,
        "high": high,
        "memory": memory,
        "choices": choices,
        "importable": importable,
        "prefixes": prefixes,
        "words": words,
        "kind": kind,
        "several": several,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class DataConfig:
    """The data set and its split."""

    name: str = param(
        "toy_objects",
        "data set: a name, folder:PATH, or a function of your own",
        choices=("toy_objects", "digits", "cifar10", "cifar100"),
        prefixes=("folder:",),
        importable=True,
    )
    size: int = param(5000, "images drawn in all for toy_objects", low=200, high=10_000_000)
    image_size: int = param(
        0,
        "side in pixels of what the network sees; 0: the data set's own",
        low=0,
        high=1024,
        memory=1,
    )
    interpolation: str = param(
        "bilinear", "how images are resized", choices=("bilinear", "bicubic")
    )
    masks: str = param(
        "", "folder: data: a parallel folder of the objects' masks, for analysis.diagnose alone"
    )
    val_fraction: float = param(0.2, "share held out for model selection", low=0.01, high=0.5)
    test_fraction: float = param(0.2, "share held out for the final test", low=0.01, high=0.5)
    split_seed: int = param(0, "seed of the split (and of drawn data)", low=0, high=2**31 - 1)
    defects: str = param(
        "", "defects planted into toy_objects or digits, to test a diagnosis: background:cat:0.9"
    )


@dataclass(frozen=True)
class ModelConfig:
    """The network."""

    name: str = param(
        "scratch_cnn",
        "network",
        choices=("scratch_cnn", "resnet18", "resnet50", "resnet20_cifar"),
        importable=True,
        memory=("resnet20_cifar", "scratch_cnn", "resnet18", "resnet50"),
    )
    depth: int = param(4, "scratch CNN: convolution blocks", low=1, high=6, memory=1)
    width: int = param(32, "scratch CNN: channels of the first block", low=4, high=512, memory=1)
    kernel_size: int = param(3, "scratch CNN: side of the kernels (odd)", low=1, high=11, memory=1)
    activation: str = param(
        "relu",
        "scratch CNN: activation after convolutions",
        choices=("relu", "mish", "gelu", "silu", "leaky_relu"),
        memory=("relu", "leaky_relu", "silu", "gelu", "mish"),
    )
    dense_activation: str = param(
        "relu",
        "scratch CNN: activation after dense layers",
        choices=("relu", "mish", "gelu", "silu", "leaky_relu"),
    )
    dense_layers: int = param(1, "scratch CNN: hidden dense layers", low=0, high=4, memory=1)
    dense_width: int = param(
        128, "scratch CNN: units of the first dense layer", low=8, high=4096, memory=1
    )
    dense_strategy: str = param(
        "halving",
        "scratch CNN: width of each further dense layer",
        choices=("same", "halving", "doubling"),
        memory=("halving", "same", "doubling"),
    )
    batch_norm: bool = param(
        True, "scratch CNN: batch normalisation after convolutions", memory=(False, True)
    )
    dropout: float = param(
        0.1, "dropout before the classifier (and its dense layers)", low=0.0, high=0.95
    )
    weights: str = param(
        "auto",
        "starting weights: imagenet, embedded, none or a file; auto: embedded for embedded data, "
        "imagenet for real data, none where there is nothing pretrained",
    )
    stem: str = param(
        "imagenet",
        "ResNet's first layers: imagenet (7x7 stride 2, pooling), no_pool, cifar (3x3 stride 1)",
        choices=("imagenet", "no_pool", "cifar"),
        memory=("imagenet", "no_pool", "cifar"),
    )
    freeze_fraction: float = param(
        0.0, "share of the backbone's depth that is frozen", low=0.0, high=1.0, memory=-1
    )
    unfreeze: str = param(
        "never",
        "when frozen layers are trained after all: never, at_once or gradual from the head down",
        choices=("never", "at_once", "gradual"),
    )
    unfreeze_epoch: int = param(2, "first epoch of the unfreezing", low=1, high=10_000)


@dataclass(frozen=True)
class LossConfig:
    """The loss."""

    name: str = param(
        "cross_entropy",
        "loss",
        choices=("cross_entropy", "class_weighted", "focal", "label_smoothing"),
        importable=True,
    )
    focal_gamma: float = param(2.0, "focusing exponent of the focal loss", low=0.0, high=10.0)
    label_smoothing: float = param(0.1, "mass spread over all classes", low=0.0, high=0.9)


@dataclass(frozen=True)
class AugmentConfig:
    """How training images are varied. Each magnitude is multiplied by `strength`."""

    backend: str = param(
        "auto",
        "batched (whole batches, CPU or GPU), albumentations (the reference), or auto",
        choices=("auto", "batched", "albumentations"),
    )
    strength: float = param(
        0.5, "multiplies every magnitude below; 0 switches all off but flips", low=0.0, high=1.0
    )
    flip: bool = param(True, "mirror left to right with probability one half")
    crop: float = param(
        0.25, "padding before a random crop, as a share of the side", low=0.0, high=0.5
    )
    cutout: float = param(
        0.5, "side of the erased square, as a share of the side", low=0.0, high=1.0
    )
    colour: float = param(
        0.4, "brightness, contrast and saturation factors in 1 +- this", low=0.0, high=0.9
    )
    rotate: float = param(20.0, "rotation in degrees, +- this", low=0.0, high=180.0)
    scale: float = param(0.2, "zoom factors in 1 +- this", low=0.0, high=0.5)
    mix: str = param(
        "none",
        "blend pairs of images and labels",
        choices=("none", "mixup", "cutmix"),
        memory=("none", "mixup", "cutmix"),
    )
    mix_alpha: float = param(0.4, "Beta(alpha, alpha) of the blending share", low=0.01, high=4.0)


@dataclass(frozen=True)
class OptimConfig:
    """The optimiser and the learning rate."""

    name: str = param(
        "adamw",
        "optimiser",
        choices=("sgd", "adam", "adamw", "rmsprop"),
        memory=("sgd", "rmsprop", "adam", "adamw"),
    )
    lr: float = param(
        2e-3, "peak learning rate (of the head, where they differ)", low=1e-8, high=100.0
    )
    momentum: float = param(0.9, "momentum of sgd and rmsprop", low=0.0, high=0.9999)
    weight_decay: float = param(
        1e-4, "decoupled for adamw, L2 otherwise; never on norms, biases", low=0.0, high=10.0
    )
    batch_size: int = param(64, "images per step", low=1, high=65_536, memory=1)
    accumulate: int = param(
        1, "steps whose gradients are summed before an update", low=1, high=1024, memory=1
    )
    clip_norm: float = param(0.0, "largest gradient norm; 0: unclipped", low=0.0, high=1e6)
    lr_schedule: str = param(
        "onecycle",
        "learning rate over the whole budget",
        choices=("onecycle", "cosine", "constant"),
    )
    warmup_fraction: float = param(
        0.1, "share of the budget that warms up (onecycle, cosine)", low=0.0, high=0.9
    )
    backbone_lr_ratio: float = param(
        1.0, "backbone's learning rate over the head's", low=0.0, high=10.0
    )
    layer_decay: float = param(
        1.0,
        "factor on the learning rate from each backbone stage to the one below it",
        low=0.01,
        high=1.0,
    )
    ema_decay: float = param(
        0.0,
        "decay per update of the averaged weights that are validated; 0: off",
        low=0.0,
        high=0.99999,
        memory=1,
    )


@dataclass(frozen=True)
class TrainConfig:
    """Budget and seed of the run."""

    epochs: int = param(
        9,
        "full budget in epochs: the horizon of the learning-rate schedule; set by study.max_epochs",
        low=1,
        high=100_000,
    )
    seed: int = param(0, "seed of weights, order and augmentation", low=0, high=2**31 - 1)
    focus_pairs: str = param(
        "", "pairs of classes whose hardest images count twice: cat:dog, or cat:dog,car:truck"
    )


@dataclass(frozen=True)
class HardwareConfig:
    """What `deepsight.hardware.choose_hardware` decides unless it is set here."""

    device: str = param("auto", "auto, cpu or cuda", choices=("auto", "cpu", "cuda"))
    precision: str = param(
        "auto", "auto, bf16 (autocast) or fp32", choices=("auto", "bf16", "fp32")
    )
    memory_format: str = param(
        "auto", "auto, channels_last or contiguous", choices=("auto", "channels_last", "contiguous")
    )
    threads: int = param(0, "intra-op threads of a trial; 0: as many as its CPUs", low=0, high=1024)
    cuda_graphs: bool = param(
        True, "on a GPU, replay steps as CUDA graphs (not with a model or loss of your own)"
    )


@dataclass(frozen=True)
class TrialConfig:
    """All settings that `deepsight.training.trial.train_trial` may read."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    user: Mapping[str, Value] = field(default_factory=dict)
    """Hyperparameters ``user.*`` for models, data sets and losses of your own."""


@dataclass(frozen=True)
class StudySettings:
    """How one search is run (``study.*``)."""

    trials: int = param(24, "trials in all", low=1, high=1_000_000)
    max_epochs: int = param(9, "full budget of a trial, in epochs", low=1, high=100_000)
    min_epochs: int = param(1, "first rung, in epochs", low=1, high=100_000)
    reduction_factor: int = param(2, "one in this many goes on at a rung", low=2, high=100)
    explore: float = param(
        0.2, "share of trials drawn uniformly with a budget fixed beforehand", low=0.0, high=1.0
    )
    searcher: str = param(
        "gp",
        "which searcher proposes; or a sampler of Optuna, as optuna.samplers:CmaEsSampler",
        choices=("gp", "tpe", "random"),
        words=("planned",),  # the study lists its trials: StudyPlan.planned
        importable=True,
    )
    warm_start: str = param("", "earlier studies to learn from, as runs/OLD,runs/OLDER")
    scheduler: str = param(
        "asha",
        "which scheduler decides whether a trial continues",
        choices=("asha", "asha_stop", "fifo"),
    )
    brackets: int = param(1, "groups of trials whose first rungs differ", low=1, high=100)
    seed: int = param(0, "seed of the search; trial k trains with seed + k", low=0, high=2**31 - 1)
    metric: str = param("val_accuracy", "what the search improves: a name in the results")
    mode: str = param("auto", "which direction is better", choices=("auto", "max", "min"))
    target: float | str | None = param(
        "auto",
        "least viable value of the metric, or none",
        kind=float,
        words=("auto", "none", None),
    )
    patience: float = param(
        0.0, "end when going on is expected to gain less of the metric; 0: never", low=0.0
    )
    time_limit_s: float = param(0.0, "seconds until no epoch begins; 0: none", low=0.0, high=1e9)
    allow_changed_data: bool = param(False, "with --resume: go on although the data changed")
    allow_unauthenticated: bool = param(False, "join a cluster without authentication")
    trackers: str = param(
        "", "where the study is sent while it runs", choices=("mlflow", "wandb"), several=True
    )
    trainable: str = param(
        "", "generator of your own, package.module:function", choices=("",), importable=True
    )


@dataclass(frozen=True)
class ResourceSettings:
    """What one trial and the whole study may occupy (``resources.*``)."""

    cpus_per_trial: float = param(1.0, "CPU cores of one trial", low=0.1, high=1024)
    gpus_per_trial: float | str = param(
        0.0,
        "GPUs of one trial, fractions allowed; 0: one trial a GPU where there is one; auto: "
        "as many trials a GPU as fit and help, measured first",
        low=0.0,
        high=64,
        words=("auto",),
    )
    cpus: int = param(0, "CPU cores of the study on this machine; 0: all", low=0, high=4096)
    max_parallel: int = param(0, "trials at a time; 0: as many as fit", low=0, high=100_000)


SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "model": ModelConfig,
    "loss": LossConfig,
    "augment": AugmentConfig,
    "optim": OptimConfig,
    "train": TrainConfig,
    "hardware": HardwareConfig,
}
"""The sections of a `TrialConfig`, by the first part of their dotted names."""

STUDY_SECTIONS: dict[str, type] = {"study": StudySettings, "resources": ResourceSettings}


def _declared(sections: Mapping[str, type]) -> dict[str, dataclasses.Field[Any]]:
    return {f"{s}.{f.name}": f for s, cls in sections.items() for f in dataclasses.fields(cls)}


PARAMS: dict[str, dataclasses.Field[Any]] = _declared(SECTIONS)
"""Every hyperparameter by its dotted name."""

STUDY_PARAMS: dict[str, dataclasses.Field[Any]] = _declared(STUDY_SECTIONS)
"""Every study setting by its dotted name."""

DEFAULTS: dict[str, Value] = {name: f.default for name, f in PARAMS.items()}  # type: ignore[misc]


def _typed(name: str, value: object, kind: type) -> Value:
    """`value` as `kind`; an int is taken for a float, nothing else is converted."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is kind:
        return value  # type: ignore[return-value]
    hint = f"Give {name} a value of type {kind.__name__}."
    if isinstance(value, str) and kind in (int, float):
        hint = f"YAML reads {value} as text; {_article(kind)} is written like " + (
            "1.0e-4." if kind is float else "32."
        )
    raise UserError(f"{name} must be {_article(kind)}, got {value!r}.", hint)


def _article(kind: type) -> str:
    return {bool: "true or false", int: "an int", float: "a float", str: "a text"}[kind]


def check_value(name: str, value: object) -> Value:
    """Check one hyperparameter or study setting and return it with its declared type.

    Raises:
        UserError: If the name is unknown, or the value has the wrong type or range.
    """
    if name.startswith("user."):
        return single_value(name, value)
    declared = PARAMS.get(name) or STUDY_PARAMS.get(name)
    if declared is None:
        raise unknown("hyperparameter", name, [*PARAMS, *STUDY_PARAMS])
    rule = declared.metadata
    if value in rule["words"]:
        return value  # type: ignore[return-value]
    if isinstance(value, int | float):
        single_value(name, value)
    value = _typed(name, value, rule["kind"] or type(declared.default))
    if isinstance(value, float | int) and not isinstance(value, bool):
        if not rule["low"] <= value <= rule["high"]:
            raise UserError(
                f"{name} must lie in [{rule['low']:g}, {rule['high']:g}], got {value:g}.",
                f"{name}: {rule['doc']}.",
            )
    elif isinstance(value, str) and rule["choices"]:
        named = [part.strip() for part in value.split(",")] if rule["several"] else [value]
        for each in named if value or not rule["several"] else []:
            _check_choice(name, each, rule)
    return value


def _check_choice(name: str, value: str, rule: Mapping[str, Any]) -> None:
    if value in rule["choices"] or any(value.startswith(p) for p in rule["prefixes"]):
        return
    if rule["importable"] and is_import_path(value):
        return
    known = [c for c in rule["choices"] if c]
    raise unknown(name, value, known + ["package.module:name"] * rule["importable"])


def trial_config(flat: Mapping[str, object]) -> TrialConfig:
    """Build a `TrialConfig` from dotted names; a missing or null name has its default.

    Raises:
        UserError: If a name is unknown or a value has the wrong type or range.
    """
    groups: dict[str, dict[str, Value]] = {section: {} for section in SECTIONS}
    user: dict[str, Value] = {}
    for name, value in flat.items():
        if name in STUDY_PARAMS:
            raise unknown("hyperparameter", name, PARAMS)
        if value is None and name in PARAMS:
            continue
        checked = check_value(name, value)
        section, _, key = name.partition(".")
        if section == "user":
            user[key] = checked
        else:
            groups[section][key] = checked
    if groups["model"].get("kernel_size", 3) % 2 == 0:  # type: ignore[operator]
        raise UserError("model.kernel_size must be odd.", "Odd kernels keep the image's size.")
    return TrialConfig(**{s: cls(**groups[s]) for s, cls in SECTIONS.items()}, user=user)


def flatten(config: TrialConfig) -> dict[str, Value]:
    """All hyperparameters of `config` by dotted name: the inverse of `trial_config`."""
    flat: dict[str, Value] = {
        name: getattr(getattr(config, name.partition(".")[0]), f.name) for name, f in PARAMS.items()
    }
    return flat | {f"user.{key}": value for key, value in config.user.items()}


def study_settings(flat: Mapping[str, object]) -> tuple[StudySettings, ResourceSettings]:
    """Build the study's settings from dotted names (``study.trials``, ``resources.cpus``).

    Raises:
        UserError: As `trial_config`.
    """
    groups: dict[str, dict[str, Value]] = {section: {} for section in STUDY_SECTIONS}
    for name, value in flat.items():
        if name not in STUDY_PARAMS:
            raise unknown("study setting", name, STUDY_PARAMS)
        section, _, key = name.partition(".")
        groups[section][key] = check_value(name, value)
    settings = StudySettings(**groups["study"])  # type: ignore[arg-type]
    if settings.min_epochs > settings.max_epochs:
        raise UserError(
            f"study.min_epochs ({settings.min_epochs}) exceeds study.max_epochs "
            f"({settings.max_epochs}).",
            "The first rung lies within the budget.",
        )
    return settings, ResourceSettings(**groups["resources"])  # type: ignore[arg-type]
