"""What confirmed models score on the test split: every model looks once, and leaves a line.

The scores lie beside the checkpoint, so that a command that goes on opens nothing again. They say
which checkpoint and which data they are of, and count for no other.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepsight import checkpoint, metrics
from deepsight.config import DataConfig, UserError
from deepsight.data.datasets import load_dataset, open_test
from deepsight.files import FileRefusedError, has_file, read_file, replacing
from deepsight.imports import REFUSE, Permission, imports_in
from deepsight.run_store import (
    CHECKPOINT_FILE,
    Study,
    record_opening,
    storage_error,
    trial_path,
)
from deepsight.trained_model import TrainedModel, load_trained_model

FILE = "test_scores.json"
MOST_BYTES = 1 << 24
"""No scores take as much, whatever the number of classes."""

Json = Mapping[str, Any]


def scores_on_test(study: Study, trial_id: str, permission: Permission = REFUSE) -> dict[str, Any]:
    """Accuracy, macro_f1, recall and ece of a confirmed model on its test split.

    Args:
        study: The confirmation.
        trial_id: A trial of it that completed the full budget.
        permission: Whether code that its checkpoint names may run.

    Raises:
        UserError: If checkpoint or data are gone or have changed, or the scores that are there
            are damaged, reached by a link or of another checkpoint.
        StorageError: If the disk does not let us write.
    """
    path = trial_path(study.directory, trial_id) / FILE
    parts = path.relative_to(study.directory).parts
    kept = _kept(study, parts)
    if kept is not None:
        _require_same_checkpoint(study, trial_id, kept, path)
        return dict(kept["scores"])
    model = load_trained_model(study, trial_id, permission=permission)
    permission.require(imports_in([("data.name", model.config.data.name)]), model.checkpoint_path)
    images = _open(model)
    found = metrics.evaluate(model.probabilities(images.images), images.labels)
    stored = {"sha256": model.sha256, "fingerprint": model.fingerprint, "scores": found}
    try:
        with replacing(study.directory, parts) as temporary:
            temporary.write_text(json.dumps(stored) + "\n", "utf-8")
    except OSError as error:
        raise storage_error(study.directory, error) from error
    return found


def _kept(study: Study, parts: Sequence[str]) -> dict[str, Any] | None:
    """What an earlier command has stored; None if there is nothing."""
    try:
        kept: dict[str, Any] = json.loads(read_file(study.directory, parts, MOST_BYTES))
        _ = kept["sha256"], kept["fingerprint"], dict(kept["scores"])
    except FileNotFoundError:
        return None
    except FileRefusedError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{study.directory.joinpath(*parts)} is damaged: {type(error).__name__}: {error}.",
            "Delete it; the model then looks at the test split once more, which is recorded.",
        ) from error
    return kept


def _require_same_checkpoint(study: Study, trial_id: str, kept: Json, scores: Path) -> None:
    """Refuse scores of another checkpoint than the one that is there; without one they stand."""
    path = trial_path(study.directory, trial_id) / CHECKPOINT_FILE
    if not has_file(study.directory, path.relative_to(study.directory).parts):
        return
    try:
        state, _ = checkpoint.load(path)
        now = checkpoint.sha256_of(path), state.get("fingerprint") or study.header.fingerprint
    except checkpoint.CheckpointError as error:
        raise UserError(f"{str(error).rstrip('.')}.", "Restore it from a copy.") from error
    if now != (kept["sha256"], kept["fingerprint"]):
        raise UserError(
            f"{scores} is of another checkpoint than the one beside it.",
            "Restore the checkpoint; or delete the scores: the model then looks at the test split "
            "once more, which is recorded.",
        )


def _open(model: TrainedModel) -> Any:
    """The test split of the data that the model was trained on."""
    dataset = load_dataset(model.config.data)
    if model.fingerprint is not None and dataset.fingerprint != model.fingerprint:
        raise UserError(
            f"{model.config.data.name} has changed: its fingerprint is {dataset.fingerprint}, "
            f"{model.trial_id} was trained on {model.fingerprint}.",
            "Restore the data as they were, or leave the test split closed with --no-test.",
        )
    record_opening(model.study.directory, "confirm", model.trial_id, model.sha256)
    return _test_split(model.config.data)


@functools.lru_cache(maxsize=4)
def _test_split(config: DataConfig) -> Any:
    """The test split, opened once for all models of these data."""
    return open_test(load_dataset(config))
