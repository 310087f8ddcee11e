"""The benchmark of the quickstart: what it says of a study on record."""

from pathlib import Path

from benchmarks.quickstart import findings, line, make_parser
from benchmarks.quickstart_planted import NAMES, accuracies
from benchmarks.quickstart_planted import make_parser as make_planted_parser
from deepsight.run_store import load_study
from deepsight.tune.plan_files import plan_study

STUDY = Path(__file__).parent.parent / "data" / "studies" / "v1" / "smoke"


def test_findings_are_those_of_the_report():
    seconds = {"seed": 3, "wall_s": 300.4, "first_epoch_s": 12.3, "report_s": 20.0}
    study = load_study(STUDY)
    found = findings(study)
    assert found["trials"] == len(study.records)
    assert found["epochs"] == sum(len(record.rows) for record in study.records)
    assert found["best"] == study.score(study.incumbent())
    told = line({**seconds, **found})
    assert told.startswith("seed 3: 300 s, first epoch 12.3 s, report 20 s")
    assert found["verdict"] in told


def test_without_flags_it_is_the_quickstart():
    args = make_parser().parse_args([])
    assert args.space is None
    assert args.experiment == "quickstart"


def test_the_planted_study_is_the_quickstarts():
    """What the verdicts of the formula are said to be of."""
    plan = plan_study(None, "quickstart", "q", {}, {})
    assert set(plan.space) == set(NAMES[3])
    defaults = make_planted_parser().parse_args([])
    settings = plan.settings
    assert (settings.trials, settings.max_epochs, settings.explore) == (
        defaults.trials,
        defaults.max_epochs,
        defaults.explore,
    )


def test_the_formula_is_an_accuracy_that_grows():
    config = {"optim.lr": 2e-3, "model.freeze_fraction": 0.0, "augment.strength": 0.5}
    scores = list(accuracies(config, seed=0, max_epochs=4))
    assert 0.3 < scores[0] < scores[-1] < 0.85
    assert max(accuracies(config | {"optim.lr": 1e-4}, seed=0, max_epochs=4)) < scores[-1] / 2
