"""Known answers: trajectory, rungs, cost and coordinates of hand-written studies."""

import pytest

from analysis.statistics.coordinates import BELOW, compute_coordinates, position_on_axis
from analysis.statistics.cost import compute_cost
from analysis.statistics.early_stopping import compute_early_stopping
from analysis.statistics.incumbent import compute_incumbent
from analysis.statistics.trajectory import compute_trajectory
from analysis.statistics.trial_outcomes import OUTCOMES, outcome_of
from deepsight.space import INACTIVE, Choice, Float, Int
from tests.analysis.studies import SMALL, hand_study, ramp, trial


@pytest.fixture
def small(tmp_path):
    return hand_study(tmp_path / "small", SMALL)


def test_every_outcome_has_its_name(small):
    assert [outcome_of(small, r) for r in small.records] == [
        "full budget",
        "full budget",
        "stopped",
        "stopped",
        "full budget",
        "full budget",
        "shorter budget",
        "diverged",
        "failed",
        "full budget",
    ]
    assert set(OUTCOMES) > {outcome_of(small, r) for r in small.records}


def test_the_incumbent_rises_among_trials_of_full_budget_only(small):
    info = compute_trajectory(small)
    assert [(s.trial_id, s.score) for s in info.steps] == [("t0000", 0.6), ("t0001", 0.9)]
    assert [(s.num_trials, s.num_epochs) for s in info.steps] == [(1, 9), (2, 18)]
    assert info.steps[1].elapsed_s == pytest.approx(18.0, abs=0.02)
    assert (info.num_trials, info.num_epochs, info.baseline) == (10, 55, 0.6)
    diverged = info.curves[7]
    assert (diverged.epochs, diverged.scores) == ((1,), (0.2,))


def test_less_may_be_better(tmp_path):
    study = hand_study(tmp_path / "s", [trial(ramp(f)) for f in (0.5, 0.7, 0.4)], mode="min")
    assert [s.score for s in compute_trajectory(study).steps] == [0.5, 0.4]
    assert compute_cost(study).front == ("t0002",)
    assert compute_early_stopping(study).rungs[0].lowest_kept == ramp(0.7)[0]


def test_rungs_count_the_trials_that_the_scheduler_decides_on(small):
    """Neither explorers nor the defaults, t0000, which it lets go on whatever they score."""
    info = compute_early_stopping(small)
    counts = [
        (r.epoch, r.reached, r.went_on, r.stopped, r.waiting, r.failed_or_diverged, r.explorers)
        for r in info.rungs
    ]
    assert counts == [
        (1, 6, 4, 1, 0, 1, 3),  # the trial that failed after its first epoch is lost
        (3, 3, 2, 1, 0, 0, 3),
        (9, 2, 2, 0, 0, 0, 2),
    ]
    assert info.epochs_saved == 8 + 6
    assert info.seconds_saved == pytest.approx(14.0)
    assert info.saved_share == pytest.approx(14 / (55 + 14))
    assert info.rungs[1].best_stopped == 0.25


def test_trial_0_of_a_run_of_ray_tunes_is_judged_like_any_other(tmp_path):
    def reached(**header):
        study = hand_study(tmp_path / f"{len(header)}", list(SMALL), **header)
        return [rung.reached for rung in compute_early_stopping(study).rungs]

    ours = reached()
    theirs = reached(origin={"tool": "ray_tune", "by": "callback"})
    assert theirs == [number + 1 for number in ours]


def test_explorers_tell_what_stopping_would_have_missed(tmp_path):
    """Six explorers; the best third at the end is judged as on arrival at each rung."""
    late = [0.05, 0.06, 0.07, 0.1, 0.3, 0.6, 0.8, 0.9, 0.99]
    curves = [ramp(0.9), ramp(0.8), ramp(0.7), ramp(0.6), late, ramp(0.5)]
    study = hand_study(tmp_path / "s", [trial(c, explorer=True) for c in curves])
    info = compute_early_stopping(study)
    assert info.top_explorers == ("t0004", "t0000")
    assert [(m.epoch, m.trials) for m in info.missed] == [
        (1, ("t0004",)),
        (3, ("t0004",)),
        (0, ("t0004",)),
    ]
    share = info.missed[-1].share
    assert (share.value, share.n) == (0.5, 2)
    assert share.low == pytest.approx(0.0126, abs=1e-4)  # Clopper and Pearson, 1 of 2
    assert share.high == pytest.approx(0.9874, abs=1e-4)


