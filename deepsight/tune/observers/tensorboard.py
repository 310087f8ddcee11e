"""TensorBoard while a search runs: scalars and hyperparameters a trial, clean tags, live states.

Written by the driver with TensorBoard's own protocol buffers: tensorboardX and torch's writer both
import torch, which costs the driver seconds and a third of a gigabyte. One event file a trial in
its own folder, so that ``tensorboard --logdir runs/<study>`` shows the trials by their ids.
"""

from __future__ import annotations

import io
import math
import os
import socket
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import (
    DataType,
    Experiment,
    HParamInfo,
    MetricInfo,
    MetricName,
    Status,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from deepsight.data.class_balance import ClassBalance
from deepsight.files import has_file, make_folder, read_file
from deepsight.space import INACTIVE, Choice, Domain, Entry, Space
from deepsight.tune.search.search import Observer
from deepsight.tune.search.searcher import Proposal

GROUPS = {
    "val_accuracy": "accuracy/val",
    "val_macro_f1": "macro_f1/val",
    "val_ece": "ece/val",
    "train_loss": "loss/train",
    "val_loss": "loss/val",
    "lr": "optim/lr",
    "images_per_s": "speed/images_per_s",
    "wall_s": "speed/wall_s",
}
"""Tags by metric; a metric of a trainable of one's own keeps its name."""
BASELINE = "majority_baseline"
"""The tag's second part of the majority baseline, beside the metric's own curve."""

PICTURE_BYTES = 64 << 20

_numbers = count()


class EventFile:
    """One event file; what is added to it is in the file when `flush` returns."""

    def __init__(self, folder: Path) -> None:
        now = time.time()
        # readers take files by name: in order also those that began within a second
        origin = f"{socket.gethostname()}.{os.getpid()}.{next(_numbers):06}"
        self._file = (folder / f"events.out.tfevents.{int(now)}.{origin}").open("xb")
        self._records = RecordWriter(self._file)
        self._records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())

    def add(self, *values: Summary.Value, step: int = 0) -> None:
        """Append one event of `values`."""
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._records.write(event.SerializeToString())

    def flush(self) -> None:
        """Let readers see what was added."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()


class TensorBoard(Observer):
    """An observer of a search that writes event files.

    Args:
        study: The study's directory.
        space: What is searched.
        metric: By which trials are compared.
        balance: Of the validation images, where the study states it.
    """

    def __init__(
        self, study: Path, space: Space, metric: str, balance: ClassBalance | None = None
    ) -> None:
        self._study, self._balance = study, balance
        # Every trial declares all columns: TensorBoard takes those of whichever it reads first.
        self._columns = {name: _data_type(domain) for name, domain in space.items()}
        self._columns["explorer"] = DataType.DATA_TYPE_BOOL
        self._experiment = _experiment(self._columns, GROUPS.get(metric, metric))
        self._files: dict[str, EventFile] = {}

    def started(self, proposal: Proposal) -> None:
        """Open the trial's event file and name its hyperparameters."""
        file = self._files[proposal.trial_id] = self._open(proposal)
        file.add(self._experiment)
        values = dict(proposal.config) | {"explorer": proposal.explorer}
        file.add(_session_start(values, self._columns))
        file.flush()

    def _open(self, proposal: Proposal) -> EventFile:
        return EventFile(make_folder(self._study, ["trials", proposal.trial_id]))

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """Write an epoch's scalars; after the first one the augmented inputs."""
        file = self._files[proposal.trial_id]
        epoch = int(row["epoch"])
        scalars = {GROUPS.get(n, n): v for n, v in row.items() if n not in ("epoch", "time")}
        recalls = row.get("val_recall")
        if isinstance(recalls, list):
            scalars |= {f"recall/class_{number:02d}": v for number, v in enumerate(recalls)}
        scalars |= self._baselines(row)
        file.add(
            *(Summary.Value(tag=tag, simple_value=v) for tag, v in scalars.items() if _finite(v)),
            step=epoch,
        )
        picture = ["trials", proposal.trial_id, "augmented.png"]
        if epoch == 1 and has_file(self._study, picture):
            encoded = read_file(self._study, picture, PICTURE_BYTES)
            file.add(_image("inputs/augmented", encoded), step=1)
        file.flush()

    def _baselines(self, row: Mapping[str, Any]) -> dict[str, float]:
        """The majority baseline of every metric of `row` that has one, by tag."""
        if self._balance is None:
            return {}
        known = {name: self._balance.baseline(name) for name in row if name in GROUPS}
        return {
            f"{GROUPS[name].partition('/')[0]}/{BASELINE}": value
            for name, value in known.items()
            if value is not None
        }

    def paused(self, proposal: Proposal) -> None:
        """Close the trial's file: thousands may wait; a promotion opens another one."""
        self._files.pop(proposal.trial_id).close()

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """Note how the trial ended and close its file."""
        file = self._files.pop(proposal.trial_id, None) or self._open(proposal)
        text = state if error is None else f"{state}: {error}"
        file.add(*text_pb("state/text_summary", text).value)
        failed = state in ("failed", "diverged")
        file.add(_session_end("STATUS_FAILURE" if failed else "STATUS_SUCCESS"))
        file.close()

    def close(self) -> None:
        """Close the files of trials that have not ended."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def _experiment(columns: Mapping[str, int], metric: str) -> Summary.Value:
    """The columns of the HParams tab."""
    infos = [HParamInfo(name=name, type=kind) for name, kind in columns.items()]
    metrics = [MetricInfo(name=MetricName(tag=metric))]
    data = HParamsPluginData(experiment=Experiment(hparam_infos=infos, metric_infos=metrics))
    return _plugin_value(metadata.EXPERIMENT_TAG, data)


def _data_type(domain: Domain) -> int:
    """The type of a column: texts where its values are of several types, or None is among them."""
    kinds = {type(v) for v in domain.values} if isinstance(domain, Choice) else {float}
    if kinds == {bool}:
        return int(DataType.DATA_TYPE_BOOL)
    numbers = kinds <= {int, float}
    return int(DataType.DATA_TYPE_FLOAT64 if numbers else DataType.DATA_TYPE_STRING)


def _session_start(values: Mapping[str, Entry], columns: Mapping[str, int]) -> Summary.Value:
    """A trial's row of the HParams tab; what is inactive stays empty, None is "none"."""
    start = SessionStartInfo(start_time_secs=time.time())
    for name, value in values.items():
        if value is INACTIVE:
            continue
        if value is None or columns[name] == DataType.DATA_TYPE_STRING:
            # the messages are UTF-8, which names of files may not be
            shown = "none" if value is None else str(value)
            start.hparams[name].string_value = shown.encode("utf-8", "backslashreplace").decode()
        elif columns[name] == DataType.DATA_TYPE_BOOL:
            start.hparams[name].bool_value = value
        else:
            start.hparams[name].number_value = value
    return _plugin_value(
        metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)
    )


def _session_end(status: str) -> Summary.Value:
    """The note that a trial is over."""
    end = SessionEndInfo(status=Status.Value(status), end_time_secs=time.time())
    return _plugin_value(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _plugin_value(tag: str, data: HParamsPluginData) -> Summary.Value:
    return Summary.Value(
        tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR
    )


def _image(tag: str, encoded: bytes) -> Summary.Value:
    with Image.open(io.BytesIO(encoded)) as picture:
        width, height = picture.size
    return Summary.Value(
        tag=tag,
        image=Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded),
    )


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
