"""Runs that settle claims: how many, that they go on, and what becomes of the claims."""

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from analysis.claims.claim_files import load_claims
from analysis.claims.measures import Sample, of_runs
from analysis.claims.planning import pairs_needed
from analysis.claims.verdicts import judge
from deepsight.confirm import claims
from deepsight.confirm.cli import main
from deepsight.confirm.variants import claim_seeds
from deepsight.space import to_json
from deepsight.tune.plan import plan_from_header
from tests.analysis.claims.studies import BATCH, DATA, SEEDED, claims_file, run, search
from tests.analysis.studies import write_study

HEAD = "matters: 0.01\nmost_seeds: 30\n"


@pytest.mark.parametrize(("spread", "alpha"), [(0.01, 0.05), (0.02, 0.01), (0.005, 0.05)])
def test_no_fewer_pairs_have_the_power(spread, alpha):
    def power(n):
        return TTestPower().power(0.01 / spread, n, alpha, df=n - 4)

    n, reached = pairs_needed(spread, 0.01, alpha, 0.8, 100)
    assert reached
    assert power(n) >= 0.8
    assert n == 6 or power(n - 1) < 0.8
    assert pairs_needed(spread, 0.0001, alpha, 0.8, 12) == (12, False)
    assert pairs_needed(0.0, 0.01, alpha, 0.8, 12) == (6, True)


def test_the_spread_of_a_pilot_is_not_used_twice():
    """The number of runs depends on it alone, and t has its distribution all the same."""
    rng = np.random.default_rng(0)
    wrong = {"planned": 0, "usual": 0}
    for _ in range(3000):
        values = tuple(rng.normal(size=40))
        n = 6 if np.std(values[:4], ddof=1) < 0.7 else 40
        planned = of_runs(Sample("", values[:n], values[:4]), 0.0)
        usual = of_runs(Sample("", values[:n]), 0.0)
        wrong["planned"] += planned.p_above < 0.025
        wrong["usual"] += usual.p_above < 0.025
    assert wrong["planned"] / 3000 == pytest.approx(0.025, abs=0.006)
    assert wrong["usual"] / 3000 > 0.035
    assert Sample("", (1.0, 2.0, 4.0)).spread() == (pytest.approx(np.std([1, 2, 4], ddof=1)), 2)


class Trainer:
    """Trains by writing scores of known means: batch 32 is better than 64, as good as 128."""

    def __init__(self, study, stops_after=10**6):
        self.directory, self.left = study.directory / "confirm", stops_after
        self.rng, self.rows, self.asked = np.random.default_rng(0), {}, []

    def __call__(self, runs):
        self.asked.append(len(runs))
        for _, config in runs:
            key = tuple(sorted(config.items()))
            if key in self.rows:
                continue
            if not self.left:
                return 15
            self.left -= 1
            mean = {32: 0.9, 64: 0.85, 128: 0.9}[config["optim.batch_size"]]
            recall = [0.9, 0.9, 0.7, 0.7] + 0.02 * self.rng.normal(size=4)
            score = mean + 0.008 * self.rng.normal()
            self.rows[key] = run(score, config, recall=[float(r) for r in recall])
        for file in self.directory.glob("*.json*"):
            file.unlink()
        if self.directory.exists():
            self.directory.rmdir()
        given = {"max_epochs": 2, "rungs": [2], "data": DATA, "searcher": "planned"}
        write_study(self.directory, list(self.rows.values()), space=to_json(SEEDED), **given)
        return None


BETTER = "name: than-64, kind: better, first: {optim.batch_size: 32}, "
BETTER += "second: {optim.batch_size: 64}"