def test_the_front_holds_what_nothing_cheaper_beats(small):
    info = compute_cost(small)
    assert info.front == ("t0005", "t0001")  # 4.5 s for 0.80, 9 s for 0.90; 18 s for 0.85 is worse
    assert info.total_s == pytest.approx(55 - 4.5 + 9)
    assert {t.trial_id for t in info.trials if t.on_front} == set(info.front)


def test_a_study_without_seconds_has_no_front(tmp_path):
    study = hand_study(tmp_path / "s", [trial(ramp(0.9), wall_s=None)])
    assert "wall_s" in compute_cost(study).reason
    assert compute_early_stopping(study).seconds_saved == 0.0


def test_positions_follow_the_declared_scale(small):
    info = compute_coordinates(small)
    assert [a.kind for a in info.axes] == ["choice", "log", "linear", "epochs", "score"]
    assert [a.has_inactive for a in info.axes] == [False, False, True, False, True]
    line = info.lines[4]
    assert line.positions[:3] == pytest.approx((0.75, 1 / 3, 0.25))
    assert info.lines[0].positions[2] == BELOW
    assert info.lines[1].positions[-1] == 1.0
    assert info.lines[3].positions[-1] == BELOW  # its score at epoch 3 is none at epoch 9
    assert info.lines[3].score is None
    assert [t.label for t in info.axes[1].ticks] == ["0.0001", "0.001", "0.01", "0.1"]


@pytest.mark.parametrize(
    ("domain", "value", "position"),
    [
        (Float(0.0, 2.0), 0.5, 0.25),
        (Float(0.0, 2.0), 9.0, 1.0),
        (Float(1e-4, 1.0, log=True), 1e-2, 0.5),
        (Float(1e-4, 1.0, log=True), -1.0, None),
        (Float(0.0, 2.0), "text", None),
        (Float(0.0, 2.0), True, 0.5),
        (Float(1.0, 1.0), 1.0, 0.5),
        (Int(1, 5), 5, 1.0),
        (Choice((1, None, "1")), None, 0.5),
        (Choice(("a",)), "b", None),
        (Float(0.0, 2.0), None, None),
        (Float(0.0, 2.0), INACTIVE, BELOW),
        (Choice((1, None)), INACTIVE, BELOW),
    ],
)
def test_a_place_on_an_axis(domain, value, position):
    assert position_on_axis(domain, value) == pytest.approx(position)


def test_intervals_around_the_best(tmp_path):
    data = {"counts": {"val": {"cat": 500, "dog": 500}}}
    study = hand_study(tmp_path / "s", SMALL, data=data)
    info = compute_incumbent(study)
    assert info.num_val == 1000
    assert (info.score.low, info.score.high) == pytest.approx((0.8798, 0.9171), abs=1e-4)
    assert info.gain.value == pytest.approx(0.3)
    assert info.gain.low > 0.25
    assert info.contenders == ()
    assert info.failed_or_diverged.value == pytest.approx(0.2)
    assert info.search_counts == (2, 2)
    assert info.search_gain.value == pytest.approx(0.25)
    few = hand_study(tmp_path / "few", SMALL, data={"counts": {"val": {"cat": 40}}})
    assert compute_incumbent(few).contenders == ("t0009", "t0005")


def test_one_explorer_at_the_end_tells_nothing_of_what_was_missed(tmp_path):
    curves = [trial(ramp(0.5)), trial(ramp(0.9)), trial(ramp(0.4), explorer=True)]
    info = compute_early_stopping(hand_study(tmp_path / "s", curves))
    assert (info.num_full_explorers, info.missed) == (1, ())
