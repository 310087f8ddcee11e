"""The benchmark of the search, small: its problems, its simulator, its arithmetic."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.planted import BEST, PROBLEMS
from benchmarks.search_quality import GRID, speed
from benchmarks.simulator import STRATEGIES, Ours, simulate
from deepsight.space import sample

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_problems_are_what_they_say(problem):
    rng = random.Random(0)
    finals = []
    for _ in range(2000):
        config = sample(problem.space, {}, rng)
        scores = [problem.score(config, epoch) for epoch in range(1, problem.max_epochs + 1)]
        assert all(0 <= score <= 1 for score in scores)
        assert scores[-1] == pytest.approx(problem.final_score(config))
        assert problem.cost(config) > 0
        finals.append(scores[-1])
    assert BEST - 0.05 < max(finals) <= BEST


def test_crossing_curves_cross():
    problem = PROBLEMS["crossing"]
    fast = {"lr": 0.5, "momentum": 0.85, "decay": 1e-3, "dropout": 0.1}
    slow = fast | {"lr": 1e-3}
    assert problem.score(fast, 1) > problem.score(slow, 1)
    assert problem.score(fast, 27) < problem.score(slow, 27)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("slots", [1, 3])
def test_every_strategy_keeps_all_workers_busy(name, slots):
    problem = PROBLEMS["conditional"]
    found, epochs = simulate(problem, STRATEGIES[name](problem, 0, 60.0, slots), slots, 60.0, 0)
    assert 0.85 * 60 * slots / 1.1 < epochs <= 60 * slots
    assert found
    assert all(f.time_s <= 60.0 for f in found)
    assert all(f.regret >= 0 for f in found)


def test_the_simulator_runs_a_study_to_its_end():
    problem = PROBLEMS["conditional"]
    strategy = Ours(problem, 0, scheduler="asha", trials=20)
    _, epochs = simulate(problem, strategy, 2, 1e6, 0)
    assert not strategy.search.unfinished
    assert strategy.search.progress.num_ended == 20
    assert strategy.search.progress.epochs == epochs


def test_speed_is_the_ratio_of_times_to_the_worse_final():
    late = np.ones(GRID)
    late[99:] = 0.1
    early = np.ones(GRID)
    early[49:] = 0.05
    assert speed(early, late) == pytest.approx(2.0)
    assert speed(late, early) == pytest.approx(0.5)


@pytest.mark.long
def test_the_command_runs(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks.search_quality",
        "--quick",
        "--processes",
        "1",
        "--strategies",
        "ours, asha;ours, asha_stop;ray random",
        "--json",
        str(tmp_path / "a.json"),
        "--plot",
        str(tmp_path / "a.png"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Speed of `ours, asha` against" in done.stdout
    content = json.loads((tmp_path / "a.json").read_text())
    assert set(content["time"]) == {"1", "4"}
    assert (tmp_path / "a_4.png").stat().st_size > 10_000


def test_the_best_so_far_counts_full_trials_only_and_ends_with_the_time():
    from benchmarks.search_real import reaches, trajectory

    rows = [
        {"time": 14.0, "epoch": 2, "val_accuracy": 0.5},
        {"time": 12.0, "epoch": 1, "val_accuracy": 0.9},
        {"time": 16.0, "epoch": 2, "val_accuracy": None},
        {"time": 99.0, "epoch": 2, "val_accuracy": 0.8},
    ]
    points = trajectory(rows, started=10.0, seconds=30.0, max_epochs=2)
    assert points == [(2.0, 1, 0.0), (4.0, 2, 0.5), (6.0, 3, 0.5)]
    assert reaches(points, 0.4) == (4.0, 2)
    assert reaches(points, 0.6) == (6.0, 3)  # never: the whole run


def test_a_run_on_file_is_not_done_again(tmp_path):
    from benchmarks.search_quality import run_all

    job = ("random, full", "smooth", 1, 0, 15)
    first = run_all([job], 1, tmp_path / "runs.jsonl")
    before = (tmp_path / "runs.jsonl").read_bytes()
    assert run_all([job], 1, tmp_path / "runs.jsonl") == first
    assert (tmp_path / "runs.jsonl").read_bytes() == before
