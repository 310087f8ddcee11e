"""The contract of every tracker."""

import inspect
from importlib import import_module

import pytest

from deepsight.track.cli import main
from deepsight.track.sinks import SINKS, Sink

CALLS = [name for name, member in vars(Sink).items() if inspect.isfunction(member)]


@pytest.mark.parametrize("name", SINKS)
def test_a_tracker_does_what_is_asked_of_it(name):
    module, _, cls = SINKS[name].partition(":")
    found = getattr(import_module(module), cls)
    for call in [c for c in CALLS if not c.startswith("_")]:
        wanted = inspect.signature(getattr(Sink, call)).parameters
        assert list(inspect.signature(getattr(found, call)).parameters) == list(wanted)
    made = found()
    assert made.sent_runs == made.sent_epochs == 0
    made.close()


@pytest.mark.parametrize("names", ["nothing", "mlflow,nothing", ",", ""])
def test_the_command_names_its_own_flag(names, tmp_path, capsys):
    assert main([str(tmp_path), "--to", names]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: --to {names} names no tracker.",
        "Known: mlflow, wandb.",
    ]
