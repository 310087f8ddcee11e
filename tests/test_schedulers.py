"""Known answers of the schedulers."""

import random

import pytest

from deepsight.schedulers import (
    SCHEDULERS,
    Asha,
    AshaStop,
    Brackets,
    Decision,
    Scheduler,
    build_scheduler,
    would_have_stopped,
)
from deepsight.tune.plan import make_rungs


def goes_on(scheduler, trial_id, epoch, score):
    return scheduler.judge(trial_id, epoch, score) == Decision.CONTINUE


@pytest.mark.parametrize(
    ("low", "high", "factor", "rungs"),
    [
        (1, 9, 3, (1, 3, 9)),
        (1, 243, 3, (1, 3, 9, 27, 81, 243)),  # a float logarithm loses the last one
        (1, 20, 3, (1, 3, 9, 20)),
        (2, 16, 2, (2, 4, 8, 16)),
        (1, 9, 2, (1, 2, 4, 9)),  # 8 would be too near to 9
        (1, 27, 2, (1, 2, 4, 8, 16, 27)),
        (8, 9, 2, (9,)),
        (5, 5, 4, (5,)),
    ],
)
def test_rungs(low, high, factor, rungs):
    assert make_rungs(low, high, factor) == rungs


def test_asha_keeps_the_best_third_of_what_it_has_seen():
    asha = AshaStop((1, 3, 9), 3)
    scores = [0.5, 0.4, 0.6, 0.55, 0.7, 0.65]
    kept = [goes_on(asha, f"t{i}", 1, s) for i, s in enumerate(scores)]
    # one place while fewer than six have come, two from the sixth on
    assert kept == [True, False, True, False, True, True]


def test_asha_decides_at_rungs_only():
    asha = AshaStop((1, 3, 9), 3)
    assert goes_on(asha, "a", 1, 1.0)
    assert goes_on(asha, "b", 2, 0.0)
    assert goes_on(asha, "b", 9, 0.0)
    assert list(asha.seen) == [1]


def test_asha_lets_through_about_one_in_reduction_factor():
    rng = random.Random(0)
    asha = AshaStop((1, 4, 16), 4)
    kept = sum(goes_on(asha, str(i), 1, rng.random()) for i in range(4000))
    assert 0.24 < kept / 4000 < 0.27


def test_ties_all_go_on():
    asha = AshaStop((1, 3), 3)
    assert all(goes_on(asha, str(i), 1, 0.1) for i in range(10))


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("brackets", [1, 3])
def test_every_scheduler_keeps_its_promises(name, brackets):
    """What `Search` counts on, over random scores."""
    rng = random.Random(0)
    scheduler = build_scheduler(name, (1, 3, 9), 3, brackets)
    for number in range(100):
        trial_id, exempt = f"t{number:04d}", number % 5 == 4
        decision, epoch = Decision.CONTINUE, 0
        while decision == Decision.CONTINUE and epoch < 9:
            epoch += 1
            decision = scheduler.judge(trial_id, epoch, rng.random(), exempt)
            assert decision == Decision.CONTINUE or (epoch in (1, 3) and not exempt)
        if decision == Decision.CONTINUE:
            scheduler.ended(trial_id)
        while promotion := scheduler.promotable():
            rung, trial_id = promotion
            assert scheduler.promotable() == promotion  # asking changes nothing
            assert trial_id not in scheduler.unpromotable(100)
            scheduler.resumed(trial_id)
            for epoch in range(rung + 1, 10):
                if scheduler.judge(trial_id, epoch, rng.random()) != Decision.CONTINUE:
                    break


def test_asha_promotes_the_best_third_the_highest_rung_first():
    asha = Asha((1, 3, 9), 3)
    scores = [0.5, 0.4, 0.6, 0.55, 0.7, 0.65]
    promoted = []
    for number, score in enumerate(scores):
        assert asha.judge(f"t{number}", 1, score) == Decision.PAUSE
        promotion = asha.promotable()
        promoted.append(promotion and promotion[1])
        if promotion:
            asha.resumed(promotion[1])
    # one place while fewer than six have come, two from then on: t4's and t5's
    assert promoted == ["t0", None, "t2", None, "t4", "t5"]
    for number in (0, 2, 4, 5):
        assert asha.judge(f"t{number}", 2, 0.0) == Decision.CONTINUE
        assert asha.judge(f"t{number}", 3, scores[number]) == Decision.PAUSE
    asha.judge("t6", 1, 0.9)
    assert asha.promotable() == (3, "t4")
    asha.resumed("t4")
    assert asha.judge("t4", 9, 0.1) == Decision.CONTINUE
    assert asha.promotable() == (1, "t6")


