"""TensorBoard while a search runs: scalars and hyperparameters a trial, clean tags, live states.

Written by the driver through tensorboardX, which needs no torch: one event file a trial in its own
folder, so that ``tensorboard --logdir runs/<study>`` shows the trials by their ids.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tensorboardX.proto.api_pb2 import Status
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import hparams

from deepsight.space import Space
from deepsight.tune.searcher import Proposal

GROUPS = {
    "val_accuracy": "accuracy/val", "val_macro_f1": "macro_f1/val", "val_ece": "ece/val",
    "train_loss": "loss/train", "val_loss": "loss/val", "lr": "optim/lr",
    "images_per_s": "speed/images_per_s", "wall_s": "speed/wall_s",
}  # fmt: skip
"""Tags by metric; a metric of a trainable of one's own keeps its name."""

SESSION_END_TAG = "_hparams_/session_end_info"


class TensorBoard:
    """An observer of a search that writes event files."""

    def __init__(self, study: Path, space: Space, metric: str) -> None:
        self._study = study
        # Every trial declares all columns: TensorBoard takes those of whichever it reads first.
        columns = {name: domain.middle() for name, domain in space.items()} | {"explorer": False}
        self._metrics = {GROUPS.get(metric, metric): 0.0}
        self._experiment = hparams(columns, self._metrics)[0]
        self._writers: dict[str, SummaryWriter] = {}

    def started(self, proposal: Proposal) -> None:
        """Open the trial's event file and name its hyperparameters."""
        writer = self._writers[proposal.trial_id] = self._open(proposal)
        values = {n: v for n, v in proposal.config.items() if v is not None}
        values["explorer"] = proposal.explorer
        writer.file_writer.add_summary(self._experiment)
        writer.file_writer.add_summary(hparams(values, self._metrics)[1])

    def _open(self, proposal: Proposal) -> SummaryWriter:
        folder = self._study / "trials" / proposal.trial_id
        return SummaryWriter(str(folder), flush_secs=5, write_to_disk=True)

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """Write an epoch's scalars; after the first one the augmented inputs."""
        writer = self._writers[proposal.trial_id]
        epoch = int(row["epoch"])
        for name, value in row.items():
            if name not in ("epoch", "time") and _is_finite(value):
                writer.add_scalar(GROUPS.get(name, name), value, epoch)
        recalls = row.get("val_recall")
        if isinstance(recalls, list):
            for number, recall in enumerate(recalls):
                if _is_finite(recall):
                    writer.add_scalar(f"recall/class_{number:02d}", recall, epoch)
        picture = self._study / "trials" / proposal.trial_id / "augmented.png"
        if epoch == 1 and picture.exists():
            import numpy as np
            from PIL import Image

            writer.add_image("inputs/augmented", np.asarray(Image.open(picture)), 1,
                             dataformats="HWC")  # fmt: skip
        writer.flush()

    def paused(self, proposal: Proposal) -> None:
        """Close the trial's file: thousands may wait; a promotion opens another one."""
        self._writers.pop(proposal.trial_id).close()

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """Note how the trial ended and close its file."""
        writer = self._writers.pop(proposal.trial_id, None) or self._open(proposal)
        writer.add_text("state", state if error is None else f"{state}: {error}")
        failed = state in ("failed", "diverged")
        status = Status.Value("STATUS_FAILURE" if failed else "STATUS_SUCCESS")
        writer.file_writer.add_summary(_session_end(status))
        writer.close()

    def close(self) -> None:
        """Close the files of trials that have not ended."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _session_end(status: int) -> Summary:
    """The HParams plugin's note that a session is over; ``hparams`` always says success."""
    content = HParamsPluginData(version=0, session_end_info=SessionEndInfo(status=status))
    metadata = SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(
            plugin_name="hparams", content=content.SerializeToString()
        )
    )
    return Summary(value=[Summary.Value(tag=SESSION_END_TAG, metadata=metadata)])


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
