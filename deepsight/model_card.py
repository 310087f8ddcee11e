"""The model card of an exported model, in the form of the Hugging Face hub."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deepsight.config import DEFAULTS, Value, flatten
from deepsight.data.folder.image_folder import PREFIX
from deepsight.files import FileRefusedError, open_arrays

if TYPE_CHECKING:
    from deepsight.trained_model import TrainedModel

logger = logging.getLogger(__name__)

LEVEL = 0.95
MAX_CLASSES = 30
"""Named in the card; config.json has all."""


def model_card(model: TrainedModel, onnx_difference: float | None) -> str:
    """The card as Markdown, its data for machines on top.

    Args:
        model: What is exported.
        onnx_difference: Of the logits of ``model.onnx``; None without that file.
    """
    parts = [
        _front_matter(model),
        f"# {_md(model.config.model.name)} on {_md(public_name(model))}",
        f"An image classifier of {len(model.class_names)} classes, found by hyperparameter search: "
        f"trial {model.trial_id} of the study {_md(model.study.header.name)} (DeepSight), "
        f"{model.epoch} epochs" + (", moving average of the weights." if model.averaged else "."),
        "## Results",
        _results(model),
        "## Use",
        _use(model, onnx_difference),
        "## Classes",
        _classes(model),
        "## Data",
        _data(model),
        "## Hyperparameters that differ from the defaults",
        _hyperparameters(model),
        "## Limits",
        _limits(model),
        "## Licence",
        "To be filled in, here and in the first lines of this file. It depends on the data and, "
        "for fine-tuned networks, on the weights that training began with.",
    ]
    return "\n\n".join(parts) + "\n"


def public_name(model: TrainedModel) -> str:
    """The data set's name, without the folders of this machine that lead to it."""
    name = model.config.data.name
    return PREFIX + Path(name).name if name.startswith(PREFIX) else name


def public_config(model: TrainedModel) -> dict[str, Value]:
    """Every hyperparameter, without the folders of this machine that lead to data and weights."""
    config = model.config
    return flatten(config) | {
        "data.name": public_name(model),
        "data.masks": Path(config.data.masks).name,
        "model.weights": Path(config.model.weights).name,
    }


def scores(model: TrainedModel) -> list[tuple[str, float, int | None]]:
    """Split, accuracy and number of images: validation, and test where it was measured."""
    found: list[tuple[str, float, int | None]] = []
    accuracy = model.row.get("val_accuracy")
    if isinstance(accuracy, int | float):
        found.append(("val", float(accuracy), model.study.header.num_images("val")))
    measured = _test_accuracy(model)
    return found if measured is None else [*found, ("test", *measured)]


def _test_accuracy(model: TrainedModel) -> tuple[float, int] | None:
    """What ``analysis.diagnose`` has stored of this very checkpoint."""
    study, parts = model.study.directory, ["diagnosis", model.trial_id, "evaluation.npz"]
    path = study.joinpath(*parts)
    try:
        with open_arrays(study, parts) as stored:
            about = json.loads(str(stored["about"]))
            hits = stored["predictions"] == stored["labels"]
        if (about["sha256"], about["split"]) != (model.sha256, "test") or not len(hits):
            return None
    except FileNotFoundError:
        return None
    except FileRefusedError:
        raise
    except Exception as error:  # a torn archive raises many kinds, from zipfile's to KeyError
        logger.warning("%s is damaged, and its test score left out: %s", path, error)
        return None
    return float(hits.mean()), len(hits)


def _front_matter(model: TrainedModel) -> str:
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"name": public_name(model), "type": "image", "split": split},
            "metrics": [{"type": "accuracy", "value": round(value, 6)}],
        }
        for split, value, _ in scores(model)
    ]
    data: dict[str, Any] = {
        "library_name": "pytorch",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "deepsight"],
        "metrics": ["accuracy"],
        "model-index": [{"name": model.study.header.name, "results": results}],
    }
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return f"---\nlicense: other  # to be filled in\n{text}---"


def _results(model: TrainedModel) -> str:
    from scipy import stats  # seconds, which a mistake in the flags need not wait for

    told = {
        "val": "**selected on**: the search chose this trial by these images, which makes the "
        "number too good",
        "test": "opened after the search",
    }
    lines = ["| split | accuracy | 95 % interval (Wilson) | images | |", "|---|---:|---|---:|---|"]
    found = scores(model)
    for split, value, images in found:
        interval, count = "unknown", "unknown"
        if images:
            wilson = stats.binomtest(round(value * images), images).proportion_ci(LEVEL, "wilson")
            interval, count = f"{wilson.low:.4f} to {wilson.high:.4f}", f"{images:,}"
        lines.append(f"| {split} | {value:.4f} | {interval} | {count} | {told[split]} |")
    if all(split != "test" for split, _, _ in found):
        lines += [
            "",
            "The test split was not measured; `python -m analysis.diagnose` does it, and another "
            "export states it here.",
        ]
    return "\n".join(lines)


def _use(model: TrainedModel, onnx_difference: float | None) -> str:
    p = model.preprocess
    mean, std = (", ".join(f"{v:.6f}" for v in values) for values in (p.mean, p.std))
    lines = [
        f"- `model.safetensors`: weights of `{_code(model.config.model.name)}`; `config.json` has "
        "all hyperparameters, classes and numbers of the preprocessing.",
        f"- Input: (N, 3, {p.input_size}, {p.input_size}) float32, RGB: the central square of an "
        f"upright image, resized ({p.interpolation}, antialiased), in 0..1, minus mean ({mean}), "
        f"over standard deviation ({std}).",
        "- Output: logits, one a class; their softmax are the probabilities.",
    ]
    if onnx_difference is not None:
        lines.append(
            "- `model.onnx`: the same network (input `images`, output `logits`) for onnxruntime. "
            f"Largest difference from PyTorch on images of the val split: {onnx_difference:.1e} of "
            "the largest logit."
        )
    return "\n".join(lines)


def _classes(model: TrainedModel) -> str:
    shown = [_md(name) for name in model.class_names[:MAX_CLASSES]]
    left = len(model.class_names) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")


def _data(model: TrainedModel) -> str:
    header = model.study.header
    splits = [(split, header.num_images(split)) for split in ("train", "val", "test")]
    counts = ", ".join(f"{n:,} {split}" for split, n in splits if n)
    source = _md(str(header.data.get("source") or model.config.data.name))
    if model.config.data.name.startswith(PREFIX):
        source = f"Image files of the folder {_md(public_name(model).removeprefix(PREFIX))}"
    return f"{source}. Images: {counts or 'not stated'}. Fingerprint: `{model.fingerprint}`."


def _hyperparameters(model: TrainedModel) -> str:
    changed = {
        name: value
        for name, value in public_config(model).items()
        if value != DEFAULTS.get(name) and not name.startswith("hardware.")
    }
    rows = [f"| {_md(name)} | {_md(str(value))} |" for name, value in changed.items()]
    if not rows:
        return "None."
    return "\n".join(["| hyperparameter | value |", "|---|---|", *rows])


def _limits(model: TrainedModel) -> str:
    return (
        f"It knows {len(model.class_names)} classes and names one of them for every image, also "
        "for images of nothing of the kind. Its confidence was measured on images of the same "
        "source; on others, accuracy and confidence may be far lower. One training run with one "
        "seed: another run of the same configuration differs."
    )


def _md(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    line = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>|#~!" else c for c in line)


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
