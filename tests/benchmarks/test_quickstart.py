"""The benchmark of the quickstart: what it says of a study on record."""

from pathlib import Path

from benchmarks.quickstart import findings, line, make_parser
from benchmarks.real_curves.recipes import RECIPES
from deepsight.run_store import load_study
from deepsight.tune.plan_files import plan_study

STUDY = Path(__file__).parent.parent / "data" / "studies" / "v1" / "smoke"


def test_findings_are_those_of_the_report():
    seconds = {
        "seed": 3,
        "wall_s": 300.4,
        "first_epoch_s": 12.3,
        "confirm_s": 70.0,
        "report_s": 20.0,
    }
    study = load_study(STUDY)
    found = findings(study)
    assert found["trials"] == len(study.records)
    assert found["epochs"] == sum(len(record.rows) for record in study.records)
    assert found["best"] == study.score(study.incumbent())
    told = line({**seconds, **found})
    assert told.startswith("seed 3: 300 s, first epoch 12.3 s, confirmation 70 s, report 20 s")
    assert f"fresh seeds none, {found['verdict']}" in told


def test_a_confirmation_is_told_with_its_interval():
    seconds = dict.fromkeys(("wall_s", "first_epoch_s", "confirm_s", "report_s"), 1.0)
    gain = {"value": 0.05, "low": -0.01, "high": 0.11, "n": 5}
    pair = {"first": "t0003", "second": "defaults", "gain": gain, "verdict": "undecided"}
    row = {"seed": 3, **seconds, **findings(load_study(STUDY)), "confirmed": [pair]}
    assert "fresh seeds +0.050 [-0.010, +0.110] undecided" in line(row)
    assert "fresh seeds none" in line(row | {"confirmed": [pair | {"gain": None}]})


def test_without_flags_it_is_the_quickstart():
    args = make_parser().parse_args([])
    assert args.space is None
    assert args.experiment == "quickstart"


def test_the_table_is_of_the_quickstart():
    """What the verdicts on the table are said to be of; it has more images, and older weights."""
    plan = plan_study(None, "quickstart", "q", {}, {})
    recipe = RECIPES["resnet_objects"]
    assert plan.space == recipe.space
    assert plan.settings.max_epochs == recipe.epochs
    expected = {**recipe.fixed, "model.weights": "auto", "data.size": 1600}
    assert recipe.fixed["data.size"] == 2000
    assert {n: plan.fixed[n] for n in recipe.fixed} == expected
