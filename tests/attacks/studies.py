"""Studies that were tampered with."""

import shutil
from pathlib import Path

from deepsight.run_store import create_study
from deepsight.space import uniform
from deepsight.tune.plan import resolve_study
from deepsight.tune.preflight import make_header, prepare_all

V1 = Path(__file__).parent.parent / "data" / "studies" / "v1" / "smoke"


def copied(study, directory):
    """A copy that a test may spoil."""
    return shutil.copytree(study, directory)


def finished_study(directory, **values):
    """Write a study whose two trials are done."""
    values = {"study.trials": 2, "data.image_size": 16} | values
    made = resolve_study("s", {"optim.lr": uniform(0.1, 0.2)}, values)
    with create_study(directory, make_header(made, prepare_all(made))) as writer:
        for trial_id, config in (("t0000", made.default_config()), ("t0001", {"optim.lr": 0.15})):
            writer.started(trial_id, config, False, 9)
            writer.result(trial_id, {"epoch": 9, "val_accuracy": 0.5})
            writer.ended(trial_id, "completed")
