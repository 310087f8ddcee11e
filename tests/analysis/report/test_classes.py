"""What a report says where classes are uneven, and where they are not."""

import csv
from pathlib import Path

import pytest

from analysis.figures.trajectory import draw_created, draw_curves, draw_incumbent
from analysis.report.build import study_document
from analysis.report.cli import main
from analysis.report.key_results import cards, key_results
from analysis.report.study_results import compute_study_results
from analysis.statistics.trajectory import compute_trajectory
from deepsight.run_store import load_study
from tests.analysis.studies import hand_study, ramp, trial, write_study

V1 = Path(__file__).parents[2] / "data/studies/v1/smoke"
COMMON, RARE = "common", "rare\udcff"  # a folder's name need not be UTF-8
UNEVEN = {
    "classes": [COMMON, RARE],
    "counts": {
        "train": {COMMON: 120, RARE: 3},
        "val": {COMMON: 40, RARE: 1},
        "test": {COMMON: 40, RARE: 1},
    },
}
ROW = {"val_macro_f1": 40 / 81, "val_recall": [1.0, 0.0]}
TRIALS = (trial(ramp(0.9), row=ROW), trial([*ramp(0.9, 8), 40 / 41], row=ROW))


def results_of(directory, trials=TRIALS, **header):
    header = {"data": UNEVEN, "target": 0.65} | header
    return compute_study_results(hand_study(directory, list(trials), **header))


def test_the_page_leads_with_macro_f1_and_the_recalls(tmp_path):
    first, second, third, *_ = key_results(results_of(tmp_path / "s"))
    assert first.startswith("The best trial, t0001, has val_macro_f1 0.4938 and recall 'rare")
    assert "0.00 [0.00, 0.79] of 1 image, 'common' 1.000 [0.912, 1.000] of 40 images." in first
    assert second.startswith("Best val_accuracy: 0.976")
    assert third == (
        "Always answering 'common', 40 of 41 validation images, has val_accuracy 0.9756, "
        "guessing 0.5: the best trial is no better. The target of 0.65 is too low to tell anything."
    )


def test_the_cards_never_say_met_where_the_baseline_meets_it(tmp_path):
    shown = {c.label: (c.value, c.detail) for c in cards(results_of(tmp_path / "s"))}
    assert list(shown)[:4] == [
        "val_macro_f1 of the best",
        "lowest recall",
        "best val_accuracy",
        "majority baseline",
    ]
    assert shown["majority baseline"] == ("0.9756", "always common; chance 0.5")
    assert shown["target 0.65"] == ("too low", "the majority baseline alone reaches it")


def test_an_unfinished_study_says_it_too(tmp_path):
    young = results_of(tmp_path / "s", [trial(ramp(0.9, 3), "running", row=ROW)])
    said = " ".join(key_results(young))
    assert "No trial has completed" in said
    assert "Always answering 'common'" in said
    assert "Classes are uneven" in said


def test_the_search_may_be_for_macro_f1_already(tmp_path):
    row = {"val_accuracy": 40 / 41, "val_recall": [1.0, 0.0]}
    study = hand_study(
        tmp_path / "s",
        [trial([0.2] * 8 + [0.49], row=row)],
        data=UNEVEN,
        metric="val_macro_f1",
        reported="val_macro_f1",
        target=0.45,
    )
    results = compute_study_results(study)
    said = " ".join(key_results(results))
    assert "has val_macro_f1 0.4938: the best trial is no better" in said
    assert "study.metric" not in said
    assert "guessing" not in said
    labels = [c.label for c in cards(results)]
    assert labels[:2] == ["lowest recall", "best val_macro_f1"]
    assert results.summary.target_too_low


def test_every_class_has_its_line_whatever_its_name(tmp_path):
    path = write_study(tmp_path / "s", list(TRIALS), data=UNEVEN)
    assert main([str(path)]) == 0
    rows = list(csv.reader((path / "report/data/classes.csv").open()))
    assert [row[1:5] for row in rows[1:]] == [["3", "1", "1", "0.0"], ["120", "40", "40", "1.0"]]
    assert rows[1][0] == "rare\\udcff"
    assert rows[1][-1] == "cannot be judged"
    text = (path / "report/report.md").read_text()
    assert "Classes are uneven: 40 to 1 validation images" in text


def test_even_classes_get_the_baseline_beside_the_score():
    results = compute_study_results(load_study(V1))
    first, second, *_ = key_results(results)
    assert first.startswith("Best val_accuracy: 0.92")
    assert second.endswith("has val_accuracy 0.1000, guessing 0.1.")
    shown = {c.label: c.value for c in cards(results)}
    assert shown["majority baseline"] == "0.1"
    assert shown["target 0.65"] == "met"
    assert "uneven" not in " ".join(key_results(results))


def test_a_trainable_of_ones_own_has_no_classes(tmp_path):
    study = hand_study(tmp_path / "s", [trial(ramp(0.9))])
    section = {s.key: s for s in study_document(study, ()).sections}["classes"]
    assert section.lead == "The study does not state its images by class."
    assert compute_trajectory(study).majority is None


@pytest.mark.parametrize("draw", [draw_created, draw_curves, draw_incumbent])
@pytest.mark.parametrize("score", [0.9, 0.98])
def test_figures_have_a_thin_line_at_the_baseline(tmp_path, draw, score):
    """Where the scores are so close together that it would squeeze them, its number alone."""
    trials = [trial([s] * 9, row=ROW) for s in (score, score + 0.005)]
    info = compute_trajectory(hand_study(tmp_path / "s", trials, data=UNEVEN))
    figure = draw(info)
    axes = figure.axes[0]
    lines = [line for line in axes.lines if set(line.get_ydata()) == {40 / 41}]
    legend = (figure.legends or [axes.get_legend()])[0]
    (text,) = [t.get_text() for t in legend.get_texts() if "majority" in t.get_text()]
    if score == 0.9:
        assert lines == []
        assert text == "majority baseline: 0.9756, above"
    else:
        assert [line.get_linewidth() for line in lines] == [0.9]
        assert text == "majority baseline"
    assert axes.get_ylim()[1] < 1.1


def test_a_notebook_and_a_comparison_have_the_baseline_beside_the_best(tmp_path):
    paths = [write_study(tmp_path / n, list(TRIALS), data=UNEVEN, name=n) for n in "ab"]
    assert "majority baseline 0.9756" in repr(load_study(paths[0]))
    assert main([str(path) for path in paths]) == 0
    table = csv.DictReader((paths[0] / "report/comparison/data/comparison.csv").open())
    assert [float(row["majority baseline"]) for row in table] == [40 / 41, 40 / 41]
