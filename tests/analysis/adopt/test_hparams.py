"""Folders of the HParams plugin, as PyTorch and TensorBoard themselves write them."""

from __future__ import annotations

import math
import time

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from torch.utils.tensorboard import SummaryWriter

from analysis.adopt.found import Wanted
from analysis.adopt.sources.hparams import read, recognises
from deepsight.config import UserError
from deepsight.space import Choice, Float, Int
from tests.analysis.adopt.source_folders import unchanged


def with_torch(folder, trials=3, epochs=4):
    for number in range(trials):
        with SummaryWriter(str(folder / f"trial{number}")) as writer:
            for epoch in range(epochs - number % 2):
                value = math.nan if (number, epoch) == (2, 1) else number + epoch / 8
                writer.add_scalar("val/accuracy", value, epoch)
            config = {"lr": 10.0**-number, "width": 16 * 2**number, "name": "sgd", "bn": True}
            writer.add_hparams(config, {"hparam/accuracy": number + 0.5})
    return folder


def test_what_pytorch_writes_comes_over(tmp_path):
    folder = with_torch(tmp_path / "runs")
    with unchanged(folder):
        assert recognises(str(folder))
        found = read(str(folder), Wanted(metric="val/accuracy"))
    assert (found.tool, found.name, found.metric) == ("hparams", "runs", "val/accuracy")
    configs = [{"lr": 10.0**-n, "width": 16 * 2**n, "name": "sgd", "bn": True} for n in range(3)]
    assert [t.config for t in found.trials] == configs
    # PyTorch stores every number as a real one, and a truth value as a number
    assert [type(v) for v in found.trials[0].config.values()] == [int, float, str, int]
    values = [[(r.epoch, r.metrics["val/accuracy"]) for r in t.rows] for t in found.trials]
    assert values == [
        [(1, 0.0), (2, 0.125), (3, 0.25), (4, 0.375)],
        [(1, 1.0), (2, 1.125), (3, 1.25)],
        [(1, 2.0), (2, None), (3, 2.25), (4, 2.375)],
    ]
    assert [t.state for t in found.trials] == [None] * 3
    assert all(t.key.startswith(f"trial{n}/") for n, t in enumerate(found.trials))
    now = time.time()
    assert all(now - 600 < r.time <= now for t in found.trials for r in t.rows)
    assert found.space == {}


def test_the_declared_metric_stands_at_the_last_step(tmp_path):
    found = read(str(with_torch(tmp_path)), Wanted())
    assert found.metric == "hparam/accuracy"
    rows = [[(r.epoch, r.metrics["hparam/accuracy"]) for r in t.rows] for t in found.trials]
    assert rows == [[(4, 0.5)], [(3, 1.5)], [(4, 2.5)]]
    assert any("stand at the last step of 3 trials" in note for note in found.notes)


def write_events(folder, *summaries, values=()):
    writer = EventFileWriter(str(folder))
    for summary in summaries:
        writer.add_event(Event(wall_time=time.time(), summary=summary))
    for step, value in enumerate(values):
        scalar = Summary(value=[Summary.Value(tag="acc", simple_value=value)])
        writer.add_event(Event(wall_time=time.time(), step=step, summary=scalar))
    writer.close()


def with_api(folder):
    hp = summary_v2
    hparams = [
        hp.HParam("lr", hp.RealInterval(1e-4, 1.0)),
        hp.HParam("momentum", hp.RealInterval(0.0, 0.9)),
        hp.HParam("units", hp.IntInterval(2, 8)),
        hp.HParam("optimizer", hp.Discrete(["adam", "sgd"])),
        hp.HParam("batch", hp.Discrete([16, 32])),
        hp.HParam("free"),
    ]
    write_events(folder, hp.hparams_config_pb(hparams, [hp.Metric("acc", display_name="A")]))
    for number in range(2):
        config = {"lr": 0.1, "momentum": 0.5, "units": 4 + number, "batch": 16}
        start = hp.hparams_pb(config | {"optimizer": "sgd", "free": 1}, trial_id=f"T{number}")
        write_events(folder / f"r{number}", start, values=[0.25, 0.5])
    return folder


def test_domains_come_over_as_far_as_they_are_declared(tmp_path):
    found = read(str(with_api(tmp_path)), Wanted())
    assert found.metric == "acc"
    assert found.space == {
        "lr": Float(1e-4, 1.0, log=True),
        "momentum": Float(0.0, 0.9),
        "units": Int(2, 8),
        "optimizer": Choice(("adam", "sgd")),
        "batch": Choice((16, 32)),
    }
    assert any("log was taken for wide lr (inferred)" in note for note in found.notes)
    assert [[(r.epoch, r.metrics["acc"]) for r in t.rows] for t in found.trials] == [
        [(1, 0.25), (2, 0.5)]
    ] * 2
    assert [t.config["units"] for t in found.trials] == [4, 5]
    assert [t.key for t in found.trials] == ["r0", "r1"]


@pytest.mark.parametrize("end", [0.4, 0.8, 0.97])
def test_a_torn_file_is_read_up_to_there(tmp_path, end):
    with_api(tmp_path)
    (path,) = (tmp_path / "r1").iterdir()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * end)])
    found = read(str(tmp_path), Wanted())
    assert any("ends of 1 event files are torn" in note for note in found.notes)
    assert [len(t.rows) for t in found.trials][0] == 2
    assert sum(len(t.rows) for t in found.trials) < 4


def test_what_has_no_session_is_one_line(tmp_path):
    with SummaryWriter(str(tmp_path / "plain")) as writer:
        writer.add_scalar("a", 1, 1)
    assert not recognises(str(tmp_path))
    with pytest.raises(UserError, match="no session of the HParams plugin"):
        read(str(tmp_path), Wanted())
    (tmp_path / "plain" / "events.out.tfevents.9").write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match="no session"):
        read(str(tmp_path), Wanted())
    assert not recognises(str(tmp_path / "nothing"))


def test_sessions_that_share_curves_get_none_of_them(tmp_path):
    with SummaryWriter(str(tmp_path)) as writer:
        for number in range(2):
            writer.add_scalar("acc", number, number)
            writer.add_hparams({"lr": number}, {"final": number}, run_name=f"s{number}")
    found = read(str(tmp_path), Wanted())
    assert [[dict(r.metrics) for r in t.rows] for t in found.trials] == [
        [{"final": 0.0}],
        [{"final": 1.0}],
    ]
    assert any("Curves that 2 sessions share" in note for note in found.notes)


def test_links_are_not_followed(tmp_path):
    with_api(tmp_path / "outside")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "more").symlink_to(tmp_path / "outside")
    assert not recognises(str(tmp_path / "inside"))


@pytest.mark.slow
def test_a_thousand_trials_take_seconds(tmp_path):
    with_api(tmp_path)
    (path,) = (tmp_path / "r1").iterdir()
    content = path.read_bytes()
    for number in range(2, 1000):
        (tmp_path / f"r{number}").mkdir()
        (tmp_path / f"r{number}" / path.name).write_bytes(content)
    start = time.process_time()
    assert len(read(str(tmp_path), Wanted()).trials) == 1000
    assert time.process_time() - start < 10
