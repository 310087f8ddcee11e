"""The one way from a trial's checkpoint to its model and preprocessing. It fetches no weights."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deepsight import checkpoint
from deepsight.augment.build import normalise, resize
from deepsight.config import HardwareConfig, TrialConfig, UserError, trial_config
from deepsight.data.folder.image_folder import PREFIX, folder_size
from deepsight.data.folder.wide import FULL, ValueRange
from deepsight.files import has_file
from deepsight.hardware import EVALUATION_BATCH, choose_hardware
from deepsight.imports import REFUSE, Permission, imports_in
from deepsight.models.build import build_architecture
from deepsight.models.small_maps import fit_kernels
from deepsight.run_store import CHECKPOINT_FILE, Study, TrialRecord, load_study, trial_path
from deepsight.space import to_stored

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocess:
    """From images as the data set packs them to network inputs, as in validation.

    Attributes:
        mean: Of the training images, in 0..1.
        std: Of the training images, in 0..1.
        input_size: Side in pixels of what the network sees.
        interpolation: "bilinear" or "bicubic".
        channels_last: Whether the inputs have that memory format.
        device: Where the inputs are wanted.
    """

    mean: Triple
    std: Triple
    input_size: int
    interpolation: str
    channels_last: bool
    device: torch.device

    def __call__(self, images: npt.NDArray[np.uint8] | Tensor) -> Tensor:
        """(N, H, W, 3) uint8, RGB, to (N, 3, S, S) float32, normalised, on the device."""
        if not isinstance(images, Tensor):
            images = torch.from_numpy(np.array(images))  # a copy: packs are read-only
        inputs = normalise(images.to(self.device), self.mean, self.std)
        inputs = resize(inputs, self.input_size, self.interpolation)
        return inputs if self.channels_last else inputs.contiguous()


@dataclass(frozen=True)
class TrainedModel:
    """A trial's model as it was validated, ready for images.

    Attributes:
        module: In evaluation mode, its parameters without gradients; from inputs to logits (N, C).
        preprocess: From uint8 images to the module's inputs.
        class_names: By label.
        config: The trial's, with the hardware decided for `device`.
        study: What the trial belongs to.
        trial_id: The trial.
        epoch: After which the checkpoint was written, from 1.
        row: The results row of that epoch.
        checkpoint_path: Where it was read.
        sha256: Of the checkpoint.
        input_size: Side in pixels of what the network sees.
        stored_size: Side in pixels of the data set's images as they are packed.
        value_range: Which values of images with more than 8 bits a channel become 0 to 255.
        fingerprint: Of the data set that it was trained on; None where that is not stated.
        averaged: Whether the weights are the moving average, which was validated in their stead.
        device: Where the module is.
    """

    module: nn.Module
    preprocess: Preprocess
    class_names: tuple[str, ...]
    config: TrialConfig
    study: Study
    trial_id: str
    epoch: int
    row: Mapping[str, Any]
    checkpoint_path: Path
    sha256: str
    input_size: int
    stored_size: int
    value_range: ValueRange
    fingerprint: str | None
    averaged: bool
    device: torch.device

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of validation; outside of it the module computes in float32."""
        enabled = self.config.hardware.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Classify images in batches, as in validation.

        Args:
            images: (N, H, W, 3) uint8, RGB; may be memory-mapped.

        Returns:
            (N, C), rows that sum to one.
        """
        size = EVALUATION_BATCH[self.device.type]
        parts = [np.zeros((0, len(self.class_names)), np.float32)]
        with torch.inference_mode(), self.autocast():
            for start in range(0, len(images), size):
                logits = self.module(self.preprocess(images[start : start + size]))
                parts.append(logits.float().softmax(dim=1).cpu().numpy())
        return np.concatenate(parts)


def load_trained_model(
    study: Study | str | Path,
    trial: str | None = None,
    device: str | None = None,
    *,
    plain: bool = False,
    permission: Permission = REFUSE,
) -> TrainedModel:
    """Load the model of a trial from its checkpoint.

    With ``optim.ema_decay`` the averaged weights are loaded: they are what was validated.

    Args:
        study: The study, or its directory.
        trial: Its id; None is the study's incumbent.
        device: "cpu" or "cuda"; None is what suits this machine.
        plain: Whether to keep ordinary convolutions where training used faster ones that take
            images of one size only; equal up to rounding.
        permission: Whether a network of somebody's own code, which the checkpoint names, may run.

    Raises:
        UserError: If there is no such study or trial, the trial has no checkpoint, the checkpoint
            is damaged or of a trainable of the user's own or names code that may not run, or the
            device is missing.
    """
    study = study if isinstance(study, Study) else load_study(Path(study))
    record = _chosen(study, trial)
    path = trial_path(study.directory, record.trial_id) / CHECKPOINT_FILE
    state, row = _read(study, record, path)
    config, hardware = _with_hardware(trial_config(state["config"]), device)
    permission.require(imports_in([("model.name", config.model.name)]), path)
    module = _module(config, state, path, plain)
    image_size = int(state["image_size"])
    preprocess = Preprocess(
        mean=tuple(state["mean"]),
        std=tuple(state["std"]),
        input_size=image_size,
        interpolation=config.data.interpolation,
        channels_last=config.hardware.memory_format == "channels_last",
        device=hardware,
    )
    return TrainedModel(
        module=module.to(hardware),
        preprocess=preprocess,
        class_names=tuple(state["classes"]),
        config=config,
        study=study,
        trial_id=record.trial_id,
        epoch=int(state["epoch"]),
        row=row,
        checkpoint_path=path,
        sha256=checkpoint.sha256_of(path),
        input_size=image_size,
        stored_size=_stored_size(state, config, study),
        value_range=ValueRange(**state["value_range"]) if "value_range" in state else FULL,
        fingerprint=state.get("fingerprint") or study.header.fingerprint,
        averaged="averaged" in state,
        device=hardware,
    )


def trials_with_checkpoint(study: Study) -> list[str]:
    """Ids of the trials whose checkpoint is there, the best score first."""
    ranked = study.ranked(study.records)
    rest = [r for r in study.records if r not in ranked]
    return [
        r.trial_id
        for r in (*ranked, *rest)
        if has_file(study.directory, ["trials", r.trial_id, CHECKPOINT_FILE])
    ]


def _chosen(study: Study, trial: str | None) -> TrialRecord:
    """The trial that is meant, which has a checkpoint."""
    if study.header.settings.get("study.trainable"):
        raise UserError(
            f"{study.directory} was searched with a trainable of your own "
            f"({study.header.settings['study.trainable']}), whose model only you can build.",
            "Load the state it yielded: deepsight.checkpoint.load('trials/<id>/checkpoint.pt').",
        )
    saved = trials_with_checkpoint(study)
    if trial is None:
        record = study.incumbent()
        if record is None or not saved:
            raise UserError(
                f"no trial of {study.directory} has a checkpoint.",
                "Checkpoints stay for trials that train the full budget: "
                f"go on with --resume {study.directory}.",
            )
    else:
        record = study.record(trial)
    if record.trial_id not in saved:
        who = "the incumbent " if trial is None else ""
        raise UserError(
            f"{who}{record.trial_id} ({record.state} after {record.num_epochs} of "
            f"{study.max_epochs} epochs) has no checkpoint.",
            f"Choose one that has: --trial {' or '.join(saved[:3])}."
            if saved
            else f"No trial has; go on with --resume {study.directory}.",
        )
    return record


def _read(study: Study, record: TrialRecord, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    config = {**study.fixed, **to_stored(record.config)}
    own = study.header.id
    identity = checkpoint.identify(own, record.trial_id, config) if own else None
    try:
        state, row = checkpoint.load(path, identity)
    except checkpoint.CheckpointError as error:
        others = [t for t in trials_with_checkpoint(study) if t != record.trial_id]
        raise UserError(
            str(error).rstrip(".") + ".",
            f"Restore it from a copy, or choose another trial: --trial {others[0]}."
            if others
            else "Restore it from a copy.",
        ) from error
    missing = {"config", "classes", "image_size", "mean", "std", "model", "epoch"} - state.keys()
    if missing:
        raise UserError(
            f"{path} lacks {', '.join(sorted(missing))}: it is not of DeepSight's own training.",
            "Choose a trial of a study without study.trainable.",
        )
    return state, row


def _with_hardware(config: TrialConfig, device: str | None) -> tuple[TrialConfig, torch.device]:
    """The config as it runs on the device that is asked for, and that device.

    On the device of the training its precision is kept, unless this machine is slow at it.
    """
    asked = HardwareConfig(device=device or "auto")
    chosen = choose_hardware(asked, torch.get_num_threads())
    if chosen.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "the device is cuda, but torch finds no GPU.",
            "Ask for the device cpu, or install a torch with CUDA and a driver for it.",
        )
    trained = config.hardware
    same = trained.device == chosen.device
    hardware = dataclasses.replace(
        chosen,
        precision=chosen.precision if same and trained.precision == "bf16" else "fp32",
        memory_format=trained.memory_format if same else chosen.memory_format,
    )
    return dataclasses.replace(config, hardware=hardware), torch.device(hardware.device)


def _module(config: TrialConfig, state: Mapping[str, Any], path: Path, plain: bool) -> nn.Module:
    image_size = int(state["image_size"])
    module = build_architecture(config, len(state["classes"]), image_size)
    if not plain:
        fit_kernels(module, image_size, expand=config.hardware.device == "cpu")
    try:
        module.load_state_dict(state["averaged"] if "averaged" in state else state["model"])
    except RuntimeError as error:  # the user's own network has changed since
        raise UserError(
            f"{path} does not fit {config.model.name}: {str(error).splitlines()[-1].strip()}",
            "Restore the code of the network as it was when the study ran.",
        ) from error
    if config.hardware.device == "cuda" and config.hardware.memory_format == "channels_last":
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module.eval().requires_grad_(False)


def _stored_size(state: Mapping[str, Any], config: TrialConfig, study: Study) -> int:
    """Side in pixels of the packed images; early checkpoints do not state it."""
    if "stored_size" in state:
        return int(state["stored_size"])
    if config.data.name.startswith(PREFIX):
        return folder_size(config.data)
    return int(study.header.data.get("image_size") or state["image_size"])
