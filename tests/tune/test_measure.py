"""A few trials trained in processes of their own, and what a dry run says of them."""

import re

import pytest

from deepsight.config import UserError
from deepsight.tune.measure import CONFIGS, NICENESS_OF_RAY, local_slots, measure
from deepsight.tune.plan import resolve_study
from deepsight.tune.preflight import with_hardware
from deepsight.tune.search.forecast import measured_lines
from search_spaces.smoke import FIXED, SPACE


def plan_of(**values):
    given = {"data.name": "digits", "study.trials": 6, "study.max_epochs": 3}
    given |= {"hardware.device": "cpu", "resources.cpus": 2}
    return resolve_study(
        "s", SPACE, FIXED, given, {n.replace("__", "."): v for n, v in values.items()}
    )


@pytest.fixture(autouse=True)
def at_our_niceness(monkeypatch):
    """On a machine with other work, Ray's would have the tests wait."""
    monkeypatch.setenv(NICENESS_OF_RAY, "0")


def test_slots_are_those_of_the_machine():
    assert local_slots(plan_of()) == 2
    assert local_slots(plan_of(resources__cpus_per_trial=2.0)) == 1
    assert local_slots(plan_of(resources__max_parallel=1)) == 1
    assert local_slots(plan_of(study__trials=1)) == 1


def test_a_study_is_measured_and_foretold():
    plan = with_hardware(plan_of(study__time_limit_s=3600.0))
    *_, measured, estimate, limit = measured_lines(plan, seconds=0.4)
    pattern = r"measured   (\d) configs in 2 processes at once, 0 s: \S+ to \S+ s an epoch"
    assert 2 <= int(re.fullmatch(pattern, measured)[1]) <= 2 * CONFIGS
    amount = r"[\d.]+ (s|min|h)"
    assert re.fullmatch(
        rf"estimate   about {amount} \({amount} to {amount}\): 6 trials, "
        r"some \d+ epochs of \S+ s, in 2 slots",
        estimate,
    )
    assert limit == "time limit about 6 of 6 trials (6 to 6) fit into 60 min"


def test_no_module_of_the_current_directory_is_run(tmp_path, monkeypatch):
    for name in ("multiprocessing", "signal", "random", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('taken', 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert measure(plan_of(), 1, 0.1).costs
    assert not (tmp_path / "taken").exists()


def test_what_a_trial_raises_is_said():
    with pytest.raises(UserError, match="torch finds no GPU"):
        measure(plan_of(hardware__device="cuda"), 1, 0.1)
