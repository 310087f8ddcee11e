"""What comes over from earlier studies, what does not and is said, and what is made of it."""

import dataclasses
import json
import random

import pytest

from deepsight.config import UserError
from deepsight.run_store import StudyFormatError, create_study, parse_header
from deepsight.space import INACTIVE, choice, loguniform, uniform, when
from deepsight.tune.cli import main
from deepsight.tune.earlier.studies import describe_earlier, with_earlier
from deepsight.tune.earlier.trials import MOST_TRIALS
from deepsight.tune.plan import plan_from_header
from deepsight.tune.preflight import make_header
from deepsight.tune.search.searcher import Searcher
from tests.tune.plans import SPACE, make_plan

X = {"x": uniform(0.0, 1.0)}


def record(directory, configs, score, space=SPACE, epochs=9, **settings):
    """A study whose trials all complete with ``score(config)``."""
    plan = make_plan("old", space, trials=len(configs), max_epochs=epochs, **settings)
    with create_study(directory, make_header(plan, {})) as writer:
        for number, config in enumerate(configs):
            name = f"t{number:04d}"
            full = dict.fromkeys(space, INACTIVE) | config
            writer.started(name, full, False, epochs)
            for epoch in range(1, epochs + 1):
                writer.result(name, {"epoch": epoch, "score": score(config)})
            writer.ended(name, "completed", None)
    return directory


def draws(num, seed=0):
    rng = random.Random(seed)
    return [{"x": rng.random(), "kind": "plain"} for _ in range(num)]


def warm(*directories, space=SPACE, **settings):
    paths = ",".join(map(str, directories))
    return with_earlier(make_plan("new", space, warm_start=paths, **settings))


def test_the_past_is_read_and_kept_in_the_header(tmp_path):
    old = record(tmp_path / "old", draws(5), lambda c: c["x"])
    plan = warm(old)
    (study,) = plan.earlier
    assert [t.config for t in study.trials] == [dict(c) for c in draws(5)]
    assert study.trials[0].scores == dict.fromkeys((1, 2, 4, 9), draws(5)[0]["x"])
    stored = json.loads(json.dumps(make_header(plan, {})))
    (old / "study.json").unlink()  # what came over needs the old study no more
    again = plan_from_header(parse_header({"schema_version": 1} | stored, "study.json"))
    assert again.earlier == plan.earlier


def test_what_does_not_fit_is_dropped_or_kept_beyond_the_edge_and_said(tmp_path):
    space = {
        "x": loguniform(1e-3, 1.0),
        "kind": choice("plain", "fancy", "odd"),
        "gone": uniform(0.0, 1.0),
    }
    configs = [{"x": 0.5, "kind": kind, "gone": 0.1} for kind in ("plain", "fancy", "odd")]
    old = record(tmp_path / "old", configs, lambda c: 0.5, space)
    new = {
        "x": uniform(0.0, 0.25),
        "kind": choice("plain", "fancy"),
        "extra": when("kind", "fancy", uniform(0.0, 1.0)),
    }
    plan = warm(old, space=new)
    assert [t.config for t in plan.earlier[0].trials] == [
        {"x": 0.5, "kind": "plain"},
        {"x": 0.5, "kind": "fancy"},
    ]
    said = "\n".join(describe_earlier(plan))
    assert "2 trials with score" in said
    assert "1 trials left out: kind=odd is outside" in said
    assert "not varied here, dropped: gone" in said
    assert "not known there: extra" in said


def test_what_the_past_had_fixed_is_taken_from_there(tmp_path):
    layers = {"study.trainable": "tests.trainables:curve", "study.metric": "score", "width": 3}
    old = record(tmp_path / "old", [{"x": 0.1}, {"x": 0.2}], lambda c: 0.5, X)
    header = json.loads((old / "study.json").read_text())
    header["fixed"] |= {"width": 3, "shape": "round"}
    (old / "study.json").write_text(json.dumps(header))
    space = X | {"width": uniform(1.0, 5.0), "shape": choice("square", "flat")}
    plan = warm(old, space=space)
    assert layers["width"] == plan.earlier[0].trials[0].config["width"]
    assert "shape" not in plan.earlier[0].trials[0].config


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"searcher": "tpe"}, "study.searcher=tpe does not learn from earlier studies"),
        ({"space": {"y": uniform(0.0, 1.0)}}, "varied nothing that this study varies"),
        ({"space": {"x": choice("a", "b")}}, "has nothing to start from: .*x=0.8.* is outside"),
    ],
)
def test_a_past_that_is_of_no_use_is_refused_with_the_reason(tmp_path, change, cause):
    old = record(tmp_path / "old", draws(1), lambda c: 0.5)
    with pytest.raises(UserError, match=cause):
        warm(old, **change)


