"""The worker trains on the data that the trial's spec names. No Ray is started."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from deepsight.config import UserError
from deepsight.data import datasets
from deepsight.space import choice, loguniform
from deepsight.tune.plan import resolve_study
from deepsight.tune.preflight import prepare_all
from deepsight.tune.ray_backend.trial_spec import TrialSpec, make_trial_spec
from deepsight.tune.ray_backend.worker import run_trial
from deepsight.tune.search.searcher import Proposal
from tests.training.tiny import SMALL


def add_images(folder, num, seed=0):
    generator = np.random.default_rng(seed)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(num):
            pixels = generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{seed}_{i}.png")


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """Runs a trial as a worker that was born just now; its number of validation images."""
    monkeypatch.setenv("DEEPSIGHT_CACHE", str(tmp_path / "cache"))
    add_images(tmp_path / "photos", 15)
    small = SMALL | {"data.name": f"folder:{tmp_path / 'photos'}", "data.image_size": 16}
    space = {"optim.lr": loguniform(1e-4, 1e-2), "data.image_size": choice(16, 12)}
    given = {*space, "train.epochs"}
    plan = resolve_study("s", space, {n: v for n, v in small.items() if n not in given})
    packs = prepare_all(plan)["packs"]
    (tmp_path / "s").mkdir()

    def run(number, image_size=16):
        config = {"optim.lr": 1e-3, "data.image_size": image_size}
        proposal = Proposal(number, config, explorer=False, budget=1)
        spec = make_trial_spec(plan, tmp_path / "s", packs, proposal, 0)
        datasets._load.cache_clear()  # a new process knows nothing
        next(run_trial(TrialSpec(**json.loads(spec.to_ray()["spec"]))))
        with np.load(tmp_path / "s" / "trials" / spec.trial_id / "predictions.npz") as file:
            return len(file["labels"])

    return run


def test_files_that_come_while_a_study_runs_change_no_trial(trial, tmp_path):
    assert trial(0) == trial(1, image_size=12) == 6
    add_images(tmp_path / "photos", 40, seed=1)
    assert trial(2) == 6
    shutil.rmtree(tmp_path / "photos")
    assert trial(3) == 6


def test_a_trial_whose_data_are_not_there_any_more_says_why(trial, tmp_path):
    add_images(tmp_path / "photos", 40, seed=1)
    with pytest.raises(UserError, match="has changed since the study began"):
        trial(0, image_size=12)
    shutil.rmtree(datasets.cache_dir() / "data")
    with pytest.raises(UserError, match="the study's data cannot be opened"):
        trial(1)
