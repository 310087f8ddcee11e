from pathlib import Path

import numpy as np
import pytest

from deepsight.training import lr_finder
from deepsight.training.lr_finder import draw_sweep, main, smooth, summarise, sweep_lr
from tests.training.tiny import SMALL, config


def planted() -> tuple[np.ndarray, np.ndarray]:
    """A loss that falls fastest at 1e-3, is lowest at 1e-2 and explodes after 0.1."""
    rates = np.geomspace(1e-6, 10, 200)
    log = np.log10(rates)
    fall = -1.0 / (1 + np.exp(-4 * (log + 3)))
    rise = np.exp(3 * np.maximum(log + 2, 0)) - 1
    noise = np.random.default_rng(0).normal(0, 0.02, 200)
    return rates, 2.0 + fall + rise + noise


def test_planted_curve_is_read() -> None:
    sweep = summarise(*planted())
    assert sweep.steepest == pytest.approx(1e-3, rel=0.5)
    assert 3e-4 < sweep.tenth < 3e-3


def test_noise_alone_does_not_make_the_first_rates_steep() -> None:
    rates, losses = planted()
    losses[:3] += (0.6, 0.3, 0.1)
    assert summarise(rates, losses).steepest == pytest.approx(1e-3, rel=0.5)


def test_a_loss_that_never_falls_has_no_steepest_descent() -> None:
    rates = np.geomspace(1e-6, 1, 50)
    assert summarise(rates, np.linspace(1, 3, 50)).steepest is None


def test_smoothing_keeps_constants() -> None:
    assert smooth(np.geomspace(1e-6, 10, 30), np.full(30, 1.5)) == pytest.approx(1.5)


def test_a_sweep_of_a_small_network() -> None:
    sweep = sweep_lr(config())
    assert len(sweep.rates) == len(sweep.losses) <= lr_finder.MIN_STEPS
    assert np.isfinite(sweep.losses).all()
    assert 1e-5 < sweep.tenth < 1
    again = sweep_lr(config())
    assert (again.losses == sweep.losses).all()
    assert draw_sweep(sweep).axes[0].get_xscale() == "log"


def test_the_command_writes_a_plot_and_prints_values(tmp_path: Path, capsys) -> None:
    out = tmp_path / "sweep.png"
    sets = [f for k, v in SMALL.items() if k != "data.name" for f in ("--set", f"{k}={v}")]
    assert main(["--space", "smoke", "--data", SMALL["data.name"], *sets, "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["steepest descent", "minimum / 10"]
    assert lines[-1] == str(out)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--wrong"], "unrecognized arguments: --wrong"),
        (["--space", "finetun"], "unknown space 'finetun'"),
        (["--set", "optim.lr"], "--set 'optim.lr' is not NAME=VALUE"),
        (["--set", "optim.lrr=1"], "unknown hyperparameter 'optim.lrr'"),
        (["--set", "optim.lr=fast"], "optim.lr must be a float"),
        (["--data", "nowhere"], "unknown data.name 'nowhere'"),
        (["--out", "/no/such/folder/x.png"], "no folder /no/such/folder"),
    ],
)
def test_mistakes_are_named(arguments: list[str], cause: str, capsys) -> None:
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert cause in lines[0]


def test_small_numbers_may_be_written_either_way() -> None:
    flags = lr_finder.make_parser().parse_args(["--set", "optim.lr=1e-4"])
    assert lr_finder.config_from_flags(flags).optim.lr == 1e-4