def test_a_study_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no directory"):
        warm(tmp_path / "nowhere")


def test_of_a_large_past_the_best_and_some_others_come_over(tmp_path):
    old = record(tmp_path / "old", draws(MOST_TRIALS + 40), lambda c: c["x"], epochs=1)
    kept = [t.config["x"] for t in warm(old).earlier[0].trials]
    best = sorted((c["x"] for c in draws(MOST_TRIALS + 40)), reverse=True)[: MOST_TRIALS // 2]
    assert len(kept) == MOST_TRIALS
    assert set(best) < set(kept)


@pytest.mark.parametrize(
    "damage",
    [
        {"config": {"nothing": 1}},
        {"config": {"kind": "odd"}},
        {"scores": {"77": 0.5}},
        {"scores": {"1": None}},
        {"state": "happy"},
    ],
)
def test_a_damaged_past_in_a_header_is_refused(tmp_path, damage):
    old = record(tmp_path / "old", draws(2), lambda c: 0.5)
    stored = json.loads(json.dumps({"schema_version": 1} | make_header(warm(old), {})))
    stored["warm_start"][0]["trials"][0] |= damage
    with pytest.raises(StudyFormatError, match="warm_start cannot be read"):
        plan_from_header(parse_header(stored, "study.json"))


def propose(plan, score, trials=14):
    """The values of `x` that a study tries one after the other."""
    searcher, tried = Searcher(plan), []
    for number in range(trials):
        proposal = searcher.propose(number)
        tried.append(proposal)
        searcher.report(number, 9, score(proposal.config))
        searcher.ended(number, "completed", 9, score(proposal.config))
    return tried


def bowl(config):
    return -((config["x"] - 0.9) ** 2)


def distances(tried, numbers):
    return [abs(tried[n].config["x"] - 0.9) for n in numbers]


def test_the_first_proposal_is_where_the_past_was_best_and_explorers_stay_uniform(tmp_path):
    old = record(tmp_path / "old", draws(20), lambda c: 100 + 7 * bowl(c))
    plan = warm(old, seed=0)
    tried, cold = propose(plan, bowl), propose(make_plan("new", seed=0), bowl)
    assert abs(tried[2].config["x"] - 0.9) < 0.1
    assert [t.config for t in tried if t.explorer] == [t.config for t in cold if t.explorer]
    assert propose(plan, bowl) == tried  # nothing but the plan and the trials decides


def test_a_past_that_misleads_is_left_behind(tmp_path):
    old = record(tmp_path / "old", draws(20), lambda c: -bowl(c))
    tried = propose(warm(old, seed=0), bowl, trials=18)
    assert min(distances(tried, range(8, 18))) < 0.05


def test_a_confirmation_does_not_learn_from_it(tmp_path):
    from deepsight.confirm.runs import confirm_plan

    plan = warm(record(tmp_path / "old", draws(3), lambda c: 0.5), patience=0.1)
    confirmed = confirm_plan(dataclasses.replace(plan, fixed={"train.seed": 0}))
    assert (confirmed.earlier, confirmed.settings.warm_start) == ((), "")
    assert confirmed.settings.patience == 0.0


def test_a_dry_run_says_what_came_over(tmp_path, monkeypatch, capsys):
    old = record(tmp_path / "runs" / "old", draws(3), lambda c: 0.5)
    space = tmp_path / "space.py"
    space.write_text(
        "from deepsight.space import uniform\nFIXED = {}\nSPACE = {'x': uniform(0.0, 1.0)}\n"
    )
    monkeypatch.chdir(tmp_path)
    flags = ["--space", str(space), "--set", "study.trainable=tests.trainables:curve"]
    flags += ["--set", "study.metric=score", "--set", "study.warm_start=runs/old", "--dry-run"]
    assert main(flags) == 0
    said = capsys.readouterr().out
    assert f"from       {old}: 3 trials with score" in said
    assert "not varied here, dropped: kind, extra" in said