def test_runs_are_as_many_as_their_spread_asks_for(tmp_path):
    study = search(tmp_path / "s")
    name = claims_file(tmp_path / "c.yaml", BETTER, BATCH, head=HEAD)
    plan, judged = plan_from_header(study.header), claims.load_asked(study, name, None)
    assert [v.verdict for v in judged.verdicts] == ["undecided", "undecided"]
    assert claims.cost_text(study, plan, judged, False) == (
        "undecided  than-64, batch\ncost       at most 90 runs, 180 epochs, about 3.0 minutes\n"
    )
    train = Trainer(study)
    assert claims.run_claims(study, plan, judged, False, train) is None
    assert train.asked[0] == 12  # four seeds of three configs, shared by both claims
    num = {b: sum(("optim.batch_size", b) in key for key in train.rows) for b in (32, 64, 128)}
    assert num[32] == num[128] == max(num.values()) > 4
    seeds = {dict(key)["train.seed"] for key in train.rows}
    assert seeds == set(claim_seeds(study, len(seeds)))
    found = judge(study, load_claims(name)).verdicts
    assert [(v.verdict, v.source) for v in found] == [
        ("supported", "planned runs"),
        ("undecided", "planned runs"),
    ]
    assert found[1].effect.n == num[128]
    assert found[1].cost is None  # what was planned has been run
    again = Trainer(study)
    assert (
        claims.run_claims(study, plan, claims.load_asked(study, name, None), False, again) is None
    )
    assert again.asked == []


def test_what_was_interrupted_goes_on_and_ends_alike(tmp_path):
    ends = []
    for stop in (10**6, 3, 14):
        study = search(tmp_path / f"s{stop}")
        name = claims_file(tmp_path / "c.yaml", BETTER, BATCH, head=HEAD)
        plan, train = plan_from_header(study.header), Trainer(study, stop)
        judged = claims.load_asked(study, name, None)
        code = claims.run_claims(study, plan, judged, False, train)
        assert code == (None if stop == 10**6 else 15)
        train.left = 10**6
        judged = claims.load_asked(study, name, None)
        assert {v.source for v in judged.verdicts} <= {"nothing", "planned runs"}
        assert claims.run_claims(study, plan, judged, False, train) is None
        ends.append(sorted(train.rows))
    assert ends[0] == ends[1] == ends[2]


def test_nobody_looks_at_planned_runs_before_all_of_them_ended(tmp_path):
    study = search(tmp_path / "s")
    name = claims_file(tmp_path / "c.yaml", BATCH, head=HEAD)
    plan, train = plan_from_header(study.header), Trainer(study)
    first = claims.claim_runs(study, plan, claims.load_asked(study, name, None), False, most=False)
    train(first)
    (found,) = judge(study, load_claims(name)).verdicts
    assert (found.verdict, found.source, found.effect) == ("undecided", "nothing", None)
    assert "planned seeds have ended" in found.note
    assert found.cost.seeds[0] == found.cost.seeds[1] > 4


def test_a_trained_winner_settles_classes(tmp_path):
    study = search(tmp_path / "s", metric="val_accuracy")
    claim = "name: rigid, kind: classes, first: [car, ship], second: [cat, dog], by: 0.15"
    name = claims_file(tmp_path / "c.yaml", claim, head=HEAD)
    plan, train = plan_from_header(study.header), Trainer(study)
    judged = claims.load_asked(study, name, ["rigid"])
    assert claims.run_claims(study, plan, judged, False, train) is None
    assert {dict(key)["optim.batch_size"] for key in train.rows} == {32}
    (found,) = judge(study, load_claims(name)).verdicts
    assert found.source == "planned runs"
    assert found.effect.value == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (["--claims", "c.yaml", "--top", "2"], "--claims plans its own runs"),
        (["--claims", "c.yaml", "--predicted"], "its own runs, without --predicted"),
        (["--claims", ""], "no file of claims"),
        (["--ablate", "--predicted"], "--ablate is about one config"),
        (["--only", "batch"], "--only is for --claims"),
        (["--claims", "c.yaml", "--only", ","], "--only names no claim"),
        (["--claims", "c.yaml", "--only", "batch", "bach"], "unknown claim 'bach'"),
        (["--claims", "c.yaml", "--only", "bach"], "unknown claim 'bach'"),
        (["--claims", "c.yaml", "--only", "more"], "no run of"),
        (["--claims", "nowhere.yaml"], "no file of claims nowhere.yaml"),
    ],
)
def test_flags_that_do_not_fit_are_refused(tmp_path, monkeypatch, capsys, flags, cause):
    monkeypatch.chdir(tmp_path)
    study = search(tmp_path / "s")
    more = "name: more, kind: matters_more, first: optim.batch_size, second: model.dropout"
    claims_file(tmp_path / "c.yaml", BATCH, more)
    assert main([str(study.directory), *flags]) == 2
    assert cause in capsys.readouterr().err
