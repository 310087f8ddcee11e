"""Sentences and pages of a confirmation, from scores that are written down."""

import dataclasses

import pytest

from analysis.report.confirmation import confirmation_sentences, confirmation_text
from deepsight.config import UserError
from deepsight.confirm.record import load_confirmation, save_confirmation
from deepsight.confirm.results import Asked, compute_confirmation, top_pairs
from deepsight.confirm.runs import choose_contenders, confirm_plan, run_of, with_planned
from deepsight.run_store import load_study
from deepsight.space import to_json, to_stored
from deepsight.tune.plan import plan_from_header
from tests.analysis.studies import hand_study, ramp, trial, write_study

SEEDS = (1000, 1001, 1002, 1003)
WINNER, DEFAULTS = (0.84, 0.85, 0.86, 0.85), (0.70, 0.72, 0.73, 0.71)


def confirmed(directory, winner=WINNER, defaults=DEFAULTS, until=None, target=0.8):
    """A search whose winner scored 0.9, and its confirmation with these scores; None diverged."""
    trials = [trial(ramp(0.7)), trial(ramp(0.9), config={"optim.lr": 0.01})]
    search = hand_study(directory / "s", trials, target=target)
    plan = plan_from_header(search.header)
    contenders = choose_contenders(search, 1)
    asked = Asked("top", contenders, SEEDS, False, "x", top_pairs(contenders), until)
    runs = [
        (run_of(plan, c, seed, False), score)
        for c, scores in zip(contenders, (winner, defaults), strict=True)
        for seed, score in zip(SEEDS, scores, strict=True)
    ]
    listed = with_planned(confirm_plan(plan), [config for config, _ in runs])
    done = [
        trial([0.1, None] if s is None else ramp(s), s is None and "diverged" or None)
        | {"config": to_stored(config)}
        for config, s in runs
    ]
    path = write_study(directory / "s" / "confirm", done, space=to_json(listed.space))
    return search, compute_confirmation(search, plan, load_study(path), asked, None)


def test_the_winner_is_confirmed_in_sentences(tmp_path):
    _, found = confirmed(tmp_path)
    text = " ".join(confirmation_sentences(found))
    assert "Confirmed: t0001 reaches val_accuracy 0.850 [0.837, 0.863]" in text
    assert "4 fresh seeds" in text
    assert "It is better than the defaults: by 0.1350 [0.1258, 0.1442]" in text
    assert "The winner's curse: it scored 0.9 in the search, by 0.050 [0.037, 0.063] more" in text
    assert "The target of 0.8 is met: the worst end of the interval is 0.837" in text
    assert found.test_metric is None
    assert "| t0001 | defaults | val |" in confirmation_text(found)


def test_runs_that_diverged_are_counted_and_leave_their_pair(tmp_path):
    _, found = confirmed(tmp_path, winner=(0.84, None, 0.86, 0.85))
    assert found.config("t0001").num_lost == 1
    assert found.comparisons[0].gain.n == 3
    text = " ".join(confirmation_sentences(found))
    assert "1 run of t0001 failed or diverged; its mean is over the others." in text


def test_a_better_rival_is_named_and_not_crowned(tmp_path):
    _, found = confirmed(tmp_path, winner=DEFAULTS, defaults=WINNER)
    text = " ".join(confirmation_sentences(found))
    assert "It is worse than the defaults" in text
    assert "defaults has the better mean now" in text
    assert "would have to be confirmed in its turn" in text
    assert "The target of 0.8 is missed: the best end" in text


def test_a_sequential_plan_says_whether_it_is_settled(tmp_path):
    _, found = confirmed(tmp_path, until=0.01)
    assert found.settled
    assert found.comparisons[0].p is None
    assert "an interval for every look at once" in " ".join(confirmation_sentences(found))
    _, found = confirmed(tmp_path / "open", defaults=(0.85, 0.83, 0.84, 0.88), until=0.0001)
    assert not found.settled
    assert "Not settled" in " ".join(confirmation_sentences(found))


def test_the_file_of_a_confirmation_reads_as_it_was_written(tmp_path):
    search, found = confirmed(tmp_path)
    path = tmp_path / "s/confirm/confirmation.json"
    save_confirmation(found, path)
    assert load_confirmation(search.directory) == found
    assert load_confirmation(tmp_path) is None
    path.write_text("{")
    with pytest.raises(UserError, match="confirmation.json cannot be read"):
        load_confirmation(search.directory)
    save_confirmation(dataclasses.replace(found, target=None), path)
    assert load_confirmation(search.directory).target is None
