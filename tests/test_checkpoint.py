from pathlib import Path

import pytest
import torch
from torch import nn

from deepsight import checkpoint


def small_state() -> dict:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(4, 3)).sum().backward()
    optimiser.step()
    return {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "epoch": 3}


ROW = {"epoch": 3, "val_accuracy": 0.5, "val_recall": [0.25, None], "val_loss": None}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    state = small_state()
    checkpoint.save(path, state, ROW, wait=True)
    loaded, row = checkpoint.load(path)
    assert row == ROW
    assert loaded["epoch"] == 3
    for name, tensor in state["model"].items():
        assert torch.equal(loaded["model"][name], tensor)
    momentum = loaded["optimiser"]["state"][0]["momentum_buffer"]
    assert torch.equal(momentum, state["optimiser"]["state"][0]["momentum_buffer"])
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_torch_opens_it_as_well(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, small_state(), ROW)
    assert torch.load(path, weights_only=True)["row"] == ROW


def test_every_single_altered_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, small_state(), ROW)
    whole = path.read_bytes()
    for position in range(0, len(whole), 37):
        altered = bytearray(whole)
        altered[position] ^= 0x10
        path.write_bytes(altered)
        assert not checkpoint.verify(path), position
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert not checkpoint.verify(path), length
        with pytest.raises(checkpoint.CheckpointError, match="SHA-256"):
            checkpoint.load(path)


def test_the_previous_one_stands_in_for_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert checkpoint.load_newest(tmp_path) is None
    for epoch in (1, 2, 3):
        checkpoint.save(path, {"epoch": epoch}, {"epoch": epoch})
    assert checkpoint.load_newest(tmp_path)[1] == {"epoch": 3}
    path.write_bytes(path.read_bytes()[:-5])
    assert checkpoint.load_newest(tmp_path)[1] == {"epoch": 2}
    path.unlink()
    assert checkpoint.load_newest(tmp_path)[1] == {"epoch": 2}


def test_a_failed_save_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"epoch": 1}, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save(path, {"epoch": lambda: 2}, {"epoch": 2})
    assert checkpoint.load(path)[1] == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


class Payload:
    def __reduce__(self) -> tuple:
        return print, ("run on loading",)


def test_code_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"payload": Payload()}, ROW)
    assert checkpoint.verify(path)
    with pytest.raises(checkpoint.CheckpointError, match="is no checkpoint"):
        checkpoint.load(path)
    assert capsys.readouterr().out == ""


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(checkpoint.CheckpointError, match="nowhere.pt"):
        checkpoint.load(tmp_path / "nowhere.pt")
