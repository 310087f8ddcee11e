"""A study of trials that freeze layers, shared by these tests."""

import pytest

from tests.trained import train_study
from tests.training.tiny import SMALL

FREEZE = {"model.freeze_fraction": 1.0, "model.unfreeze_epoch": 2}


@pytest.fixture(scope="package")
def frozen_study(cache, tmp_path_factory):
    """Three epochs each: unfrozen at once, step by step, never, too late; and never frozen."""
    trials = [
        FREEZE | {"model.unfreeze": "at_once"},
        FREEZE | {"model.unfreeze": "gradual"},
        FREEZE | {"model.unfreeze": "never"},
        FREEZE | {"model.unfreeze": "at_once", "model.unfreeze_epoch": 9},
        {"model.freeze_fraction": 0.1},
    ]
    return train_study(tmp_path_factory.mktemp("phases") / "study", trials, SMALL)
