from pathlib import Path

import pytest
import torch

from deepsight.config import UserError
from deepsight.models.quantised import SCALE, dequantise, quantise, read_weights, write_weights


def test_rounding_stays_within_half_a_step_of_each_channel() -> None:
    state = {
        "conv.weight": torch.tensor([[[[127.0, -63.6]]], [[[0.0, 0.0]]], [[[-1e-3, 5e-4]]]]),
        "bn.weight": torch.tensor([0.1, 0.2, 0.3]),
        "bn.num_batches_tracked": torch.tensor(7),
    }
    stored = quantise(state)
    assert stored["conv.weight"].dtype == torch.int8
    assert stored["conv.weight"].flatten().tolist() == [127, -64, 0, 0, -127, 64]
    assert stored["conv.weight" + SCALE][0] == 1.0
    back = dequantise(stored)
    assert list(back) == list(state)
    assert back["conv.weight"][0].flatten().tolist() == [127.0, -64.0]
    assert back["conv.weight"][2].flatten().tolist() == pytest.approx([-1e-3, 64e-3 / 127])
    assert torch.equal(back["bn.weight"], state["bn.weight"])
    assert torch.equal(back["bn.num_batches_tracked"], state["bn.num_batches_tracked"])


def test_the_file_holds_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = {"fc.weight": torch.tensor([[1.0, -1.0]]), "fc.bias": torch.tensor([0.5])}
    write_weights(path, state)
    assert {k: v.tolist() for k, v in read_weights(path).items()} == {
        k: v.tolist() for k, v in state.items()
    }
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UserError, match="is no weights file"):
        read_weights(path)
