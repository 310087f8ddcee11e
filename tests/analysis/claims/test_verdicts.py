"""Claims against studies whose answer is known."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.claims.claim_files import load_claims
from analysis.claims.cli import main
from analysis.claims.verdicts import judge
from deepsight.config import UserError
from deepsight.space import to_json
from tests.analysis.claims.studies import (
    BATCH,
    BEST,
    SPACE,
    claims_file,
    grid,
    run,
    runs,
    search,
)

HIGH, LOW = [0.90, 0.91, 0.89, 0.905], [0.80, 0.83, 0.80, 0.81]


def judged(tmp_path, *claims, confirmed=(), only=(), head="", other=None, **header):
    study = search(tmp_path / "s", confirmed=confirmed, **header)
    file = load_claims(claims_file(tmp_path / "c.yaml", *claims, head=head), only)
    return judge(study, file, other).verdicts


def test_a_best_value_has_to_beat_every_other(tmp_path):
    confirmed = runs({}, HIGH) + runs({"optim.batch_size": 64}, LOW)
    (few,) = judged(tmp_path, BATCH, confirmed=confirmed)
    assert (few.verdict, few.source) == ("undecided", "nothing")  # 128 has no runs
    confirmed += runs({"optim.batch_size": 128}, [0.89, 0.905, 0.88, 0.902])
    (found,) = judged(tmp_path / "b", BATCH, confirmed=confirmed)
    gains = np.subtract(HIGH, [0.89, 0.905, 0.88, 0.902])
    assert (found.verdict, found.source, found.closest) == ("supported", "confirmed runs", "128")
    assert found.effect.value == pytest.approx(gains.mean())
    assert found.effect.n == 4
    assert found.p == pytest.approx(stats.ttest_1samp(gains, 0).pvalue)  # the closest one decides


def test_one_better_value_refutes_a_best_one(tmp_path):
    better = [s + 0.05 + 0.001 * k for k, s in enumerate(HIGH)]
    confirmed = runs({}, HIGH) + runs({"optim.batch_size": 64}, LOW)
    confirmed += runs({"optim.batch_size": 128}, better)
    (found,) = judged(tmp_path, BATCH, confirmed=confirmed)
    assert (found.verdict, found.closest) == ("refuted", "128")
    gains = np.subtract(HIGH, better)
    assert found.p == pytest.approx(2 * stats.ttest_1samp(gains, 0).pvalue)  # one of two


def test_claims_are_corrected_for_all_of_the_file_whichever_are_asked(tmp_path):
    """Else each could be asked about alone, and none would be corrected."""
    pair = "kind: better, first: {optim.batch_size: 32}, second: {optim.batch_size: 64}"
    claims = [f"name: c{k}, {pair}" for k in range(4)]
    second = [0.892, 0.907, 0.886, 0.896]  # p is between 0.05 / 4 and 0.05
    confirmed = runs({}, HIGH) + runs({"optim.batch_size": 64}, second)
    every = judged(tmp_path, *claims, confirmed=confirmed)
    (one,) = judged(tmp_path / "one", *claims, confirmed=confirmed, only=["c2"])
    p = stats.ttest_1samp(np.subtract(HIGH, second), 0).pvalue
    assert 0.05 / 4 < p < 0.05
    assert (one.claim.name, one.verdict) == ("c2", "undecided")
    assert one.p == pytest.approx(p)
    assert one.p_adjusted == every[2].p_adjusted == pytest.approx(4 * p)


def test_planned_seeds_are_tested_when_all_of_them_have_ended(tmp_path):
    """Seeds beyond them may end before, for another claim; they do not stand in for one."""
    claim = "name: c, kind: better, first: {optim.batch_size: 32}, second: {optim.batch_size: 64}"
    gains = np.random.default_rng(0).normal(0.02, 0.001, 8)
    sides = (
        runs({}, [0.9] * 8, first=2000),
        runs({"optim.batch_size": 64}, list(0.9 - gains), first=2000),
    )
    known = [side[:5] + side[6:] for side in sides]  # 6 are wanted; the last of these has not ended
    (early,) = judged(tmp_path, claim, confirmed=[*known[0], *known[1]])
    assert (early.verdict, early.source) == ("undecided", "nothing")
    assert "5 of 6 planned seeds have ended" in early.note
    (found,) = judged(tmp_path / "all", claim, confirmed=[*sides[0], *sides[1]])
    assert (found.source, found.effect.n) == ("planned runs", 6)
    assert found.effect.value == pytest.approx(gains[:6].mean())


def test_a_seed_with_two_splits_counts_once(tmp_path):
    """As after a command with ``--resplit`` and one without."""
    other = {"optim.batch_size": 64}
    confirmed = runs({}, HIGH) + runs(other, LOW)
    again = runs({}, HIGH) + runs(other, [s - 0.02 for s in LOW])
    for one in again:
        one["config"] |= {"data.split_seed": one["config"]["train.seed"]}
    claim = "name: c, kind: better, first: {optim.batch_size: 32}, second: {optim.batch_size: 64}"
    (found,) = judged(tmp_path, claim, confirmed=confirmed + again)
    gains = np.subtract(HIGH, LOW) + 0.01
    assert found.effect.n == 4
    assert found.p == pytest.approx(stats.ttest_1samp(gains, 0).pvalue)


def test_not_worse_is_a_claim_with_a_margin(tmp_path):
    claim = "name: {}, kind: better, first: {{optim.batch_size: 32}}, "
    claim += "second: {{optim.batch_size: 64}}, by: {}"
    almost = [s + 0.003 + d for s, d in zip(HIGH, (0.001, -0.001, 0.001, -0.001), strict=True)]
    confirmed = runs({}, HIGH) + runs({"optim.batch_size": 64}, almost)
    told = judged(
        tmp_path, claim.format("not-worse", -0.01), claim.format("better", 0), confirmed=confirmed
    )
    assert [v.verdict for v in told] == ["supported", "refuted"]
    p = [v.p for v in told]
    assert [v.p_adjusted for v in told] == pytest.approx([2 * min(p), max(p[1], 2 * p[0])])


def test_less_is_better_where_the_study_says_so(tmp_path):
    claim = "name: b, kind: better, first: {optim.batch_size: 32}, second: {optim.batch_size: 64}"
    trials = [run(0.6, BEST | {"optim.batch_size": 64}), run(0.2, BEST)]
    study = search(
        tmp_path / "s",
        trials,
        runs({}, LOW) + runs({"optim.batch_size": 64}, HIGH),
        metric="val_accuracy",
        mode="min",
    )
    (found,) = judge(study, load_claims(claims_file(tmp_path / "c.yaml", claim))).verdicts
    assert found.verdict == "supported"
    assert found.effect.value > 0


GROUPS = "name: rigid, kind: classes, first: [car, ship], second: [cat, dog]"


def test_classes_are_judged_by_runs_and_by_how_many_images_there_are(tmp_path):
    recalls = [[0.9, 0.92, 0.7, 0.74], [0.88, 0.92, 0.72, 0.74], [0.92, 0.9, 0.7, 0.7]]
    (found,) = judged(tmp_path, GROUPS, confirmed=runs({}, HIGH[:3], recalls=recalls))
    assert (found.verdict, found.unit, found.effect.n) == ("supported", "recall", 3)
    gaps = [np.mean(r[:2]) - np.mean(r[2:]) for r in recalls]
    assert found.effect.value == pytest.approx(np.mean(gaps))
    shares = [(50 * r + 2) / 54 for r in recalls[0]]
    images = sum(p * (1 - p) / 54 for p in shares) / 4
    width = found.effect.high - found.effect.low
    assert width > 2 * 1.96 * np.sqrt(images)  # the runs alone would be far narrower
    few = {"classes": ["car", "ship", "cat", "dog"],
           "counts": {"val": dict.fromkeys(["car", "ship", "cat", "dog"], 4)}}  # fmt: skip
    (found,) = judged(
        tmp_path / "few", GROUPS, confirmed=runs({}, HIGH[:3], recalls=recalls), data=few
    )
    assert found.verdict == "undecided"


def test_without_confirmed_runs_the_best_trial_tells_of_classes(tmp_path):
    (found,) = judged(tmp_path, GROUPS)
    assert (found.source, found.effect.n) == ("search", 1)
    assert found.effect.value == pytest.approx(0.19)


def test_two_studies_are_compared_by_their_confirmed_winners(tmp_path):
    claims = ("name: beats, kind: study_beats", "name: stable, kind: study_more_stable")
    wild = [0.5, 0.9, 0.7, 0.3, 0.85, 0.6, 0.95, 0.4]
    calm = [0.9, 0.91, 0.89, 0.905, 0.895, 0.91, 0.9, 0.89]
    other = search(tmp_path / "other", confirmed=runs({}, wild))
    beats, stable = judged(tmp_path, *claims, confirmed=runs({}, calm), other=other)
    assert (beats.verdict, stable.verdict) == ("supported", "supported")
    welch = stats.ttest_ind(calm, wild, equal_var=False)
    assert beats.p == pytest.approx(welch.pvalue)
    assert beats.effect.n == 16
    alone = judged(tmp_path / "alone", *claims, BATCH, confirmed=runs({}, calm))
    assert [v.verdict for v in alone[:2]] == ["not here", "not here"]
    elsewhere = search(tmp_path / "budget", max_epochs=3, rungs=[3], trials=[
        run(0.6, BEST), run(0.7, BEST)])  # fmt: skip
    told = judged(tmp_path / "again", *claims, BATCH, other=elsewhere)
    assert "full budget is 2 epochs in one and 3 in the other" in told[0].note


def test_the_surrogate_judges_where_nothing_was_confirmed(tmp_path):
    study = search(tmp_path / "s", grid())
    more = "name: more, kind: matters_more, first: optim.batch_size, second: model.dropout"
    less = "name: less, kind: matters_more, first: model.dropout, second: optim.batch_size"
    found = judge(study, load_claims(claims_file(tmp_path / "c.yaml", BATCH, more, less))).verdicts
    assert [v.verdict for v in found] == ["supported", "supported", "refuted"]
    assert {v.source for v in found} == {"surrogate"}
    assert found[0].probability == 1.0
    assert found[0].effect.value == pytest.approx(0.1, abs=0.03)
    assert found[0].effect.n == 24
    assert found[1].effect.value == pytest.approx(-found[2].effect.value)


def test_a_surrogate_that_may_not_be_believed_decides_nothing(tmp_path):
    rng = np.random.default_rng(1)
    noise = [
        run(rng.uniform(0.5, 0.9), {"optim.batch_size": b, "model.dropout": rng.uniform(0, 0.5)})
        for b in (32, 64, 128) * 5
    ]
    study = search(tmp_path / "s", noise)
    (found,) = judge(study, load_claims(claims_file(tmp_path / "c.yaml", BATCH))).verdicts
    assert found.verdict == "undecided"
    assert found.note.startswith("too few trials to say")
    assert found.cost.seeds == (6, 20)
    assert found.cost.epochs == (3 * 6 * 2, 3 * 20 * 2)


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ("kind: best, value: {optim.batch_sise: 32}",
         "unknown hyperparameter 'optim.batch_sise'.\nDid you mean optim.batch_size?"),
        ("kind: best, value: {model.width: 32}", "c: model.width is not in this space.\nAsk"),
        ("kind: best, value: {optim.batch_size: 48}", "optim.batch_size = 48 is not in this"),
        ("kind: best, value: {optim.batch_size: big}", "optim.batch_size must be"),
        ("kind: best, value: {model.dropout: 0.2}", "Say which others 0.2 is better than"),
        ("kind: wrong", "unknown kind of claim"),
        ("kind: best", "value is missing"),
        ("kind: best, value: 32", "value is no table of values"),
        ("kind: better, first: {optim.batch_size: 32}, second: {optim.batch_size: 32}",
         "both sides are one config"),
        ("kind: better, first: {}, second: {optim.batch_size: 32}", "a side has no value"),
        ("kind: matters_more, first: optim.lr, second: model.dropout", "optim.lr is not in this"),
        ("kind: matters_more, first: model.dropout, second: model.dropout", "two names"),
        ("kind: classes, first: [car], second: [catt]", "no class 'catt' in its data.\nDid you"),
        ("kind: classes, first: [car], second: [car]", "a group is empty, or a class is in both"),
        ("kind: best, value: {optim.batch_size: 32}, needs: {model.name: resnet18}",
         "it needs model.name = resnet18"),
        ("kind: best, value: {optim.batch_size: 32}, by: a lot", "by must be a number"),
        ("kind: best, value: {optim.batch_size: 32}, mattters: 1", "Did you mean matters?"),
        ("kind: study_beats, other: runs/nowhere", "nowhere"),
        ("kind: [best], value: {optim.batch_size: 32}", "unknown kind of claim"),
        ("kind: best, value: {optim.batch_size: 32}, among: [32]", "0 values other than 32"),
        (f"kind: best, value: {{model.dropout: 0}}, among: {[k / 999 for k in range(1, 200)]}",
         "among names 199 values"),
        ("kind: best, value: {optim.batch_size: 32}, at: {optim.batch_size: 64}",
         "at has optim.batch_size, which the claim compares itself"),
        ("kind: best, value: {optim.batch_size: 32}, at: 0", "at is no table"),
        ("kind: best, value: {optim.batch_size: 32}, by: 1e-3", "write by: 0.001."),
        ("kind: best, value: {optim.batch_size: 32}, by: 0.1, by: 0.2", "by stands twice"),
        ("kind: best, value: {optim.batch_size: !!bool x}", "not of the type that its tag"),
        ("kind: best, value: {optim.batch_size: !!timestamp x}", "not of the type that its tag"),
        ("kind: best, value: {optim.batch_size: 32}, claim: [x]", "claim is no text"),
        ("kind: classes, first: [yes], second: [no]", "Quote the class"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_claim_is_told_in_two_lines(tmp_path, capsys, claim, told):
    study = search(tmp_path / "s")
    file = claims_file(tmp_path / "c.yaml", f"name: c, {claim}")
    assert main([str(study.directory), file]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 2
    assert not (study.directory / "claims").exists()


@pytest.mark.parametrize(
    ("name", "told"), [("x" * 5000, "no file of claims"), ("most: 7.5", "7.5, no whole number")]
)
def test_what_is_wrong_with_a_file_is_told_in_two_lines(tmp_path, capsys, name, told):
    study = search(tmp_path / "s")
    if name.startswith("most"):
        name = claims_file(tmp_path / "c.yaml", BATCH, head="most_seeds: 7.5\n")
    assert main([str(study.directory), name]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 2


def test_a_study_is_no_second_study_of_its_own(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search(Path("s"), confirmed=runs({}, HIGH))
    file = claims_file(tmp_path / "c.yaml", "name: c, kind: study_beats, other: s/../s")
    assert main(["s", file]) == 2
    assert "the second study is this one" in capsys.readouterr().err


def test_a_rival_that_is_named_twice_is_one(tmp_path):
    confirmed = runs({}, HIGH) + runs({"optim.batch_size": 64}, LOW)
    claim = "name: c, kind: best, value: {optim.batch_size: 64}"
    once, twice = (
        judged(tmp_path / among, f"{claim}, among: [{among}]", confirmed=confirmed)[0]
        for among in ("32", "32, 32, 64")
    )
    assert (twice.verdict, twice.p) == ("refuted", once.p)


def test_a_gap_between_recalls_is_at_most_one(tmp_path):
    trials = [run(0.9, BEST, None, r) for r in ([1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1])]
    study = search(tmp_path / "s", trials)
    (found,) = judge(study, load_claims(claims_file(tmp_path / "c.yaml", GROUPS))).verdicts
    assert (found.effect.low, found.effect.high) == (-1.0, 1.0)


def test_a_study_without_a_best_config_has_no_claims(tmp_path, capsys):
    trials = [run(0.6, BEST) | {"state": "stopped"}]
    study = search(tmp_path / "s", trials)
    assert main([str(study.directory), claims_file(tmp_path / "c.yaml", BATCH)]) == 2
    assert "no trial of" in capsys.readouterr().err


def test_what_is_inactive_beside_the_best_config_has_to_be_made_active(tmp_path):
    from deepsight.space import choice, when

    space = {"optim.name": choice("adamw", "sgd"),
             "optim.momentum": when("optim.name", "sgd", choice(0.8, 0.9))}  # fmt: skip
    trials = [run(0.9, {"optim.name": "adamw", "optim.momentum": None}),
              run(0.8, {"optim.name": "sgd", "optim.momentum": 0.8})]  # fmt: skip
    study = search(tmp_path / "s", trials, space=to_json(space))
    claim = "name: m, kind: best, value: {optim.momentum: 0.9}"
    with pytest.raises(UserError, match="optim.momentum is inactive beside the best") as caught:
        judge(study, load_claims(claims_file(tmp_path / "c.yaml", claim)))
    assert caught.value.remedy == "Add at: {optim.name: sgd} to the claim."
    claim += ", at: {optim.name: sgd}"
    (found,) = judge(study, load_claims(claims_file(tmp_path / "d.yaml", claim))).verdicts
    assert found.verdict == "undecided"


def test_the_page_and_its_numbers(tmp_path, capsys):
    confirmed = runs({}, HIGH) + runs({"optim.batch_size": 64}, LOW)
    confirmed += runs({"optim.batch_size": 128}, LOW)
    study = search(tmp_path / "s", confirmed=confirmed)
    odd = 'name: odd, claim: "<b>odd</b> | \\e[31m", kind: best, value: {model.width: 8}'
    file = claims_file(tmp_path / "my file.yaml", BATCH, odd, GROUPS)
    assert main([str(study.directory), file]) == 0
    out, _ = capsys.readouterr()
    page = study.directory / "claims" / "my-file" / "index.html"
    assert out.splitlines()[-1] == str(page)
    assert "\x1b" not in out
    assert "<b>odd" not in page.read_text()
    written = [path.read_text() for path in (page, page.parent / "report.md")]
    assert not any("\x1b" in text for text in written)
    assert ">batch</td>" in written[0]  # notes and figures name claims so
    stored = json.loads((page.parent / "data" / "claims.json").read_text())
    assert [c["verdict"] for c in stored["claims"]] == ["supported", "not here", "supported"]
    assert (page.parent / "figures" / "effects.png").stat().st_size > 5000
    assert (page.parent / "report.md").read_text().count("supported") >= 2
    assert main([str(study.directory), file, "--only", "rigid"]) == 0
    assert "batch" not in capsys.readouterr().out
    assert main([str(study.directory), file, "--only", "rigid,batch"]) == 0
    assert "odd" not in capsys.readouterr().out


@pytest.mark.parametrize("search_seed", [990, 995])
def test_planned_seeds_are_none_that_a_confirmation_takes(tmp_path, search_seed):
    from deepsight.confirm.variants import claim_seeds, fresh_seeds

    study = search(tmp_path / "s", fixed={"train.seed": search_seed})
    assert not set(fresh_seeds(study, 1000)) & set(claim_seeds(study, 1000))
    assert all(b - a == 1 for a, b in pairwise(claim_seeds(study, 5)))


def test_all_claims_that_are_shipped_are_about_some_study(tmp_path):
    file = load_claims("founding")
    assert len(file.claims) == 15
    assert {c.kind for c in file.claims} == {
        "best", "better", "matters_more", "study_beats", "study_more_stable", "classes",
    }  # fmt: skip
    study = search(tmp_path / "s", space=to_json(SPACE))
    found = {v.claim.name: v.verdict for v in judge(study, file).verdicts}
    assert found["batch-32"] == "not here"  # 256 is no value of this space
    assert found["dropout-0.2"] == "undecided"
    assert found["mish"] == "not here"


def test_the_example_of_the_docs_is_read(tmp_path):
    text = (Path(__file__).parents[3] / "docs" / "claims.md").read_text()
    (tmp_path / "c.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    assert [c.kind for c in load_claims(str(tmp_path / "c.yaml")).claims] == [
        "best", "best", "better", "better", "matters_more", "study_beats", "classes",
    ]  # fmt: skip


def test_a_file_that_costs_too_much_is_one_line(tmp_path):
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nclaims: [*b]\n"
    (tmp_path / "c.yaml").write_text(bomb)
    with pytest.raises(UserError, match="aliases"):
        load_claims(str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    "data",
    [{}, {"classes": "car"}, {"classes": [1, 2]}, {"classes": ["car", "cat"], "counts": []},
     {"classes": ["car", "cat"], "counts": {"val": {"car": "many"}}}],
)  # fmt: skip
def test_data_that_a_study_does_not_state_decide_nothing(tmp_path, data):
    claim = "name: c, kind: classes, first: [car], second: [cat]"
    found, *_ = judged(tmp_path, claim, BATCH, data=data)
    assert found.verdict in ("undecided", "not here")


def test_the_page_follows_no_link(tmp_path, capsys):
    study = search(tmp_path / "s")
    (tmp_path / "outside").mkdir()
    (study.directory / "claims").symlink_to(tmp_path / "outside")
    assert main([str(study.directory), claims_file(tmp_path / "c.yaml", BATCH)]) == 2
    assert "is a link" in capsys.readouterr().err
    assert not list((tmp_path / "outside").iterdir())
