"""Write a trained model for others: ``python -m deepsight.export runs/<study> [--onnx]``.

Makes a folder with the weights (safetensors), a model card in the form of the Hugging Face hub,
what preprocessing needs, and with ``--onnx`` the network for onnxruntime, checked against PyTorch
on images of the study. Prints the folder.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepsight.command_line import Parser, run_command
from deepsight.config import UserError
from deepsight.files import make_folder, replacing
from deepsight.imports import REFUSE, Permission, add_trust_flag, permission_of
from deepsight.model_card import model_card, public_config
from deepsight.run_store import require_study, storage_error

if TYPE_CHECKING:
    from torch import Tensor

    from deepsight.trained_model import TrainedModel

FOLDER = "export"
WEIGHTS, CONFIG, CARD, ONNX = "model.safetensors", "config.json", "README.md", "model.onnx"
CHECKED = 64
"""Images on which ONNX is compared with PyTorch."""
TOLERANCE = 1e-3
"""Largest difference of a logit, over the largest logit; float32 kernels differ by far less."""


def export_model(
    study: Path,
    trial: str | None = None,
    directory: Path | None = None,
    onnx: bool = False,
    permission: Permission = REFUSE,
) -> Path:
    """Write the model of a trial; returns the folder.

    Args:
        study: The study's directory.
        trial: Its id; None is the incumbent.
        directory: Where to; None is ``<study>/export/<trial>``. Files of the same names are
            replaced.
        onnx: Whether to write ``model.onnx`` too, checked against PyTorch.
        permission: Whether a network of somebody's own code, which the checkpoint names, may run.

    Raises:
        UserError: If there is no such study, trial or checkpoint, ONNX is asked for and not
            installed or differs from PyTorch, a link stands in the way, or the disk refuses.
    """
    require_study(study)  # before torch is imported
    from deepsight.trained_model import load_trained_model

    if onnx:
        _require_onnx()
    model = load_trained_model(study, trial, "cpu", plain=True, permission=permission)
    folder = directory or model.study.directory / FOLDER / model.trial_id
    try:
        if directory is None:  # the study may be a stranger's: no link in it is followed
            make_folder(model.study.directory, [FOLDER, model.trial_id])
        else:
            folder.mkdir(parents=True, exist_ok=True)
        _write_weights(model, folder)
        _write(folder, CONFIG, json.dumps(describe(model), indent=2, ensure_ascii=False) + "\n")
        difference = _write_onnx(model, folder) if onnx else None
        _write(folder, CARD, model_card(model, difference))
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder


def describe(model: TrainedModel) -> dict[str, Any]:
    """What it takes to use the weights: classes, preprocessing, every hyperparameter."""
    p = model.preprocess
    return {
        "model": model.config.model.name,
        "classes": list(model.class_names),
        "preprocessing": {
            "image_size": p.input_size,
            "interpolation": p.interpolation,
            "mean": list(p.mean),
            "std": list(p.std),
            "decoded_size": model.stored_size,
        },
        "config": public_config(model),
        "study": model.study.header.name,
        "trial": model.trial_id,
        "epoch": model.epoch,
        "checkpoint_sha256": model.sha256,
        "data_fingerprint": model.fingerprint,
    }


def _write(folder: Path, name: str, text: str) -> None:
    with replacing(folder, [name]) as aside:
        aside.write_text(text, "utf-8", errors="backslashreplace")


def _write_weights(model: TrainedModel, folder: Path) -> None:
    """Write the state dict, read it back and compare."""
    import torch
    from safetensors.torch import load, save

    state = {k: t.detach().contiguous().clone() for k, t in model.module.state_dict().items()}
    with replacing(folder, [WEIGHTS]) as aside:
        aside.write_bytes(save(state, metadata={"format": "pt"}))
        back = load(aside.read_bytes())
        assert back.keys() == state.keys()
        assert all(torch.equal(back[k], t) for k, t in state.items())


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"ONNX needs a library that is not installed ({error.name}).",
            'Install the extra: pip install "deepsight[onnx]".',
        ) from error


def _write_onnx(model: TrainedModel, folder: Path) -> float:
    """Export, run with onnxruntime on real images, compare; the largest relative difference."""
    import torch

    inputs = _some_inputs(model)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        model.module,
        (inputs[:2],),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: batch},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    with replacing(folder, [ONNX]) as aside:
        program.save(aside)
        difference = _onnx_difference(model, inputs, aside)
        if not difference <= TOLERANCE:
            raise UserError(
                f"the ONNX network differs from PyTorch by {difference:.1e} of the largest "
                f"logit on {len(inputs)} images; at most {TOLERANCE:g} is accepted.",
                "Export without --onnx, and report the network and the versions of torch and onnx.",
            )
    return difference


def _onnx_difference(model: TrainedModel, inputs: Tensor, path: Path) -> float:
    """Largest difference of a logit between the network at `path` and PyTorch's, relative."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (told,) = session.run(["logits"], {"images": inputs.numpy()})
    with torch.inference_mode():
        expected = model.module(inputs)
    return float((torch.from_numpy(told) - expected).abs().max() / expected.abs().max())


def _some_inputs(model: TrainedModel) -> Tensor:
    """Network inputs from the val split."""
    from deepsight.data.datasets import load_dataset

    images = load_dataset(model.config.data).val.images[:CHECKED]
    return model.preprocess(images).contiguous()


def make_parser() -> Parser:
    """What the command takes."""
    made = Parser(prog="python -m deepsight.export", description=__doc__)
    made.add_argument("study", type=Path, metavar="STUDY", help="a study's directory")
    made.add_argument("--trial", metavar="ID", help="a trial (default: the incumbent)")
    made.add_argument("--to", type=Path, metavar="FOLDER", help="default: STUDY/export/TRIAL")
    add_trust_flag(made)
    made.add_argument("--onnx", action="store_true", help="also model.onnx, checked")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run_command(make_parser(), _run, arguments, level=logging.WARNING)


def _run(options: argparse.Namespace) -> int:
    folder = export_model(
        options.study, options.trial, options.to, options.onnx, permission_of(options)
    )
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
