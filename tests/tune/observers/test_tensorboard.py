"""What TensorBoard reads back from the event files, and what writing them costs the driver."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from deepsight.data.class_balance import class_balance
from deepsight.space import INACTIVE, choice
from deepsight.tune.observers.tensorboard import TensorBoard
from deepsight.tune.search.searcher import Proposal
from tests.tune.plans import SPACE

CONFIG = {"x": 0.25, "kind": "plain", "extra": INACTIVE}


def read(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def hparams(events, tag):
    content = events.summary_metadata[f"_hparams_/{tag}"].plugin_data.content
    return HParamsPluginData.FromString(content)


def test_a_trial_is_read_back_as_it_went(tmp_path):
    board = TensorBoard(tmp_path, SPACE, "val_accuracy")
    proposal = Proposal(0, CONFIG, explorer=True, budget=3)
    board.started(proposal)
    folder = tmp_path / "trials" / proposal.trial_id
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "augmented.png")
    rows = [
        {"epoch": e, "time": 0.0, "val_accuracy": e / 4, "val_recall": [0.5, None], "lr": None}
        for e in (1, 2)
    ]
    for row in rows:
        board.reported(proposal, row)
        live = read(folder)  # while it runs
        assert [e.step for e in live.Scalars("accuracy/val")] == list(range(1, row["epoch"] + 1))
    board.ended(proposal, "failed", "out of luck")
    board.close()

    events = read(folder)
    assert [e.value for e in events.Scalars("accuracy/val")] == [0.25, 0.5]
    assert set(events.Tags()["scalars"]) == {"accuracy/val", "recall/class_00"}
    picture = events.Images("inputs/augmented")[0]
    assert (picture.width, picture.height) == (12, 8)
    text = events.Tensors("state/text_summary")[0].tensor_proto.string_val[0]
    assert text == b"failed: out of luck"
    columns = hparams(events, "experiment").experiment
    assert {c.name for c in columns.hparam_infos} == {*SPACE, "explorer"}
    assert [m.name.tag for m in columns.metric_infos] == ["accuracy/val"]
    start = hparams(events, "session_start_info").session_start_info.hparams
    assert (start["x"].number_value, start["kind"].string_value) == (0.25, "plain")
    assert start["explorer"].bool_value
    assert "extra" not in start  # inactive
    end = hparams(events, "session_end_info").session_end_info
    assert end.status == Status.STATUS_FAILURE


def test_none_is_a_text_in_a_column_of_texts(tmp_path):
    space = {"limit": choice(None, 4), "mix": choice("a", None), "on": choice(True, False)}
    board = TensorBoard(tmp_path, space, "score")
    rows = [{"limit": None, "mix": "a", "on": True}, {"limit": 4, "mix": None, "on": False}]
    started = []
    for number, config in enumerate(rows):
        proposal = Proposal(number, config, explorer=False, budget=3)
        board.started(proposal)
        folder = tmp_path / "trials" / proposal.trial_id
        started.append(hparams(read(folder), "session_start_info").session_start_info.hparams)
    board.close()
    shown = [(s["limit"].string_value, s["mix"].string_value, s["on"].bool_value) for s in started]
    assert shown == [("none", "a", True), ("4", "none", False)]


def test_a_promoted_trial_goes_on_in_a_file_of_its_own(tmp_path):
    board = TensorBoard(tmp_path, SPACE, "score")
    proposal = Proposal(7, CONFIG, explorer=False, budget=3)
    for epoch in (1, 2):
        board.started(proposal)
        board.reported(proposal, {"epoch": epoch, "score": float(epoch)})
        board.paused(proposal)
    board.ended(proposal, "completed", None)
    files = list((tmp_path / "trials" / proposal.trial_id).iterdir())
    assert len(files) == 3
    read_back = [read(file) for file in files]
    scored = [events for events in read_back if "score" in events.Tags()["scalars"]]
    assert sorted(e.value for events in scored for e in events.Scalars("score")) == [1.0, 2.0]


def test_the_majority_baseline_stands_beside_every_metric_that_has_one(tmp_path):
    balance = class_balance({"common": 40, "rare": 10})
    board = TensorBoard(tmp_path, SPACE, "val_accuracy", balance)
    proposal = Proposal(0, CONFIG, explorer=False, budget=3)
    board.started(proposal)
    row = {"epoch": 1, "val_accuracy": 0.9, "val_macro_f1": 0.7, "val_loss": 0.3, "own": 1.0}
    board.reported(proposal, row)
    board.close()
    events = read(tmp_path / "trials" / proposal.trial_id)
    lines = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"] if "/maj" in tag}
    assert lines == {
        "accuracy/majority_baseline": pytest.approx(0.8),
        "macro_f1/majority_baseline": pytest.approx(0.8 / 1.8),
    }


def test_the_driver_does_not_import_torch():
    parts = [
        "driver",
        "search.search",
        "ray_backend.cluster",
        "ray_backend.start",
        "observers.tensorboard",
        "observers.progress",
        "observers.checkpoint_cleanup",
    ]
    names = ", ".join(f"deepsight.tune.{part}" for part in parts)
    code = f"import sys, {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_value_that_is_no_utf8_is_written_with_escapes(tmp_path):
    proposal = Proposal(0, {"x": 0.5, "kind": "caf\udce9", "extra": None}, False, 9)
    board = TensorBoard(tmp_path, SPACE, "score")
    board.started(proposal)
    board.ended(proposal, "failed", "no file")
    board.close()
    content = b"".join(p.read_bytes() for p in (tmp_path / "trials" / "t0000").iterdir())
    assert rb"caf\udce9" in content
