"""Classify image files with a trained model: ``python -m deepsight.predict runs/<study> IMAGE...``.

Folders stand for all image files below them. Prints a line a file: path, class and probability.
Files that cannot be read are named on standard error, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from deepsight.command_line import Parser, run_command
from deepsight.config import UserError, spreadsheet_text, without_controls
from deepsight.data.folder.decode import decode
from deepsight.data.folder.files import images_below
from deepsight.imports import add_trust_flag, permission_of
from deepsight.installed import own_analysis
from deepsight.run_store import require_study

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deepsight.trained_model import TrainedModel

BLOCK = 256
"""Files that are decoded and classified at a time."""
SOME_BROKEN = 1
"""Exit code when the other files have been classified."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one file; no class but an error where it cannot be read."""

    path: Path
    label: int | None
    class_name: str | None
    probability: float | None
    """Of that class."""
    probabilities: tuple[float, ...]
    """Of all classes, in the order of their labels; empty with an error."""
    error: str | None = None
    """Why the file cannot be read."""


def image_files(paths: Iterable[str | Path]) -> list[Path]:
    """The files that are meant: those named, and all images below the folders that are named.

    A folder is walked as the folders of a data set are: links are followed, loops end.

    Raises:
        UserError: If a path does not exist, a folder holds no image or cannot be read, or nothing
            is named.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(images_below(path, frozenset()))
            if not inside:
                raise UserError(f"{path} holds no image file.", "Name a folder with images in it.")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"{path} does not exist.", "Name image files, or folders of them.")
    if not found:
        raise UserError("no image is named.", "Name image files, or folders of them.")
    return list(dict.fromkeys(found))


Seen = Callable[
    ["Sequence[Path]", "npt.NDArray[np.uint8]", "npt.NDArray[np.int64]", "Sequence[float]"], None
]
"""Is given files, decoded images (n, H, W, 3), predicted classes (n,) and their probabilities."""


def classify_files(
    model: TrainedModel, files: Sequence[Path], seen: Seen | None = None
) -> Iterator[Prediction]:
    """Classify image files in batches, in their order.

    A file is decoded as the data set's own files are: upright, its central square, at the size at
    which the data set is packed.

    Args:
        model: From `deepsight.trained_model.load_trained_model`.
        files: Images by their content (`deepsight.data.folder.decode.formats`).
        seen: Is called with every batch that could be read.
    """
    import numpy as np  # a second: only where something is classified

    with ThreadPoolExecutor() as pool, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # odd metadata
        for start in range(0, len(files), BLOCK):
            block = files[start : start + BLOCK]
            decoded = list(pool.map(lambda path: _decoded(path, model), block))
            whole = [image for image in decoded if not isinstance(image, str)]
            found = model.probabilities(np.stack(whole)) if whole else np.zeros((0, 1), np.float32)
            if whole and seen is not None:
                read = [
                    p for p, image in zip(block, decoded, strict=True) if not isinstance(image, str)
                ]
                seen(read, np.stack(whole), found.argmax(axis=1), found.max(axis=1).tolist())
            rows = iter(found)
            for path, image in zip(block, decoded, strict=True):
                if isinstance(image, str):
                    yield Prediction(path, None, None, None, (), image)
                else:
                    yield _prediction(path, next(rows), model.class_names)


def _decoded(path: Path, model: TrainedModel) -> npt.NDArray[np.uint8] | str:
    try:
        interpolation = model.config.data.interpolation
        return decode(path, model.stored_size, interpolation, model.value_range)
    except Exception as error:  # decoders raise anything on bad bytes; the reason is kept
        return " ".join(str(error).split()) or type(error).__name__


def _prediction(
    path: Path, probabilities: npt.NDArray[np.float32], names: Sequence[str]
) -> Prediction:
    label = int(probabilities.argmax())
    values = tuple(float(p) for p in probabilities)
    return Prediction(path, label, names[label], values[label], values)


def write_lines(predictions: Iterable[Prediction], names: Sequence[str], out: TextIO) -> None:
    """A line a file: path, class and probability, with tabs between them.

    Control characters in names become escapes, as tabs and ends of lines in them; `write_json` has
    the names as they are.
    """
    for p in predictions:
        if p.error is None:
            path, class_name = _one_cell(str(p.path)), _one_cell(str(p.class_name))
            out.write(f"{path}\t{class_name}\t{p.probability:.4f}\n")


def _one_cell(text: str) -> str:
    """`text` on one line and in one column."""
    return without_controls(text).replace("\t", "\\t").replace("\n", "\\n")


def write_csv(predictions: Iterable[Prediction], names: Sequence[str], out: TextIO) -> None:
    """A row a file: path, class, probability, error, and the probability of every class.

    A text that a spreadsheet would take for a formula gets an apostrophe, as in reports.
    """
    writer = csv.writer(out, lineterminator="\n")
    columns = ["path", "class", "probability", "error", *(f"p({name})" for name in names)]
    writer.writerow(map(spreadsheet_text, columns))
    for p in predictions:
        texts = (str(text or "") for text in (p.path, p.class_name, p.error))
        path, name, error = map(spreadsheet_text, texts)
        writer.writerow([path, name, p.probability, error, *p.probabilities])


def write_json(predictions: Iterable[Prediction], names: Sequence[str], out: TextIO) -> None:
    """An object a line and file: path, class, probability, probabilities by class, error."""
    for p in predictions:
        line = {
            "path": str(p.path),
            "class": p.class_name,
            "probability": p.probability,
            "probabilities": dict(zip(names, p.probabilities, strict=False)) or None,
            "error": p.error,
        }
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        out.write(text.encode("utf-8", "backslashreplace").decode() + "\n")


def make_parser() -> Parser:
    """What the command takes."""
    made = Parser(prog="python -m deepsight.predict", description=__doc__)
    made.add_argument("study", type=Path, metavar="STUDY", help="a study's directory")
    made.add_argument("images", nargs="+", metavar="IMAGE|FOLDER", help="image files or folders")
    made.add_argument("--trial", metavar="ID", help="a trial (default: the incumbent)")
    form = made.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object a line, all classes")
    form.add_argument("--csv", action="store_true", help="CSV, all classes")
    made.add_argument(
        "--map", type=Path, metavar="FOLDER", help="write each image with its Grad-CAM there"
    )
    add_trust_flag(made)
    made.add_argument("--device", choices=("cpu", "cuda"), help="default: what suits this machine")
    return made


def _overlays(model: TrainedModel, directory: Path) -> Seen:
    """What writes overlays into a folder.

    Raises:
        UserError: If the folder cannot be made, or the model has no layer to map.
    """
    from analysis.diagnosis.overlays import OverlayWriter  # imports torch and matplotlib

    try:
        return OverlayWriter(model, directory).write
    except OSError as error:
        raise UserError(
            f"{directory} cannot be made: {error.strerror}.", "Name a folder you can write to."
        ) from error


@own_analysis()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run_command(make_parser(), _run, arguments, level=logging.WARNING)


def _run(options: argparse.Namespace) -> int:
    write = write_json if options.json else write_csv if options.csv else write_lines
    broken: list[Prediction] = []

    def noted(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        for prediction in predictions:
            if prediction.error is not None:
                broken.append(prediction)
                line = f"{prediction.path}: cannot be read ({prediction.error})"
                sys.stderr.write(f"{_one_cell(line)}\n")
            yield prediction

    require_study(options.study)  # before torch is imported
    files = image_files(options.images)
    from deepsight.trained_model import load_trained_model

    model = load_trained_model(
        options.study, options.trial, options.device, permission=permission_of(options)
    )
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    seen = _overlays(model, options.map) if options.map else None
    write(noted(classify_files(model, files, seen)), model.class_names, sys.stdout)
    if broken:
        sys.stderr.write(f"{len(broken)} of {len(files)} files cannot be read\n")
    return SOME_BROKEN if broken else 0


if __name__ == "__main__":
    sys.exit(main())