def test_a_paused_trial_is_promoted_when_others_make_a_place_for_it():
    asha = Asha((1, 3), 3)
    for number, score in enumerate((0.9, 0.8, 0.1, 0.1, 0.1)):
        asha.judge(f"t{number}", 1, score)
    assert asha.promotable() == (1, "t0")
    asha.resumed("t0")
    assert asha.promotable() is None
    asha.judge("t5", 1, 0.1)
    assert asha.promotable() == (1, "t1")


def test_an_exempt_trial_is_compared_with_but_never_paused_or_promoted():
    asha = Asha((1, 3, 9), 3)
    assert asha.judge("a", 1, 0.9, exempt=True) == Decision.CONTINUE
    assert asha.judge("b", 1, 0.5) == Decision.PAUSE
    assert asha.promotable() is None  # the one place is a's
    for trial_id in "cdef":
        asha.judge(trial_id, 1, 0.2)
    assert asha.promotable() == (1, "b")


def test_an_ended_trial_is_not_promoted():
    asha = Asha((1, 3), 3)
    for trial_id, score in zip("abc", (1.0, 2.0, 3.0), strict=True):
        asha.judge(trial_id, 1, score)
    asha.ended("c")
    assert asha.promotable() is None


def test_unpromotable_are_those_below_the_top_whatever_arrives():
    asha = Asha((1, 3), 3)
    for number in range(6):
        asha.judge(f"t{number}", 1, float(number))
    assert asha.unpromotable(30) == []
    assert asha.unpromotable(9) == ["t0", "t1", "t2"]
    assert asha.unpromotable(3) == ["t0", "t1", "t2", "t3"]  # more came than were announced


def test_brackets_draw_alike_and_in_proportion():
    one, two = (build_scheduler("asha", (1, 3, 9), 3, 3, seed=5) for _ in range(2))
    assert isinstance(one, Brackets)
    assert isinstance(two, Brackets)
    numbers = [one.brackets.index(one.bracket_of(f"t{n:04d}")) for n in range(3000)]
    assert numbers == [two.brackets.index(two.bracket_of(f"t{n:04d}")) for n in range(3000)]
    shares = [numbers.count(s) / 3000 for s in range(3)]
    assert shares == pytest.approx([9 / 13, 3 / 13, 1 / 13], abs=0.03)
    assert [b.rungs for b in one.brackets] == [(1, 3, 9), (3, 9), (9,)]


def test_fifo_stops_nobody():
    assert all(goes_on(Scheduler(), str(i), 1, -i) for i in range(9))


@pytest.mark.parametrize("factor", [2, 3])
def test_what_would_have_stopped_is_what_the_scheduler_says(factor):
    """Of `AshaStop` on arrival; under `Asha`, of those who have no place once all have come."""
    rng = random.Random(0)
    arrivals = [(f"t{k:04d}", round(rng.random(), 2)) for k in range(60)]
    stopping = AshaStop([1, 3, 9], factor)
    said = {name: stopping.judge(name, 1, score) is Decision.STOP for name, score in arrivals}
    assert would_have_stopped("asha_stop", factor, arrivals) == said
    distinct = [(name, float(k)) for k, (name, _) in enumerate(arrivals)]
    rng.shuffle(distinct)
    pausing = Asha([1, 3, 9], factor)
    for name, score in distinct:
        pausing.judge(name, 1, score)
    stopped = {t for t, stops in would_have_stopped("asha", factor, distinct).items() if stops}
    assert stopped == set(pausing.unpromotable(0))
    for name in ("fifo", "somebody's"):
        assert not any(would_have_stopped(name, factor, arrivals).values())
