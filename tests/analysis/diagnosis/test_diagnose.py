"""The command: its files, its page, what it does with odd names and interruptions."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis import diagnose
from analysis.diagnosis.build import make_diagnosis, write_pages
from analysis.diagnosis.names import figure_names, file_stem, in_sentence
from analysis.diagnosis.page.pictures import plan_drawings, write_drawings
from analysis.diagnosis.progress import silent
from analysis.diagnosis.results import compute_results
from deepsight.imports import Permission
from deepsight.run_store import load_study
from deepsight.trained_model import load_trained_model
from tests.analysis.diagnosis.evaluations import counted
from tests.trained import ODD_NAMES, odd_study

TRUST = Permission(trust=True)  # the data are made by code of tests/
ROOT = Path(__file__).parents[3]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def diagnosed(trained_study, tmp_path_factory):
    """A copy of the study, and its diagnosis with groups."""
    study = shutil.copytree(trained_study, tmp_path_factory.mktemp("d") / "study")
    groups = {"straight": ["flat", "upright"], "slanted": ["rising", "falling"]}
    page = make_diagnosis(study, "t0000", groups=groups, permission=TRUST)
    return study, page.parent


@pytest.fixture(scope="module")
def odd(cache, tmp_path_factory):
    """A study whose classes have odd names, diagnosed."""
    study = odd_study(tmp_path_factory.mktemp("odd") / "odd")
    return make_diagnosis(study, permission=TRUST).parent


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_file_is_there(diagnosed):
    study, folder = diagnosed
    assert folder == study / "diagnosis" / "t0000"
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    expected = {
        "index.html",
        "summary.txt",
        "evaluation.npz",
        "confusion_matrix.png",
        "class_accuracy.png",
        "per_class.csv",
        "per_class.html",
        "reliability_diagram.png",
        "groups.csv",
        "group_differences.csv",
        "groups.png",
        "gradcam_samples.png",
        "mean_map_per_class.png",
        "guided_backprop.png",
        "feature_maps.png",
        "map_checks.png",
        "map_checks.csv",
        "attention.csv",
        "interventions.png",
        "interventions.csv",
        "occlusion.png",
    }
    assert expected <= names
    sheets = {f"worst_predictions/class_{i}_{c}.png" for i, c in enumerate(CLASSES)}
    assert sheets <= names
    assert not [name for name in names if "/." in f"/{name}"]


def test_maps_come_with_layer_verdict_and_what_is_missing(diagnosed):
    _, folder = diagnosed
    page = (folder / "index.html").read_text()
    assert "4x4 cells" in page
    assert "data.masks=PATH" in page
    checks = rows(folder / "map_checks.csv")
    assert {"Grad-CAM", "guided backpropagation"} == {row["method"] for row in checks}
    verdicts = ("No evidence: Grad-CAM", "Grad-CAM beats a random map")
    assert any(verdict in page for verdict in verdicts)
    assert {row["measure"] for row in rows(folder / "attention.csv")} == {"entropy", "border_mass"}


def test_an_unknown_layer_is_named_with_the_nearest(trained_study, capsys):
    study = str(trained_study)
    assert (
        diagnose.main(
            [study, "--trial", "t0000", "--split", "val", "--layer", "block.0", "--trust"]
        )
        == 2
    )
    assert "blocks.0" in capsys.readouterr().err


CLASSES = ("flat", "rising", "upright", "falling")


def test_the_numbers_are_those_of_the_images(diagnosed):
    _, folder = diagnosed
    with np.load(folder / "evaluation.npz", allow_pickle=False) as stored:
        labels, predicted = stored["labels"], stored["predictions"]
    for label, row in enumerate(rows(folder / "per_class.csv")):
        assert row["class"] == CLASSES[label]
        mine = labels == label
        assert float(row["accuracy"]) == pytest.approx((predicted[mine] == label).mean())
        assert int(row["images"]) == mine.sum()
        assert float(row["accuracy_low"]) < float(row["accuracy"]) <= float(row["accuracy_high"])
    summary = (folder / "summary.txt").read_text()
    assert f"{100 * (labels == predicted).mean():.1f} % of {len(labels)} test images" in summary


def test_the_second_run_draws_nothing(diagnosed, tmp_path):
    study = shutil.copytree(diagnosed[0], tmp_path / "study")
    folder = study / "diagnosis" / "t0000"
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.png")}
    groups = {"straight": ["flat", "upright"], "slanted": ["rising", "falling"]}
    make_diagnosis(study, "t0000", groups=groups, permission=TRUST)
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*.png")}
    make_diagnosis(study, "t0000", groups={"a": ["flat"], "b": ["rising"]}, permission=TRUST)
    after = {p: p.stat().st_mtime_ns for p in folder.rglob("*.png")}
    assert all(before[p] != after[p] for p in before)


def test_an_interrupted_diagnosis_goes_on(trained_study, tmp_path):
    study = shutil.copytree(trained_study, tmp_path / "study")

    def interrupt(items, title):
        if title != "drawing":
            yield from items
            return
        yield from items[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_diagnosis(study, "t0000", progress=interrupt, permission=TRUST)
    folder = study / "diagnosis" / "t0000"
    done = {p: p.stat().st_mtime_ns for p in folder.rglob("*.*")}
    assert len([p for p in done if p.suffix == ".png"]) == 2
    todo = []

    def note(items, title):
        todo.append((title, len(items)))
        return items

    page = make_diagnosis(study, "t0000", progress=note, permission=TRUST)
    assert [title for title, _ in todo] == ["testing for defects", "drawing"]  # the rest is kept
    assert page.is_file()
    assert {p: p.stat().st_mtime_ns for p in done} == done


def test_the_validation_split_has_a_folder_of_its_own(trained_study, tmp_path):
    study = shutil.copytree(trained_study, tmp_path / "study")
    page = make_diagnosis(study, "t0001", split="val", permission=TRUST)
    assert page.parent.name == "t0001-val"
    accuracy = load_study(study).record("t0001").rows[-1]["val_accuracy"]
    text = page.read_text()
    assert f"{100 * accuracy:.1f} % of" in text
    assert "its numbers are too good" in text


def test_odd_names_stay_text(odd):
    page = (odd / "index.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "قطة صغيرة" in page
    assert "小猫" in page
    told = rows(odd / "per_class.csv")
    assert [row["class"] for row in told] == [*ODD_NAMES[:6], "'=1+1"]


def test_odd_names_make_files_inside_the_folder(odd):
    sheets = sorted(p.name for p in (odd / "worst_predictions").iterdir())
    assert len(sheets) == len(ODD_NAMES)
    assert sheets[0] == "class_0_img-src-x-onerror-alert-1.png"
    assert sheets[1] == "class_1_x.png"
    assert sheets[3] == "class_3_قطة-صغيرة.png"
    assert all(len(name.encode()) < 200 for name in sheets)
    for path in odd.rglob("*.png"):
        with Image.open(path) as image:
            image.verify()


def test_names_in_figures_have_glyphs():
    names = figure_names(ODD_NAMES)
    assert names[0] == "<img src=x onerro…"
    assert names[3:5] == ("#3", "#4")
    assert names[5] == "cost $5_{a}$ & mo…"
    assert all(len(name) <= 18 for name in names)
    assert figure_names(("cat " * 9 + "a", "cat " * 9 + "b", "é\n")) == ("#0", "#1", "é")
    assert figure_names(("", " ")) == ("#0", "#1")
    assert file_stem(3, ["x"] * 120) == "003_x"
    assert file_stem(0, ["///", "b"]) == "0"
    both = "_".join(file_stem(i, ["猫" * 60, "𠀀" * 60]) for i in (0, 1))
    assert len(f".confused_pair_5_{both}.png.1234567.png".encode()) < 255


def test_names_in_sentences_leave_the_rest_in_order():
    assert in_sentence("cat\n dog") == "cat dog"
    assert in_sentence(ODD_NAMES[3]) == f"\u2068{ODD_NAMES[3]}\u2069"
    assert len(in_sentence(ODD_NAMES[2])) == 60
    assert in_sentence("\x1b[2Jcat \u202etac") == r"\x1b[2Jcat \u202etac"


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "analysis.diagnose", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **options,
    )


def test_the_command_prints_the_page(trained_study, tmp_path):
    study = shutil.copytree(trained_study, tmp_path / "study")
    done = run(study, "--trial", "t0001", "--trust")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{study}/diagnosis/t0001/index.html\n"
    assert "opening the test split" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--trial", "t0009"], "unknown trial 't0009'."),
        (["--trial", "t0002"], "t0002 (stopped after 1 of 3 epochs) has no checkpoint."),
        (["--groups", "a=flat", "b=risin"], "unknown class 'risin'."),
        (["--data", "nothing"], "unknown data.name 'nothing'."),
    ],
)
def test_what_is_wrong_is_said_in_two_lines(trained_study, arguments, cause, capsys):
    assert diagnose.main([str(trained_study), *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-2] == f"error: {cause}"
    assert error[-1]


def test_no_study_no_diagnosis(tmp_path, capsys):
    assert diagnose.main([str(tmp_path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
@pytest.mark.slow
def test_the_page_works_in_a_browser(odd):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 400, "height": 900})
        troubles, asked = [], []
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.on("request", lambda r: asked.append(r.url))
        page.goto((odd / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        gallery = page.locator("#worst .gallery")
        assert gallery.locator("figure:visible").count() == 1
        gallery.locator("select").select_option("4")
        assert gallery.locator("figure").nth(4).is_visible()
        assert gallery.locator("figure:visible").count() == 1
        column = page.locator("#trial-table tbody tr td:nth-child(3)")
        page.locator("#trial-table th", has_text="images").click()
        counts = [int(text) for text in column.all_inner_texts()]
        assert counts == sorted(counts)
        page.locator("#trial-table th", has_text="overconfidence").click()
        cells = page.locator("#trial-table tbody tr td:nth-child(9)").all_inner_texts()
        gaps = [float(text.split(" ")[0]) for text in cells if " " in text]
        assert gaps == sorted(gaps)
        assert min(gaps) < 0 < len(gaps) - 2
        page.locator("#words").fill("小猫")
        assert page.locator("#counted").inner_text() == "1 of 7 classes"
        browser.close()
    assert troubles == []
    assert [url for url in asked if not re.match("file:|data:", url)] == []


def test_what_it_was_made_from_is_on_record(diagnosed):
    study, folder = diagnosed
    made_from = json.loads((folder / "made_from.json").read_text())
    assert made_from["data"] == load_study(study).header.fingerprint
    assert made_from["groups"] == {"straight": [0, 2], "slanted": [1, 3]}


PAGES = {
    "a class without images": ([[3, 1, 0], [2, 3, 0], [0, 0, 0]], "No image of the test split: c."),
    "a class never predicted": ([[3, 0, 1], [2, 0, 3], [0, 0, 4]], "without precision: b."),
    "all right": ([[3, 0, 0], [0, 2, 0], [0, 0, 4]], "no confusions"),
    "all wrong": ([[0, 3, 0], [0, 0, 3], [3, 0, 0]], "0.0 % of 9 test images"),
    "two classes": ([[3, 1], [2, 3]], "66.7 % of 9 test images"),
    "one image": ([[1, 0], [0, 0]], "100.0 % of 1 test image are"),
}


@pytest.mark.parametrize("case", PAGES)
def test_special_splits_have_a_page(case, trained_study, tmp_path):
    confusion, said = PAGES[case]
    evaluation = counted(confusion)
    model = load_trained_model(trained_study, "t0000")
    groups = {"x": (0,), "y": (1,)}
    results = compute_results(model, evaluation, groups)
    images = np.random.default_rng(0).integers(0, 255, (len(evaluation), 8, 8, 3), np.uint8)
    drawings = plan_drawings(results, images)
    write_drawings(drawings, tmp_path, silent)
    page = write_pages(results, {d.name: d for d in drawings}, tmp_path)
    assert said in page.read_text().replace("&#39;", "'")
