"""The second process of a report: the same answers, whatever happens to it."""

import contextlib
import json
import multiprocessing
from dataclasses import asdict

import pytest

from analysis.importance import second_process, sensitivity
from analysis.importance.second_process import MIN_TRIALS, views_meanwhile, worthwhile
from analysis.importance.sensitivity import compute_sensitivity, compute_views
from deepsight.space import uniform
from tests.analysis.random_studies import make_study


def study(num):
    def score(config, share):
        return 0.5 + 0.4 * share * config["a"]

    return make_study({"a": uniform(0.0, 1.0), "b": uniform(0.0, 1.0)}, score, num, noise=0.01)


def plain(found):
    return json.dumps(asdict(found), default=str)


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(second_process, "num_cores", lambda: 2)


@pytest.mark.slow
def test_two_processes_say_what_one_says(two_cores, monkeypatch):
    made = study(MIN_TRIALS)
    alone = compute_sensitivity(made)
    with monkeypatch.context() as only_there:
        only_there.setattr(sensitivity, "compute_views", None)
        both = compute_sensitivity(made, processes=2)
    assert plain(both.importance) == plain(alone.importance)
    assert plain(both.views["fanova"]) == plain(alone.views["fanova"])
    assert [*both.views] == ["best_quarter", "survival", "epoch_seconds", "fanova"]
    for name, view in both.views.items():  # shares differed once: docs/decisions/0090
        assert (view.verdict, view.num_trials) == (
            alone.views[name].verdict,
            alone.views[name].num_trials,
        )


def test_a_process_that_dies_leaves_its_work(two_cores):
    made = study(12)
    with views_meanwhile(made, 0) as views:
        (worker,) = multiprocessing.active_children()
        worker.kill()
        worker.join()
        found = views()
    assert found == compute_views(made, 0)
    assert {name: view.num_trials for name, view in found.items()}["epoch_seconds"] == 12


def test_the_process_ends_with_the_command():
    with contextlib.suppress(KeyboardInterrupt), views_meanwhile(study(12), 0):
        (worker,) = multiprocessing.active_children()
        assert worker.is_alive()
        raise KeyboardInterrupt
    assert not worker.is_alive()


def test_few_trials_and_one_core_need_no_second_process(two_cores, monkeypatch):
    assert worthwhile(study(MIN_TRIALS))
    assert not worthwhile(study(MIN_TRIALS - 1))
    monkeypatch.setattr(second_process, "num_cores", lambda: 1)
    assert not worthwhile(study(MIN_TRIALS))


def test_no_module_of_the_current_directory_is_run(tmp_path, monkeypatch):
    for name in ("multiprocessing", "signal", "random", "numpy", "analysis"):
        (tmp_path / f"{name}.py").write_text("open('taken', 'w')\n")
    monkeypatch.chdir(tmp_path)
    with views_meanwhile(study(12), 0) as views:
        views()
        (worker,) = multiprocessing.active_children()
        worker.join()
    assert worker.exitcode == 0
    assert not (tmp_path / "taken").exists()
